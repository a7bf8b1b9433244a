"""Pictures cropped close to the hand, whichever way it lies, and drawn parts that are no hands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from boneage_node.bone_age import Refusal, Sex
from boneage_node.bone_age.cropping import FoundHand
from boneage_node.bone_age.predictor import Predictor
from boneage_node.bone_age.registration import POINT_NAMES
from boneage_node.datasets.rsna import Example
from boneage_node.evaluation.crops import CROPS, Crop, cropped, read_crops
from boneage_node.evaluation.non_hands import KINDS, draw_non_hands, non_hand_table, read_non_hands
from boneage_node.evaluation.readings import read_all
from boneage_node.phantom import draw_hand


def upright() -> FoundHand:
    drawn = draw_hand(120, Sex.MALE, seed=4, height_px=400)
    points = np.array([drawn.key_points_px[name] for name in POINT_NAMES], dtype=np.float32)
    return FoundHand(drawn.pixels, drawn.mask, points, 1.0)


def turned(hand: FoundHand) -> FoundHand:
    x, y = hand.points_px.T
    points = np.stack([y, hand.image.shape[1] - 1 - x], axis=1)
    return FoundHand(np.rot90(hand.image), np.rot90(hand.mask), points, 1.0)


@pytest.mark.parametrize("crop", CROPS, ids=lambda crop: crop.name)
def test_a_crop_is_the_same_however_the_hand_lies(crop: Crop) -> None:
    hand = upright()
    expected = cropped(hand.image, hand, crop)
    for _ in range(3):
        hand = turned(hand)
        expected = np.rot90(expected)
        shown = cropped(hand.image, hand, crop)
        assert shown.shape == pytest.approx(expected.shape, abs=2)


def test_a_crop_ends_where_it_says() -> None:
    hand = upright()
    rows = np.flatnonzero(hand.mask.any(axis=1))
    to_tips = cropped(hand.image, hand, Crop("", 0, 0))
    assert to_tips.shape[0] == hand.image.shape[0] - rows[0]
    cut = cropped(hand.image, hand, Crop("", -0.1, 0))
    assert to_tips.shape[0] - cut.shape[0] == pytest.approx(0.1 * hand.length_px, abs=1)
    short = cropped(hand.image, hand, Crop("", 0, 0, 1600))
    assert short.shape[0] == pytest.approx(hand.points_px[2, 1] - rows[0] + 1, abs=2)
    narrow = cropped(hand.image, hand, Crop("", 0, -0.05))
    assert to_tips.shape[1] - narrow.shape[1] == pytest.approx(0.1 * hand.length_px, abs=2)


def test_close_crops_are_read_and_a_missing_wrist_is_said(tmp_path: Path, predictor: Predictor) -> None:
    drawn = draw_hand(120, Sex.FEMALE, seed=2, height_px=500)
    file = tmp_path / "1.png"
    Image.fromarray((drawn.pixels * 255).astype(np.uint8)).save(file)
    example = Example("1", file, 120, Sex.FEMALE, "validation", None)

    readings = read_all(predictor, [example], lambda done: None)
    rows = {row["variant"]: row for row in read_crops(predictor, readings, lambda done: None)}

    assert [row["images"] for row in rows.values()] == [1] * len(CROPS)
    for name in ("to fingertips and sides", "3 % of the fingers cut", "forearm cut"):
        assert rows[name]["newly_refused"] == 0, rows[name]
        assert abs(rows[name]["mae_change_months"]) < 6
    assert rows["below the carpal bones"]["refusals"] == {"implausible-hand": 1}


def test_drawn_parts_are_counted_by_kind(predictor: Predictor) -> None:
    pictures = [kind for kind, _ in draw_non_hands(9, 1)]
    assert pictures == [*KINDS, *KINDS[:2]]
    readings = read_non_hands(predictor, len(KINDS), 1, lambda done: None)
    assert all(isinstance(answer, Refusal) for _, answer in readings)
    table = non_hand_table(readings)
    assert table["all"] == {"images": len(KINDS), "refused": len(KINDS)}
    assert table["kinds"]["foot"] == {"images": 1, "refused": 1}
    assert sum(table["refusals"].values()) == len(KINDS)
