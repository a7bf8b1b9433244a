"""One of each object that the node makes, in every case in which its content differs.

What is always in an object, what is constant and what varies is found by comparing them, so they must differ
in whatever can.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
from PIL import Image
from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    EncapsulatedPDFStorage,
    SecondaryCaptureImageStorage,
)

from boneage_node.bone_age import (
    Agreement,
    Answer,
    Assessment,
    Course,
    EarlierReading,
    Laterality,
    ModelIdentity,
    ReasonCode,
    Refusal,
    Sex,
)
from boneage_node.report import (
    SR_CLASSES,
    DeviceIdentity,
    Kind,
    Predecessor,
    Report,
    structured_report,
)
from boneage_node.report.picture.capture import secondary_capture
from boneage_node.report.source import COPIED, COPIED_SEQUENCES, PICTURED

_VALUES = {"AS": "008Y", "CS": "A", "DA": "20260304", "DS": "1", "TM": "101112", "UI": "2.25.1"}
"""Some value of each kind; others are texts."""
_DEVICES = DeviceIdentity("BONEAGE"), DeviceIdentity("OTHER")
_TIMES = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC), datetime(2027, 4, 5, 6, 7, 8, tzinfo=UTC)

_BOY = Assessment(
    bone_age_months=98.0,
    interval_months=(85.0, 112.0),
    interval_coverage=0.95,
    sex=Sex.MALE,
    months_by_sex={Sex.MALE: 98.0},
    member_months={},
    chronological_age_months=92.0,
    z_score=0.5,
    spread_months=2.0,
    agreement=Agreement.USUAL,
    laterality=Laterality.LEFT,
    outline_px=np.array([[1, 1], [9, 1], [9, 9], [1, 9]], np.float32),
    key_points_px=np.zeros((3, 2), np.float32),
    regions_px={},
    model=ModelIdentity("a", "1", "aa"),
    reader_interval_months=(78.0, 119.0),
)
_ASSESSMENTS = (
    _BOY,
    replace(_BOY, z_score=-3.0, laterality=Laterality.RIGHT, agreement=Agreement.LOW, bone_age_months=90.0),
    replace(
        _BOY,
        z_score=3.0,
        reader_interval_months=None,
        model=ModelIdentity("b", "2", "bb"),
        interval_months=(80.0, 120.0),
    ),
    replace(_BOY, sex=None, months_by_sex={Sex.FEMALE: 90.0, Sex.MALE: 106.0}, z_score=None),
    replace(_BOY, chronological_age_months=None, z_score=None, laterality=None, interval_coverage=0.9),
)
_ADULT = Refusal(ReasonCode.ADULT)
_PICTURED_ANSWERS: tuple[Answer, ...] = (_BOY, replace(_BOY, laterality=Laterality.RIGHT), _ADULT, _ADULT)
_COURSE = Course(
    date(2026, 3, 4),
    [EarlierReading(date(2025, year, 4), 80.0, 78.0, str(_BOY.model)) for year in (1, 2)],
)


def structured_reports() -> list[Dataset]:
    """Reports of assessments, the fullest first."""
    return [
        structured_report(
            Report(
                image,
                assessment,
                f"2.25.{number}",
                _TIMES[number % 2],
                _DEVICES[number % 2],
                sop_class,
                _COURSE if number == 0 else None,
                _predecessor(number),
            )
        )
        for image, sop_class in zip(_images()[:2], SR_CLASSES.values(), strict=True)
        for number, assessment in enumerate(_ASSESSMENTS)
    ]


def refusals() -> list[Dataset]:
    """Reports of refusals, the fullest first."""
    return [
        structured_report(
            Report(
                image,
                Refusal(reason),
                f"2.25.{number}",
                _TIMES[number % 2],
                _DEVICES[number % 2],
                predecessor=_predecessor(number),
            )
        )
        for number, image in enumerate(_images())
        for reason in (ReasonCode.ADULT, ReasonCode.NO_PIXELS)
    ]


def pictures() -> list[Dataset]:
    """Pictures, the fullest first."""
    return [
        secondary_capture(
            Report(
                image,
                _PICTURED_ANSWERS[number],
                str(number),
                _TIMES[number % 2],
                _DEVICES[number % 2],
                predecessor=_predecessor(number),
            ),
            Image.new("RGB", (64 + number, 65 + number), (number, 0, 0)),
        )
        for number, image in enumerate(_images())
    ]


def _images() -> tuple[Dataset, ...]:
    """An image with all that can be copied, one with what it must have, no image, and hardly an object."""
    full = _values((*COPIED, *PICTURED, *COPIED_SEQUENCES), "first")
    bare, other, least = Dataset(), Dataset(), Dataset()
    for image in (full, bare, other):
        image.SeriesInstanceUID, image.SOPInstanceUID = "2.25.2", "2.25.3"
        image.Rows, image.Columns = 10, 10
    full.SOPClassUID, full.PatientOrientation = DigitalXRayImageStorageForPresentation, ["L", "F"]
    full.ImagerPixelSpacing = [0.1, 0.1]
    bare.StudyInstanceUID, bare.SOPClassUID = "2.25.4", SecondaryCaptureImageStorage
    bare.SeriesInstanceUID, bare.SOPInstanceUID, bare.Rows = "2.25.5", "2.25.6", 20
    other.StudyInstanceUID, other.SOPClassUID = "2.25.7", EncapsulatedPDFStorage
    least.StudyInstanceUID = "2.25.8"
    return full, bare, other, least


def _values(keywords: Sequence[str], text: str) -> Dataset:
    """A data set with a value for each keyword."""
    sequences: Mapping[str, tuple[str, ...]] = COPIED_SEQUENCES
    data_set = Dataset()
    for keyword in keywords:
        if keyword in sequences:
            value: object = [_values(sequences[keyword], text)]
        else:
            value = _VALUES.get(dictionary_VR(keyword), text)
        setattr(data_set, keyword, value)
    if "SpecificCharacterSet" in keywords:
        data_set.SpecificCharacterSet, data_set.TimezoneOffsetFromUTC = "ISO_IR 100", "+0100"
    return data_set


def _predecessor(number: int) -> Predecessor | None:
    """None for every other report."""
    kinds = {0: Kind.ASSESSMENT, 2: Kind.REFUSAL}
    if number not in kinds:
        return None
    return Predecessor(
        list(SR_CLASSES.values())[number // 2],
        f"2.25.{number + 9}",
        kinds[number],
        number + 1,
        _TIMES[number % 2],
        None if kinds[number] is Kind.REFUSAL else 98.4,
    )
