"""The RSNA 2017 Pediatric Bone Age data set on disk.

Reads the challenge's own download (``boneage-training-dataset.csv`` with ``id,boneage,male`` beside a folder
``boneage-training-dataset`` of PNG) and copies with the same layout that add ``splits.csv`` (``id,split``).
Source: Halabi et al., Radiology 2018;290(2):498-503.
"""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from boneage_node.bone_age import Sex
from boneage_node.errors import BoneAgeError
from boneage_node.radiograph.picture import grey_of

_HIGH_RESOLUTION_PX = 400
_SQUEEZED_PX = 299
"""Shorter side of copies that were squeezed to squares of this side, then put back to their aspect ratio."""

SPLITS = ("train", "calibration", "validation")
HELD_OUT_SPLITS = SPLITS[1:]


class DataError(BoneAgeError):
    """A data or run folder that is not as expected; the text says how to mend it."""


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


def read_image(path: Path) -> npt.NDArray[np.float32]:
    """A PNG as float32 grey in [0, 1], shape (height, width)."""
    with Image.open(path) as image:
        return grey_of(image)


def is_high_resolution(image: npt.NDArray[np.float32]) -> bool:
    """As `has_high_resolution`, of an image."""
    return has_high_resolution(image.shape)


def has_high_resolution(size_px: tuple[int, ...]) -> bool:
    """Tell whether two sides are of an image with the detail that a node sees.

    That is 400 pixels long or more, and never squeezed: copies of the data go about as squares of 299 x 299,
    the input of Inception v3. Put back to their aspect ratio they are about 404 pixels tall, and show no more
    than before.
    """
    short_px, long_px = sorted(size_px)
    return bool(long_px >= _HIGH_RESOLUTION_PX and short_px != _SQUEEZED_PX)
