"""Patient and study come over from the image byte for byte, and no header prevents a report."""

from io import BytesIO

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from support.report import (
    ASSESSMENT,
    BROKEN,
    REFUSAL,
    SOUND,
    TYPE_2,
    radiograph,
    report_of,
)

from boneage_node.report import structured_report, to_bytes

KEPT = (*TYPE_2, "SpecificCharacterSet", "StudyInstanceUID", "StudyDescription", "PatientAge")
HEADERS = {**SOUND, **BROKEN}


def bytes_of(dataset, keyword):
    """Bytes of a value; pydicom decodes the character set, and nothing else, when it reads a file."""
    element = dataset.get_item(keyword)
    if element is None:
        return None
    if keyword == "SpecificCharacterSet":
        value = element.value.decode() if isinstance(element.value, bytes) else element.value
        return value.strip() if isinstance(value, str) else list(value)
    return element.value or b""


def both_reports(source):
    return [
        pydicom.dcmread(BytesIO(to_bytes(structured_report(report_of(source, answer)))))
        for answer in (ASSESSMENT, REFUSAL)
    ]


@pytest.mark.filterwarnings("ignore:.*encoding")  # of pydicom's, when it reads the report
@pytest.mark.parametrize("name", [name for name in HEADERS if name != "value beyond 64 KiB"])
def test_patient_and_study_are_those_of_the_image_byte_for_byte(name):
    source = radiograph(**HEADERS[name])
    reports = both_reports(radiograph(**HEADERS[name]))
    for report in reports:
        for keyword in KEPT:
            expected, actual = bytes_of(source, keyword), bytes_of(report, keyword)
            if keyword in TYPE_2:
                expected = expected or b""
            if isinstance(expected, bytes) and len(expected) % 2:
                expected += b"\0" if keyword.endswith("UID") else b" "
            assert actual == expected, keyword


@pytest.mark.filterwarnings("ignore:.*encoding")  # of pydicom's, when it reads the report
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=st.binary(max_size=80),
    identifier=st.binary(max_size=80),
    date=st.binary(max_size=20),
    sex=st.binary(max_size=4),
    character_set=st.sampled_from(
        ["", "ISO_IR 100", "ISO_IR 192", "GB18030", "\\ISO 2022 IR 87", "ISO_IR 999"]
    ),
)
def test_any_bytes_come_over(name, identifier, date, sex, character_set):
    values = {"PatientName": name, "PatientID": identifier, "StudyDate": date, "PatientSex": sex}
    source = radiograph(SpecificCharacterSet=character_set.encode() or None, **values)
    for report in both_reports(source):
        for keyword, value in values.items():
            assert bytes_of(report, keyword) == value + b" " * (len(value) % 2)


def test_a_value_that_no_explicit_file_can_hold_is_left_empty():
    for report in both_reports(radiograph(**BROKEN["value beyond 64 KiB"])):
        assert bytes_of(report, "PatientID") == b""


def test_a_name_already_read_comes_over_as_well():
    source = radiograph(**SOUND["japanese"])
    expected = bytes_of(source, "PatientName")
    assert str(source.PatientName).startswith("Yamada")
    for report in both_reports(source):
        assert bytes_of(report, "PatientName") == expected


def test_issuers_come_over():
    issuer = pydicom.Dataset()
    issuer.LocalNamespaceEntityID = "Zürich   "
    issuer.UniversalEntityID, issuer.UniversalEntityIDType = "1.2.3", "ISO"
    changes = {"SpecificCharacterSet": "ISO_IR 192", "IssuerOfAccessionNumberSequence": Sequence([issuer])}
    for transfer_syntax_uid in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        for report in both_reports(radiograph(transfer_syntax_uid, **changes)):
            (copied,) = report.IssuerOfAccessionNumberSequence
            assert copied.UniversalEntityID == "1.2.3"
            assert copied.get_item("LocalNamespaceEntityID").value == "Zürich   ".encode()


def test_a_sequence_too_damaged_to_read_is_left_out():
    for report in both_reports(radiograph(**BROKEN["sequence that is none"])):
        assert "IssuerOfPatientIDQualifiersSequence" not in report
        assert "IssuerOfAccessionNumberSequence" not in report
        assert report.PatientID == "4711"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    length=st.sampled_from([0, 4, 12, 20, 255, 0xFFFFFFFF]),
    body=st.lists(st.sampled_from(b"\x00\x08\x10\x20LOSQUNxa\xfe\xff\xe0"), max_size=30).map(bytes),
)
def test_no_sequence_prevents_a_report_or_spoils_it(length, body):
    sequence = b"\xfe\xff\x00\xe0" + length.to_bytes(4, "little") + body
    for report in both_reports(radiograph(OtherPatientIDsSequence=sequence)):
        assert set(report.get("OtherPatientIDsSequence", [pydicom.Dataset()])[0].dir()) <= {
            "PatientID",
            "IssuerOfPatientID",
            "TypeOfPatientID",
        }
        assert report.ContentSequence


def test_pixels_and_acquisition_stay_behind():
    for report in both_reports(radiograph()):
        for keyword in ("Rows", "Columns", "PhotometricInterpretation", "ImagerPixelSpacing"):
            assert keyword not in report
