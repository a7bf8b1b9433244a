from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from boneage_node.bone_age import ReasonCode, Refusal
from boneage_node.bone_age.segmentation import largest_component, outline, refuse_implausible


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
