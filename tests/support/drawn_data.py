"""A small drawn data set that has the challenge's layout."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from boneage_node.bone_age import Sex
from boneage_node.bone_age.registration import POINT_NAMES
from boneage_node.bone_age.segmentation import largest_component, outline
from boneage_node.phantom import PhantomHand, draw_hand


@cache
def hands() -> list[PhantomHand]:
    ages = (24, 60, 96, 132, 24, 60, 96, 132)
    return [
        draw_hand(age, Sex.MALE if k < 4 else Sex.FEMALE, seed=k, height_px=140) for k, age in enumerate(ages)
    ]


def write_data(folder: Path, images: int, splits: bool) -> Path:
    """Thumbnails of eight drawn hands under many numbers; columns as in the challenge's own table."""
    pictures = folder / "boneage-training-dataset"
    pictures.mkdir(parents=True)
    rows, split_rows = [], []
    for number in range(images):
        hand = hands()[number % 8]
        Image.fromarray((hand.pixels * 255).astype(np.uint8)).save(pictures / f"{1000 + number}.png")
        rows.append([1000 + number, round(hand.age_months), hand.sex is Sex.MALE])
        split = "calibration" if number < 40 else "validation" if number < 48 else "train"
        split_rows.append([1000 + number, split])
    with (folder / "boneage-training-dataset.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "boneage", "male"], *rows])
    if splits:
        with (folder / "splits.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["id", "split"], *split_rows])
    return folder


def write_outlines(folder: Path, numbers: Iterable[int]) -> None:
    """The true outlines of drawn hands, as a person would have drawn them."""
    outlines = {}
    for number in numbers:
        hand = hands()[number % 8]
        height, width = hand.mask.shape
        polygons = [{"exterior": outline(largest_component(hand.mask)).tolist()}]
        outlines[str(1000 + number)] = {"width": width, "height": height, "polygons": polygons}
    (folder / "annotations").mkdir(exist_ok=True)
    (folder / "annotations" / "hand_outlines.json").write_text(json.dumps(outlines))


def write_key_points(folder: Path, numbers: Iterable[int]) -> None:
    """The true key points of drawn hands; every other one marked by a person."""
    rows = []
    for number in numbers:
        hand = hands()[number % 8]
        places = [value for name in POINT_NAMES for value in hand.key_points_px[name]]
        rows.append([1000 + number, "manual" if number % 2 else "auto", *places])
    (folder / "annotations").mkdir(exist_ok=True)
    with (folder / "annotations" / "keypoints.csv").open("w", newline="") as file:
        header = [f"{name}_{axis}" for name in POINT_NAMES for axis in "xy"]
        csv.writer(file).writerows([["id", "source", *header], *rows])
