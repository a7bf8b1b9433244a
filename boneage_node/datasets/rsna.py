"""The RSNA 2017 Pediatric Bone Age data set on disk.

Reads the challenge's own download (``boneage-training-dataset.csv`` with ``id,boneage,male`` beside a folder
``boneage-training-dataset`` of PNG) and copies with the same layout that add ``splits.csv`` (``id,split``).
Source: Halabi et al., Radiology 2018;290(2):498-503.
"""

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

from boneage_node.bone_age import Sex
from boneage_node.bone_age.registration import (
    POINT_NAMES,
)
from boneage_node.errors import BoneAgeError

HIGH_RESOLUTION_PX = 400
"""An image whose longer side reaches this is reported as high resolution."""


SPLITS = ("train", "calibration", "validation")
HELD_OUT_SPLITS = SPLITS[1:]


class DataError(BoneAgeError):
    """The folder is not what training expects; the text says how to mend it."""


@dataclass(frozen=True)
class Example:
    """One labelled radiograph.

    Attributes:
        id: The challenge's number.
        path: PNG file.
        bone_age_months: Label.
        sex: Label.
        split: ``train``, ``calibration`` (not trained on: sets shares and intervals) or ``validation``.
        native_size_px: (width, height) of the original radiograph, for annotations; None where not listed.
    """

    id: str
    path: Path
    bone_age_months: float
    sex: Sex
    split: str
    native_size_px: tuple[int, int] | None


def share_of(identity: str, salt: str) -> float:
    """A number in [0, 1) that depends on the id alone, so that a split never moves."""
    digest = hashlib.sha256(f"{salt}:{identity}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _split(identity: str, given: dict[str, str]) -> str:
    """The split of ``splits.csv`` where there is one, else one that depends on the id.

    A calibration split is taken from the training split where ``splits.csv`` names none.
    """
    split = given.get(identity, "train")
    if not given and share_of(identity, "validation") < 0.08:
        split = "validation"
    if split == "train" and "calibration" not in given.values() and share_of(identity, "calibration") < 0.06:
        split = "calibration"
    return split


def read_examples(folder: Path) -> list[Example]:
    """All labelled radiographs of a folder with the challenge's layout.

    Raises:
        DataError: Where the table or the images are missing, or ``splits.csv`` has other columns or splits.
    """
    table = folder / "boneage-training-dataset.csv"
    if not table.is_file():
        raise DataError(f"{table} not found. Unpack the RSNA download so that this file is in {folder}.")
    images = folder / "boneage-training-dataset"
    if (images / images.name).is_dir():  # as some unpackers nest it
        images = images / images.name
    given = _read_splits(folder / "splits.csv")
    examples: list[Example] = []
    with table.open(newline="") as file:
        for row in csv.DictReader(file):
            path = images / f"{row['id']}.png"
            if not path.is_file():
                raise DataError(
                    f"{path} is listed in {table.name} but not there. Unpack the images beside it."
                )
            native = (int(row["native_width"]), int(row["native_height"])) if "native_width" in row else None
            sex = Sex.MALE if row["male"].strip().lower() == "true" else Sex.FEMALE
            examples.append(
                Example(row["id"], path, float(row["boneage"]), sex, _split(row["id"], given), native)
            )
    return examples


def _read_splits(file: Path) -> dict[str, str]:
    """Split by id; none where there is no such file."""
    if not file.is_file():
        return {}
    with file.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    for line, row in enumerate(rows, 2):
        if row.get("id") is None or row.get("split") not in SPLITS:
            raise DataError(
                f"{file}, line {line}: needs the columns id,split, the split one of {', '.join(SPLITS)}."
            )
    return {row["id"]: row["split"] for row in rows}


def held_out_digest(examples: Iterable[Example]) -> str:
    """sha256, hex, of which radiographs are kept from training and for what: the ids of each held-out split.

    Two folders have the same one where what was trained on one of them can be measured on the other.
    """
    held_out = sorted(f"{e.split} {e.id}\n" for e in examples if e.split in HELD_OUT_SPLITS)
    return hashlib.sha256("".join(held_out).encode()).hexdigest()


def read_image(path: Path) -> npt.NDArray[np.float32]:
    """A PNG as float32 grey in [0, 1], shape (height, width)."""
    with Image.open(path) as image:
        if image.mode.startswith("I"):
            return np.asarray(image, dtype=np.float32) / np.float32(65535)
        return np.asarray(image.convert("L"), dtype=np.float32) / np.float32(255)


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
class Marked:
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


def read_points(file: Path, examples: list[Example]) -> list[Marked]:
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
            marked.append(Marked(example, shares, row["source"] == "manual"))
    return marked


def native_size_px(example: Example) -> tuple[int, int]:
    """(width, height) of the original radiograph: as the table lists it, else that of the image itself."""
    if example.native_size_px:
        return example.native_size_px
    with Image.open(example.path) as image:
        return image.size


def data_digest(*parts: Iterable[Example | Outline | Marked]) -> str:
    """sha256, hex, of all that training takes from radiographs and annotations, and of their order.

    Of an image it tells the size of its file: enough to tell thumbnails from originals, and read at once.
    """
    total = hashlib.sha256()
    for part in parts:
        for one in part:
            total.update(repr(_facts(one)).encode())
    return total.hexdigest()


def _facts(one: Example | Outline | Marked) -> tuple[object, ...]:
    if isinstance(one, Outline):
        return one.id, one.native_size_px, [polygon.tolist() for polygon in one.polygons]
    if isinstance(one, Marked):
        return one.example.id, one.manual, one.points.tolist()
    size = one.path.stat().st_size
    return one.id, one.split, one.bone_age_months, one.sex.value, one.native_size_px, size


def points_in(marked: Marked, image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The marked points in an image's pixels, pixel centres at integers, shape (3, 2)."""
    height, width = image.shape
    return np.asarray(marked.points * [width, height] - 0.5, dtype=np.float32)


HELD_OUT = 16
"""Outlines kept from training, at least, on which the overlap is reported."""


def split_outlines(outlines: list[Outline], examples: list[Example]) -> tuple[list[Outline], list[Outline]]:
    """(training, held out): the same ones every time, whatever order they come in.

    Those of calibration and validation images are held out, and of training images as many as make up
    ``HELD_OUT``. Outlines without an image are in neither.
    """
    splits = {example.id: example.split for example in examples}
    ordered = sorted(
        (outline for outline in outlines if outline.id in splits),
        key=lambda outline: (splits[outline.id] == "train", share_of(outline.id, "outline")),
    )
    count = max(HELD_OUT, sum(splits[outline.id] != "train" for outline in ordered))
    return ordered[count:], ordered[:count]
