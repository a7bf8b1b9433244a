"""What is said of an outline that leaves a finger out, and of a point that lies off its finger."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from boneage_node.bone_age import Caution, Sex
from boneage_node.bone_age.cropping import FoundHand
from boneage_node.bone_age.fingertips import cautions, fingertips
from boneage_node.bone_age.registration import POINT_NAMES
from boneage_node.phantom import draw_hand

CHILDREN = [(18, Sex.FEMALE, 1), (60, Sex.MALE, 2), (120, Sex.MALE, 4), (180, Sex.MALE, 7)]


def drawn(age_months: float, sex: Sex, seed: int) -> FoundHand:
    hand = draw_hand(age_months, sex, seed=seed, height_px=512)
    points_px = np.array([hand.key_points_px[name] for name in POINT_NAMES], dtype=np.float32)
    return FoundHand(hand.pixels, hand.mask, points_px, 1.0)


@pytest.fixture(scope="module", params=CHILDREN, ids=str)
def hand(request: pytest.FixtureRequest) -> FoundHand:
    return drawn(*request.param)


def frame_points(hand: FoundHand) -> np.ndarray:
    """The frame's (x, y) of each pixel, shape (height, width, 2)."""
    rows, columns = np.indices(hand.mask.shape)
    points = hand.placement.from_image(np.stack([columns.ravel(), rows.ravel()], axis=1))
    return points.reshape(*hand.mask.shape, 2)


def test_a_whole_hand_has_five_fingertips_and_no_caution(hand: FoundHand) -> None:
    assert len(fingertips(hand)) == 5
    assert cautions(hand) == ()


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_however_the_hand_lies(hand: FoundHand, turns: int) -> None:
    height, width = hand.mask.shape
    points = hand.points_px
    for _ in range(turns):
        points = np.stack([points[:, 1], width - 1 - points[:, 0]], axis=1)
        height, width = width, height
    turned = FoundHand(np.rot90(hand.image, turns), np.rot90(hand.mask, turns), points, 1.0)
    mirrored = [hand.mask.shape[1] - 1, 0] + hand.points_px * np.float32([-1, 1])
    flipped = FoundHand(hand.image[:, ::-1], hand.mask[:, ::-1], mirrored.astype(np.float32), 1.0)
    assert cautions(turned) == cautions(flipped) == ()


@pytest.mark.parametrize("beyond_px", [-150, 150], ids=["ring and little finger", "index finger"])
def test_an_outline_that_cuts_fingers_off_is_said(hand: FoundHand, beyond_px: int) -> None:
    x, y = np.moveaxis(frame_points(hand), 2, 0)
    beside = x < 800 + beyond_px if beyond_px < 0 else x > 800 + beyond_px
    cut = replace(hand, mask=hand.mask & ~(beside & (y < 600)))
    assert cautions(cut) == (Caution.FINGERS_OUTLINE,)


def test_an_outline_round_closed_fingers_is_said(hand: FoundHand) -> None:
    x, y = np.moveaxis(frame_points(hand), 2, 0)
    mitten = replace(hand, mask=hand.mask | ((abs(x - 800) < 400) & (y > 200) & (y < 900)))
    assert cautions(mitten) == (Caution.FINGERS_OUTLINE,)


@pytest.mark.parametrize("point", [0, 1])
def test_a_point_off_its_finger_is_said(hand: FoundHand, point: int) -> None:
    length_px = np.linalg.norm(hand.points_px[0] - hand.points_px[2])
    moved = hand.points_px.copy()
    moved[point] += np.float32([0.12 * length_px, 0])
    assert Caution.POINT_OFF_FINGER in cautions(replace(hand, points_px=moved))
