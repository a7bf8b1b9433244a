"""Header of an image, read without guessing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from boneage_node.bone_age import Laterality, Sex
from boneage_node.bone_age.course import DAYS_PER_MONTH
from boneage_node.errors import BoneAgeError

from .anatomy import BodyPart, View, mentions_hand, read_body_part, read_view
from .dataset import Attributes, quiet_pydicom

MAX_AGE_YEARS = 130

STUDY_DATES = ("StudyDate", "AcquisitionDate", "SeriesDate", "ContentDate")
"""Attributes with the day of the study, first to last. The first three must agree."""

MAX_DAYS_APART = 31

_MONTHS_PER_UNIT = {"D": 1 / DAYS_PER_MONTH, "W": 7 / DAYS_PER_MONTH, "M": 1.0, "Y": 12.0}


@dataclass(frozen=True)
class Identity:
    """Whose image it is and of what day; what is absent or malformed is empty, and says nothing.

    Attributes:
        patient_id: PatientID.
        issuer: IssuerOfPatientID.
        birth_date: PatientBirthDate.
        sex: PatientSex as stated: ``M``, ``F`` or ``O``.
        study_date: The day of the study.
        stated_age_months: PatientAge.
    """

    patient_id: str
    issuer: str
    birth_date: date | None
    sex: str
    study_date: date | None
    stated_age_months: float | None


@dataclass(frozen=True)
class Header:
    """Header of one instance.

    Attributes:
        sop_instance_uid: As written; empty where absent, as for the other identifiers.
        sop_class_uid: Kind of object.
        study_instance_uid: Study.
        modality: Upper case; empty where absent.
        image_type: Values of ImageType, upper case.
        conversion_type: ConversionType of a secondary capture, upper case; empty where absent.
        has_sources: It names the images that it was derived from.
        model_name: ManufacturerModelName, to tell the node's own pictures.
        sex: None unless PatientSex is exactly ``M`` or ``F``.
        chronological_age_months: Age at the study, or None.
        laterality: Which hand; None where it is absent, both, or contradictory.
        body_part: What was imaged, by codes and words.
        view: The projection.
        mentions_hand: A free text speaks of a hand. Only for ranking.
        pixel_aspect: Height of a pixel divided by its width; 1 where the header is silent.
        rows: Height in pixels, 0 where absent.
        columns: Width in pixels, 0 where absent.
        identity: Whose it is, to be compared with other images of the study.
    """

    sop_instance_uid: str
    sop_class_uid: str
    study_instance_uid: str
    modality: str
    image_type: tuple[str, ...]
    conversion_type: str
    has_sources: bool
    model_name: str
    sex: Sex | None
    chronological_age_months: float | None
    laterality: Laterality | None
    body_part: BodyPart
    view: View
    mentions_hand: bool
    pixel_aspect: float
    rows: int
    columns: int
    identity: Identity


def read_header(dataset: Dataset) -> Header:
    """Read a header. Never raises: what is malformed counts as absent."""
    attributes = Attributes(dataset)
    with quiet_pydicom():
        return Header(
            sop_instance_uid=attributes.text("SOPInstanceUID"),
            sop_class_uid=attributes.text("SOPClassUID"),
            study_instance_uid=attributes.text("StudyInstanceUID"),
            modality=attributes.text("Modality").upper(),
            image_type=tuple(value.upper() for value in attributes.texts("ImageType")),
            conversion_type=attributes.text("ConversionType").upper(),
            has_sources=bool(attributes.items("SourceImageSequence")),
            model_name=attributes.text("ManufacturerModelName"),
            sex=_sex(attributes),
            chronological_age_months=_chronological_age_months(attributes),
            laterality=_laterality(attributes),
            body_part=read_body_part(attributes),
            view=read_view(attributes),
            mentions_hand=mentions_hand(attributes),
            pixel_aspect=_pixel_aspect(attributes),
            rows=attributes.integer("Rows") or 0,
            columns=attributes.integer("Columns") or 0,
            identity=_identity(attributes),
        )


def _sex(attributes: Attributes) -> Sex | None:
    text = attributes.text("PatientSex")
    return Sex(text) if text in tuple(Sex) else None


def _chronological_age_months(attributes: Attributes) -> float | None:
    """Age at the study from PatientBirthDate and the day of the study, else from PatientAge."""
    born = read_date(attributes, "PatientBirthDate")
    try:
        studied = read_study_date(attributes)
    except ContradictingDatesError:
        return None
    if born is None or studied is None:
        months = _stated_age_months(attributes)
    else:
        months = (studied - born).days / DAYS_PER_MONTH
    return months if months is not None and 0 <= months <= MAX_AGE_YEARS * 12 else None


class ContradictingDatesError(BoneAgeError):
    """Dates of study, series and acquisition that cannot all be true."""


def read_study_date(attributes: Attributes) -> date | None:
    """The day of the study; None where the header does not say.

    Raises:
        ContradictingDatesError: They are too far apart: archives restamp studies on import, by years, and
            then nobody knows the age at exposure.
    """
    dates = [read_date(attributes, keyword) for keyword in STUDY_DATES]
    days = [day for day in dates[:3] if day]
    if days and (max(days) - min(days)).days > MAX_DAYS_APART:
        raise ContradictingDatesError
    return next(filter(None, dates), None)


def read_date(attributes: Attributes, keyword: str) -> date | None:
    """A DA value: YYYYMMDD, or YYYY.MM.DD as before 1993 (PS3.5 6.2)."""
    match = re.fullmatch(r"([0-9]{4})(\.?)([0-9]{2})\2([0-9]{2})", attributes.text(keyword))
    try:
        return date(int(match[1]), int(match[3]), int(match[4])) if match else None
    except ValueError:  # no such day
        return None


def _stated_age_months(attributes: Attributes) -> float | None:
    """PatientAge (nnnD, nnnW, nnnM, nnnY) in months."""
    match = re.fullmatch(r"([0-9]{1,3})([DWMY])", attributes.text("PatientAge"))
    return int(match[1]) * _MONTHS_PER_UNIT[match[2]] if match else None


def _laterality(attributes: Attributes) -> Laterality | None:
    said = set(_stated_lateralities(attributes))
    only = said.pop() if len(said) == 1 else None
    return Laterality(only) if only in tuple(Laterality) else None


def _stated_lateralities(attributes: Attributes) -> Iterator[str]:
    """Every statement of a side: L, R, or B for both."""
    holders = [attributes]
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in attributes.items(groups):
            holders += group.items("FrameAnatomySequence")
    for holder in holders:
        for keyword in ("ImageLaterality", "Laterality", "FrameLaterality"):
            text = holder.text(keyword)
            if text in ("L", "R", "B"):
                yield text
        for region in holder.items("AnatomicRegionSequence"):
            for modifier in region.items("AnatomicRegionModifierSequence"):
                code = Code(modifier.text("CodeValue"), modifier.text("CodingSchemeDesignator"), "")
                for letter, name in (("L", "Left"), ("R", "Right"), ("B", "Bilateral")):
                    if code == codes.CID244.concepts[name]:
                        yield letter


def _pixel_aspect(attributes: Attributes) -> float:
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio"):
        values = attributes.numbers(keyword)
        if len(values) == 2 and min(values) > 0:
            return values[0] / values[1]
    return 1.0


def _identity(attributes: Attributes) -> Identity:
    sex = attributes.text("PatientSex")
    try:
        study_date = read_study_date(attributes)
    except ContradictingDatesError:
        study_date = None
    return Identity(
        patient_id=attributes.text("PatientID"),
        issuer=attributes.text("IssuerOfPatientID"),
        birth_date=read_date(attributes, "PatientBirthDate"),
        sex=sex if sex in ("M", "F", "O") else "",
        study_date=study_date,
        stated_age_months=_stated_age_months(attributes),
    )
