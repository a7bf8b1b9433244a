"""Drawn limbs: the same seed draws the same, another seed another; bone is brighter than flesh."""

from __future__ import annotations

import numpy as np
import pytest

from boneage_node.phantom.limbs import PARTS, draw_limb


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_drawn_by_its_seed(part: str) -> None:
    one = draw_limb(part, seed=3, height_px=200)
    assert one.pixels.shape[0] == 200
    assert one.pixels.dtype == np.float32
    assert 0 <= one.pixels.min() < 0.1
    assert 0.5 < one.pixels.max() <= 1
    assert np.array_equal(one.pixels, draw_limb(part, seed=3, height_px=200).pixels)
    assert not np.array_equal(one.pixels, draw_limb(part, seed=4, height_px=200).pixels)


def test_bones_show_in_the_flesh() -> None:
    middle = draw_limb("forearm", seed=1, height_px=240).pixels[110:130].mean(axis=0)
    bright = middle > 0.5 * middle.max()
    flesh = middle > 0.2 * middle.max()
    assert 0.05 * len(middle) < bright.sum() < flesh.sum() < 0.8 * len(middle)


def test_a_part_that_is_not_drawn_is_an_error() -> None:
    with pytest.raises(KeyError):
        draw_limb("tail", seed=1)
