from __future__ import annotations

import pytest
import torch

from boneage_node.training.age import soft_labels
from boneage_node.training.augment import Warp, lower_resolution, vary_exposure


def batch() -> torch.Tensor:
    images = torch.zeros(6, 1, 96, 72)
    images[:, :, 20:40, 20:30] = 1
    return images


def test_no_warp_is_no_change() -> None:
    warp = Warp(rotation_degrees=0, scale=0, shift=0, mirror=0)
    assert torch.allclose(warp(batch(), torch.Generator()), batch(), atol=1e-4)


def test_a_rotation_keeps_shapes_on_a_raster_that_is_not_square() -> None:
    images = torch.zeros(16, 1, 96, 72)
    rows, columns = torch.meshgrid(torch.arange(96), torch.arange(72), indexing="ij")
    images[:] = (((rows - 47.5) ** 2 + (columns - 35.5) ** 2) < 20**2).float()
    warped = Warp(rotation_degrees=90, scale=0, shift=0)(images, torch.Generator().manual_seed(1))
    assert (warped - images).abs().mean() < 0.01


def test_the_same_seed_is_the_same_change() -> None:
    warp = Warp(rotation_degrees=30, scale=0.2, shift=0.1)
    first, again = (warp(batch(), torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first, again)


def test_exposure_keeps_the_range_and_the_shape() -> None:
    varied = vary_exposure(batch(), torch.Generator().manual_seed(2))
    assert varied.shape == batch().shape
    assert varied.min() >= 0
    assert varied.max() <= 1
    assert not torch.equal(varied, batch())


def test_lower_resolution_takes_detail_away() -> None:
    noise = torch.rand(4, 1, 96, 72, generator=torch.Generator().manual_seed(3))
    coarse = lower_resolution(noise, torch.Generator().manual_seed(3), probability=1.0, shortest_px=24)
    assert coarse.std() < 0.8 * noise.std()
    assert torch.equal(lower_resolution(noise, torch.Generator(), probability=0.0, shortest_px=24), noise)


def test_soft_labels_have_their_expectation_at_the_age() -> None:
    labels = soft_labels(torch.tensor([60.0, 120.5]), 5.0)
    assert (labels @ torch.arange(240.0)).tolist() == pytest.approx([60.0, 120.5], abs=0.01)
