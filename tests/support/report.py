"""What the tests of the reports share: images with headers of every quality, and a reading of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
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
from boneage_node.report import Report

ROWS, COLUMNS = 1200, 900
REPORT_UID = "2.25.1234567890"
CREATED_AT = datetime(2026, 3, 4, 15, 16, 17, 250_000, tzinfo=UTC)
REFUSAL = Refusal(ReasonCode.SEX_UNKNOWN, "PatientSex is O")


def hand_outline(points: int = 1500) -> np.ndarray:
    """A closed shape with five fingers, shape (points, 2), (column, row)."""
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    radius = 1 + 0.3 * np.cos(5 * angle)
    outline = np.stack([450 + 300 * radius * np.cos(angle), 600 + 400 * radius * np.sin(angle)], axis=1)
    return outline.astype(np.float32)


ASSESSMENT = Assessment(
    bone_age_months=98.4,
    interval_months=(85.3, 113.0),
    interval_coverage=0.9,
    sex=Sex.MALE,
    months_by_sex={Sex.MALE: 98.4},
    member_months={"A regression": 97.0, "A classification": 99.875},
    chronological_age_months=92.3,
    z_score=0.7,
    spread_months=4.5,
    agreement=Agreement.USUAL,
    laterality=Laterality.LEFT,
    outline_px=hand_outline(),
    key_points_px=np.array([[450, 90], [760, 760], [450, 900]], np.float32),
    regions_px={
        "A": np.array([[90, 40], [810, 40], [810, 1110], [90, 1110]], np.float32),
        "B": np.array([[270, 680], [630, 680], [630, 1080], [270, 1080]], np.float32),
    },
    model=ModelIdentity("hand-vgg", "1.0", "ab" * 32),
    reader_interval_months=(78.0, 118.8),
)
OF_A_LABEL = replace(ASSESSMENT, reader_interval_months=None)
"""By a model that does not tell the interval of the bone age from that of a reader's label."""
UNCERTAIN = replace(ASSESSMENT, bone_age_months=110.7, interval_months=(88.0, 125.4), z_score=2.1)
"""Advanced by the reading, and normal by a part of its interval."""
NOTHING_KNOWN = replace(
    ASSESSMENT,
    sex=Sex.FEMALE,
    months_by_sex={Sex.FEMALE: 98.4},
    chronological_age_months=None,
    z_score=None,
    laterality=None,
)
READ_AS_BOTH = replace(
    ASSESSMENT,
    bone_age_months=100.8,
    interval_months=(79.5, 125.3),
    sex=None,
    months_by_sex={Sex.MALE: 103.4, Sex.FEMALE: 98.2},
    z_score=None,
)
COURSE = Course(
    date(2026, 3, 1),
    [
        EarlierReading(date(2024, 3, 1), 70.0, 68.0, str(ASSESSMENT.model)),
        EarlierReading(date(2025, 3, 1), 85.0, 80.0, str(ASSESSMENT.model)),
    ],
)
RIGHT_HAND = replace(ASSESSMENT, laterality=Laterality.RIGHT)


def report_of(source: Dataset, answer: Answer = ASSESSMENT, **changes: Any) -> Report:
    """A report of an answer, always the same but for what is changed."""
    return Report(source, answer, **{"sop_instance_uid": REPORT_UID, "created_at": CREATED_AT, **changes})


def read_outline(report: Dataset) -> npt.NDArray[np.float32]:
    """The outline in a report of ours, as ``Assessment.outline_px`` has it.

    Args:
        report: A structured report of an assessment.

    Returns:
        Shape (n, 2), float32, (column, row), pixel centres at whole numbers, the first point not repeated.

    Raises:
        ValueError: There is no graphic in the report.
    """
    waiting = [report]
    while waiting:
        item = waiting.pop()
        if item.get("ValueType") == "SCOORD":
            points = np.asarray(item.GraphicData, dtype=np.float32).reshape(-1, 2)
            return points[:-1] - np.float32(0.5)
        waiting.extend(item.get("ContentSequence", []))
    raise ValueError("the report has no outline")


def written_and_read(source: Dataset, transfer_syntax_uid: str = ExplicitVRLittleEndian) -> Dataset:
    """The data set as it comes out of a file, with its values undecoded."""
    source.file_meta = FileMetaDataset()
    source.file_meta.TransferSyntaxUID = transfer_syntax_uid
    file = BytesIO()
    pydicom.dcmwrite(file, source, enforce_file_format=True)
    return pydicom.dcmread(BytesIO(file.getvalue()))


def radiograph(transfer_syntax_uid: str = ExplicitVRLittleEndian, **changes: Any) -> Dataset:
    """A DX image of a left hand without its pixels, as read from a file.

    Args:
        transfer_syntax_uid: Of the file.
        changes: Attributes by keyword; None leaves one out, bytes are put into the file as they are.
    """
    defaults = {
        "SOPClassUID": DigitalXRayImageStorageForPresentation,
        "SOPInstanceUID": "1.2.826.0.1.3680043.10.1.1.1.1",
        "SeriesInstanceUID": "1.2.826.0.1.3680043.10.1.1.1",
        "StudyInstanceUID": "1.2.826.0.1.3680043.10.1.1",
        "StudyDate": "20260304",
        "StudyTime": "101112",
        "StudyID": "S1",
        "AccessionNumber": "A-17",
        "ReferringPhysicianName": "Referrer^Rita",
        "StudyDescription": "Hand left",
        "PatientName": "Doe^John",
        "PatientID": "4711",
        "PatientBirthDate": "20180601",
        "PatientSex": "M",
        "PatientAge": "007Y",
        "Modality": "DX",
        "Rows": ROWS,
        "Columns": COLUMNS,
        "PhotometricInterpretation": "MONOCHROME2",
        "ImagerPixelSpacing": [0.14, 0.14],
        "PatientOrientation": ["L", "F"],
    }
    as_they_are = {keyword: value for keyword, value in changes.items() if isinstance(value, bytes)}
    source = Dataset()
    for keyword, value in (defaults | {k: v for k, v in changes.items() if k not in as_they_are}).items():
        if value is not None:
            setattr(source, keyword, value)
    source = written_and_read(source, transfer_syntax_uid)
    for keyword, value in as_they_are.items():
        tag = Tag(keyword)
        source[tag] = RawDataElement(tag, dictionary_VR(tag), len(value), value, 0, False, True)
    return source


