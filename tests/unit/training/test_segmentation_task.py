"""What the hand-mask network is shown, and that its fit goes on as it would have gone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support.fit import assert_goes_on_to_the_same_weights
from torch import Tensor

from boneage_node.bone_age.networks import HandUNet
from boneage_node.training.fitting import Fit
from boneage_node.training.segmentation import SegmentationRecipe, SegmentationTask

SIDE_PX = 192


def disc(radius_px: int) -> Tensor:
    """A bright disc on black, with its mask, in the middle of an image that fills the square."""
    away = np.arange(SIDE_PX) - (SIDE_PX - 1) / 2
    bright = (np.hypot(away[:, None], away[None]) < radius_px).astype(np.float32)
    return torch.from_numpy(np.stack([bright, np.ones_like(bright), bright]))[None]


def task(recipe: SegmentationRecipe) -> SegmentationTask:
    return SegmentationTask(disc(60), disc(50), lambda network: {}, recipe, torch.device("cpu"))


class Listener(torch.nn.Module):
    """Keeps what it is shown."""

    def forward(self, planes: Tensor) -> Tensor:
        self.planes = planes
        return torch.zeros_like(planes[:, :1], requires_grad=True)


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.5, 6, 18), (1.0, 24, 24)])
def test_grey_values_are_inverted_as_often_as_said(share: float, least: int, most: int) -> None:
    network = Listener()
    task(SegmentationRecipe(inverted=share)).loss(network, 24, 0.0, torch.Generator().manual_seed(2))
    middle = network.planes[:, 0, SIDE_PX // 2, SIDE_PX // 2]
    assert least <= int((middle < 0.5).sum()) <= most


def fit(folder: Path) -> Fit[HandUNet]:
    recipe = SegmentationRecipe(steps=3, batch=2)
    torch.manual_seed(recipe.seed)
    return Fit(HandUNet((4, 4, 8)), task(recipe), recipe, folder, torch.device("cpu"))


def test_an_interrupted_hand_mask_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    assert_goes_on_to_the_same_weights(fit, tmp_path, every=2, stop_at=2)
