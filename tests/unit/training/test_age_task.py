"""What an age network is shown and told, as its recipe says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.tiny_model import FAMILIES
from torch import Tensor

from boneage_node.bone_age import Sex
from boneage_node.bone_age.networks import AgeHeads
from boneage_node.datasets.rsna import Example
from boneage_node.training.age import AgeRecipe, AgeTask
from boneage_node.training.rasters import MARGIN, Rasters

MEMBER = FAMILIES["regions"]
RECIPE = AgeRecipe(steps=1, sharp_share=(0.1, 0.4), sex_dropped=0.15, small_until=0.55, small_scale=2 / 3)


class Listener(torch.nn.Module):
    """Keeps what it is shown and told."""

    def forward(self, images: Tensor, male: Tensor) -> AgeHeads:
        self.images, self.male = images, male
        return AgeHeads(torch.zeros(len(images)), None)


def shown(recipe: AgeRecipe, done: float, images: int = 400) -> Listener:
    """A batch of boys; those with a high-resolution radiograph are white, the others are black."""
    sharp = np.arange(20) < 4
    size = [round(side * (1 + MARGIN)) for side in (MEMBER.height_px, MEMBER.width_px)]
    pixels = np.where(sharp[:, None, None], 255, 0) * np.ones(size)
    examples = [Example(str(k), Path(), 100.0, Sex.MALE, "train", None) for k in range(20)]
    cut = Rasters(examples, pixels.astype(np.uint8), sharp)
    network = Listener()
    task = AgeTask(cut, cut, MEMBER, recipe, torch.device("cpu"))
    task.loss(network, images, done, torch.Generator().manual_seed(1))
    return network


def white(network: Listener) -> float:
    """Share of a batch that is bright in its middle."""
    _, _, height, width = network.images.shape
    return float((network.images[:, 0, height // 2, width // 2] > 0.5).float().mean())


def test_the_share_of_sharp_radiographs_goes_from_one_to_the_other() -> None:
    assert [white(shown(RECIPE, done)) for done in (0.0, 0.5, 1.0)] == pytest.approx([0.1, 0.25, 0.4])


@pytest.mark.parametrize("dropped", [0.0, 0.15, 1.0])
def test_sex_is_left_out_as_often_as_said(dropped: float) -> None:
    told = shown(replace(RECIPE, sex_dropped=dropped), 0.0).male
    assert set(told.tolist()) <= {0.5, 1.0}
    assert float((told == 0.5).float().mean()) == pytest.approx(dropped, abs=0.05)


def test_rasters_are_small_first_and_of_full_size_then() -> None:
    sizes = [tuple(shown(RECIPE, done, 2).images.shape[2:]) for done in (0.0, 0.54, 0.55, 1.0)]
    small, full = (32, 24), (MEMBER.height_px, MEMBER.width_px)
    assert sizes == [small, small, full, full]
