"""Checks on the shape of the hand that was found, with limits of our own and the shipped hand finding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from boneage_node.bone_age import ReasonCode, Refusal, Sex
from boneage_node.bone_age.cropping import FoundHand
from boneage_node.bone_age.finding import HandFinder
from boneage_node.bone_age.manifest import Plausibility
from boneage_node.bone_age.predictor import Predictor
from boneage_node.bone_age.registration import CAPITATE_AT, FRAME_HEIGHT, FRAME_WIDTH, POINT_NAMES, TIP_AT
from boneage_node.bone_age.shape import (
    HEIGHT,
    WIDTH,
    UsualHand,
    beyond_frame_share,
    cut_off_share,
    registered_mask,
    second_component_share,
)
from boneage_node.phantom import PhantomHand, draw_hand

LIMITS = Plausibility(
    overlap=0.5, second_component=0.3, cut_off=0.15, spread_months=240, usual_spread_months=240
)
LOOSE = Plausibility(overlap=0, second_component=1, cut_off=100, spread_months=240, usual_spread_months=240)


@pytest.fixture(scope="module")
def drawn() -> PhantomHand:
    return draw_hand(120, Sex.MALE, seed=4, height_px=512)


@pytest.fixture(scope="module")
def finder(predictor: Predictor) -> HandFinder:
    """The shipped networks, with the shape of drawn hands for the usual one."""
    children = [(60, Sex.MALE, 1), (96, Sex.FEMALE, 2), (132, Sex.FEMALE, 3), (180, Sex.MALE, 7)]
    masks = [
        registered_mask(as_marked(draw_hand(age, sex, seed=seed, height_px=200)))
        for age, sex, seed in children
    ]
    usual = UsualHand()
    usual.learn((np.stack(masks) * 255).round().astype(np.uint8))
    return replace(predictor.finder, usual=usual, limits=LIMITS)


def key_points(hand: PhantomHand) -> np.ndarray:
    return np.array([hand.key_points_px[name] for name in POINT_NAMES], dtype=np.float32)


def as_marked(hand: PhantomHand) -> FoundHand:
    return FoundHand(hand.pixels, hand.mask, key_points(hand), 1.0)


def cropped(hand: FoundHand, *, left: int = 0, top: int = 0) -> FoundHand:
    """The hand in an image that lacks columns on the left and rows at the top."""
    moved = hand.points_px - np.array([left, top], dtype=np.float32)
    return FoundHand(hand.image[top:, left:], hand.mask[top:, left:], moved, 1.0)


def turned(hand: FoundHand) -> FoundHand:
    """The hand in the image turned counter-clockwise by a quarter."""
    x, y = hand.points_px.T
    points = np.stack([y, hand.image.shape[1] - 1 - x], axis=1)
    return FoundHand(np.rot90(hand.image), np.rot90(hand.mask), points, 1.0)


def mirrored(hand: FoundHand) -> FoundHand:
    points = hand.points_px * np.float32([-1, 1]) + np.float32([hand.image.shape[1] - 1, 0])
    return FoundHand(hand.image[:, ::-1], hand.mask[:, ::-1], points, 1.0)


def length_px(hand: FoundHand) -> float:
    return float(np.linalg.norm(hand.points_px[0] - hand.points_px[2]))


def row_through_fingers(hand: PhantomHand) -> int:
    """A fifth of the way from the tip of the middle finger to the capitate."""
    tip, _, capitate = key_points(hand)
    return int(tip[1] + 0.2 * (capitate[1] - tip[1]))


def test_the_usual_hand_is_how_often_each_place_was_hand() -> None:
    always, sometimes = np.zeros((2, HEIGHT, WIDTH), dtype=np.uint8)
    always[:10], sometimes[10:20] = 255, 255
    usual = UsualHand()
    usual.learn(np.stack([always, always + sometimes]))

    assert usual.overlap_of((always / 255).astype(np.float32)) == pytest.approx(10 / 15)
    assert usual.overlap_of(((always + sometimes) / 255).astype(np.float32)) == pytest.approx(15 / 20)
    assert usual.overlap_of((always / 255 + sometimes / 510).astype(np.float32)) == pytest.approx(1)
    assert usual.overlap_of(np.eye(HEIGHT, WIDTH, k=-20, dtype=np.float32)) == 0


def test_a_registered_mask_shows_each_place_of_the_hand_where_the_frame_has_it(drawn: PhantomHand) -> None:
    hand = as_marked(drawn)
    rows, columns = np.mgrid[: drawn.mask.shape[0], : drawn.mask.shape[1]]
    for (x, y), (frame_x, frame_y) in ((hand.points_px[0], TIP_AT), (hand.points_px[2], CAPITATE_AT)):
        disc = np.hypot(columns - x, rows - y) < 0.05 * length_px(hand)
        shown = registered_mask(replace(hand, mask=disc))
        assert shown.shape == (HEIGHT, WIDTH)
        down, across = np.mgrid[:HEIGHT, :WIDTH]
        found = np.array([(across * shown).sum(), (down * shown).sum()]) / shown.sum()
        units = np.array([FRAME_WIDTH / WIDTH, FRAME_HEIGHT / HEIGHT])
        assert found == pytest.approx((np.array([frame_x, frame_y]) + 0.5) / units - 0.5, abs=0.1)


def test_the_registered_mask_is_the_same_however_the_hand_lies(drawn: PhantomHand) -> None:
    hand = as_marked(drawn)
    upright = registered_mask(hand)
    assert 0.2 < upright.mean() < 0.8
    for other in (turned(hand), mirrored(hand), turned(turned(mirrored(hand)))):
        assert np.abs(registered_mask(other) - upright).mean() < 0.005


def test_a_hand_well_inside_the_image_is_not_cut_off(drawn: PhantomHand) -> None:
    hand = as_marked(drawn)
    inside = FoundHand(np.pad(hand.image, 5), np.pad(hand.mask, 5), hand.points_px + np.float32(5), 1.0)
    assert cut_off_share(inside) == 0


def test_a_forearm_that_leaves_the_image_does_not_count_as_cut_off(drawn: PhantomHand) -> None:
    assert drawn.mask[-1].any()
    assert cut_off_share(as_marked(drawn)) == 0
    assert cut_off_share(turned(as_marked(drawn))) == 0


def test_the_border_across_fingers_or_thumb_counts_in_lengths_of_the_hand(drawn: PhantomHand) -> None:
    hand = as_marked(drawn)
    no_fingertips = cropped(hand, top=row_through_fingers(drawn))
    across_fingers = no_fingertips.mask[0].sum() / length_px(hand)
    assert across_fingers > 0.2
    for view in (no_fingertips, turned(no_fingertips), mirrored(no_fingertips)):
        assert cut_off_share(view) == pytest.approx(across_fingers)

    left_handed = mirrored(hand)
    no_thumb = cropped(left_handed, left=round(float(left_handed.points_px[1, 0])) + 30)
    beyond_wrist = no_thumb.mask[: int(no_thumb.points_px[2, 1]) - 5, 0].sum() / length_px(hand)
    assert beyond_wrist > 0.05
    assert cut_off_share(no_thumb) == pytest.approx(beyond_wrist, abs=0.05)


def test_the_second_component_is_told_as_a_share_of_the_largest() -> None:
    pixels = np.zeros((60, 60), dtype=np.bool_)
    assert second_component_share(pixels) == 0
    pixels[30:50, 10:30] = True
    assert second_component_share(pixels) == 0
    pixels[2:12, 2:12] = True
    pixels[20, 50:55] = True
    assert second_component_share(pixels) == pytest.approx(100 / 400)


@pytest.mark.parametrize("larger", [1, 3])
def test_a_good_hand_passes_the_checks_on_shape(finder: HandFinder, larger: int) -> None:
    hand = draw_hand(96, Sex.FEMALE, seed=5, height_px=400)

    found = finder.find(hand.pixels.repeat(larger, axis=0).repeat(larger, axis=1))

    truth = (key_points(hand) + 0.5) * larger - 0.5
    error = np.linalg.norm(found.in_radiograph(found.points_px) - truth, axis=1)
    assert error.max() < 0.05 * larger * length_px(as_marked(hand))


@pytest.mark.parametrize("second_is_mirrored", [True, False])
def test_two_hands_side_by_side_are_refused_as_several(
    finder: HandFinder, drawn: PhantomHand, second_is_mirrored: bool
) -> None:
    second = drawn.pixels[:, ::-1] if second_is_mirrored else drawn.pixels
    both = np.concatenate([second, drawn.pixels], axis=1)

    with pytest.raises(Refusal) as caught:
        finder.find(both)

    assert caught.value.code is ReasonCode.SEVERAL_HANDS


def test_two_hands_that_touch_are_refused_as_several(finder: HandFinder, drawn: PhantomHand) -> None:
    """Thumb to thumb, they are one component, of which one hand lies beyond the frame."""
    last = np.flatnonzero(drawn.mask.any(axis=0))[-1] - 3
    pixels = drawn.pixels[:, :last]
    both = np.concatenate([pixels, pixels[:, ::-1]], axis=1)

    with pytest.raises(Refusal) as caught:
        finder.find(both)

    assert caught.value.code is ReasonCode.SEVERAL_HANDS


def test_what_lies_beside_the_frame_is_told_as_a_share_of_the_hand(drawn: PhantomHand) -> None:
    hand = as_marked(drawn)
    assert beyond_frame_share(hand) < 0.03
    doubled = np.concatenate([drawn.mask, drawn.mask], axis=1)
    forearm = hand.placement.from_image(np.argwhere(drawn.mask)[:, ::-1])[:, 1] >= FRAME_HEIGHT
    assert forearm.any()
    assert beyond_frame_share(replace(hand, mask=doubled)) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize(("age_months", "sex", "seed"), [(120, Sex.MALE, 4), (60, Sex.MALE, 1)])
def test_a_hand_cropped_through_the_fingers_is_implausible(
    finder: HandFinder, age_months: float, sex: Sex, seed: int
) -> None:
    hand = draw_hand(age_months, sex, seed=seed, height_px=512)

    with pytest.raises(Refusal) as caught:
        finder.find(hand.pixels[row_through_fingers(hand) :])

    assert caught.value.code is ReasonCode.IMPLAUSIBLE_HAND


@pytest.mark.parametrize(
    ("share", "code"), [(0.4, ReasonCode.NO_HAND_FOUND), (0.7, ReasonCode.IMPLAUSIBLE_HAND)]
)
def test_the_upper_part_of_a_hand_is_refused(
    finder: HandFinder, drawn: PhantomHand, share: float, code: ReasonCode
) -> None:
    tip, _, capitate = key_points(drawn)

    with pytest.raises(Refusal) as caught:
        finder.find(drawn.pixels[: int(tip[1] + share * (capitate[1] - tip[1]))])

    assert caught.value.code is code


def test_a_hand_of_unusual_shape_is_implausible(finder: HandFinder, drawn: PhantomHand) -> None:
    strict = replace(finder, limits=LIMITS.model_copy(update={"overlap": 0.99}))

    with pytest.raises(Refusal) as caught:
        strict.find(drawn.pixels)

    assert caught.value.code is ReasonCode.IMPLAUSIBLE_HAND
    assert "usual hand" in caught.value.detail


def test_each_limit_alone_decides_on_its_own_check(finder: HandFinder, drawn: PhantomHand) -> None:
    both = np.concatenate([drawn.pixels[:, ::-1], drawn.pixels], axis=1)
    cut = drawn.pixels[row_through_fingers(drawn) :]
    for pixels, field in ((both, "second_component"), (cut, "cut_off")):
        replace(finder, limits=LOOSE).find(pixels)
        only = LOOSE.model_copy(update={field: getattr(LIMITS, field)})
        with pytest.raises(Refusal):
            replace(finder, limits=only).find(pixels)


def test_without_a_usual_hand_shape_is_not_checked(finder: HandFinder, drawn: PhantomHand) -> None:
    both = np.concatenate([drawn.pixels[:, ::-1], drawn.pixels], axis=1)
    assert replace(finder, usual=None).find(both).mask.any()
