from datetime import date, timedelta

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    BasicTextSRStorage,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    EncapsulatedPDFStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from boneage_node.bone_age import Laterality, ReasonCode, Refusal, Sex
from boneage_node.radiograph import read_radiograph


def outcome(dataset, **arguments):
    try:
        return read_radiograph(dataset, **arguments)
    except Refusal as refusal:
        return refusal.code


def test_a_hand_is_read(make_image):
    hand = read_radiograph(make_image()).hand
    assert (hand.sex, hand.laterality) == (Sex.FEMALE, Laterality.LEFT)
    assert hand.chronological_age_months == pytest.approx(120, abs=0.1)
    assert hand.pixels.shape == (64, 64)


@pytest.mark.parametrize(
    ("sop_class", "modality", "reason"),
    [
        (ComputedRadiographyImageStorage, "CR", None),
        (ComputedRadiographyImageStorage, "RG", None),
        (ComputedRadiographyImageStorage, "", None),
        (DigitalXRayImageStorageForProcessing, "DX", None),
        (SecondaryCaptureImageStorage, "OT", None),
        (SecondaryCaptureImageStorage, "DX", None),
        (MultiFrameGrayscaleWordSecondaryCaptureImageStorage, "OT", None),
        (SecondaryCaptureImageStorage, "CT", ReasonCode.UNSUPPORTED_OBJECT),
        (SecondaryCaptureImageStorage, "US", ReasonCode.UNSUPPORTED_OBJECT),
        (ComputedRadiographyImageStorage, "OT", ReasonCode.UNSUPPORTED_OBJECT),
        (ComputedRadiographyImageStorage, "MG", ReasonCode.UNSUPPORTED_OBJECT),
        (DigitalMammographyXRayImageStorageForPresentation, "DX", ReasonCode.UNSUPPORTED_OBJECT),
        (CTImageStorage, "CT", ReasonCode.UNSUPPORTED_OBJECT),
        (BasicTextSRStorage, "SR", ReasonCode.NOTHING_TO_READ),
        (GrayscaleSoftcopyPresentationStateStorage, "PR", ReasonCode.NOTHING_TO_READ),
        (KeyObjectSelectionDocumentStorage, "KO", ReasonCode.NOTHING_TO_READ),
        (EncapsulatedPDFStorage, "DOC", ReasonCode.NOTHING_TO_READ),
        (SegmentationStorage, "SEG", ReasonCode.NOTHING_TO_READ),
        (SecondaryCaptureImageStorage, "DOC", ReasonCode.NOTHING_TO_READ),
        ("1.2.3", "DX", ReasonCode.UNSUPPORTED_OBJECT),
        ("", "DX", ReasonCode.UNSUPPORTED_OBJECT),
    ],
)
def test_kinds_of_object(make_image, sop_class, modality, reason):
    result = outcome(make_image(SOPClassUID=sop_class, Modality=modality))
    assert result == reason if reason else result.pixels.shape == (64, 64)


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"BodyPartExamined": "CHEST"}, ReasonCode.NOT_A_HAND),
        ({"BodyPartExamined": "FINGER"}, ReasonCode.NOT_A_HAND),
        ({"ViewPosition": "LL"}, ReasonCode.NOT_A_HAND),
        ({"ViewPosition": "RLO"}, ReasonCode.NOT_A_HAND),
        ({"ImageType": ["DERIVED", "PRIMARY", "LOCALIZER"]}, ReasonCode.UNSUPPORTED_OBJECT),
        ({"PixelSpacing": [0.2, 0.1]}, ReasonCode.UNSUPPORTED_PIXELS),
        ({"PatientBirthDate": "20000101"}, ReasonCode.ADULT),
        ({"PatientSex": "O"}, ReasonCode.SEX_UNKNOWN),
        ({"PatientSex": None}, ReasonCode.SEX_UNKNOWN),
    ],
)
def test_reasons(make_image, attributes, reason):
    assert outcome(make_image(**attributes)) == reason


