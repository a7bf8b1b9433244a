from __future__ import annotations

import numpy as np
import pytest
from support.blobs import blob, centre

from boneage_node.bone_age.framing import Frame, equalise, sample, working_image


def affine(step_px: float, turn_degrees: float, mirror: bool, origin: tuple[float, float]) -> np.ndarray:
    """From a raster to an image: ``step_px`` image pixels a raster pixel, raster (0, 0) at ``origin``."""
    angle = np.radians(turn_degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = step_px * turn @ np.diag([-1.0 if mirror else 1.0, 1.0])
    return np.column_stack([linear, origin])


@pytest.mark.parametrize("shape", [(90, 120), (250, 170), (1000, 700), (2311, 1850)])
def test_a_frame_shows_a_point_where_scaling_about_its_corner_puts_it(shape: tuple[int, int]) -> None:
    place = np.array([shape[1] * 0.6 + 0.3, shape[0] * 0.4 - 0.2])
    frame = Frame.around((0, 0, shape[1], shape[0]), 96, 80)
    image = blob(shape, *place, sigma_px=3 / frame.scale)

    found = centre(frame.cut(image))

    # From the corner of pixel (0, 0) to a pixel's centre is half a pixel, in the image and in the raster.
    corner = np.array([frame.left_px, frame.top_px])
    assert found == pytest.approx((place + 0.5 - corner) * frame.scale - 0.5, abs=0.1)


@pytest.mark.parametrize("side_px", [60.0, 300.0, 850.0])
def test_a_frame_is_centred_on_its_box_wherever_that_lies(side_px: float) -> None:
    x, y = 431.25, 377.6
    box = (x + 0.5 - side_px / 2, y + 0.5 - side_px / 4, x + 0.5 + side_px / 2, y + 0.5 + side_px / 4)
    frame = Frame.around(box, 48, 64)

    found = centre(frame.cut(blob((800, 900), x, y, sigma_px=2 / frame.scale)))

    assert found == pytest.approx([31.5, 23.5], abs=0.1)


@pytest.mark.parametrize(
    ("step_px", "turn_degrees", "mirror"),
    [(0.4, 0, False), (0.7, 65, True), (1, 200, False), (1.9, 310, True), (2.6, 20, False), (7.3, 140, True)],
)
def test_a_sampled_raster_shows_a_point_where_the_map_says(
    step_px: float, turn_degrees: float, mirror: bool
) -> None:
    matrix = affine(step_px, turn_degrees, mirror, (0, 0))
    place, wanted = np.array([402.3, 391.8]), np.array([35.2, 27.7])
    matrix[:, 2] = place - matrix[:, :2] @ wanted

    raster = sample(blob((797, 811), *place, sigma_px=3 * step_px), matrix, 64, 72)

    assert raster.shape == (64, 72)
    assert centre(raster) == pytest.approx(wanted, abs=0.1)


@pytest.mark.parametrize("step_px", [0.5, 3.5])
def test_a_sampled_raster_is_zero_beyond_the_image(step_px: float) -> None:
    image = np.ones((60, 60), dtype=np.float32)
    raster = sample(image, affine(step_px, 0, False, (-10 * step_px, -15 * step_px)), 20, 25)
    assert max(raster[:14].max(), raster[:, :9].max()) < 1e-5
    assert raster[17:, 12:] == pytest.approx(1)


def test_a_frame_is_zero_beyond_the_image() -> None:
    frame = Frame.around((-50, -50, 50, 50), 100, 100)
    cut = frame.cut(np.ones((50, 50), dtype=np.float32))
    assert cut[:49, :].max() == 0
    assert cut[52:98, 52:98].min() == 1


def test_a_frame_keeps_proportions() -> None:
    frame = Frame.around((10, 20, 110, 420), 192, 144)
    assert frame.scale == pytest.approx(192 / 400)
    assert frame.left_px + 144 / frame.scale / 2 == pytest.approx(60)


def test_large_images_are_reduced_by_a_whole_factor_and_small_ones_left() -> None:
    reduced, scale = working_image(np.zeros((2320, 1800), dtype=np.float32))
    assert reduced.shape == (774, 600)
    assert scale == pytest.approx(1 / 3)
    small = np.zeros((130, 100), dtype=np.float32)
    assert working_image(small)[0] is small


def test_equalisation_does_not_depend_on_exposure() -> None:
    image = np.linspace(0, 1, 400, dtype=np.float32).reshape(20, 20)
    assert equalise(image**2 * 0.5) == pytest.approx(equalise(image), abs=0.1)
    assert np.unique(equalise(np.zeros((4, 4), dtype=np.float32))) == pytest.approx([0.5])
