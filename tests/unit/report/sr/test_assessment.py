from dataclasses import replace
from datetime import date, timedelta, timezone
from io import BytesIO

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.sr.coding import Code
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage, ExplicitVRLittleEndian
from support.report import (
    ASSESSMENT,
    COLUMNS,
    COURSE,
    CREATED_AT,
    NOTHING_KNOWN,
    OF_A_LABEL,
    READ_AS_BOTH,
    REFUSAL,
    RIGHT_HAND,
    ROWS,
    SOUND,
    UNCERTAIN,
    radiograph,
    read_outline,
    report_of,
)

from boneage_node.bone_age import Agreement, Caution
from boneage_node.report import DeviceIdentity, Kind, Predecessor, structured_report, to_bytes
from boneage_node.report.wording import STATEMENT, conclusion

BONE_AGE = Code("85151-9", "LN", "XR Bone age")
UNCERTAINTY = Code("371884006", "SCT", "Uncertainty +/-")
SUBJECT_AGE = Code("121033", "DCM", "Subject Age")
SKELETAL_AGE = Code("RDE123", "RADELEMENT", "Skeletal age")
DERIVATION, EQUIVALENT_MEANING = "121401", "121050"
Z_SCORE = Code("121416", "DCM", "Z-score")
OUTSIDE_NORMAL = Code("122157", "DCM", "Outside 2 SD")


def file_of(source, assessment=ASSESSMENT, **arguments):
    return to_bytes(structured_report(report_of(source, assessment, **arguments)))


def read(source, assessment=ASSESSMENT, **arguments):
    return hd.sr.srread(BytesIO(file_of(source, assessment, **arguments)))


def only_group(report):
    (group,) = report.content.get_planar_roi_measurement_groups()
    assert not report.content.get_image_measurement_groups()
    assert not report.content.get_volumetric_roi_measurement_groups()
    return group


def numbers(report):
    return {m.name.value: (m.value, m.unit.value) for m in only_group(report).get_measurements()}


def test_the_header_says_what_the_report_is():
    report = read(radiograph())
    assert report.SOPClassUID == ComprehensiveSRStorage == report.file_meta.MediaStorageSOPClassUID
    assert report.file_meta.MediaStorageSOPInstanceUID == report.SOPInstanceUID
    assert report.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert report.Modality == "SR"
    assert report.SeriesDescription == "Bone age (AI)"
    assert (report.Manufacturer, report.ManufacturerModelName) == ("boneage-node", "boneage-node")
    assert report.SoftwareVersions
    assert (report.SeriesNumber, report.InstanceNumber) == (9001, 1)
    assert (report.CompletionFlag, report.VerificationFlag, report.PreliminaryFlag) == (
        "COMPLETE",
        "UNVERIFIED",
        "PRELIMINARY",
    )


def test_the_evidence_is_the_image():
    source = radiograph()
    assert read(source).get_evidence() == [
        (source.StudyInstanceUID, source.SeriesInstanceUID, source.SOPInstanceUID, source.SOPClassUID)
    ]


def test_the_content_tree_is_a_measurement_report_in_the_agreed_order():
    report = read(radiograph())
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    root = [(item.name.value, item.ValueType) for item in report.content[0].ContentSequence]
    assert root == [
        ("121049", "CODE"),
        ("121005", "CODE"),
        ("121012", "UIDREF"),
        ("121013", "TEXT"),
        ("121014", "TEXT"),
        ("121015", "TEXT"),
        ("121058", "CODE"),
        ("111028", "CONTAINER"),
        ("126010", "CONTAINER"),
        ("C0034375", "CONTAINER"),
    ]
    library, measurements = report.content[0].ContentSequence[-3:-1]
    assert library.ContentSequence[0].name.value == "126200"
    image = library.ContentSequence[0].ContentSequence[0]
    assert image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == radiograph().SOPInstanceUID
    assert len(measurements.ContentSequence) == 1
    assert measurements.ContentSequence[0].ContentTemplateSequence[0].TemplateIdentifier == "1410"


def test_the_device_observes():
    report = read(radiograph(), device=DeviceIdentity("HAND1"))
    texts = {item.name.value: item.get("TextValue") for item in report.content[0].ContentSequence}
    uids = {item.name.value: item.get("UID") for item in report.content[0].ContentSequence}
    assert texts["121013"] == "HAND1" == report.StationName
    assert uids["121012"] == DeviceIdentity("HAND1").uid


