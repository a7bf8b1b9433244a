"""Points and picture move together, from the radiograph to the square and under augmentation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.fit import assert_goes_on_to_the_same_weights

from boneage_node.bone_age import Sex
from boneage_node.bone_age.networks import HandUNet, KeyPointVgg
from boneage_node.bone_age.registration import POINT_NAMES, SIDE_PX
from boneage_node.datasets.annotations import KeyPoints
from boneage_node.datasets.rsna import Example
from boneage_node.phantom import PhantomHand, draw_hand
from boneage_node.training.fitting import Fit
from boneage_node.training.registration import (
    SQUARE_PX,
    RegistrationRecipe,
    RegistrationTask,
    Squares,
    cut_squares,
)


def blobs(height: int, width: int, places_px: np.ndarray, sigma_px: float) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    each = [np.exp(-0.5 * ((columns - x) ** 2 + (rows - y) ** 2) / sigma_px**2) for x, y in places_px]
    return np.max(each, axis=0)


def nearest_blob(image: np.ndarray, place_px: np.ndarray, reach_px: int) -> np.ndarray:
    """Centre (x, y) of what is brighter than half within reach of a place."""
    left, top = np.maximum(np.round(place_px).astype(int) - reach_px, 0)
    seen = image[top : top + 2 * reach_px + 1, left : left + 2 * reach_px + 1]
    assert seen.max() - np.median(seen) > 0.3, "there is no blob"
    bright = np.clip(seen - (np.median(seen) + seen.max()) / 2, 0, None)
    rows, columns = np.nonzero(bright)
    weights = bright[rows, columns]
    return np.array([left + columns @ weights / weights.sum(), top + rows @ weights / weights.sum()])


def squares_with_blobs(count: int) -> Squares:
    """Three bright blobs each, at places of their own; every other square marked by a person."""
    numbers = np.random.default_rng(2)
    centres = SQUARE_PX / 2 + np.array([[0, -43], [34, 8], [0, 43]])
    places = centres + numbers.uniform(-6, 6, (count, 3, 2))
    grey = np.stack([blobs(SQUARE_PX, SQUARE_PX, three, 4.0) for three in places])
    planes = np.stack([grey * 255, np.full_like(grey, 255)], axis=1)
    return Squares(
        torch.from_numpy(planes.round().astype(np.uint8)),
        torch.from_numpy((2 * (places + 0.5) / SQUARE_PX - 1).astype(np.float32)),
        torch.arange(count) % 2 == 0,
    )


def batch(images: int, near_share: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Private, because the loss alone would not tell a point that is off by a pixel."""
    recipe = RegistrationRecipe(near_share=near_share)
    task = RegistrationTask(squares_with_blobs(8), [], HandUNet(), recipe, torch.device("cpu"))
    return task._batch(images, torch.Generator().manual_seed(4))


@pytest.mark.parametrize("near_share", [0.0, 1.0])
def test_points_stay_where_the_picture_shows_them_under_augmentation(near_share: float) -> None:
    planes, points = batch(40, near_share)

    assert planes.shape == (40, 2, SIDE_PX, SIDE_PX)
    assert points.shape == (40, 3, 2)
    places = points.numpy() * SIDE_PX - 0.5
    whole = (places > 9).all(axis=2) & (places < SIDE_PX - 10).all(axis=2)
    errors = [
        np.linalg.norm(nearest_blob(planes[k, 0].numpy(), places[k, point], 8) - places[k, point])
        for k, point in np.argwhere(whole)
    ]
    assert len(errors) > 60
    assert max(errors) < 0.5
    assert np.median(errors) < 0.1


def test_augmentation_turns_and_mirrors_as_the_recipe_says() -> None:
    for near_share, upright in ((0.0, False), (1.0, True)):
        _, points = batch(40, near_share)
        tip, thumb, capitate = points.unbind(dim=1)
        assert bool((tip[:, 1] < capitate[:, 1]).all()) is upright
        down, out = capitate - tip, thumb - capitate
        mirrored = float((down[:, 1] * out[:, 0] - down[:, 0] * out[:, 1] < 0).float().mean())
        assert 0.25 < mirrored < 0.75


