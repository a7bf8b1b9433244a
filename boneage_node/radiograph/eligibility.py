"""Refusal of what must not be read, by its header."""

from __future__ import annotations

from pydicom.config import IGNORE
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
)

from boneage_node.bone_age import ReasonCode, Refusal, Sex

from .anatomy import BodyPart, View
from .header import Header

ADULT_FROM_MONTHS = 228.0
"""The oldest radiograph of the training data (RSNA Pediatric Bone Age Challenge) is 19 years."""

_RADIOGRAPHS = (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
)
_SECONDARY_CAPTURES = (
    SecondaryCaptureImageStorage,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
)
STORAGE_CLASSES: tuple[str, ...] = (*_RADIOGRAPHS, *_SECONDARY_CAPTURES)
"""SOP classes that can hold a radiograph of a hand. Multi-frame ones are read where they hold one frame."""

# XR is no defined term, but archives and converters write it. A capture of a film is often "other".
_RADIOGRAPH_MODALITIES = frozenset({"", "CR", "DX", "RG", "XR"})
_CAPTURE_MODALITIES = _RADIOGRAPH_MODALITIES | {"OT", "SC"}
# A capture may be one of a report, or say of what it is a picture.
_DOCUMENT_MODALITIES = frozenset({"DOC", "KO", "PR", "REG", "SEG", "SR"})
# Conversion Type (PS3.3 C.8.6.1) of a workstation, of a synthesised image and of a drawing.
_SOFTWARE_CONVERSIONS = frozenset({"WSD", "SYN", "DRW"})
MODALITIES: frozenset[str] = _CAPTURE_MODALITIES
"""Modalities of series that can hold a radiograph; empty is unknown."""

_MAX_ASPECT = 1.1
_OWN_MODEL_NAME = "boneage-node"


def check_eligibility(header: Header, *, sex_required: bool = True) -> None:
    """Refuse what must not be read. Of several reasons, that which is least curable by the sender is given.

    The order: made by software, wrong kind of object, not a hand, pixels far from square, adult, sex unknown.
    What only decoding shows (``pixels``) comes after all of these.

    Lateral and oblique views are refused, not ranked last: the reference atlases and the training images are
    postero-anterior, and carpals that overlap read older or younger, not merely less exactly.

    Args:
        header: What the header says.
        sex_required: Refuse a patient of unknown sex; else such a hand is one to be read as both.

    Raises:
        Refusal: NOTHING_TO_READ, UNSUPPORTED_OBJECT, NOT_A_HAND, UNSUPPORTED_PIXELS, ADULT or SEX_UNKNOWN.
    """
    _check_origin(header)
    _check_object(header)
    if header.body_part is BodyPart.OTHER:
        raise Refusal(ReasonCode.NOT_A_HAND, "another body part")
    if header.view is View.NOT_FRONTAL:
        raise Refusal(ReasonCode.NOT_A_HAND, "a lateral or oblique view")
    if not 1 / _MAX_ASPECT <= header.pixel_aspect <= _MAX_ASPECT:
        raise Refusal(ReasonCode.UNSUPPORTED_PIXELS, "pixels that are not square")
    check_patient(header.sex, header.chronological_age_months, sex_required=sex_required)


def check_patient(sex: Sex | None, chronological_age_months: float | None, *, sex_required: bool) -> None:
    """Refuse a patient whose hand must not be read.

    Raises:
        Refusal: ADULT or SEX_UNKNOWN.
    """
    if chronological_age_months is not None and chronological_age_months >= ADULT_FROM_MONTHS:
        raise Refusal(ReasonCode.ADULT)
    if sex_required and sex is None:
        raise Refusal(ReasonCode.SEX_UNKNOWN)


def is_secondary_capture(header: Header) -> bool:
    """Whether the object is a capture of an image rather than the image of a modality."""
    return header.sop_class_uid in _SECONDARY_CAPTURES


def _check_origin(header: Header) -> None:
    """Refuse what software made: reports, results and pictures of them, of this node or of others.

    A PACS that sends on all that it gets would otherwise have the node answer its own answers for ever. A
    radiograph that was digitised or converted says so in its Conversion Type, or is no DERIVED image.
    """
    name = UID(header.sop_class_uid, IGNORE).name
    if header.modality in _DOCUMENT_MODALITIES or (name.endswith("Storage") and "Image" not in name):
        raise Refusal(ReasonCode.NOTHING_TO_READ, "no image")
    if header.model_name == _OWN_MODEL_NAME:
        raise Refusal(ReasonCode.NOTHING_TO_READ, "made by this node")
    derived = is_secondary_capture(header) and "DERIVED" in header.image_type[:1]
    if derived and (header.conversion_type in _SOFTWARE_CONVERSIONS or header.has_sources):
        raise Refusal(ReasonCode.NOTHING_TO_READ, "a picture that software derived")


def _check_object(header: Header) -> None:
    if header.sop_class_uid not in STORAGE_CLASSES:
        raise Refusal(ReasonCode.UNSUPPORTED_OBJECT, "SOP class")
    modalities = _CAPTURE_MODALITIES if is_secondary_capture(header) else _RADIOGRAPH_MODALITIES
    if header.modality not in modalities:
        raise Refusal(ReasonCode.UNSUPPORTED_OBJECT, "modality")
    if "LOCALIZER" in header.image_type:
        raise Refusal(ReasonCode.UNSUPPORTED_OBJECT, "a localizer")
