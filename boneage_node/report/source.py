"""Attributes that a report takes from its image, whatever state the image's header is in.

Patient and study attributes are copied byte for byte: a PACS files the report by them, and decoding a name
only to encode it again can change it. Values that are wrong in the image are as wrong in its report, on
purpose.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO

from pydicom import Dataset
from pydicom.charset import convert_encodings, decode_bytes, default_encoding, python_encoding
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import RawDataElement
from pydicom.filebase import DicomIO
from pydicom.filewriter import write_data_element
from pydicom.tag import Tag
from pydicom.uid import UID
from pydicom.valuerep import TEXT_VR_DELIMS

from boneage_node.logs import class_name, get_logger
from boneage_node.radiograph.dataset import quiet_pydicom

_log = get_logger()

# Attributes of type 2 in the Patient and General Study modules: present in the report, empty if need be.
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

# Patient, General Study, Patient Study, Clinical Trial Subject and Clinical Trial Study (PS3.3 A.35.3.3), as
# far as systems file, match or show reports by them.
COPIED = (
    "SpecificCharacterSet",
    "TimezoneOffsetFromUTC",
    *TYPE_2,
    "IssuerOfPatientID",
    "TypeOfPatientID",
    "PatientBirthTime",
    "OtherPatientNames",
    "EthnicGroup",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "StudyInstanceUID",
    "StudyDescription",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "ClinicalTrialSponsorName",
    "ClinicalTrialProtocolID",
    "ClinicalTrialProtocolName",
    "ClinicalTrialSiteID",
    "ClinicalTrialSiteName",
    "ClinicalTrialSubjectID",
    "ClinicalTrialSubjectReadingID",
    "ClinicalTrialTimePointID",
    "ClinicalTrialTimePointDescription",
)
COPIED_SEQUENCES = {
    "IssuerOfPatientIDQualifiersSequence": ("UniversalEntityID", "UniversalEntityIDType"),
    "OtherPatientIDsSequence": ("PatientID", "IssuerOfPatientID", "TypeOfPatientID"),
    "IssuerOfAccessionNumberSequence": (
        "LocalNamespaceEntityID",
        "UniversalEntityID",
        "UniversalEntityIDType",
    ),
}
IDENTIFYING = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
)
"""By these a report finds its patient and its order."""
PICTURED = ("BurnedInAnnotation", "LossyImageCompression")
"""Of the image's pixels, hence of pictures made of them. Where the image does not say, nobody knows."""
_SPECIFIC_CHARACTER_SET = Tag("SpecificCharacterSet")
_NOT_COMPRESSED = {"LossyImageCompression": "00"}
"""A file says so, or does not say anything, as its compression without loss comes and goes."""
_LONGEST_VALUE = 0xFFFE  # of a value with a 16-bit length, in bytes


@dataclass(frozen=True)
class SourceImage:
    """The references and descriptors of an image; an empty text is an unknown value.

    Attributes:
        study_instance_uid: StudyInstanceUID.
        series_instance_uid: SeriesInstanceUID.
        sop_instance_uid: SOPInstanceUID.
        sop_class_uid: SOPClassUID.
        patient_orientation: Directions of the rows and columns (for example ``("L", "F")``), or None.
        spacing_mm: (row, column) ImagerPixelSpacing, or None where missing or not two positive numbers.
        timezone_offset: TimezoneOffsetFromUTC, ``+HHMM``, or empty.
    """

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    patient_orientation: tuple[str, str] | None
    spacing_mm: tuple[float, float] | None
    timezone_offset: str

    @classmethod
    def of(cls, source: Dataset) -> SourceImage:
        """Read from a data set of any quality.

        Raises:
            ValueError: The source has no StudyInstanceUID, so that no report can be filed with it.
        """
        study_instance_uid = _text(source, "StudyInstanceUID")
        if not study_instance_uid:
            raise ValueError("a source without StudyInstanceUID cannot have a report")
        orientation = _text(source, "PatientOrientation").split("\\")
        directed = len(orientation) == 2 and all(re.fullmatch("[A-Z]{1,6}", way) for way in orientation)
        return cls(
            study_instance_uid=study_instance_uid,
            series_instance_uid=_text(source, "SeriesInstanceUID"),
            sop_instance_uid=_text(source, "SOPInstanceUID"),
            sop_class_uid=_text(source, "SOPClassUID"),
            patient_orientation=(orientation[0], orientation[1]) if directed else None,
            spacing_mm=_spacing(_text(source, "ImagerPixelSpacing")),
            timezone_offset=_text(source, "TimezoneOffsetFromUTC"),
        )

    @property
    def can_be_referenced(self) -> bool:
        """Whether the image has all the UIDs that a reference needs."""
        return bool(self.series_instance_uid and self.sop_instance_uid and self.sop_class_uid)

    @property
    def is_image(self) -> bool:
        """Whether its SOP class is one of DICOM's for images."""
        return "Image Storage" in UID(self.sop_class_uid).name


