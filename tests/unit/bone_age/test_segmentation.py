from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage
from skimage.measure import approximate_polygon
from skimage.morphology import convex_hull_image

from boneage_node.bone_age import ReasonCode, Refusal
from boneage_node.bone_age.segmentation import (
    Mask,
    contour,
    hull_pixels,
    largest_component,
    outline,
    refuse_implausible,
    simplified,
)


def cloud(seed: int) -> Mask:
    """A ragged shape of one component."""
    noise = np.random.default_rng(seed).normal(size=(90, 120))
    return largest_component(ndimage.gaussian_filter(noise, 4) > 0)


def test_only_the_largest_component_stays_and_its_holes_are_filled() -> None:
    mask = np.zeros((60, 60), dtype=bool)
    mask[5:40, 5:40] = True
    mask[15:20, 15:20] = False
    mask[50:55, 50:55] = True
    expected = np.zeros((60, 60), dtype=bool)
    expected[5:40, 5:40] = True
    assert np.array_equal(largest_component(mask), expected)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.95])
def test_a_mask_too_small_or_too_large_is_no_hand(share: float) -> None:
    mask = np.zeros((100, 100), dtype=bool)
    mask[: int(share * 100)] = True
    with pytest.raises(Refusal) as caught:
        refuse_implausible(mask)
    assert caught.value.code is ReasonCode.NO_HAND_FOUND


def test_a_filled_rectangle_is_no_hand() -> None:
    mask = np.zeros((100, 100), dtype=bool)
    mask[20:80, 20:80] = True
    with pytest.raises(Refusal):
        refuse_implausible(mask)


def test_the_outline_encloses_the_mask_and_stays_in_the_image() -> None:
    rows, columns = np.mgrid[:120, :90]
    mask = ((columns - 20) / 40) ** 2 + ((rows - 60) / 50) ** 2 < 1  # reaches over the left edge
    points = outline(mask)
    assert points.dtype == np.float32
    assert points.min() >= 0
    assert points[:, 0].max() <= 89
    assert not np.array_equal(points[0], points[-1])
    canvas = Image.new("1", (90, 120))
    ImageDraw.Draw(canvas).polygon([tuple(point) for point in points.tolist()], fill=1)
    drawn = np.asarray(canvas)
    assert (drawn & mask).sum() / (drawn | mask).sum() > 0.97


@pytest.mark.parametrize("seed", range(5))
def test_the_hull_has_as_many_pixels_as_scikit_image_counts(seed: int) -> None:
    mask = cloud(seed)
    assert hull_pixels(mask) == convex_hull_image(mask).sum()
    tilted = np.abs(np.subtract(*np.mgrid[:50, :50])) < seed + 1  # its hull's edges pass through pixels
    assert hull_pixels(tilted) == convex_hull_image(tilted).sum()


@pytest.mark.parametrize("tolerance_px", [0.7, 3.0])
def test_a_simplified_outline_strays_no_further_than_it_may_and_has_few_points(tolerance_px: float) -> None:
    mask = np.pad(cloud(1), 5)
    line = contour(mask)
    corners = simplified(line, mask.shape, tolerance_px)
    ends = np.roll(corners, -1, axis=0)
    along, off = ends - corners, line[:, None] - corners
    share = np.clip((off * along).sum(axis=2) / (along**2).sum(axis=1), 0, 1)
    distance_px = np.linalg.norm(off - share[..., None] * along, axis=2).min(axis=1)
    assert distance_px.max() <= tolerance_px + 1e-5
    assert len(corners) == pytest.approx(len(approximate_polygon(line, tolerance_px)), rel=0.1)
