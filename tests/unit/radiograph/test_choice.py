import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from pydicom.uid import (
    BasicTextSRStorage,
    DigitalXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
)

from boneage_node.bone_age import ReasonCode
from boneage_node.radiograph import Choice, choose_hand_image
from boneage_node.traffic.file import LocalFile


def choose(paths: Iterable[Path], **options: bool) -> Choice:
    return choose_hand_image(map(LocalFile, paths), **options)


class CountedFile:
    """A stored file that keeps what it has opened."""

    def __init__(self, path: Path) -> None:
        self.key, self._path = path.name, path
        self.opened: list[BinaryIO] = []

    def open(self) -> BinaryIO:
        self.opened.append(self._path.open("rb"))
        return self.opened[-1]


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({}, {"BodyPartExamined": "WRIST"}),
        ({"BodyPartExamined": "WRIST"}, {"BodyPartExamined": ""}),
        ({"BodyPartExamined": "", "SeriesDescription": "Left hand PA"}, {"BodyPartExamined": ""}),
        ({"BodyPartExamined": "", "StudyDescription": "Bone age"}, {"BodyPartExamined": ""}),
        ({}, {"BodyPartExamined": "CHEST"}),
        ({}, {"ViewPosition": "AP"}),
        ({"ViewPosition": "AP"}, {"ViewPosition": ""}),
        ({"ViewPosition": ""}, {"ViewPosition": "LL"}),
        ({}, {"SOPClassUID": DigitalXRayImageStorageForProcessing}),
        (
            {"SOPClassUID": DigitalXRayImageStorageForProcessing},
            {"SOPClassUID": SecondaryCaptureImageStorage},
        ),
        ({}, {"ImageType": ["DERIVED", "PRIMARY"]}),
        ({}, {"ImageLaterality": None}),
        ({"ImageLaterality": None}, {"ImageLaterality": "R"}),
        ({"pixels": np.zeros((20, 20), np.uint16)}, {"pixels": np.zeros((20, 19), np.uint16)}),
    ],
)
def test_which_goes_before_which(make_image, save, better, worse):
    # The identifiers would have it the other way round.
    first = save(make_image(**{"SOPInstanceUID": "2.25.6", **better}))
    second = save(make_image(**{"SOPInstanceUID": "2.25.5", **worse}))
    for paths in [(first, second), (second, first)]:
        assert choose(paths).file.path == first


def test_what_can_be_read_with_its_sex_goes_before_what_is_read_as_both(make_image, save):
    no_sex = save(make_image(PatientSex=""))
    wrist = save(make_image(BodyPartExamined="WRIST"))
    chest = save(make_image(BodyPartExamined="CHEST"))
    assert choose([no_sex, wrist], sex_required=False).file.path == wrist
    choice = choose([no_sex, chest], sex_required=False)
    assert (choice.file.path, choice.radiograph.hand.sex) == (no_sex, None)


def test_of_equal_images_the_one_received_last_counts(make_image, save):
    """It may have been sent to put another one right, under whatever UID, with whatever date."""
    dated = {"2.25.7": "20200101", "2.25.6": "20200103", "2.25.5": "20200102"}
    paths = [save(make_image(SOPInstanceUID=uid, ContentDate=date)) for uid, date in dated.items()]
    for order in itertools.permutations(paths):
        assert choose(order).file.path == order[-1]


@pytest.mark.parametrize(
    ("one", "other", "named"),
    [
        ({"PatientSex": "M"}, {"PatientSex": "F"}, "PatientSex"),
        ({"PatientSex": "M"}, {"PatientSex": "O"}, "PatientSex"),
        ({"PatientID": "4711"}, {"PatientID": "4712"}, "PatientID"),
        ({"IssuerOfPatientID": "A"}, {"IssuerOfPatientID": "B"}, "IssuerOfPatientID"),
        ({"PatientBirthDate": "20100101"}, {"PatientBirthDate": "20110101"}, "PatientBirthDate"),
        ({"PatientID": "1", "PatientSex": "M"}, {"PatientID": "2"}, "PatientID, PatientSex"),
        ({"StudyDate": "20200101"}, {"StudyDate": "20190101"}, "StudyDate"),
        (
            {"PatientBirthDate": "", "PatientAge": "010Y"},
            {"PatientBirthDate": "", "PatientAge": "005Y"},
            "PatientAge",
        ),
    ],
)
@pytest.mark.parametrize(
    "also", [{}, {"ViewPosition": "LL"}, {"BodyPartExamined": "WRIST"}, {"PatientBirthDate": "19700101"}]
)
def test_images_that_contradict_each_other_are_refused(make_image, save, one, other, named, also):
    """Whichever came first, and also where one would not be read itself: either may be the wrong one."""
    first, second = save(make_image(**one)), save(make_image(**{**also, **other}))
    for paths in [(first, second), (second, first)]:
        choice = choose(paths)
        assert choice.refusal.code == ReasonCode.CONTRADICTING_IMAGES
        assert set(named.split(", ")) <= set(choice.refusal.detail.split(", "))
        assert choice.radiograph is None
        assert choice.file.path == paths[-1]
        assert "4711" not in choice.refusal.sentence


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"PatientSex": ""}),
        ({}, {"PatientID": ""}),
        ({}, {"PatientBirthDate": None}),
        ({"IssuerOfPatientID": "A"}, {}),
        ({}, {"StudyDate": "20200103"}),
        ({}, {"ImageLaterality": "R"}),
        ({"PatientAge": "010Y"}, {"PatientAge": "126M"}),
        ({}, {"PatientID": "2", "BodyPartExamined": "CHEST"}),
        ({}, {"PatientID": "2", "SOPClassUID": BasicTextSRStorage, "Modality": "SR"}),
        (
            {},
            {
                "PatientID": "2",
                "SOPClassUID": SecondaryCaptureImageStorage,
                "Modality": "OT",
                "ImageType": ["DERIVED", "SECONDARY"],
                "ConversionType": "WSD",
            },
        ),
    ],
)
def test_what_is_not_said_or_is_no_hand_contradicts_nothing(make_image, save, one, other):
    first, second = save(make_image(**one)), save(make_image(**other))
    for paths in [(first, second), (second, first)]:
        assert choose(paths).refusal is None


