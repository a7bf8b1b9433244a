import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from boneage_node.bone_age import Laterality, Sex
from boneage_node.radiograph import read_header, read_visit
from boneage_node.radiograph.anatomy import BodyPart, View


def coded(value, scheme="SCT", **more):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, "as coded"
    for keyword, nested in more.items():
        setattr(item, keyword, nested)
    return item


def raw(dataset, keyword, value, vr):
    """Put bytes in as they would come from a file, past every check of the writing side."""
    tag = Tag(tag_for_keyword(keyword))
    dataset._dict[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)
    return dataset


@pytest.mark.parametrize(
    ("written", "sex"),
    [
        ("M", Sex.MALE),
        ("F", Sex.FEMALE),
        ("F ", Sex.FEMALE),
        (" M", Sex.MALE),
        ("m", None),
        ("f", None),
        ("O", None),
        ("", None),
        ("Male", None),
        ("MF", None),
        (["M", "F"], None),
        (["M", "M"], None),
        (None, None),
    ],
)
def test_sex_is_exactly_m_or_f(make_image, written, sex):
    assert read_header(make_image(PatientSex=written)).sex is sex


def test_sex_with_null_padding_as_read_from_a_file(make_image):
    assert read_header(raw(make_image(), "PatientSex", b"F\0", "CS")).sex is Sex.FEMALE


@pytest.mark.parametrize(
    ("attributes", "months"),
    [
        ({}, 3652 / 30.4375),
        ({"PatientBirthDate": "2010.01.01"}, 3652 / 30.4375),
        ({"PatientBirthDate": "20200101"}, 0),
        ({"PatientAge": "003Y"}, 3652 / 30.4375),
        ({"PatientBirthDate": "", "PatientAge": "010Y"}, 120),
        ({"PatientBirthDate": None, "PatientAge": "130M"}, 130),
        ({"PatientBirthDate": None, "PatientAge": "100W"}, 700 / 30.4375),
        ({"PatientBirthDate": None, "PatientAge": "100D"}, 100 / 30.4375),
        ({"PatientBirthDate": None, "PatientAge": "10Y"}, 120),
        ({"PatientBirthDate": None, "PatientAge": "010y"}, None),
        ({"PatientBirthDate": None, "PatientAge": "010"}, None),
        ({"PatientBirthDate": None, "PatientAge": "-10Y"}, None),
        ({"PatientBirthDate": None, "PatientAge": "200Y"}, None),
        ({"PatientBirthDate": None}, None),
        ({"PatientBirthDate": "20100230", "PatientAge": "010Y"}, 120),
        ({"PatientBirthDate": "unknown", "PatientAge": "010Y"}, 120),
        ({"PatientBirthDate": "2010"}, None),
        ({"PatientBirthDate": "20210101"}, None),
        ({"PatientBirthDate": "20210101", "PatientAge": "010Y"}, None),
        ({"PatientBirthDate": "18000101"}, None),
        ({"StudyDate": None, "AcquisitionDate": "20200101"}, 3652 / 30.4375),
        ({"StudyDate": "", "SeriesDate": "20200101", "ContentDate": "20210101"}, 3652 / 30.4375),
        ({"StudyDate": "", "ContentDate": "20200101"}, 3652 / 30.4375),
        ({"StudyDate": None}, None),
        ({"AcquisitionDate": "20200102"}, 3652 / 30.4375),
        ({"AcquisitionDate": "20080101"}, None),
        ({"ContentDate": "20230101"}, 3652 / 30.4375),
    ],
)
def test_age_in_months(make_image, attributes, months):
    age = read_header(make_image(**attributes)).chronological_age_months
    assert age == (None if months is None else pytest.approx(months))


def test_what_is_malformed_counts_as_absent(make_image):
    header = read_header(make_image(PatientBirthDate="20210304", PatientSex="male", ImageLaterality="left"))
    assert (header.sex, header.chronological_age_months, header.laterality) == (None, None, None)


