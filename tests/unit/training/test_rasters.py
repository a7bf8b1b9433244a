"""What age networks learn from is what the node shows them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.tiny_model import FAMILIES

from boneage_node.bone_age import Sex
from boneage_node.bone_age.cropping import member_raster
from boneage_node.bone_age.manifest import AgeMember
from boneage_node.bone_age.predictor import Predictor
from boneage_node.datasets.rsna import DataError, Example, read_image
from boneage_node.phantom import draw_hand
from boneage_node.training.augment import apply
from boneage_node.training.rasters import MARGIN, cut_rasters, read_rasters


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    """Two drawn hands, the second with bone dark, and a blank picture."""
    folder = tmp_path_factory.mktemp("pictures")
    hand = draw_hand(100, Sex.FEMALE, seed=5, height_px=480).pixels
    found = []
    for name, pixels in {"bright": hand, "dark": 1 - hand, "blank": np.zeros_like(hand)}.items():
        Image.fromarray((pixels * 255).astype(np.uint8)).save(folder / f"{name}.png")
        found.append(Example(name, folder / f"{name}.png", 100, Sex.FEMALE, "train", None))
    return found


@pytest.mark.parametrize("family", list(FAMILIES))
def test_training_shows_what_the_node_shows(
    tmp_path: Path, predictor: Predictor, examples: list[Example], family: str
) -> None:
    member = FAMILIES[family]

    cut_rasters(examples, predictor.finder, [member], tmp_path, processes=1, progress=lambda done: None)

    rasters = read_rasters(tmp_path, member, examples)
    assert [example.id for example in rasters.examples] == ["bright", "dark"]
    without_margin = torch.eye(2, 3).expand(2, 2, 3) / (1 + MARGIN)
    pixels = torch.from_numpy(rasters.pixels)[:, None].float() / 255
    learned = apply(without_margin, pixels, member.height_px, member.width_px)[:, 0].numpy()
    for seen, example in zip(learned, rasters.examples, strict=True):
        shown = member_raster(member, predictor.finder.find(read_image(example.path)))
        slope, offset = np.polyfit(shown.ravel(), seen.ravel(), 1)
        assert slope == pytest.approx(1, abs=0.04)
        assert offset == pytest.approx(0, abs=0.02)
        assert np.abs(seen - shown).mean() < 0.02


@pytest.mark.parametrize("changed", ["network", "split", "label"])
def test_rasters_of_other_networks_or_data_are_not_gone_on_with(
    tmp_path: Path, predictor: Predictor, examples: list[Example], changed: str
) -> None:
    def cut(example: Example, member: AgeMember) -> None:
        cut_rasters([example], predictor.finder, [member], tmp_path, processes=1, progress=lambda done: None)

    blank, member = examples[2], FAMILIES["regions"]
    cut(blank, member)
    cut(blank, member)
    others = {
        "network": (blank, member.model_copy(update={"width_px": 48}), "rasters"),
        "split": (replace(blank, split="validation"), member, "data"),
        "label": (replace(blank, bone_age_months=9.0), member, "data"),
    }
    *other, named = others[changed]
    with pytest.raises(DataError, match=f"changed: {named}\\."):
        cut(*other)