def test_all_numbers_are_in_the_one_group():
    report = read(radiograph())
    group = only_group(report)
    assert numbers(report) == {
        BONE_AGE.value: (98.4, "mo"),
        UNCERTAINTY.value: (14.6, "mo"),  # the wider side of the interval
        SUBJECT_AGE.value: (92.3, "mo"),
        Z_SCORE.value: (0.7, "{SD}"),
        OUTSIDE_NORMAL.value: (9, "%"),
    }
    assert group.get_measurements(BONE_AGE)[0].method.value == "252956001"
    assert group.finding_type == BONE_AGE
    assert group.tracking_identifier == "Bone age"
    assert group.tracking_uid.startswith("2.25.")


@pytest.mark.parametrize(
    ("bone_age_months", "number", "words"), [(92.0, 1, "<1 %"), (112.0, 60, "60 %"), (160.0, 99, ">99 %")]
)
def test_the_probability_is_in_whole_percent_and_never_none_or_all(bone_age_months, number, words):
    narrow = (bone_age_months - 10, bone_age_months + 10)
    report = read(radiograph(), replace(ASSESSMENT, bone_age_months=bone_age_months, interval_months=narrow))
    assert numbers(report)[OUTSIDE_NORMAL.value] == (number, "%")
    (item,) = only_group(report).get_measurements(OUTSIDE_NORMAL)
    said = [i.TextValue for i in item[0].ContentSequence if i.ValueType == "TEXT"]
    assert said == ["Probability that the bone age is outside 2 SD of the chronological age"]
    assert f"outside 2 SD with a probability of {words}" in dict(evaluations(report))["Conclusion"]


def test_of_an_interval_for_a_label_no_probability_is_told():
    assert OUTSIDE_NORMAL.value not in numbers(read(radiograph(), OF_A_LABEL))


def test_what_is_not_known_is_not_said():
    report = read(radiograph(PatientSex="", PatientBirthDate=""), NOTHING_KNOWN)
    assert set(numbers(report)) == {BONE_AGE.value, UNCERTAINTY.value}
    (site,) = only_group(report).finding_sites
    assert site.value.value == "85562004"
    assert site.laterality is None


def modifiers(measurement):
    """What the items below a number say, by the code of their concept."""
    return {
        item.name.value: item.TextValue if item.ValueType == "TEXT" else item.value.value
        for item in measurement[0].ContentSequence
    }


def test_a_patient_of_unknown_sex_has_both_readings_and_their_mean():
    group = only_group(read(radiograph(PatientSex="O"), READ_AS_BOTH))
    said = [(m.name.meaning, m.value, m.unit.value) for m in group.get_measurements()]
    # in this order: OHIF prints five of them, older versions three
    assert said == [
        ("XR Bone age", 100.8, "mo"),
        ("Skeletal age", 98.2, "mo{girl}"),
        ("Skeletal age", 103.4, "mo{boy}"),
        (UNCERTAINTY.meaning, 24.5, "mo"),
        ("Subject Age", 92.3, "mo"),
    ]
    (mean,), readings = group.get_measurements(BONE_AGE), group.get_measurements(SKELETAL_AGE)
    assert modifiers(mean)[DERIVATION] == "373098007"
    assert [modifiers(reading)[EQUIVALENT_MEANING] for reading in readings] == [
        "Bone age, read as a girl",
        "Bone age, read as a boy",
    ]


def test_a_patient_of_unknown_sex_is_nowhere_said_to_be_of_one():
    report = read(radiograph(PatientSex="O"), READ_AS_BOTH)
    assert report.PatientSex == "O"
    texts = [item.TextValue for item in only_group(report)[0].ContentSequence if item.ValueType == "TEXT"]
    assert [text for text in texts if text.startswith("sex=")] == ["sex=unknown"]


def test_a_known_sex_has_one_reading_that_is_no_mean():
    group = only_group(read(radiograph()))
    assert not group.get_measurements(SKELETAL_AGE)
    assert DERIVATION not in modifiers(group.get_measurements(BONE_AGE)[0])


@pytest.mark.parametrize(("assessment", "code"), [(ASSESSMENT, "7771000"), (RIGHT_HAND, "24028007")])
def test_the_finding_site_is_the_hand_that_was_read(assessment, code):
    (site,) = only_group(read(radiograph(), assessment)).finding_sites
    assert site.laterality.value == code


def test_the_algorithm_is_identified():
    group = only_group(read(radiograph()))
    texts = [item.TextValue for item in group[0].ContentSequence if item.ValueType == "TEXT"]
    assert texts[1:] == [
        "boneage-node",
        read(radiograph()).SoftwareVersions,
        "model=hand-vgg 1.0",
        f"weights_sha256={'ab' * 32}",
        "sex=M",
        "interval_coverage=0.90",
    ]


def test_the_outline_is_drawn_on_the_image():
    roi = only_group(read(radiograph())).roi
    assert roi.graphic_type == hd.sr.GraphicTypeValues.POLYLINE
    polyline = roi.value
    assert 20 < len(polyline) <= 200
    assert (polyline[0] == polyline[-1]).all()
    assert polyline.min() >= 0
    assert (polyline.max(axis=0) <= (COLUMNS, ROWS)).all()
    (image,) = roi.ContentSequence
    assert image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == radiograph().SOPInstanceUID


