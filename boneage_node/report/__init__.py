"""An assessment or a refusal, with the image it came from, as DICOM objects and as pictures."""

from .capture import secondary_capture
from .document import Predecessor, to_bytes
from .fhir import fhir_bundle
from .fhir_types import json_bytes
from .identity import DeviceIdentity, Kind, derive_uid, report_instance_uid
from .months import years_and_months
from .picture import draw_picture, draw_refusal_picture
from .refusal import refusal_sr
from .source import SourceImage
from .sr import SR_CLASSES, assessment_sr

__all__ = [
    "SR_CLASSES",
    "DeviceIdentity",
    "Kind",
    "Predecessor",
    "SourceImage",
    "assessment_sr",
    "derive_uid",
    "draw_picture",
    "draw_refusal_picture",
    "fhir_bundle",
    "json_bytes",
    "refusal_sr",
    "report_instance_uid",
    "secondary_capture",
    "to_bytes",
    "years_and_months",
]
