"""Hands taken again: what a re-take changes of a picture, and the precision that is told of its readings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.evaluation import BOY, GIRL, a_reading, an_assessment

from boneage_node.bone_age import Answer, ReasonCode, Refusal, Sex
from boneage_node.bone_age.predictor import Predictor
from boneage_node.datasets.rsna import Example
from boneage_node.evaluation.precision import (
    KINDS,
    RETAKES,
    TOGETHER,
    Retake,
    Retaken,
    draw_hands,
    draw_retake,
    precision_table,
    read_retakes,
    within_subject_sd,
)
from boneage_node.evaluation.readings import Reading, read_all
from boneage_node.phantom import draw_hand

RANDOM = np.random.default_rng(1)
PICTURE = np.random.default_rng(2).random((40, 60), dtype=np.float32)


def taken(image: np.ndarray = PICTURE, **changes: object) -> np.ndarray:
    return Retake(**changes).take(image, np.random.default_rng(3))


def test_a_retake_that_changes_nothing_is_the_same_picture() -> None:
    assert taken() == pytest.approx(PICTURE, abs=1e-5)


def test_a_turn_is_counter_clockwise_and_keeps_the_whole_picture() -> None:
    assert taken(degrees=90) == pytest.approx(np.rot90(PICTURE), abs=1e-4)
    tilted = taken(np.ones((40, 60), np.float32), degrees=10)
    assert tilted.shape == pytest.approx((50, 66), abs=1)
    assert tilted.sum() == pytest.approx(2400, rel=0.03)


def test_edges_are_moved_one_by_one() -> None:
    moved = taken(edges=(0.1, -0.25, -0.1, 0.5))  # of 60 and 40 pixels
    assert moved.shape == (50, 60)
    assert moved[:30, 6:] == pytest.approx(PICTURE[10:, :54], abs=1e-5)
    assert not moved[:, :6].any()
    assert not moved[30:].any()


def test_the_hand_is_magnified_in_the_same_field_and_pixels_are_made_smaller() -> None:
    spot = np.zeros((41, 61), np.float32)
    spot[16:25, 26:35] = 1
    larger, finer = taken(spot, magnification=2), taken(spot, pixels=2)
    assert larger.shape == spot.shape
    assert finer.shape == (82, 122)
    for picture, middle in ((larger, (20, 30)), (finer, (40.5, 60.5))):
        assert picture.sum() == pytest.approx(4 * spot.sum(), rel=0.01)
        assert np.argwhere(picture > 0.5).mean(axis=0) == pytest.approx(middle, abs=0.01)


def test_exposure_changes_greys_alone() -> None:
    assert taken(gamma=2) == pytest.approx(PICTURE**2, abs=1e-4)
    assert taken(brightness=0.1) == pytest.approx(np.minimum(PICTURE + 0.1, 1), abs=1e-5)
    assert taken(contrast=0.5).std() == pytest.approx(PICTURE.std() / 2, rel=1e-3)
    assert (taken(np.full((80, 80), 0.5, np.float32), noise=0.01)).std() == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_a_retake_of_each_kind_is_another_picture_of_like_size(kind: str) -> None:
    first, second = (draw_retake(kind, RANDOM) for _ in range(2))
    assert first != second
    picture = first.take(PICTURE, RANDOM)
    assert picture.dtype == np.float32
    assert 0 <= picture.min() <= picture.max() <= 1
    assert np.abs(np.log(np.array(picture.shape) / PICTURE.shape)).max() < 0.5


def test_all_together_is_each_of_the_changes() -> None:
    together, same = draw_retake(TOGETHER, RANDOM), Retake()
    assert all(getattr(together, name) != getattr(same, name) for name in Retake.__dataclass_fields__)


def test_the_deviation_is_within_hands_and_not_between_them() -> None:
    assert within_subject_sd([[100, 102], [50, 50]]) == pytest.approx(1)  # variances 2 and 0
    uneven = [[10, 20], [1, 2, 3], [7]]  # variances 50 and 1, of one and two degrees of freedom
    assert within_subject_sd(uneven) == pytest.approx((52 / 3) ** 0.5)
    assert np.isnan(within_subject_sd([[7.0], []]))


def a_retaken(label: float, months: list[float], sex: Sex = BOY, *, refused: int = 0) -> Retaken:
    """A hand read as labelled, and so when all is changed together; by single changes always as labelled."""
    answers: list[Answer] = [an_assessment(value) for value in months]
    answers += [Refusal(ReasonCode.NO_HAND_FOUND)] * refused
    steady: list[Answer] = [an_assessment(label)] * len(answers)
    by_kind = dict.fromkeys(KINDS, steady) | {TOGETHER: answers}
    return Retaken(a_reading(label, an_assessment(label), sex), by_kind)


def test_the_figures_are_by_change_sex_and_age() -> None:
    found = precision_table(
        [
            a_retaken(60, [60.0, 62.0]),
            a_retaken(71, [70.0, 72.0], GIRL),
            a_retaken(72, [80.0, 88.0], GIRL, refused=1),
        ]
    )
    assert found["hands"] == 3
    assert found["changes"]["turned"] == {
        "images": 3,
        "refused": 0,
        "sd_months": 0.0,
        "repeatability_months": 0.0,
        "beyond": 0.0,
        "mean_change_months": 0.0,
    }
    assert found["changes"][TOGETHER] == {
        "images": 3,
        "refused": 1,
        "sd_months": 3.46,  # of variances 2, 2 and 32
        "repeatability_months": 9.6,
        "beyond": 0.0,
        "mean_change_months": 4.33,  # of 0, 2, -1, 1, 8, 16
    }
    assert found["repeatability_months"] == 9.6
    assert {name: row["sd_months"] for name, row in found["sexes"].items()} == {"boys": 1.41, "girls": 4.12}
    assert [
        (row["from_months"], row["to_months"], row["images"], row["sd_months"]) for row in found["ages"]
    ] == [
        (0, 36, 0, None),
        (36, 72, 2, 1.41),
        (72, 120, 1, 5.66),
        (120, 168, 0, None),
        (168, None, 0, None),
    ]


def test_readings_of_infants_that_lie_further_apart_are_told_by_themselves() -> None:
    found = precision_table([a_retaken(35, [30.0, 40.0]), a_retaken(36, [36.0, 36.0])])
    infants, children, *_ = found["ages"]
    assert (infants["sd_months"], children["sd_months"]) == (7.07, 0.0)
    assert found["repeatability_months"] == 13.9  # over both: 1.96 sqrt(2) times 5


def test_pairs_that_differ_by_more_are_counted() -> None:
    steady = [a_retaken(100, [100.0, 100.0]) for _ in range(19)]
    found = precision_table([*steady, a_retaken(100, [100.0, 110.0])])
    assert found["repeatability_months"] == 4.4  # of a variance of 50 in 20 hands
    assert found["changes"][TOGETHER]["beyond"] == 0.05


@pytest.mark.parametrize("answers", [[], [[100.0, 100.0]], [[100.0]]])
def test_without_differences_no_smallest_real_change_is_told(answers: list[list[float]]) -> None:
    assert precision_table([a_retaken(100, months) for months in answers])["repeatability_months"] is None


def test_hands_of_high_resolution_that_were_read_are_drawn(tmp_path: Path) -> None:
    def reading(number: int, answer: object = None, *, sharp: bool = True) -> Reading:
        file = tmp_path / f"{number}.png"
        Image.new("L", (4, 4)).save(file)
        example = Example(str(number), file, 100.0, BOY, "validation", None)
        return Reading(example, sharp, None if answer else an_assessment(100))

    read = [reading(number) for number in range(5)]
    given = [*read, reading(5, sharp=False), reading(6, "refused")]
    assert {one.example.id for one in draw_hands(given, 9, 1)} == {one.example.id for one in read}
    drawn = draw_hands(given, 2, 1)
    assert len(drawn) == 2
    assert drawn == draw_hands(given, 2, 1)


@pytest.mark.slow
def test_drawn_hands_that_are_retaken_are_read_within_months(tmp_path: Path, predictor: Predictor) -> None:
    examples = []
    for seed, sex in ((4, BOY), (2, GIRL)):
        file = tmp_path / f"{seed}.png"
        drawn = draw_hand(120, sex, seed=seed, height_px=500).pixels
        Image.fromarray((drawn * 255).astype(np.uint8)).save(file)
        examples.append(Example(str(seed), file, 120.0, sex, "validation", None))
    hands = read_all(predictor, examples, lambda done: None)
    retaken = read_retakes(predictor, hands, lambda done: None)
    assert all(len(one.answers[kind]) == RETAKES for one in retaken for kind in KINDS)
    found = precision_table(retaken)
    assert found["changes"][TOGETHER]["refused"] == 0
    assert 0 < found["changes"][TOGETHER]["sd_months"] < 8
    assert precision_table(read_retakes(predictor, hands, lambda done: None)) == found
