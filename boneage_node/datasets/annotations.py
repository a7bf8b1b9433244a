"""Annotations of radiographs: hand-drawn outlines, and three key points."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from skimage import draw

from boneage_node.bone_age.registration import POINT_NAMES

from .rsna import DataError, Example, share_of

OUTLINES_FILE = Path("annotations/hand_outlines.json")
KEY_POINTS_FILE = Path("annotations/keypoints.csv")

HELD_OUT_OUTLINES = 16
"""Outlines kept from training, at least, on which the overlap is reported."""


@dataclass(frozen=True)
class Outline:
    """A hand drawn by hand: polygons of (x, y) in native pixels, and the native (width, height)."""

    id: str
    polygons: tuple[npt.NDArray[np.float32], ...]
    native_size_px: tuple[int, int]

    def mask(self, height: int, width: int) -> npt.NDArray[np.bool_]:
        """The outline drawn at another size, shape (height, width)."""
        mask = np.zeros((height, width), dtype=np.bool_)
        scale = np.array([width, height]) / self.native_size_px
        for corners in self.polygons:
            x, y = (corners * scale - 0.5).T
            mask[draw.polygon(y, x, mask.shape)] = True
        return mask


def read_outlines(file: Path) -> list[Outline]:
    """Hand outlines of ``annotations/hand_outlines.json``.

    Raises:
        DataError: Where the file is missing.
    """
    if not file.is_file():
        raise DataError(f"{file} not found. Segmentation is trained from hand-drawn outlines.")
    return [
        Outline(
            identity,
            tuple(np.asarray(polygon["exterior"], dtype=np.float32) for polygon in entry["polygons"]),
            (int(entry["width"]), int(entry["height"])),
        )
        for identity, entry in json.loads(file.read_text()).items()
    ]


@dataclass(frozen=True)
class KeyPoints:
    """A radiograph's three key points.

    Attributes:
        example: The radiograph.
        points: Shape (3, 2), (x, y) as shares of the image's width and height, in the order of
            ``registration.POINT_NAMES``.
        manual: Marked by a person; else by an earlier model.
    """

    example: Example
    points: npt.NDArray[np.float32]
    manual: bool


def read_key_points(file: Path, examples: list[Example]) -> list[KeyPoints]:
    """Key points of ``annotations/keypoints.csv`` for those of the examples that have them.

    Raises:
        DataError: Where the file is missing, or an example's native size is not known.
    """
    if not file.is_file():
        raise DataError(f"{file} not found. Registration is trained from key points.")
    by_id = {example.id: example for example in examples}
    marked = []
    with file.open(newline="") as opened:
        for row in csv.DictReader(opened):
            example = by_id.get(row["id"])
            if example is None:
                continue
            places = np.array(
                [[float(row[f"{name}_x"]), float(row[f"{name}_y"])] for name in POINT_NAMES], dtype=np.float32
            )
            shares = (places / native_size_px(example)).astype(np.float32)
            marked.append(KeyPoints(example, shares, row["source"] == "manual"))
    return marked


def native_size_px(example: Example) -> tuple[int, int]:
    """(width, height) of the original radiograph: as the table lists it, else that of the image itself."""
    if example.native_size_px:
        return example.native_size_px
    with Image.open(example.path) as image:
        return image.size


def points_in(marked: KeyPoints, image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The marked points in an image's pixels, pixel centres at integers, shape (3, 2)."""
    height, width = image.shape
    return np.asarray(marked.points * [width, height] - 0.5, dtype=np.float32)


def split_outlines(outlines: list[Outline], examples: list[Example]) -> tuple[list[Outline], list[Outline]]:
    """(training, held out): the same ones every time, whatever order they come in.

    Those of calibration and validation images are held out, and of training images as many as make up
    ``HELD_OUT_OUTLINES``. Outlines without an image are in neither.
    """
    splits = {example.id: example.split for example in examples}
    ordered = sorted(
        (outline for outline in outlines if outline.id in splits),
        key=lambda outline: (splits[outline.id] == "train", share_of(outline.id, "outline")),
    )
    count = max(HELD_OUT_OUTLINES, sum(splits[outline.id] != "train" for outline in ordered))
    return ordered[count:], ordered[:count]


def data_digest(*parts: Iterable[Example | Outline | KeyPoints]) -> str:
    """Digest (sha256, hex) of all that training takes from radiographs and annotations, and of their order.

    Of an image it tells the size of its file: enough to tell thumbnails from originals, and read at once.
    """
    total = hashlib.sha256()
    for part in parts:
        for one in part:
            total.update(repr(_facts(one)).encode())
    return total.hexdigest()


def _facts(one: Example | Outline | KeyPoints) -> tuple[object, ...]:
    if isinstance(one, Outline):
        return one.id, one.native_size_px, [polygon.tolist() for polygon in one.polygons]
    if isinstance(one, KeyPoints):
        return one.example.id, one.manual, one.points.tolist()
    size = one.path.stat().st_size
    return one.id, one.split, one.bone_age_months, one.sex.value, one.native_size_px, size