def test_the_outline_can_be_read_back():
    outline = read_outline(pydicom.dcmread(BytesIO(file_of(radiograph()))))
    polyline = only_group(read(radiograph())).roi.value
    assert outline.dtype == np.float32
    assert outline == pytest.approx(polyline[:-1] - 0.5, abs=0.01)


def test_a_refusal_has_no_outline_to_read_back():
    with pytest.raises(ValueError, match="no outline"):
        read_outline(structured_report(report_of(radiograph(), REFUSAL)))


def test_spacing_is_described_only_where_the_image_has_it():
    def described(**changes):
        library = read(radiograph(**changes)).content[0].ContentSequence[-3]
        image = library.ContentSequence[0].ContentSequence[0]
        return [item.name.meaning for item in image.ContentSequence]

    assert "Vertical Pixel Spacing" in described()
    assert described(PatientOrientation="") == ["Modality", "Pixel Data Rows", "Pixel Data Columns"]


def test_all_times_are_those_of_the_reading_in_the_zone_of_the_image():
    report = read(radiograph(TimezoneOffsetFromUTC="+0930"))
    assert report.ContentDate == report.SeriesDate == report.InstanceCreationDate == "20260305"
    assert report.ContentTime == report.SeriesTime == report.InstanceCreationTime == "004617.250000"
    assert report.TimezoneOffsetFromUTC == "+0930"


def test_without_a_zone_the_times_are_local():
    local = CREATED_AT.astimezone()
    elsewhere = CREATED_AT.astimezone(timezone(timedelta(hours=-7)))
    report = read(radiograph(), created_at=elsewhere)
    assert (report.ContentDate, report.ContentTime[:6]) == (
        local.strftime("%Y%m%d"),
        local.strftime("%H%M%S"),
    )
    assert "TimezoneOffsetFromUTC" not in report


def evaluations(report):
    """Concept and value of what is said about the numbers, in order."""
    (section,) = [
        item
        for item in report.content[0].ContentSequence
        if item.ConceptNameCodeSequence[0].CodeMeaning == "Qualitative Evaluations"
    ]
    return [
        (
            item.ConceptNameCodeSequence[0].CodeMeaning,
            item.TextValue if item.ValueType == "TEXT" else item.ConceptCodeSequence[0].CodeMeaning,
        )
        for item in section.ContentSequence
    ]


@pytest.mark.parametrize(
    ("z_score", "determination"),
    [(-2.1, "Delayed"), (-2.04, "Normal"), (2.0, "Normal"), (2.1, "Advanced"), (None, "Indeterminate")],
)
def test_the_determination_is_by_two_standard_deviations(z_score, determination):
    report = read(radiograph(), replace(ASSESSMENT, z_score=z_score))
    assert evaluations(report)[1] == ("Determination", determination)


def test_a_determination_that_is_not_certain_is_coded_as_read_and_doubted_in_words():
    (_, said), determination, *_ = evaluations(read(radiograph(), UNCERTAIN))
    assert determination == ("Determination", "Advanced")
    assert "advanced for age, not certain (z-score +2.1" in said


@pytest.mark.parametrize("caution", Caution)
def test_what_is_to_be_looked_at_is_said(caution):
    said = evaluations(read(radiograph(), replace(ASSESSMENT, cautions=(caution,))))
    assert ("Comment", caution.sentence) in said


def test_it_has_a_sentence_to_quote_and_says_that_nobody_has_verified_it():
    said = evaluations(read(radiograph()))
    assert said[0] == ("Conclusion", conclusion(ASSESSMENT))
    assert said[-1] == ("Comment", STATEMENT)


def test_a_z_score_that_rounds_to_zero_is_zero():
    assert numbers(read(radiograph(), replace(ASSESSMENT, z_score=-0.04)))[Z_SCORE.value] == (0, "{SD}")


@pytest.mark.parametrize("answer", [ASSESSMENT, READ_AS_BOTH, REFUSAL])
def test_every_container_is_a_list_so_that_viewers_name_what_is_in_it(answer):
    waiting = [structured_report(report_of(radiograph(), answer))]
    while waiting:
        item = waiting.pop()
        assert item.ValueType != "CONTAINER" or item.ContinuityOfContent == "SEPARATE"
        waiting.extend(item.get("ContentSequence", []))


