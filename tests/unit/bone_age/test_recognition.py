"""The test that what the networks see is a hand: on numbers of our own, and with the shipped model."""

from __future__ import annotations

import re

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from boneage_node.bone_age import Assessment, Hand, ReasonCode, Refusal, Sex
from boneage_node.bone_age.manifest import Recognition
from boneage_node.bone_age.predictor import Predictor
from boneage_node.bone_age.recognition import KnownHands, nearest, overall, refuse_unrecognised
from boneage_node.phantom import draw_hand
from boneage_node.phantom.limbs import PARTS, draw_limb
from boneage_node.radiograph.grey import to_grey
from boneage_node.radiograph.pixels import decode_pixels

LIMITS = Recognition(
    regions={"A": "the hand as a whole", "B": "the wrist", "C": "the palm"},
    groups=("small", "grown"),
    directions=2,
    unlikeness=1.5,
)
BY_ITS_PIXELS = {ReasonCode.NO_HAND_FOUND, ReasonCode.SEVERAL_HANDS, ReasonCode.IMPLAUSIBLE_HAND}


@pytest.fixture(scope="module")
def cloud() -> np.ndarray:
    """Features that vary along two directions of eight, and a little beside them."""
    random = np.random.default_rng(1)
    along = random.normal(size=(500, 2)) * [3, 1]
    mixed = along @ random.normal(size=(2, 8)) + 0.1 * random.normal(size=(500, 8))
    return (mixed + 5).astype(np.float32)


def known(features: np.ndarray) -> KnownHands:
    hands = KnownHands(features.shape[1], 2)
    hands.learn(features)
    return hands


def test_known_hands_are_at_a_distance_of_about_one(cloud: np.ndarray) -> None:
    distance = known(cloud).unlikeness(cloud)
    assert np.sqrt((distance**2).mean()) == pytest.approx(1, abs=0.01)
    assert known(cloud).unlikeness(cloud.mean(axis=0, keepdims=True))[0] < 0.1


def test_what_lies_off_the_directions_of_known_hands_is_far(cloud: np.ndarray) -> None:
    hands = known(cloud)
    along = cloud[:1] + 0.5 * (cloud[1:2] - cloud[:1])
    random = np.random.default_rng(2).normal(size=(1, 8)).astype(np.float32)
    assert hands.unlikeness(along)[0] < 2
    assert hands.unlikeness(along + random)[0] > 4


def test_a_hand_belongs_to_the_nearest_group(cloud: np.ndarray) -> None:
    groups = {"here": {"A": known(cloud)}, "there": {"A": known(cloud + 40)}}
    distance = known(cloud).unlikeness(cloud[:1])[0]
    for place in (cloud[:1], cloud[:1] + 40):
        assert nearest(groups, {"A": place})["A"] == pytest.approx(distance, rel=1e-3)
    assert nearest(groups, {"A": cloud[:1] + 20})["A"] > 5


def test_the_overall_distance_is_what_is_written_down() -> None:
    assert overall({"A": 1.0, "B": 1.0, "C": 1.0}) == 1
    assert overall({"A": 3.0, "B": 1.2345, "C": 0.5}) == 1.9


@pytest.mark.parametrize(
    ("unlikeness", "fingers", "said"),
    [
        (
            {"A": 1.0, "B": 4.0, "C": 4.0},
            4,
            "no bones of a hand were recognised in the wrist and the palm: "
            "2.2 times as unlike known hands as a hand may be",
        ),
        (
            {"A": 3.0, "B": 3.0, "C": 3.0},
            1,
            "no finger stands apart, and no bones of a hand were recognised: "
            "2.0 times as unlike known hands as a hand may be",
        ),
    ],
)
def test_a_refusal_says_where_no_hand_was_recognised(
    unlikeness: dict[str, float], fingers: int, said: str
) -> None:
    with pytest.raises(Refusal) as caught:
        refuse_unrecognised(unlikeness, LIMITS, fingers)
    assert caught.value.code is ReasonCode.IMPLAUSIBLE_HAND
    assert caught.value.detail == said


def test_at_the_limit_nothing_is_refused() -> None:
    refuse_unrecognised({"A": 1.5, "B": 1.5, "C": 1.5}, LIMITS, 0)
    with pytest.raises(Refusal):
        refuse_unrecognised({"A": 1.51, "B": 1.51, "C": 1.51}, LIMITS, 5)


def answer(predictor: Predictor, pixels: np.ndarray) -> Assessment | Refusal:
    (said,) = predictor.assess([Hand(np.ascontiguousarray(pixels), Sex.FEMALE)])
    return said


@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("file", ["RG3_UNCR.dcm", "RG3_UNCI.dcm"])
def test_a_real_ankle_is_refused(predictor: Predictor, file: str, turn: int) -> None:
    pytest.importorskip("data_store", reason="pydicom-data is not installed")
    dataset = dcmread(get_testdata_file(file, download=False))

    said = answer(predictor, np.rot90(to_grey(decode_pixels(dataset), dataset), turn))

    assert isinstance(said, Refusal)
    assert said.code in BY_ITS_PIXELS
    if turn in (0, 3):  # as these it is found and registered: only its bones tell
        assert re.search(r"no bones of a hand were recognised.*: \d\.\d times as unlike", said.detail)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("part", PARTS)
def test_drawn_limbs_and_skulls_are_refused(predictor: Predictor, part: str, seed: int) -> None:
    said = answer(predictor, draw_limb(part, seed=seed, height_px=500).pixels)
    assert isinstance(said, Refusal)
    assert said.code in BY_ITS_PIXELS


@pytest.mark.parametrize(("age_months", "sex"), [(24, Sex.FEMALE), (132, Sex.MALE), (200, Sex.FEMALE)])
def test_drawn_hands_are_recognised(predictor: Predictor, age_months: float, sex: Sex) -> None:
    assert predictor.manifest.recognition is not None
    hand = draw_hand(age_months, sex, seed=9, height_px=600)
    said = answer(predictor, hand.pixels)
    assert isinstance(said, Assessment), said
    assert said.unlikeness is not None
    assert 0.4 < said.unlikeness <= predictor.manifest.recognition.unlikeness