def fit(folder: Path) -> Fit[KeyPointVgg]:
    recipe = RegistrationRecipe(steps=3, batch=2, widths=(4, 4, 8, 8, 8))
    torch.manual_seed(recipe.seed)
    task = RegistrationTask(squares_with_blobs(8), [], HandUNet(), recipe, torch.device("cpu"))
    return Fit(KeyPointVgg(recipe.widths), task, recipe, folder, torch.device("cpu"))


def test_interrupted_key_points_go_on_to_the_same_weights(tmp_path: Path) -> None:
    assert_goes_on_to_the_same_weights(fit, tmp_path, every=2, stop_at=2)


@pytest.fixture(scope="module")
def drawn() -> PhantomHand:
    return draw_hand(96, Sex.FEMALE, seed=5, height_px=500)


@pytest.mark.parametrize("lies", ["as drawn", "mirrored", "on its side", "large"])
def test_squares_show_the_key_points_of_a_hand_where_they_are_said_to_be(
    drawn: PhantomHand, tmp_path: Path, lies: str
) -> None:
    pixels, places = dotted(drawn)
    if lies == "mirrored":
        pixels, places = pixels[:, ::-1], places * [-1, 1] + [pixels.shape[1] - 1, 0]
    if lies == "on its side":
        pixels, places = (
            np.rot90(pixels),
            np.stack([places[:, 1], pixels.shape[1] - 1 - places[:, 0]], axis=1),
        )
    if lies == "large":
        pixels, places = pixels.repeat(3, axis=0).repeat(3, axis=1), (places + 0.5) * 3 - 0.5
    marked = [written(tmp_path / "1.png", pixels, places, manual) for manual in (True, False)]
    counted: list[int] = []

    squares = cut_squares(marked, 1, counted.append)

    assert counted == [1, 2]
    assert squares.manual.tolist() == [True, False]
    assert squares.pixels.shape == (2, 2, SQUARE_PX, SQUARE_PX)
    said = (squares.points[0].numpy() + 1) / 2 * SQUARE_PX - 0.5
    shown = squares.pixels[0, 0].numpy() / 255
    for place in said:
        assert nearest_blob(shown, place, 5) == pytest.approx(place, abs=0.1)


def test_a_square_shows_the_hand_upright_in_its_middle_and_where_the_image_ends(
    drawn: PhantomHand, tmp_path: Path
) -> None:
    pixels, places = dotted(drawn)
    turned = np.rot90(pixels, 2), np.array(pixels.shape[::-1]) - 1 - places
    marked = [
        written(tmp_path / "as-drawn.png", pixels, places, True),
        written(tmp_path / "turned.png", *turned, True),
    ]

    squares = cut_squares(marked, 1, lambda _: None)

    for tip, thumb, capitate in squares.points.numpy():
        assert tip + capitate == pytest.approx([0, 0], abs=0.01)
        assert tip[0] == pytest.approx(capitate[0], abs=0.01)
        assert tip[1] < capitate[1]
        assert thumb[0] > 0.05
    inside = squares.pixels[:, 1].numpy()
    assert (inside[:, SQUARE_PX // 2, SQUARE_PX // 2] == 255).all()
    assert (inside[:, [0, 0, -1, -1], [0, -1, 0, -1]] == 0).all()
    assert (squares.pixels[:, 0].numpy()[inside == 0] == 0).all()


def dotted(hand: PhantomHand) -> tuple[np.ndarray, np.ndarray]:
    """A dim picture of a hand with a bright dot on each key point, and where those are."""
    places = np.array([hand.key_points_px[name] for name in POINT_NAMES])
    height, width = hand.pixels.shape
    return np.maximum(0.3 * hand.pixels, blobs(height, width, places, 6.0)), places


def written(path: Path, pixels: np.ndarray, places_px: np.ndarray, manual: bool) -> KeyPoints:
    """A radiograph on disk, marked at places whose pixel centres are at integers."""
    Image.fromarray((pixels * 255).round().astype(np.uint8)).save(path)
    shares = ((places_px + 0.5) / pixels.shape[::-1]).astype(np.float32)
    return KeyPoints(Example(path.stem, path, 96.0, Sex.FEMALE, "train", None), shares, manual)
