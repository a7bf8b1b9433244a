"""Checks on the shape of the hand that was found, with limits of our own and the shipped hand finding."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from boneage_node.bone_age import ReasonCode, Refusal, Sex, finding
from boneage_node.bone_age.cropping import FoundHand
from boneage_node.bone_age.finding import HandFinder, exposed_box
from boneage_node.bone_age.manifest import Missing, Plausibility
from boneage_node.bone_age.predictor import Predictor
from boneage_node.bone_age.registration import CAPITATE_AT, FRAME_HEIGHT, FRAME_WIDTH, POINT_NAMES, TIP_AT
from boneage_node.bone_age.segmentation import Segmented, segment
from boneage_node.bone_age.shape import (
    HEIGHT,
    WIDTH,
    UsualHand,
    beyond_frame_share,
    fingers_apart,
    fingers_at_border,
    registered_mask,
    second_component_share,
)
from boneage_node.phantom import PhantomHand, draw_hand

LIMITS = Plausibility(overlap=0.5, second_component=0.3, spread_months=240, usual_spread_months=240)
LOOSE = Plausibility(
    overlap=0,
    second_component=1,
    missing=Missing(fingers=1, palm=1, wrist=1),
    fingers_at_border=5,
    spread_months=240,
    usual_spread_months=240,
)


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


def tight(hand: PhantomHand, margin: float, of: str = "pixels") -> np.ndarray:
    """The picture cropped to the hand beyond the wrist, with a margin in lengths of the hand."""
    beyond_wrist = hand.mask[: round(hand.key_points_px["capitate"][1])]
    rows, columns = (np.flatnonzero(beyond_wrist.any(axis=axis)) for axis in (1, 0))
    room = round(margin * length_px(as_marked(hand)))
    left = max(0, columns[0] - room)
    return np.ascontiguousarray(getattr(hand, of)[max(0, rows[0] - room) :, left : columns[-1] + room + 1])


def mask_overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


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


def test_of_a_whole_hand_nothing_is_missing_and_no_finger_is_at_the_border(
    finder: HandFinder, drawn: PhantomHand
) -> None:
    assert drawn.mask[-1].any(), "the forearm leaves the image"
    assert finder.usual is not None
    for view in (as_marked(drawn), turned(as_marked(drawn)), mirrored(as_marked(drawn))):
        assert max(finder.usual.missing(view).values()) < 0.05
        assert fingers_at_border(view) == 0
        assert fingers_apart(view) == 4


def test_fingers_at_the_border_are_counted_however_the_hand_lies(drawn: PhantomHand) -> None:
    no_fingertips = cropped(as_marked(drawn), top=row_through_fingers(drawn))
    for view in (no_fingertips, turned(no_fingertips), mirrored(no_fingertips)):
        assert fingers_at_border(view) >= 3


def test_what_the_border_cuts_off_is_told_by_part(finder: HandFinder, drawn: PhantomHand) -> None:
    hand = as_marked(drawn)
    assert finder.usual is not None
    capitate = round(float(hand.points_px[2, 1]))
    no_wrist = FoundHand(hand.image[:capitate], hand.mask[:capitate], hand.points_px, 1.0)
    shares = finder.usual.missing(no_wrist)
    assert shares["wrist"] > 0.4
    assert max(shares["fingers"], shares["palm"]) < 0.05
    assert finder.usual.overlap(no_wrist) > 0.7, "what is beyond the image is not held against it"

    no_thumb = cropped(mirrored(hand), left=round(float(mirrored(hand).points_px[1, 0])) + 60)
    assert finder.usual.missing(no_thumb)["palm"] > 0.05


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
    assert re.fullmatch(r"the smaller has (9\d|100)% of the larger one's size", caught.value.detail)


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


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("margin", [0.0, 0.01])
def test_a_hand_whose_fingertips_and_sides_touch_the_border_is_found(
    finder: HandFinder, seed: int, margin: float
) -> None:
    hand = draw_hand(60 + 50 * seed, Sex.MALE, seed=seed, height_px=512)

    found = finder.find(tight(hand, margin))

    assert mask_overlap(found.mask, tight(hand, margin, of="mask")) > 0.85


@pytest.mark.parametrize("seed", range(2))
def test_a_wrist_that_is_cut_short_is_refused_with_how_much_is_missing(finder: HandFinder, seed: int) -> None:
    hand = draw_hand(90 + 50 * seed, Sex.FEMALE, seed=seed, height_px=512)
    below_capitate = round(hand.key_points_px["capitate"][1] + 0.07 * length_px(as_marked(hand)))

    with pytest.raises(Refusal) as caught:
        finder.find(hand.pixels[:below_capitate])

    assert re.fullmatch(r"the image's border cuts off [23]\d% of the wrist", caught.value.detail)


@pytest.mark.parametrize("grey", [0.0, 0.6, 1.0])
def test_a_small_hand_in_a_wide_even_frame_is_found(finder: HandFinder, grey: float) -> None:
    hand = draw_hand(20, Sex.FEMALE, seed=3, height_px=300)
    framed = np.pad(hand.pixels, ((220, 220), (300, 300)), constant_values=grey)
    box = exposed_box(framed)
    assert box is not None
    rows, columns = box
    assert (rows.start, columns.start) == (pytest.approx(220, abs=25), pytest.approx(300, abs=25))

    found = finder.find(framed)

    assert found.image.shape == framed.shape
    assert np.linalg.norm(found.points_px - key_points(hand) - [300, 220], axis=1).max() < 0.08 * length_px(
        as_marked(hand)
    )


def test_an_image_without_even_borders_is_looked_at_once(drawn: PhantomHand) -> None:
    assert exposed_box(drawn.pixels) is None
    assert exposed_box(np.zeros((100, 100), np.float32)) is None


def test_a_second_thing_that_is_no_hand_is_no_second_hand(
    finder: HandFinder, drawn: PhantomHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network takes for hand what is none, in a corner: of a third of the hand and more."""

    def with_corner(*given: Any) -> Segmented:
        found = segment(*given)
        corner = found.hand_pixels.copy()
        corner[: 4 * corner.shape[0] // 9, : corner.shape[1] // 6] = True
        return Segmented(found.mask, corner)

    monkeypatch.setattr(finding, "segment", with_corner)
    room = np.pad(drawn.pixels, ((0, 0), (200, 0)), mode="edge")
    seen = with_corner(finder.segmentation, room, finder.device)
    assert second_component_share(seen.hand_pixels) > 0.3

    assert mask_overlap(finder.find(room).mask, np.pad(drawn.mask, ((0, 0), (200, 0)))) > 0.85


@pytest.mark.parametrize(("age_months", "sex", "seed"), [(120, Sex.MALE, 4), (60, Sex.MALE, 1)])
def test_a_hand_cropped_through_the_fingers_is_implausible(
    finder: HandFinder, age_months: float, sex: Sex, seed: int
) -> None:
    hand = draw_hand(age_months, sex, seed=seed, height_px=512)

    with pytest.raises(Refusal) as caught:
        finder.find(hand.pixels[row_through_fingers(hand) :])

    assert caught.value.code is ReasonCode.IMPLAUSIBLE_HAND
    assert re.fullmatch(r"the image's border cuts through \d fingers", caught.value.detail)


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
    no_fingertips = drawn.pixels[row_through_fingers(drawn) :]
    no_wrist = drawn.pixels[: round(drawn.key_points_px["capitate"][1]) + 20]
    cases = ((both, "second_component"), (no_fingertips, "fingers_at_border"), (no_wrist, "missing"))
    for pixels, field in cases:
        replace(finder, limits=LOOSE).find(pixels)
        only = LOOSE.model_copy(update={field: getattr(LIMITS, field)})
        with pytest.raises(Refusal):
            replace(finder, limits=only).find(pixels)


def test_without_a_usual_hand_shape_is_not_checked(finder: HandFinder, drawn: PhantomHand) -> None:
    both = np.concatenate([drawn.pixels[:, ::-1], drawn.pixels], axis=1)
    assert replace(finder, usual=None).find(both).mask.any()