def test_a_copy_that_was_put_right_under_its_uid_contradicts_nothing(make_image, save):
    wrong = save(make_image(SOPInstanceUID="2.25.7", PatientSex="M", PatientID="2"))
    right = save(make_image(SOPInstanceUID="2.25.7"))
    choice = choose([wrong, right])
    assert (choice.file.path, choice.refusal) == (right, None)


def test_the_chosen_image_comes_decoded(make_image, save, ramp):
    path = save(make_image())
    choice = choose([path])
    assert choice.radiograph.pixels.shape == ramp.shape
    assert choice.header == choice.radiograph.header
    assert choice.refusal is None


def test_an_image_that_does_not_decode_gives_way_to_the_next(make_image, save, ramp):
    damaged = save(make_image(PixelData=ramp.tobytes()[:100]))
    whole = save(make_image(ViewPosition="AP"))
    choice = choose([damaged, whole])
    assert (choice.file.path, choice.refusal) == (whole, None)


def test_when_none_decodes_the_best_ranked_one_is_refused(make_image, save, ramp):
    cut = ramp.tobytes()[:100]
    best, other = save(make_image(PixelData=cut)), save(make_image(PixelData=cut, ViewPosition="AP"))
    choice = choose([other, best])
    assert (choice.file.path, choice.refusal.code) == (best, ReasonCode.DAMAGED_PIXELS)
    assert choice.radiograph is None


def test_a_study_without_a_readable_image_is_refused_for_its_nearest_one(make_image, save, tmp_path):
    report = save(make_image(SOPClassUID=BasicTextSRStorage, Modality="SR"))
    chest = save(make_image(BodyPartExamined="CHEST"))
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"garbage")
    choice = choose([garbage, report, chest])
    assert (choice.file.path, choice.refusal.code) == (chest, ReasonCode.NOT_A_HAND)
    hand = save(make_image(PatientSex=""))
    assert choose([chest, hand]).refusal.code == ReasonCode.SEX_UNKNOWN
    assert choose([report, garbage]).refusal.code == ReasonCode.UNREADABLE_FILE
    assert choose([report]).refusal.code == ReasonCode.NOTHING_TO_READ


def test_a_file_that_cannot_be_read_has_no_header(tmp_path):
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"garbage")
    choice = choose([garbage])
    assert (choice.header, choice.refusal.code) == (None, ReasonCode.UNREADABLE_FILE)


def test_of_one_instance_received_twice_the_later_counts(make_image, save):
    first = save(make_image(SOPInstanceUID="2.25.7", PatientSex=""))
    second = save(make_image(SOPInstanceUID="2.25.7"))
    assert choose([first, second]).file.path == second
    assert choose([second, first]).refusal.code == ReasonCode.SEX_UNKNOWN


def test_each_file_is_opened_once_and_closed(make_image, save, ramp):
    chest = save(make_image(BodyPartExamined="CHEST"))
    damaged = save(make_image(PixelData=ramp.tobytes()[:100]))
    hand = save(make_image(ViewPosition="AP"))
    files = [CountedFile(path) for path in (chest, damaged, hand)]
    assert choose_hand_image(files).radiograph is not None
    assert [len(file.opened) for file in files] == [1, 1, 1]
    assert all(file.opened[0].closed for file in files)


def test_of_a_study_of_many_files_few_are_open_at_a_time(make_image, save, monkeypatch):
    monkeypatch.setattr("boneage_node.radiograph.choice._MOST_OPEN", 2)
    views = ["", "", "AP", "PA"]
    files = [CountedFile(save(make_image(ViewPosition=view))) for view in views]
    assert choose_hand_image(files).file == files[3]
    assert [len(file.opened) for file in files] == [1, 1, 1, 2]


def test_the_data_set_has_the_bytes_of_the_file_and_no_pixels(make_image, save):
    for sex in ("F", ""):  # which is read, and refused
        dataset = choose([save(make_image(PatientSex=sex))]).dataset
        assert dataset.get_item("PatientBirthDate").value == b"20100101", "though the age was read from it"
        assert "PixelData" not in dataset


def test_a_disk_that_fails_is_not_the_images_fault(make_image, save):
    class Broken(LocalFile):
        def open(self) -> BinaryIO:
            stream = super().open()
            stream.read = lambda size=-1: (_ for _ in ()).throw(OSError("the disk fails"))
            return stream

    with pytest.raises(OSError, match="the disk fails"):
        choose_hand_image([Broken(save(make_image()))])


def test_where_no_image_is_left_nothing_is_read():
    choice = choose([])
    assert (choice.file, choice.dataset) == (None, None)
    assert choice.refusal.code == ReasonCode.NOTHING_TO_READ