@pytest.mark.parametrize(
    ("agreement", "meaning", "words"),
    [
        (Agreement.USUAL, "Usable - Meets the quality control standard", "as on most hands"),
        (Agreement.LOW, "Usable - Does not meet the quality control standard", "less than on most hands"),
    ],
)
def test_how_well_the_networks_agree_is_said_by_code_and_in_words(agreement, meaning, words):
    report = read(radiograph(), replace(ASSESSMENT, agreement=agreement))
    assert evaluations(report)[2:-1] == [
        ("Quality Assessment", meaning),
        ("Comment", f"The networks agree {words} (standard deviation 4.5 months)."),
    ]


def test_the_course_is_told_latest_first_with_the_rate_since():
    said = [text for name, text in evaluations(read(radiograph(), course=COURSE)) if name == "Comment"]
    assert said[1:-1] == [
        "Bone age since 2025-03-01: +13.4 months in 12.0 months, 1.12 times as fast as the calendar.",
        "2025-03-01: bone age 85.0 months at 6 y 8 mo.",
        "2024-03-01: bone age 70.0 months at 5 y 8 mo.",
    ]


def test_the_smallest_real_change_is_told_with_the_rate_alone():
    told = replace(ASSESSMENT, repeatability_months=3.1)
    report = read(radiograph(), told, course=COURSE)
    first, *others = [text for name, text in evaluations(report) if name == "Comment"][1:-1]
    assert first == (
        "Bone age since 2025-03-01: +13.4 months in 12.0 months, 1.12 times as fast as the calendar; "
        "a change of less than 3.1 months may come of re-taking the image alone."
    )
    assert len(others) == len(COURSE.earlier)
    assert "re-taking" not in " ".join(others)
    assert not any("re-taking" in text for _, text in evaluations(read(radiograph(), told)))


@pytest.mark.parametrize(
    "change", [{"model": "hand-vgg 0.9 (cdcdcdcdcdcd)"}, {"study_date": date(2025, 10, 1)}]
)
def test_no_rate_between_models_or_within_half_a_year(change):
    course = replace(COURSE, earlier=[replace(COURSE.earlier[-1], **change)])
    told = replace(ASSESSMENT, repeatability_months=3.1)
    *_, (_, agreement), (_, only), _ = evaluations(read(radiograph(), told, course=course))
    assert "networks" in agreement
    assert "bone age 85.0 months" in only


def test_a_report_names_the_one_it_follows():
    first = read(radiograph())
    assert "PredecessorDocumentsSequence" not in first
    earlier = Predecessor(first.SOPClassUID, first.SOPInstanceUID, Kind.ASSESSMENT, 1, CREATED_AT, 98.4)
    other_model = replace(ASSESSMENT, model=replace(ASSESSMENT.model, sha256="cd" * 32))
    second = read(radiograph(), other_model, predecessor=earlier)
    assert second.SeriesInstanceUID != first.SeriesInstanceUID
    assert second.SeriesDescription == "Bone age 2 (AI), replaces 1"
    assert second.SeriesNumber == first.SeriesNumber + 10
    local = CREATED_AT.astimezone()
    replaced = (
        f"This replaces report 1 of the study, made on {local:%Y-%m-%d at %H:%M} (bone age 98.4 months)."
    )
    assert ("Comment", replaced) in evaluations(second)
    assert second.InstanceNumber == first.InstanceNumber + 1
    (study,) = second.PredecessorDocumentsSequence
    assert study.StudyInstanceUID == first.StudyInstanceUID
    (series,) = study.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == first.SeriesInstanceUID
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID


def test_comprehensive_3d_is_made_when_asked_for():
    report = read(radiograph(), sop_class_uid=Comprehensive3DSRStorage)
    assert report.SOPClassUID == Comprehensive3DSRStorage == report.file_meta.MediaStorageSOPClassUID
    assert only_group(report)


@pytest.mark.parametrize("name", SOUND)
def test_the_same_arguments_make_the_same_bytes(name):
    assert file_of(radiograph(**SOUND[name])) == file_of(radiograph(**SOUND[name]))


def test_the_image_is_left_as_it_was():
    source = radiograph(StudyID=None)
    before = source.to_json()
    file_of(source)
    assert source.to_json() == before


@pytest.mark.parametrize(
    "keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"]
)
def test_an_image_that_cannot_be_referred_to_has_no_report(keyword):
    source = pydicom.dcmread(BytesIO(file_of(radiograph())))  # any data set that can then lose its UIDs
    source.Rows, source.Columns = ROWS, COLUMNS
    del source[keyword]
    with pytest.raises(ValueError, match="UID"):
        file_of(source)


@pytest.mark.parametrize(
    "sop_class_uid", [ComprehensiveSRStorage, "1.2.3.4.5"], ids=["report", "nobody knows"]
)
def test_an_object_that_is_no_image_has_no_assessment(sop_class_uid):
    with pytest.raises(ValueError, match="no image"):
        file_of(radiograph(SOPClassUID=sop_class_uid))
