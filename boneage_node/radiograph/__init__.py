"""DICOM in, a radiograph out: pixels in grey, bone bright, spacing, sex, age, laterality; or a refusal."""

from .choice import Choice, choose_hand_image
from .dataset import MAX_FILE_BYTES, read_dataset
from .eligibility import ADULT_FROM_MONTHS, STORAGE_CLASSES, check_eligibility
from .header import Header, read_header
from .identification import Identification, read_identification
from .picture import PICTURE_SUFFIXES, picture_header, read_picture
from .radiograph import Radiograph, read_radiograph
from .visit import Visit, read_visit

__all__ = [
    "ADULT_FROM_MONTHS",
    "MAX_FILE_BYTES",
    "PICTURE_SUFFIXES",
    "STORAGE_CLASSES",
    "Choice",
    "Header",
    "Identification",
    "Radiograph",
    "Visit",
    "check_eligibility",
    "choose_hand_image",
    "picture_header",
    "read_dataset",
    "read_header",
    "read_identification",
    "read_picture",
    "read_radiograph",
    "read_visit",
]