def copy_patient_and_study(source: Dataset, report: Dataset) -> None:
    """Copy the patient's and the study's attributes from an image to its report, byte for byte.

    The bytes are those of the file as long as nobody has read the attribute from ``source``: pydicom decodes
    a value when it is first asked for. Attributes of type 2 that the image lacks become empty.

    Args:
        source: The image, as ``pydicom.dcmread`` returned it. Not changed.
        report: The report, to be written as Explicit VR Little Endian.
    """
    copy_texts(source, report, COPIED)
    for keyword in TYPE_2:
        if keyword not in report:
            setattr(report, keyword, None)
    for keyword in COPIED_SEQUENCES:
        items = _sequence(source, keyword)
        if items:
            setattr(report, keyword, items)


def quoted(source: Dataset, keywords: Iterable[str] = ()) -> list[str]:
    """What a report quotes of its image, as text: the same however the image's file encodes it.

    Args:
        source: The image. Not changed.
        keywords: Only these, which hold text; everything if there are none.
    """
    copy = Dataset()
    copy_texts(source, copy, ("SpecificCharacterSet", *keywords) if keywords else (*COPIED, *PICTURED))
    encodings = _known_encodings(copy)
    said = _decoded(copy, encodings)
    for keyword in () if keywords else COPIED_SEQUENCES:
        for number, item in enumerate(_sequence(source, keyword)):
            said += [f"{keyword} {number} {text}" for text in _decoded(item, encodings)]
    return said


def _decoded(copy: Dataset, encodings: list[str]) -> list[str]:
    """``Keyword=text`` of every element of a copy that has one; its bytes where they cannot be decoded."""
    said = []
    for tag in sorted(copy.keys()):
        element = copy.get_item(tag)
        if tag == _SPECIFIC_CHARACTER_SET or element is None or not isinstance(element.value, bytes):
            continue
        with quiet_pydicom():
            text = decode_bytes(element.value, encodings, TEXT_VR_DELIMS).rstrip(" \0")
        if "\ufffd" in text or (encodings == [default_encoding] and not element.value.isascii()):
            text = element.value.hex()
        if text and (keyword := keyword_for_tag(tag)) and text != _NOT_COMPRESSED.get(keyword):
            said.append(f"{keyword}={text}")
    return said


def copy_texts(source: Dataset, report: Dataset, keywords: Iterable[str]) -> None:
    """Copy elements that hold text, byte for byte; what the image lacks is left out."""
    for keyword in keywords:
        element = _element(source, keyword)
        if element is not None:
            report[element.tag] = element


def _element(source: Dataset, keyword: str) -> RawDataElement | None:
    """A copy of an element that holds text, encoded; None where it is missing."""
    tag = Tag(keyword)
    element = source.get_item(tag)
    if element is None:
        return None
    if isinstance(element, RawDataElement):
        value = element.value or b""
    else:
        buffer = BytesIO()
        file = DicomIO(buffer)
        file.is_little_endian, file.is_implicit_VR = True, True
        write_data_element(file, element, _encodings(source))
        value = buffer.getvalue()[8:]  # after tag and length
    if len(value) > _LONGEST_VALUE:
        return None
    # The VR is the dictionary's: an implicit VR file has none, and an explicit one may have UN.
    vr = dictionary_VR(tag)
    if len(value) % 2:
        value += b"\0" if vr == "UI" else b" "
    return RawDataElement(tag, vr, len(value), value, 0, False, True)


def _sequence(source: Dataset, keyword: str) -> list[Dataset]:
    """Copies of a sequence's items with the attributes that are copied; none where it cannot be read."""
    if keyword not in source:
        return []
    try:
        items = list(source[keyword].value)
    except Exception as error:  # a parser of foreign bytes may raise anything; the report matters more
        _log.warning("sequence left out of report", attribute=keyword, error=class_name(error))
        return []
    copies = []
    for item in items:
        copy = Dataset()
        copy_texts(item, copy, COPIED_SEQUENCES[keyword])
        if len(copy):
            copy.set_original_encoding(False, True, default_encoding)  # as encoded as the report itself
            copies.append(copy)
    return copies


def _encodings(source: Dataset) -> list[str]:
    """Python's names of the image's character sets."""
    return convert_encodings(source.get("SpecificCharacterSet") or default_encoding)


def _known_encodings(source: Dataset) -> list[str]:
    """The same, but the default one for a name that is none of DICOM's."""
    try:
        with quiet_pydicom():
            encodings = _encodings(source)
    except (ValueError, LookupError):
        return [default_encoding]
    known = set(python_encoding.values())
    return [encoding if encoding in known else default_encoding for encoding in encodings]


def _text(source: Dataset, keyword: str) -> str:
    """A value as plain text without padding, several joined by backslashes; empty where there is none."""
    element = source.get_item(Tag(keyword))
    if element is None or element.value is None:
        return ""
    if isinstance(element.value, bytes):
        return element.value.decode("ascii", "ignore").strip(" \0")
    if isinstance(element.value, str):
        return element.value.strip(" \0")
    return "\\".join(str(value) for value in element.value)


def _spacing(text: str) -> tuple[float, float] | None:
    """(row, column) spacing in mm, or None where the text is not two positive numbers."""
    try:
        spacing_mm = [float(number) for number in text.split("\\")]
    except ValueError:
        return None
    if len(spacing_mm) != 2 or not all(math.isfinite(mm) and mm > 0 for mm in spacing_mm):
        return None
    return spacing_mm[0], spacing_mm[1]