CR = {"SOPClassUID": ComputedRadiographyImageStorage, "Modality": "CR"}
CR_BARE = {
    **CR,
    "ImagerPixelSpacing": None,
    "PatientOrientation": None,
    "StudyDescription": None,
    "PatientAge": None,
    "ReferringPhysicianName": None,
}
TYPE_2 = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyID",
)

# Headers that are right, or lack what images often lack: their reports must satisfy every validator.
SOUND: dict[str, dict[str, Any]] = {
    "dx": {},
    "dx implicit": {"transfer_syntax_uid": ImplicitVRLittleEndian},
    "cr bare": CR_BARE,
    "cr, type 2 missing": {**CR_BARE, "StudyID": None, "AccessionNumber": None, "PatientBirthDate": None},
    "cr, type 2 empty": {**CR, "StudyID": "", "AccessionNumber": "", "ReferringPhysicianName": ""},
    "cr, sex and age unknown": {**CR, "PatientSex": "", "PatientBirthDate": "", "PatientAge": None},
    "sex other": {"PatientSex": "O"},
    "monochrome1": {**CR, "PhotometricInterpretation": "MONOCHROME1"},
    "spacing and orientation empty": {**CR, "ImagerPixelSpacing": "", "PatientOrientation": ""},
    "secondary capture": {**CR_BARE, "SOPClassUID": SecondaryCaptureImageStorage, "Modality": "OT"},
    "multi-frame secondary capture": {
        **CR_BARE,
        "SOPClassUID": MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
        "Modality": "OT",
    },
    "latin 1": {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "Müller^Jörg"},
    "japanese": {
        "SpecificCharacterSet": ["", "ISO 2022 IR 87"],
        "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    },
    "japanese half width": {
        "SpecificCharacterSet": ["ISO 2022 IR 13", "ISO 2022 IR 87"],
        "PatientName": "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    },
    "korean": {
        "SpecificCharacterSet": ["", "ISO 2022 IR 149"],
        "PatientName": "Hong^Gildong=洪^吉洞=홍^길동",
    },
    "cyrillic": {"SpecificCharacterSet": "ISO_IR 144", "PatientName": "Люксембург^Роза"},
    "greek": {"SpecificCharacterSet": "ISO_IR 126", "PatientName": "Παπαδοπουλος^Διονυσιος"},
    "gb18030": {"SpecificCharacterSet": "GB18030", "PatientName": "Wang^XiaoDong=王^小东="},
    "utf-8": {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Wang^XiaoDong=王^小東="},
}

# Headers that break the standard. They have reports too, wrong where the image is wrong.
BROKEN: dict[str, dict[str, Any]] = {
    "big endian": {"transfer_syntax_uid": ExplicitVRBigEndian},
    "nothing but uids": {
        **CR_BARE,
        **dict.fromkeys(TYPE_2),
        "Modality": None,
        "PhotometricInterpretation": None,
    },
    "dates that are none": {
        "StudyDate": b"2026-03-04",
        "StudyTime": b"noon",
        "PatientBirthDate": b"00000000",
    },
    "over-long values": {"PatientID": b"9" * 80, "StudyID": b"x" * 64, "PatientName": b"N" * 300},
    "value beyond 64 KiB": {"PatientID": b"9" * 70_000},
    "odd length": {"PatientID": b"123", "PatientSex": b"M"},
    "control characters": {"PatientName": b"Doe\x00\x01^\xffJ\n", "StudyDescription": b"a\\b\\c\x1b"},
    "bytes of no character set": {"PatientName": b"M\xfcller^J\xf6rg"},
    "wrong character set": {"SpecificCharacterSet": b"ISO_IR 999", "PatientName": b"M\xfcller "},
    "misspelt character set": {"SpecificCharacterSet": b"UTF8", "PatientName": "Müller".encode()},
    "escapes of another character set": {
        "SpecificCharacterSet": b"ISO 2022 IR 100",
        "PatientName": b"\x1b$B;3ED",
    },
    "lone surrogate bytes": {"SpecificCharacterSet": b"ISO_IR 192", "PatientName": b"\xed\xa0\x80\xff"},
    "spacing that is none": {"ImagerPixelSpacing": b"a\\b ", "PatientOrientation": b"L\\\\F\\"},
    "spacing of zero": {"ImagerPixelSpacing": b"0\\0 "},
    "spacing not finite": {"ImagerPixelSpacing": b"nan\\inf "},
    "uids that are none": {
        "SOPInstanceUID": b"1.2.0003.x ",
        "StudyInstanceUID": b"../../etc\x00",
        "SeriesInstanceUID": b"1" * 80,
    },
    "time zone that is none": {"TimezoneOffsetFromUTC": b"+9999 "},
    "sequence that is none": {
        "IssuerOfPatientIDQualifiersSequence": b"\xfe\xff\x00\xe0\xff\x00\x00\x00O\x00QOSQQQO",
        "IssuerOfAccessionNumberSequence": b"garbage ",
    },
}