@pytest.mark.parametrize(
    ("attributes", "laterality"),
    [
        ({"ImageLaterality": "R"}, Laterality.RIGHT),
        ({"ImageLaterality": None, "Laterality": "L"}, Laterality.LEFT),
        ({"ImageLaterality": None, "FrameLaterality": "R"}, Laterality.RIGHT),
        ({"ImageLaterality": "L", "Laterality": "R"}, None),
        ({"ImageLaterality": "B"}, None),
        ({"ImageLaterality": "B", "Laterality": "L"}, None),
        ({"ImageLaterality": "U", "Laterality": "L"}, Laterality.LEFT),
        ({"ImageLaterality": "l"}, None),
        ({"ImageLaterality": "LEFT"}, None),
        ({"ImageLaterality": None}, None),
    ],
)
def test_laterality(make_image, attributes, laterality):
    assert read_header(make_image(**attributes)).laterality is laterality


@pytest.mark.parametrize(
    ("code", "scheme", "laterality"),
    [
        ("7771000", "SCT", Laterality.LEFT),
        ("24028007", "SCT", Laterality.RIGHT),
        ("G-A101", "SRT", Laterality.LEFT),
        ("G-A100", "SRT", Laterality.RIGHT),
        ("51440002", "SCT", None),
        ("7771000", "OTHER", None),
    ],
)
def test_laterality_by_code(make_image, code, scheme, laterality):
    region = coded("85562004", AnatomicRegionModifierSequence=[coded(code, scheme)])
    dataset = make_image(ImageLaterality=None, AnatomicRegionSequence=[region])
    assert read_header(dataset).laterality is laterality


def test_laterality_in_functional_groups(make_image):
    anatomy, groups = Dataset(), Dataset()
    anatomy.FrameLaterality = "R"
    groups.FrameAnatomySequence = [anatomy]
    dataset = make_image(ImageLaterality=None, SharedFunctionalGroupsSequence=[groups])
    assert read_header(dataset).laterality is Laterality.RIGHT


@pytest.mark.parametrize(
    ("attributes", "aspect"),
    [
        ({"PixelSpacing": [0.2, 0.1]}, 2),
        ({"PixelSpacing": None, "ImagerPixelSpacing": [0.1, 0.3]}, 1 / 3),
        ({"PixelSpacing": [0, 0], "ImagerPixelSpacing": [0.3, 0.1]}, 3),
        ({"PixelSpacing": [-1, 1]}, 1),
        ({"PixelSpacing": [0.1]}, 1),
        ({"PixelSpacing": None, "PixelAspectRatio": [4, 3]}, 4 / 3),
        ({"PixelSpacing": None, "PixelAspectRatio": [0, 0]}, 1),
    ],
)
def test_aspect_of_the_pixels(make_image, attributes, aspect):
    assert read_header(make_image(**attributes)).pixel_aspect == pytest.approx(aspect)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("HAND", BodyPart.HAND),
        ("L_HAND", BodyPart.HAND),
        ("HAND WRIST", BodyPart.HAND),
        ("BONE AGE", BodyPart.HAND),
        ("hand", BodyPart.HAND),
        ("WRIST", BodyPart.WRIST),
        ("CHEST", BodyPart.OTHER),
        ("L-SPINE", BodyPart.OTHER),
        ("FINGER", BodyPart.OTHER),
        ("FOREARM", BodyPart.OTHER),
        ("EXTREMITY", BodyPart.UNSTATED),
        ("XYZ", BodyPart.UNSTATED),
        ("", BodyPart.UNSTATED),
        (None, BodyPart.UNSTATED),
    ],
)
def test_body_part_by_word(make_image, words, part):
    assert read_header(make_image(BodyPartExamined=words)).body_part is part


@pytest.mark.parametrize(
    ("code", "scheme", "word", "part"),
    [
        ("85562004", "SCT", None, BodyPart.HAND),
        ("T-D8700", "SRT", None, BodyPart.HAND),
        ("T-D8700", "SNM3", None, BodyPart.HAND),
        ("T-D8700", "99SDM", "EXTREMITY", BodyPart.HAND),
        ("74670003", "SCT", None, BodyPart.WRIST),
        ("53120007", "SCT", None, BodyPart.UNSTATED),
        ("72696002", "SCT", None, BodyPart.OTHER),
        ("T-D9200", "SRT", None, BodyPart.OTHER),
        ("7569003", "SCT", None, BodyPart.OTHER),
        ("85562004", "LOCAL", None, BodyPart.UNSTATED),
        ("85562004", "SCT", "CHEST", BodyPart.HAND),
        ("72696002", "SCT", "HAND", BodyPart.HAND),
    ],
)
def test_body_part_by_code(make_image, code, scheme, word, part):
    dataset = make_image(BodyPartExamined=word, AnatomicRegionSequence=[coded(code, scheme)])
    assert read_header(dataset).body_part is part


