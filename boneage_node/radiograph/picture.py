"""Pictures without a header: PNG, JPEG and TIFF. Sex and age are told beside them."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom.dataset import Dataset

from boneage_node.bone_age import ReasonCode, Refusal, Sex
from boneage_node.traffic.file import StoredFile

from .eligibility import check_patient
from .header import Header, read_header
from .pixels import GREY_SPREAD
from .radiograph import Radiograph

PICTURE_SUFFIXES = (".jpeg", ".jpg", ".png", ".tif", ".tiff")
_FORMATS = ("JPEG", "PNG", "TIFF")
_GREY_MODES = ("1", "I", "I;16", "I;16B", "I;16L", "L", "LA")

Grey = npt.NDArray[np.float32]


def read_picture(
    file: StoredFile,
    sex: Sex | None,
    chronological_age_months: float | None,
    *,
    sex_required: bool = True,
) -> Radiograph:
    """Read a radiograph of a hand from a picture, or say why not.

    Args:
        file: The picture; its grey may have 8 or 16 bits, and be of either polarity.
        sex: The patient's, as somebody tells it.
        chronological_age_months: The same of the age at the exposure.
        sex_required: Refuse a patient of unknown sex.

    Raises:
        Refusal: UNREADABLE_FILE, TOO_LARGE, ADULT, SEX_UNKNOWN, UNSUPPORTED_PIXELS or DAMAGED_PIXELS.
        OSError: The file cannot be opened.
    """
    with file.open() as opened, warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image = Image.open(opened, formats=_FORMATS)
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            raise Refusal(ReasonCode.TOO_LARGE) from None
        except OSError:  # its UnidentifiedImageError among them
            raise Refusal(ReasonCode.UNREADABLE_FILE, "neither PNG nor JPEG nor TIFF") from None
        with image:
            check_patient(sex, chronological_age_months, sex_required=sex_required)
            pixels = _grey(image)
    rows, columns = pixels.shape
    header = picture_header(sex, chronological_age_months)
    return Radiograph(replace(header, rows=rows, columns=columns), pixels)


def picture_header(sex: Sex | None, chronological_age_months: float | None) -> Header:
    """What is told beside a picture, as a header; all else is absent."""
    empty = read_header(Dataset())
    return replace(empty, sex=sex, chronological_age_months=chronological_age_months)


def grey_of(image: Image.Image) -> Grey:
    """Grey values, shape (height, width), float32 in [0, 1], as they are stored."""
    if image.mode.startswith("I"):
        return np.asarray(image, dtype=np.float32) / np.float32(2**16 - 1)
    return np.asarray(image.convert("L"), dtype=np.float32) / np.float32(2**8 - 1)


def _grey(image: Image.Image) -> Grey:
    if getattr(image, "n_frames", 1) > 1:
        raise Refusal(ReasonCode.UNSUPPORTED_PIXELS, "several images in one file")
    if image.mode == "F":
        raise Refusal(ReasonCode.UNSUPPORTED_PIXELS, "floating point")
    try:
        if image.mode not in _GREY_MODES:
            colours = np.asarray(image.convert("RGB"), dtype=np.int16)
            if int(np.ptp(colours, axis=2).max()) > GREY_SPREAD:
                raise Refusal(ReasonCode.UNSUPPORTED_PIXELS, "colour")
        return grey_of(image)
    except (OSError, SyntaxError, ValueError) as error:  # as Pillow's decoders fail
        raise Refusal(ReasonCode.DAMAGED_PIXELS, type(error).__name__) from None