@pytest.mark.parametrize("sex", ["O", "", None, "f"])
def test_a_hand_of_unknown_sex_is_read_only_where_allowed(make_image, sex):
    image = make_image(PatientSex=sex)
    assert outcome(image) == ReasonCode.SEX_UNKNOWN
    assert outcome(image, sex_required=False).hand.sex is None
    adult = make_image(PatientSex=sex, PatientBirthDate="19700101")
    assert outcome(adult, sex_required=False) == ReasonCode.ADULT


def test_a_known_sex_is_used_also_where_it_is_not_required(make_image):
    assert read_radiograph(make_image(), sex_required=False).hand.sex is Sex.FEMALE


@pytest.mark.parametrize(
    "attributes",
    [
        {"BodyPartExamined": "WRIST"},
        {"BodyPartExamined": ""},
        {"BodyPartExamined": "EXTREMITY"},
        {"ViewPosition": ""},
        {"ViewPosition": "AP"},
        {"ImageType": ["DERIVED", "SECONDARY"]},
        {"PatientBirthDate": ""},
        {"ImageLaterality": None},
        {"PixelSpacing": [0.15, 0.16]},
    ],
)
def test_what_the_header_leaves_open_goes_on_to_the_image(make_image, attributes):
    assert read_radiograph(make_image(**attributes)).pixels.shape == (64, 64)


def test_adult_from_nineteen_years(make_image):
    birth = date(2000, 1, 1)
    for days, reason in [(6939, None), (6940, ReasonCode.ADULT)]:
        study = (birth + timedelta(days=days)).strftime("%Y%m%d")
        result = outcome(make_image(PatientBirthDate="20000101", StudyDate=study))
        assert result == reason if reason else result.pixels.shape == (64, 64)
    assert outcome(make_image(PatientBirthDate=None, PatientAge="019Y")) == ReasonCode.ADULT


DERIVED = {"ImageType": ["DERIVED", "SECONDARY"]}


@pytest.mark.parametrize(
    "attributes",
    [
        {"ManufacturerModelName": "boneage-node"},
        DERIVED | {"ConversionType": "WSD"},
        DERIVED | {"ConversionType": "SYN"},
        DERIVED | {"SourceImageSequence": [Dataset()]},
    ],
)
def test_pictures_that_software_made_are_not_read(make_image, attributes):
    picture = make_image(SOPClassUID=SecondaryCaptureImageStorage, Modality="OT", **attributes)
    assert outcome(picture) == ReasonCode.NOTHING_TO_READ


@pytest.mark.parametrize(
    "attributes",
    [
        DERIVED | {"ConversionType": "DF"},  # digitised film
        DERIVED | {"ConversionType": "SI"},
        DERIVED,
        {"ConversionType": "WSD", "ImageType": ["ORIGINAL", "SECONDARY"]},
        {"ConversionType": "WSD", "ImageType": None},
        {"Manufacturer": "boneage-node", "ManufacturerModelName": "Phantom"},
    ],
)
def test_radiographs_that_were_digitised_or_converted_are_read(make_image, attributes):
    capture = make_image(SOPClassUID=SecondaryCaptureImageStorage, Modality="OT", **attributes)
    assert outcome(capture).pixels.shape == (64, 64)


def test_a_derived_image_of_a_modality_is_read(make_image):
    assert outcome(make_image(**DERIVED, SourceImageSequence=[Dataset()])).pixels.shape == (64, 64)


def test_of_several_reasons_the_least_curable(make_image):
    faults = [
        ({"SOPClassUID": CTImageStorage}, ReasonCode.UNSUPPORTED_OBJECT),
        ({"BodyPartExamined": "CHEST"}, ReasonCode.NOT_A_HAND),
        ({"PixelSpacing": [1, 2]}, ReasonCode.UNSUPPORTED_PIXELS),
        ({"PatientBirthDate": "19700101"}, ReasonCode.ADULT),
        ({"PatientSex": ""}, ReasonCode.SEX_UNKNOWN),
        ({"PixelData": None}, ReasonCode.NO_PIXELS),
    ]
    for first in range(len(faults)):
        together = {key: value for attributes, _ in faults[first:] for key, value in attributes.items()}
        assert outcome(make_image(**together)) == faults[first][1]


def test_an_empty_dataset_is_refused():
    assert outcome(Dataset()) == ReasonCode.UNSUPPORTED_OBJECT
