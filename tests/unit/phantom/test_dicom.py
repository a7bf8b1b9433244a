"""Phantoms as DICOM: valid objects that give back what was drawn."""

import re
import subprocess
from datetime import date

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from boneage_node.bone_age import Laterality, Sex
from boneage_node.phantom import draw_hand
from boneage_node.phantom.chest import draw_chest
from boneage_node.phantom.dicom import (
    DAYS_PER_MONTH,
    Encoding,
    Patient,
    chest_dicom,
    derive_uid,
    hand_dicom,
)

GIRL = Patient("PHANTOM^GIRL 08Y", "PHANTOM-1", Sex.FEMALE, 99.0)


@pytest.fixture(scope="module")
def hand():
    return draw_hand(99, Sex.FEMALE, seed=3, height_px=200)


@pytest.fixture
def validate(require_peer, tmp_path):
    program = require_peer("dicom3tools")

    def run(dataset):
        path = tmp_path / "image.dcm"
        dataset.save_as(path, enforce_file_format=True)
        answer = subprocess.run([program, str(path)], capture_output=True, text=True, check=False)
        return re.findall(r"^Error.*$", answer.stderr + answer.stdout, flags=re.MULTILINE)

    return run


@pytest.mark.parametrize("modality", ["DX", "CR"])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless, JPEG2000Lossless]
)
def test_hands_are_valid(hand, validate, modality, photometric, syntax):
    assert validate(hand_dicom(hand, GIRL, encoding=Encoding(modality, photometric, 12, syntax))) == []


def test_chests_and_unknown_patients_are_valid(hand, validate):
    stranger = Patient("PHANTOM^CHILD", "PHANTOM-2", None, None)
    assert validate(chest_dicom(draw_chest(seed=1, height_px=160), GIRL)) == []
    assert validate(hand_dicom(hand, stranger)) == []


@pytest.mark.parametrize("bits_stored", [10, 12, 14, 16])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_the_picture_comes_back_from_the_window(hand, tmp_path, bits_stored, photometric):
    path = tmp_path / "image.dcm"
    encoding = Encoding("DX", photometric, bits_stored, JPEG2000Lossless)
    hand_dicom(hand, GIRL, encoding=encoding).save_as(path, enforce_file_format=True)
    dataset = pydicom.dcmread(path)
    stored = dataset.pixel_array.astype(float)
    low = float(dataset.WindowCenter) - 0.5 - (float(dataset.WindowWidth) - 1) / 2
    grey = (stored - low) / (float(dataset.WindowWidth) - 1)
    if photometric == "MONOCHROME1":
        grey = 1 - grey
    assert dataset.BitsStored == bits_stored
    assert stored.max() < 2**bits_stored
    assert np.abs(grey - hand.pixels).max() <= 0.51 / (float(dataset.WindowWidth) - 1) + 1e-6


@pytest.mark.parametrize(
    ("age_months", "written"), [(18.0, "018M"), (23.9, "023M"), (24.0, "002Y"), (99.0, "008Y")]
)
def test_birth_date_and_age_agree(hand, age_months, written):
    dataset = hand_dicom(hand, Patient("PHANTOM^GIRL", "P", Sex.FEMALE, age_months))
    born, studied = (date.fromisoformat(dataset[key].value) for key in ("PatientBirthDate", "StudyDate"))
    assert dataset.PatientAge == written
    assert (studied - born).days / DAYS_PER_MONTH == pytest.approx(age_months, abs=0.02)


def test_laterality_is_the_hands(hand):
    right = draw_hand(99, Sex.FEMALE, seed=3, height_px=100, laterality=Laterality.RIGHT)
    assert hand_dicom(hand, GIRL).ImageLaterality == "L"
    assert hand_dicom(right, GIRL).ImageLaterality == "R"
    assert hand_dicom(right, GIRL, encoding=Encoding("CR")).Laterality == "R"


def test_uids_derive_from_what_was_drawn(hand):
    first, again = hand_dicom(hand, GIRL), hand_dicom(hand, GIRL)
    other = hand_dicom(hand, GIRL, encoding=Encoding("CR"))
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        assert first[keyword].value == again[keyword].value
        assert first[keyword].value != other[keyword].value
        assert first[keyword].value.is_valid
    assert len({first.SOPInstanceUID, first.SeriesInstanceUID, first.StudyInstanceUID}) == 3
    assert derive_uid("a", "b") != derive_uid("ab")


@pytest.mark.parametrize("bits_stored", [9, 17])
def test_bits_outside_ten_to_sixteen_are_refused(bits_stored):
    with pytest.raises(ValueError, match="bits stored"):
        Encoding(bits_stored=bits_stored)


def test_other_transfer_syntaxes_are_refused():
    with pytest.raises(ValueError, match="Big Endian"):
        Encoding(transfer_syntax_uid=ExplicitVRBigEndian)