@pytest.mark.parametrize(
    ("word", "exam", "part"),
    [
        ("EXTREMITY", "[LOWER LEG         ]", BodyPart.OTHER),
        ("", "HAND PA", BodyPart.HAND),
        ("HAND", "LOWER LEG", BodyPart.HAND),
        ("", "PROGRAM 7", BodyPart.UNSTATED),
    ],
)
def test_body_part_by_the_exam_chosen_at_the_device(make_image, word, exam, part):
    dataset = make_image(BodyPartExamined=word, AcquisitionDeviceProcessingDescription=exam)
    assert read_header(dataset).body_part is part


@pytest.mark.parametrize(
    ("position", "code", "view"),
    [
        ("PA", None, View.POSTERO_ANTERIOR),
        ("DP", None, View.POSTERO_ANTERIOR),
        ("AP", None, View.ANTERO_POSTERIOR),
        ("LL", None, View.NOT_FRONTAL),
        ("PA OBL", None, View.NOT_FRONTAL),
        ("", ("272479007", "SCT"), View.POSTERO_ANTERIOR),
        ("", ("R-10206", "SRT"), View.ANTERO_POSTERIOR),
        ("", ("399067008", "SCT"), View.NOT_FRONTAL),
        ("", ("R-10202", "SRT"), View.UNSTATED),
        ("", None, View.UNSTATED),
    ],
)
def test_view(make_image, position, code, view):
    dataset = make_image(ViewPosition=position)
    if code:
        dataset.ViewCodeSequence = [coded(*code)]
    assert read_header(dataset).view is view


def test_an_empty_dataset_has_a_header():
    header = read_header(Dataset())
    assert (header.sex, header.chronological_age_months, header.laterality) == (None, None, None)


KEYWORDS = [
    "SOPInstanceUID",
    "SOPClassUID",
    "Modality",
    "ImageType",
    "PatientSex",
    "PatientBirthDate",
    "StudyDate",
    "AcquisitionDate",
    "PatientAge",
    "ImageLaterality",
    "Laterality",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "PixelAspectRatio",
    "BodyPartExamined",
    "ViewPosition",
    "AnatomicRegionSequence",
    "ViewCodeSequence",
    "SharedFunctionalGroupsSequence",
    "Rows",
    "Columns",
    "ContentTime",
    "SeriesDescription",
    "SpecificCharacterSet",
    "ManufacturerModelName",
]
VRS = [
    "CS",
    "DA",
    "AS",
    "DS",
    "IS",
    "US",
    "SS",
    "UI",
    "SQ",
    "PN",
    "UN",
    "OB",
    "OW",
    "FD",
    "AT",
    "DT",
    "LO",
    "UT",
]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(KEYWORDS), st.sampled_from(VRS), st.binary(max_size=40)),
        min_size=1,
        max_size=6,
    )
)
def test_no_bytes_in_any_attribute_make_the_header_raise(make_image, elements):
    dataset = make_image()
    for keyword, vr, value in elements:
        raw(dataset, keyword, value, vr)
    read_header(dataset)


def test_no_warning_quotes_a_value(make_image, caplog, capfd):
    dataset = make_image()
    for keyword, vr in [
        ("PatientBirthDate", "DA"),
        ("PatientSex", "CS"),
        ("PatientAge", "AS"),
        ("Rows", "US"),
    ]:
        raw(dataset, keyword, b"Secret^Name", vr)
    read_header(dataset)
    captured = capfd.readouterr()
    assert "Secret" not in caplog.text + captured.out + captured.err


def test_a_visit_whose_dates_contradict_each_other_has_no_date(make_image):
    assert read_visit(make_image(AcquisitionDate="20080101")).study_date is None
    assert read_visit(make_image()).study_date is not None
