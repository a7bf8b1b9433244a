"""Mask and key points are measured as the node finds them, refusals and all."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from boneage_node.bone_age import Sex
from boneage_node.bone_age.finding import HandFinder
from boneage_node.bone_age.predictor import Predictor
from boneage_node.bone_age.registration import POINT_NAMES
from boneage_node.bone_age.segmentation import largest_component, outline
from boneage_node.datasets.rsna import Example
from boneage_node.evaluation.finding import finding_figures
from boneage_node.phantom import PhantomHand, draw_hand


@pytest.fixture(scope="module")
def finder(predictor: Predictor) -> HandFinder:
    return predictor.finder


def figures(finder: HandFinder, folder: Path, images: dict[str, np.ndarray], hand: PhantomHand) -> dict:
    """Of validation images on whose left and top a drawn hand lies, annotated as it is."""
    (folder / "annotations").mkdir()
    outlines, rows, examples = {}, [], []
    places = [value + 0.5 for name in POINT_NAMES for value in hand.key_points_px[name]]
    corners = (outline(largest_component(hand.mask)) + 0.5).tolist()
    for identity, pixels in images.items():
        path = folder / f"{identity}.png"
        Image.fromarray((pixels * 255).round().astype(np.uint8)).save(path)
        examples.append(Example(identity, path, 100.0, Sex.MALE, "validation", None))
        size = {"width": pixels.shape[1], "height": pixels.shape[0]}
        outlines[identity] = size | {"polygons": [{"exterior": corners}]}
        rows.append([identity, "manual", *places])
    (folder / "annotations" / "hand_outlines.json").write_text(json.dumps(outlines))
    with (folder / "annotations" / "keypoints.csv").open("w", newline="") as file:
        header = [f"{name}_{axis}" for name in POINT_NAMES for axis in "xy"]
        csv.writer(file).writerows([["id", "source", *header], *rows])
    return finding_figures(finder, folder, examples)


def test_a_large_radiograph_with_dark_bone_is_measured_as_the_node_reads_it(
    finder: HandFinder, tmp_path: Path
) -> None:
    hand = draw_hand(120, Sex.MALE, seed=4, height_px=1300)
    found = figures(finder, tmp_path, {"1": 1 - hand.pixels}, hand)
    assert found["hand_mask"]["least_iou"] > 0.85
    assert found["hand_mask"]["refused"] == 0
    assert found["key_points"]["refused"] == 0
    assert found["key_points"]["percentile_95"] < 0.06


def test_a_hand_that_the_node_refuses_is_counted_as_refused(finder: HandFinder, tmp_path: Path) -> None:
    hand = draw_hand(120, Sex.MALE, seed=4, height_px=400)
    two = np.concatenate([hand.pixels, hand.pixels[:, ::-1]], axis=1)
    found = figures(finder, tmp_path, {"1": two}, hand)
    assert found["hand_mask"] == {"images": 1, "refused": 1}
    assert found["key_points"] == {"images": 1, "refused": 1}


def test_annotations_of_other_radiographs_measure_nothing(finder: HandFinder, tmp_path: Path) -> None:
    hand = draw_hand(120, Sex.MALE, seed=4, height_px=200)
    figures(finder, tmp_path, {"1": hand.pixels}, hand)
    assert finding_figures(finder, tmp_path, []) == {"hand_mask": {"images": 0, "refused": 0}}
