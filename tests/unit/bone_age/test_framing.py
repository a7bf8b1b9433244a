from __future__ import annotations

import numpy as np
import pytest

from boneage_node.bone_age.framing import Frame, equalise, working_image


def blob(shape: tuple[int, int], x_px: float, y_px: float, sigma_px: float) -> np.ndarray:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.exp(-0.5 * ((columns - x_px) ** 2 + (rows - y_px) ** 2) / sigma_px**2).astype(np.float32)


def centre(image: np.ndarray) -> np.ndarray:
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array([(columns * image).sum(), (rows * image).sum()], dtype=np.float32) / image.sum()


@pytest.mark.parametrize("shape", [(90, 120), (1000, 700), (2311, 1850)])
def test_a_point_found_in_a_frame_is_where_it_was_in_the_image(shape: tuple[int, int]) -> None:
    image = blob(shape, shape[1] * 0.6, shape[0] * 0.3, sigma_px=shape[0] / 20)
    frame = Frame.around((0, 0, shape[1], shape[0]), 96, 96)
    found = frame.to_image(centre(frame.cut(image))[None])[0]
    assert found == pytest.approx([shape[1] * 0.6, shape[0] * 0.3], abs=0.01 * max(shape))


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
