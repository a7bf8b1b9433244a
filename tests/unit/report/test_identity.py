import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import Comprehensive3DSRStorage
from support.report import ASSESSMENT, COURSE, REFUSAL, REPORT_UID, radiograph, report_of

from boneage_node.bone_age import Laterality, ReasonCode, Refusal, Sex
from boneage_node.report import (
    DeviceIdentity,
    derive_uid,
    report_instance_uid,
    structured_report,
)

PIXELS = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)


def report_uid(source=None, answer=ASSESSMENT, pixels=PIXELS, device=DeviceIdentity(), **arguments):  # noqa: B008
    source = radiograph() if source is None else source
    return report_instance_uid(source, answer, pixels, device, **arguments)


def series_uid(answer=ASSESSMENT, uid=REPORT_UID, **header):
    return structured_report(report_of(radiograph(**header), answer, sop_instance_uid=uid)).SeriesInstanceUID


@given(st.lists(st.text(), min_size=1))
def test_a_derived_uid_is_a_valid_uid(parts):
    assert re.fullmatch(r"2\.25\.(0|[1-9][0-9]{0,38})", derive_uid(*parts))


def test_derived_uids_never_change():
    # Reports already in a PACS have these: another value would send every study's report a second time.
    assert derive_uid("a", "b") == "2.25.104740645814037585000435694562482962558"
    assert derive_uid("ab") != derive_uid("a", "b") != derive_uid("b", "a")


def test_the_same_reading_is_the_same_object():
    assert report_uid() == report_uid()
    assert report_uid(answer=REFUSAL) == report_uid(answer=REFUSAL)


@pytest.mark.parametrize(
    "changes",
    [
        {"pixels": 1 - PIXELS},
        {"pixels": PIXELS.reshape(4, 3)},
        {"source": radiograph(PatientName="Corrected^Name")},
        {"source": radiograph(AccessionNumber="CORRECTED")},
        {"source": radiograph(ImagerPixelSpacing=[0.2, 0.2])},
        {"source": radiograph(SOPInstanceUID="1.2.3")},
        {"source": radiograph(StudyInstanceUID="1.2.3")},
        {"answer": replace(ASSESSMENT, model=replace(ASSESSMENT.model, sha256="cd" * 32))},
        {"answer": replace(ASSESSMENT, sex=Sex.FEMALE)},
        {"answer": replace(ASSESSMENT, sex=None)},
        {"answer": replace(ASSESSMENT, laterality=Laterality.RIGHT)},
        {"answer": replace(ASSESSMENT, chronological_age_months=99.9)},
        {"answer": REFUSAL},
        {"device": DeviceIdentity(software_version="9.9.9")},
        {"sop_class_uid": Comprehensive3DSRStorage},
        {"course": COURSE},
    ],
    ids=[
        "pixels",
        "size",
        "name",
        "accession number",
        "spacing",
        "image",
        "study",
        "model",
        "sex",
        "sex unknown",
        "side",
        "age",
        "refusal",
        "software",
        "SOP class",
        "course",
    ],
)
def test_another_reading_or_another_way_to_say_it_is_another_object(changes):
    assert report_uid() != report_uid(**changes)


def test_a_smallest_real_change_is_said_of_a_course_and_makes_another_object():
    told = replace(ASSESSMENT, repeatability_months=3.1)
    assert report_uid(answer=told) == report_uid()
    assert report_uid(answer=told, course=COURSE) != report_uid(course=COURSE)


@pytest.mark.parametrize(
    "changes",
    [
        {"InstitutionName": "Added"},
        {"WindowCenter": "1"},  # as read, the pixels are the same
        {"LossyImageCompression": "00"},
        {"BodyPartExamined": "WRIST"},
        {"PatientName": "Doe^Jane "},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_is_neither_read_nor_said_makes_no_other_object(changes):
    source = radiograph(PatientName="Doe^Jane", LossyImageCompression=None)
    assert report_uid(source) == report_uid(radiograph(**{"PatientName": "Doe^Jane", **changes}))


def test_a_name_is_the_same_in_every_character_set():
    def named(character_set, encoded):
        source = radiograph(SpecificCharacterSet=None)
        for tag, vr, value in ((0x00080005, "CS", character_set), (0x00100010, "PN", encoded)):
            source[tag] = RawDataElement(Tag(tag), vr, len(value), value, 0, False, True)
        return report_uid(source)

    name = "Müller^Änne"
    assert named(b"ISO_IR 100", name.encode("latin-1")) == named(b"ISO_IR 192", name.encode())
    assert named(b"ISO_IR 100", b"M\xfcller") != named(b"ISO_IR 100", b"M\xf6ller")
    undeclared = [named(b"", b"M\xfcller"), named(b"", b"M\xf6ller"), named(b"NONSENSE", b"M\xe4ller")]
    assert len(set(undeclared)) == 3


def test_a_refusal_is_the_same_whichever_image_of_the_study_showed_its_cause():
    one = report_uid(radiograph(), REFUSAL, None)
    assert report_uid(radiograph(SOPInstanceUID="1.2.3", SeriesInstanceUID="1.2"), REFUSAL, None) == one
    assert report_uid(radiograph(PatientID="ANOTHER"), REFUSAL, None) != one
    assert report_uid(radiograph(), REFUSAL, PIXELS) != one
    assert report_uid(radiograph(), Refusal(REFUSAL.code, "another detail"), None) != one


def test_without_a_study_there_is_no_report():
    with pytest.raises(ValueError, match="StudyInstanceUID"):
        report_uid(radiograph(StudyInstanceUID=None))


def test_refusals_differ_by_reason():
    assert report_uid(answer=REFUSAL) != report_uid(answer=Refusal(ReasonCode.ADULT))


def test_a_series_never_spans_two_studies():
    assert series_uid() == series_uid(uid="2.25.5") != series_uid(StudyInstanceUID="1.2.3")


def test_refusals_have_a_series_of_their_own():
    assert series_uid(REFUSAL) != series_uid()


def test_the_device_keeps_its_uid_over_versions():
    assert DeviceIdentity("A").uid == DeviceIdentity("A", software_version="9").uid != DeviceIdentity("B").uid


def test_an_answer_that_another_overtook_is_another_object_each_time():
    first = report_uid()
    second = report_uid(overtaken=[first])
    assert report_uid(overtaken=["2.25.1"]) == first
    assert len({first, second, report_uid(overtaken=[first, second])}) == 3
