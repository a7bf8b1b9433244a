from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.transform import rotate
from support.blobs import blob, centre

from boneage_node.bone_age import Refusal, Sex
from boneage_node.bone_age.finding import bone_is_dark
from boneage_node.bone_age.predictor import Predictor
from boneage_node.bone_age.registration import CAPITATE_AT, SIDE_PX, TIP_AT, Placement, expected_points
from boneage_node.phantom.hand import PhantomHand, draw_hand


@pytest.fixture(scope="module")
def phantom() -> PhantomHand:
    return draw_hand(110, Sex.FEMALE, seed=3, height_px=512)


def truth_px(hand: PhantomHand) -> np.ndarray:
    return np.array([hand.key_points_px[name] for name in ("middle_tip", "thumb_tip", "capitate")])


def errors(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return np.linalg.norm(found - truth, axis=1) / np.linalg.norm(truth[0] - truth[2])


POINTS = np.array([[60.0, 20.0], [95.0, 70.0], [55.0, 110.0]], dtype=np.float32)


def mirrors(placement: Placement) -> bool:
    """As for a right hand, shown as it lies on the detector."""
    return float(np.linalg.det(placement.matrix[:, :2])) < 0


def test_the_frame_holds_tip_and_capitate_at_their_places_and_the_thumb_on_the_right() -> None:
    placement = Placement.of_points(POINTS)

    frame = placement.from_image(POINTS)

    np.testing.assert_allclose(frame[0], TIP_AT, atol=1e-3)
    np.testing.assert_allclose(frame[2], CAPITATE_AT, atol=1e-3)
    assert frame[1, 0] > CAPITATE_AT[0]
    assert not mirrors(placement)
    np.testing.assert_allclose(placement.to_image(frame), POINTS, atol=1e-3)


def test_a_mirrored_hand_has_the_same_place_in_the_frame() -> None:
    mirrored = POINTS * [-1, 1] + [150, 0]

    left, right = Placement.of_points(POINTS), Placement.of_points(mirrored.astype(np.float32))

    assert mirrors(right)
    np.testing.assert_allclose(left.from_image(POINTS), right.from_image(mirrored), atol=1e-3)


@pytest.mark.parametrize(("larger", "units"), [(1, 20), (4, 20), (9, 20), (9, 2)])
@pytest.mark.parametrize("mirror", [False, True])
def test_a_region_shows_what_lies_there(larger: int, units: float, mirror: bool) -> None:
    points = POINTS * np.float32(larger) + np.float32([0.3, 0.4])
    if mirror:
        points = points * np.float32([-1, 1]) + np.float32([150 * larger, 0])
    x, y = points[2]
    step_px = np.linalg.norm(points[0] - points[2]) / 1500 * units
    corner = CAPITATE_AT - np.array([15, 12]) * units
    about_capitate = Placement.of_points(points).region(*corner, 30 * units, 25 * units, 30, 25)

    cut = about_capitate.cut(blob((150 * larger, 150 * larger), x, y, 2 * step_px), 25, 30)

    # Centres are at integers: the first of the region's pixels begins half a unit before its corner.
    np.testing.assert_allclose(centre(cut), (CAPITATE_AT + 0.5 - corner) / units - 0.5, atol=0.1)


@pytest.mark.parametrize("turn_degrees", [0, 90, 215])
@pytest.mark.parametrize("offset", [(0, 0), (20, -30)])
def test_a_turned_square_shows_its_box_turned(turn_degrees: float, offset: tuple[float, float]) -> None:
    box_centre, side_px, middle = np.array([151.3, 140.6]), 200, (SIDE_PX - 1) / 2
    turned = complex(*offset) * np.exp(1j * np.radians(turn_degrees)) * side_px / SIDE_PX
    x, y = box_centre[0] + turned.real, box_centre[1] + turned.imag

    cut = Placement.of_box(box_centre, side_px, turn_degrees).cut(blob((300, 300), x, y, 6), SIDE_PX, SIDE_PX)

    np.testing.assert_allclose(centre(cut), np.add(offset, middle), atol=0.1)


def test_expected_points_are_the_middle_of_what_is_hot() -> None:
    heat = torch.full((1, 3, 8, 8), -30.0)
    heat[0, 0, 2, 5] = heat[0, 1, 0, 0] = heat[0, 2, 7, 1] = 30.0

    points, spread = expected_points(heat)

    expected = torch.tensor([[5.5, 2.5], [0.5, 0.5], [1.5, 7.5]]) / 8
    torch.testing.assert_close(points[0], expected, atol=1e-4, rtol=0)
    assert float(spread.max()) < 0.01


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
@pytest.mark.parametrize("flip", [False, True])
def test_key_points_of_a_drawn_hand_are_found_however_it_lies(
    predictor: Predictor, phantom: PhantomHand, turn: int, flip: bool
) -> None:
    pixels = np.rot90(phantom.pixels[:, ::-1] if flip else phantom.pixels, turn)
    marks = [np.zeros_like(phantom.mask) for _ in range(3)]
    for mark, (x, y) in zip(marks, truth_px(phantom), strict=True):
        mark[round(y), round(x)] = True
    moved = [np.rot90(mark[:, ::-1] if flip else mark, turn) for mark in marks]
    truth = np.array([np.argwhere(mark)[0][::-1] for mark in moved])

    hand = predictor.finder.find(np.ascontiguousarray(pixels))

    found = hand.in_radiograph(hand.points_px)
    assert errors(found, truth).max() < 0.08


@pytest.mark.parametrize("degrees", [20, 75, 140, 200, 310])
@pytest.mark.parametrize("flip", [False, True])
def test_key_points_of_a_drawn_hand_are_found_at_any_angle(
    predictor: Predictor, phantom: PhantomHand, degrees: float, flip: bool
) -> None:
    pixels, truth = phantom.pixels, truth_px(phantom)
    if flip:
        pixels, truth = pixels[:, ::-1], truth * [-1, 1] + [pixels.shape[1] - 1, 0]
    turned = rotate(pixels, degrees, resize=True, order=1).astype(np.float32)

    hand = predictor.finder.find(turned)

    assert (
        errors(hand.in_radiograph(hand.points_px), turned_points(truth, degrees, pixels, turned)).max() < 0.05
    )


def turned_points(points: np.ndarray, degrees: float, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Where points lie once the image about them was turned counter-clockwise about its middle."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    middles = [(np.array(image.shape[::-1]) - 1) / 2 for image in (before, after)]
    return (points - middles[0]) @ turn.T + middles[1]


def test_inverted_grey_values_make_no_difference_to_what_is_found(
    predictor: Predictor, phantom: PhantomHand
) -> None:
    proper = predictor.finder.find(phantom.pixels)
    inverted = predictor.finder.find(1 - phantom.pixels)

    assert (proper.mask & inverted.mask).sum() / (proper.mask | inverted.mask).sum() > 0.9
    assert errors(inverted.points_px, proper.points_px).max() < 0.05
    assert not bone_is_dark(inverted.image, inverted.mask)


def test_the_upper_half_of_a_hand_is_refused(predictor: Predictor, phantom: PhantomHand) -> None:
    tip, _, capitate = truth_px(phantom)
    fingers = phantom.pixels[: int((tip[1] + capitate[1]) / 2)]
    with pytest.raises(Refusal):
        predictor.finder.find(fingers)


def test_the_lower_half_of_a_hand_is_refused(predictor: Predictor, phantom: PhantomHand) -> None:
    tip, _, capitate = truth_px(phantom)
    palm = phantom.pixels[int((tip[1] + capitate[1]) / 2) :]
    with pytest.raises(Refusal):
        predictor.finder.find(palm)


def test_two_hands_in_one_image_are_refused(predictor: Predictor, phantom: PhantomHand) -> None:
    both = np.concatenate([phantom.pixels[:, ::-1], phantom.pixels], axis=1)
    with pytest.raises(Refusal):
        predictor.finder.find(both)


@pytest.mark.parametrize("name", ["black", "grey", "noise", "gradient", "disc"])
def test_what_is_no_hand_is_refused(predictor: Predictor, name: str) -> None:
    y, x = np.mgrid[0:400, 0:320].astype(np.float32)
    images = {
        "black": np.zeros_like(x),
        "grey": np.full_like(x, 0.5),
        "noise": np.random.default_rng(0).random(x.shape, dtype=np.float32),
        "gradient": x / 320,
        "disc": (np.hypot(x - 160, y - 200) < 120).astype(np.float32),
    }
    with pytest.raises(Refusal):
        predictor.finder.find(images[name])
