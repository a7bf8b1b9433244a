"""The manifest of a model: what its weights are, how to use them, what they were measured at."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from .assessment import ModelIdentity
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


class RegistrationNetwork(_Part):
    """Shape of the key-point network."""

    widths: tuple[int, ...]


class Region(_Part):
    """A box of the method's frame (2080 high, 1600 wide; see ``registration``), in the frame's units."""

    left: float
    top: float
    width: float
    height: float


class AgeMember(_Part):
    """One age network of the ensemble.

    Attributes:
        name: As reports and tables call it.
        architecture: ``vgg`` (both heads) or ``inception`` (regression).
        widths: Channels of a VGG's blocks.
        width: Factor of Inception v3's channels.
        region: What of the registered hand it reads; None is the whole radiograph as it came.
        height_px, width_px: Raster it reads.
        views: Views averaged: 1, 2 (with the mirror image) or 10 (ten-crop).
        weights: Share of each of its heads in the ensemble; over all members they sum to one.
    """

    name: str
    architecture: Literal["vgg", "inception"]
    widths: tuple[int, ...] = ()
    width: float = 1.0
    region: Region | None
    height_px: int
    width_px: int
    views: int
    weights: dict[str, float]


class Band(_Part):
    """Half width of the interval for readings below ``below_months`` and not in an earlier band."""

    below_months: float
    half_width_months: float


class Interval(_Part):
    """Split-conformal prediction interval, by sex and band of the bone age that was read."""

    coverage: float
    bands: dict[Sex, tuple[Band, ...]]

    def band(self, sex: Sex, bone_age_months: float) -> Band:
        """The band of a reading; the last has no upper end."""
        bands = self.bands[sex]
        return next((b for b in bands if bone_age_months < b.below_months), bands[-1])


class Plausibility(_Part):
    """Limits beyond which a hand is refused, set on calibration images.

    Attributes:
        overlap: Least overlap of the registered mask with the usual hand, 0 to 1.
        second_component: Greatest size of a second thing like a hand, apart or touching, as a share of the
            hand's.
        cut_off: Greatest length along the image's border beyond the wrist, as a share of the hand's.
        spread_months: Greatest standard deviation of the members' readings.
        usual_spread_months: What 95 % of calibration hands do not exceed: no reason to refuse, but to say so.
    """

    overlap: float
    second_component: float
    cut_off: float
    spread_months: float
    usual_spread_months: float


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
    registration: RegistrationNetwork
    members: tuple[AgeMember, ...]
    plausibility: Plausibility
    interval: Interval
    training: dict[str, Any]
    metrics: dict[str, Any]

    @property
    def identity(self) -> ModelIdentity:
        """What reports call the model."""
        return ModelIdentity(self.name, self.version, self.weights.sha256)


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
