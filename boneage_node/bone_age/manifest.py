"""The manifest of a model: what its weights are, how to use them, what they were measured at."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from .words import Sex

MANIFEST_FILE = "manifest.json"


class ModelError(Exception):
    """A model that cannot be used; the text says why."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Weights(_Part):
    """The weights file beside the manifest and its sha256 (hex), checked at load."""

    file: str
    sha256: str


class SegmentationNetwork(_Part):
    """Shape of the hand-mask network."""

    widths: tuple[int, ...]


class AgeNetwork(_Part):
    """Shape of the age network and of the raster it reads."""

    widths: tuple[int, ...]
    height_px: int
    width_px: int


class Interval(_Part):
    """Split-conformal prediction interval: half width in months for each sex, at a nominal coverage."""

    coverage: float
    half_width_months: dict[Sex, float]


class Manifest(_Part):
    """``manifest.json``.

    ``training`` and ``metrics`` are for people and programs to read; the node does not depend on them.
    """

    name: str
    version: str
    summary: str
    terms: str
    weights: Weights
    segmentation: SegmentationNetwork
    age: AgeNetwork
    interval: Interval
    training: dict[str, Any]
    metrics: dict[str, Any]


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a model folder.

    Raises:
        ModelError: Where it is missing or malformed.
    """
    file = folder / MANIFEST_FILE
    try:
        return Manifest.model_validate_json(file.read_bytes())
    except OSError as error:
        raise ModelError(
            f"{file} cannot be read ({error.strerror}): name a folder of the model zoo"
        ) from error
    except ValidationError as error:
        raise ModelError(f"{file} is not a model manifest: {error.errors()[0]['msg']}") from error


def file_sha256(file: Path) -> str:
    """sha256 of a file's bytes, hex."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def verified_weights(folder: Path, manifest: Manifest) -> Path:
    """The weights file, after its sha256 was found to be the manifest's.

    Raises:
        ModelError: Where the file is missing or is not the one the manifest describes.
    """
    file = folder / manifest.weights.file
    if not file.is_file():
        raise ModelError(f"{file} is missing: the manifest names it. Install the model again")
    found = file_sha256(file)
    if found != manifest.weights.sha256:
        raise ModelError(
            f"{file} is not the file of the manifest: sha256 {found[:12]}… instead of "
            f"{manifest.weights.sha256[:12]}…. Install the model again"
        )
    return file
