from __future__ import annotations

import numpy as np
import pytest
import torch

from boneage_node.bone_age import Refusal, Sex, model_zoo
from boneage_node.bone_age.finding import bone_is_dark
from boneage_node.bone_age.predictor import Predictor
from boneage_node.bone_age.registration import CAPITATE_AT, TIP_AT, Placement, expected_points
from boneage_node.phantom.hand import PhantomHand, draw_hand


@pytest.fixture(scope="module")
def shipped() -> Predictor:
    return Predictor.load(model_zoo.model_dir(), "cpu")


@pytest.fixture(scope="module")
def phantom() -> PhantomHand:
    return draw_hand(110, Sex.FEMALE, seed=3, height_px=512)


def truth_px(hand: PhantomHand) -> np.ndarray:
    return np.array([hand.key_points_px[name] for name in ("middle_tip", "thumb_tip", "capitate")])


def errors(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return np.linalg.norm(found - truth, axis=1) / np.linalg.norm(truth[0] - truth[2])


POINTS = np.array([[60.0, 20.0], [95.0, 70.0], [55.0, 110.0]], dtype=np.float32)


def test_the_frame_holds_tip_and_capitate_at_their_places_and_the_thumb_on_the_right() -> None:
    placement = Placement.of_points(POINTS)

    frame = placement.from_image(POINTS)

    np.testing.assert_allclose(frame[0], TIP_AT, atol=1e-3)
    np.testing.assert_allclose(frame[2], CAPITATE_AT, atol=1e-3)
    assert frame[1, 0] > CAPITATE_AT[0]
    assert not placement.mirrored
    np.testing.assert_allclose(placement.to_image(frame), POINTS, atol=1e-3)


def test_a_mirrored_hand_has_the_same_place_in_the_frame() -> None:
    mirrored = POINTS * [-1, 1] + [150, 0]

    left, right = Placement.of_points(POINTS), Placement.of_points(mirrored.astype(np.float32))

    assert right.mirrored
    np.testing.assert_allclose(left.from_image(POINTS), right.from_image(mirrored), atol=1e-3)


def test_a_region_shows_what_lies_there() -> None:
    image = np.zeros((140, 140), dtype=np.float32)
    x, y = POINTS[2]
    image[int(y) - 3 : int(y) + 4, int(x) - 3 : int(x) + 4] = 1
    about_capitate = Placement.of_points(POINTS).region(650, 1450, 300, 300, 30, 30)

    cut = about_capitate.cut(image, 30, 30)

    rows, columns = np.nonzero(cut > 0.5)
    assert rows.mean() == pytest.approx(14.5, abs=1)
    assert columns.mean() == pytest.approx(14.5, abs=1)


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
    shipped: Predictor, phantom: PhantomHand, turn: int, flip: bool
) -> None:
    pixels = np.rot90(phantom.pixels[:, ::-1] if flip else phantom.pixels, turn)
    marks = [np.zeros_like(phantom.mask) for _ in range(3)]
    for mark, (x, y) in zip(marks, truth_px(phantom), strict=True):
        mark[round(y), round(x)] = True
    moved = [np.rot90(mark[:, ::-1] if flip else mark, turn) for mark in marks]
    truth = np.array([np.argwhere(mark)[0][::-1] for mark in moved])

    hand = shipped.finder.find(np.ascontiguousarray(pixels))

    found = hand.in_radiograph(hand.points_px)
    assert errors(found, truth).max() < 0.08


def test_inverted_grey_values_make_no_difference_to_what_is_found(
    shipped: Predictor, phantom: PhantomHand
) -> None:
    proper = shipped.finder.find(phantom.pixels)
    inverted = shipped.finder.find(1 - phantom.pixels)

    assert (proper.mask & inverted.mask).sum() / (proper.mask | inverted.mask).sum() > 0.9
    assert errors(inverted.points_px, proper.points_px).max() < 0.05
    assert not bone_is_dark(inverted.image, inverted.mask)


def test_the_upper_half_of_a_hand_is_refused(shipped: Predictor, phantom: PhantomHand) -> None:
    tip, _, capitate = truth_px(phantom)
    fingers = phantom.pixels[: int((tip[1] + capitate[1]) / 2)]
    with pytest.raises(Refusal):
        shipped.finder.find(fingers)


def test_the_lower_half_of_a_hand_is_refused(shipped: Predictor, phantom: PhantomHand) -> None:
    tip, _, capitate = truth_px(phantom)
    palm = phantom.pixels[int((tip[1] + capitate[1]) / 2) :]
    with pytest.raises(Refusal):
        shipped.finder.find(palm)


def test_two_hands_in_one_image_are_refused(shipped: Predictor, phantom: PhantomHand) -> None:
    both = np.concatenate([phantom.pixels[:, ::-1], phantom.pixels], axis=1)
    with pytest.raises(Refusal):
        shipped.finder.find(both)


@pytest.mark.parametrize("name", ["black", "grey", "noise", "gradient", "disc"])
def test_what_is_no_hand_is_refused(shipped: Predictor, name: str) -> None:
    y, x = np.mgrid[0:400, 0:320].astype(np.float32)
    images = {
        "black": np.zeros_like(x),
        "grey": np.full_like(x, 0.5),
        "noise": np.random.default_rng(0).random(x.shape, dtype=np.float32),
        "gradient": x / 320,
        "disc": (np.hypot(x - 160, y - 200) < 120).astype(np.float32),
    }
    with pytest.raises(Refusal):
        shipped.finder.find(images[name])
