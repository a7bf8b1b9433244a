"""The attention map says where the networks looked, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from boneage_node.bone_age import Hand
from boneage_node.bone_age.attention import occlude
from boneage_node.bone_age.cropping import FoundHand
from boneage_node.bone_age.networks import AgeHeads, AgeNetwork
from boneage_node.bone_age.predictor import Predictor
from boneage_node.radiograph import read_radiograph
from boneage_node.traffic.file import LocalFile

CPU = torch.device("cpu")


class LooksAt(AgeNetwork):
    """Answers by the contrast in one square of what it is shown, and by nothing else."""

    def __init__(self, left: int, top: int, side: int) -> None:
        super().__init__()
        self._rows, self._columns = slice(top, top + side), slice(left, left + side)

    def describe(self, images: Tensor) -> Tensor:
        return images[:, 0, self._rows, self._columns].std(dim=(1, 2))[:, None]

    def judge(self, features: Tensor, male: Tensor) -> AgeHeads:
        return AgeHeads(features[:, 0], None)


@pytest.fixture
def hand(sample_dicom: Path) -> Hand:
    return read_radiograph(LocalFile(sample_dicom / "girl-08y-dx.dcm")).hand


@pytest.fixture
def found(predictor: Predictor, hand: Hand) -> FoundHand:
    return predictor.finder.find(hand.pixels)


@pytest.mark.parametrize(("left", "top"), [(60, 110), (70, 60)])
def test_what_a_network_looks_at_is_where_hiding_matters(
    predictor: Predictor, found: FoundHand, left: int, top: int
) -> None:
    member = next(m for m in predictor.manifest.members if m.name == "A")
    member = member.model_copy(update={"weights": {"regression": 1.0}})
    assert member.region is not None
    attention = occlude([member], {"A": LooksAt(left, top, 14)}, found, [0.0], CPU)
    assert attention is not None
    strength = np.abs(attention.change_months)
    centre = attention.cells_px[strength.argmax()].mean(axis=0)
    unit = member.region.width / member.width_px
    looked_at = np.array([[member.region.left + (left + 7) * unit, member.region.top + (top + 7) * unit]])
    expected = found.in_radiograph(found.placement.to_image(looked_at))[0]
    one_cell_px = np.linalg.norm(attention.cells_px[0, 0] - attention.cells_px[0, 1])
    assert np.linalg.norm(centre - expected) < 1.2 * one_cell_px
    far = np.linalg.norm(attention.cells_px.mean(axis=1) - expected, axis=1) > 2.5 * one_cell_px
    assert strength[far].max() < 0.05 * strength.max()


def test_the_cells_are_on_the_hand_and_change_its_reading(
    predictor: Predictor, hand: Hand, found: FoundHand
) -> None:
    attention = predictor.attention(hand, found)
    assert attention is not None
    assert attention.cells_px.shape == (len(attention.change_months), 4, 2)
    rows, columns = hand.pixels.shape
    centres = attention.cells_px.mean(axis=1)
    assert (centres > 0).all()
    assert (centres < (columns, rows)).all()
    assert 1 < np.abs(attention.change_months).max() < 60


def test_networks_that_read_the_whole_radiograph_have_no_map(predictor: Predictor, found: FoundHand) -> None:
    whole = predictor.manifest.members[0].model_copy(update={"region": None})
    assert occlude([whole], {}, found, [0.0], CPU) is None
