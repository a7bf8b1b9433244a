from io import BytesIO

import pydicom
import pytest
from pydicom.uid import BasicTextSRStorage, ComprehensiveSRStorage
from support.report import CREATED_AT, REFUSAL, radiograph, report_of

from boneage_node.bone_age import ReasonCode, Refusal
from boneage_node.report import Kind, Predecessor, structured_report, to_bytes


def read(source, refusal=REFUSAL):
    return pydicom.dcmread(BytesIO(to_bytes(structured_report(report_of(source, refusal)))))


def items(report):
    """Everything in the content tree below the root, in order."""

    def below(container):
        for item in container.get("ContentSequence", []):
            yield item
            yield from below(item)

    return list(below(report))


def texts(report):
    return [item.TextValue for item in items(report) if item.ValueType == "TEXT"]


@pytest.mark.parametrize("code", ReasonCode)
def test_a_refusal_says_why_in_words_and_by_code(code):
    report = read(radiograph(), Refusal(code, "what was found"))
    said = texts(report)
    assert f"No bone age was read. {Refusal(code, 'what was found').sentence}" in said
    assert f"Reason code: {code}" in said
    assert any("not verified" in text and "research use" in text for text in said)
    coded = [item.ConceptCodeSequence[0].CodeValue for item in items(report) if item.ValueType == "CODE"]
    assert "111224" in coded


def test_a_refusal_is_a_preliminary_text_report_without_measurements():
    report = read(radiograph())
    assert report.SOPClassUID == BasicTextSRStorage
    assert (report.VerificationFlag, report.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    assert report.SeriesDescription == "Bone age (AI): not read"
    assert report.SeriesDate == report.ContentDate
    assert not [item for item in items(report) if item.ValueType in ("NUM", "SCOORD")]
    names = [item.ConceptNameCodeSequence[0].CodeValue for item in items(report)]
    assert "125007" not in names


def test_a_refusal_says_what_it_replaces():
    earlier = Predecessor(ComprehensiveSRStorage, "2.25.7", Kind.ASSESSMENT, 2, CREATED_AT, 98.4)
    source = radiograph(TimezoneOffsetFromUTC="+0930")
    report = structured_report(report_of(source, REFUSAL, predecessor=earlier))
    assert report.SeriesDescription == "Bone age 3 (AI): not read, replaces 2"
    said = "This replaces report 2 of the study, made on 2026-03-05 at 00:46 (bone age 98.4 months)."
    assert said in texts(report)


def test_a_refused_image_is_referred_to_as_an_image():
    report = read(radiograph())
    (image,) = [item for item in items(report) if item.ValueType == "IMAGE"]
    assert image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == radiograph().SOPInstanceUID
    assert report.CurrentRequestedProcedureEvidenceSequence[0].StudyInstanceUID == report.StudyInstanceUID


@pytest.mark.parametrize("sop_class_uid", [BasicTextSRStorage, "1.2.3.4.5"], ids=["text", "nobody knows"])
def test_a_refused_object_that_is_no_image_is_referred_to_as_an_object(sop_class_uid):
    report = read(radiograph(SOPClassUID=sop_class_uid))
    assert [item.ValueType for item in items(report)].count("COMPOSITE") == 1
    assert not [item for item in items(report) if item.ValueType == "IMAGE"]


def test_an_object_without_uids_is_refused_without_a_reference():
    report = read(radiograph(SeriesInstanceUID=None))
    assert "CurrentRequestedProcedureEvidenceSequence" not in report
    assert not [item for item in items(report) if item.ValueType in ("IMAGE", "COMPOSITE")]


def test_without_a_study_there_is_nowhere_to_file_a_refusal():
    with pytest.raises(ValueError, match="StudyInstanceUID"):
        read(radiograph(StudyInstanceUID=None))


def test_words_that_the_images_character_set_may_lack_do_not_break_the_report():
    said = texts(read(radiograph(), Refusal(ReasonCode.NOT_A_HAND, "BodyPartExamined is Fuß")))
    assert said[-3].endswith("(BodyPartExamined is Fu?)")
