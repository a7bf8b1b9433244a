"""The manifest of a model: what its weights are, how to use them, what they were measured at."""

from __future__ import annotations

import hashlib
import math
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from boneage_node.errors import BoneAgeError

from .assessment import ModelIdentity
from .words import Sex

MANIFEST_FILE = "manifest.json"

_HEADS = {"vgg": ("regression", "classification"), "inception": ("regression",)}
_SHARES_TOLERANCE = 5e-4
"""Greatest distance from one of the sum of shares that are written with four digits."""

_SQUARE_TOLERANCE = 0.01

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Pixels = Annotated[int, Field(gt=0)]


class ModelError(BoneAgeError):
    """A model that cannot be used; the text says why."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


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
    width: Positive
    height: Positive


class AgeMember(_Part):
    """One age network of the ensemble.

    Attributes:
        name: As reports and tables call it.
        architecture: ``vgg`` (both heads) or ``inception`` (regression).
        widths: Channels of a VGG's blocks.
        width: Factor of Inception v3's channels.
        region: What of the registered hand it reads; None is the whole radiograph as it came.
        height_px, width_px: Raster it reads; that of a region has square pixels.
        views: Views averaged: 1, 2 (with the mirror image) or 10 (ten-crop).
        weights: Share of each of its heads in the ensemble; over all members they sum to one.
    """

    name: str
    architecture: Literal["vgg", "inception"]
    widths: tuple[int, ...] = ()
    width: Positive = 1.0
    region: Region | None
    height_px: Pixels
    width_px: Pixels
    views: Literal[1, 2, 10]
    weights: Annotated[dict[str, NotNegative], Field(min_length=1)]

    @model_validator(mode="after")
    def _has_its_heads(self) -> Self:
        heads = _HEADS[self.architecture]
        if unknown := [head for head in self.weights if head not in heads]:
            raise ValueError(
                f"network {self.name} has a share for {', '.join(unknown)}, but the heads of a "
                f"{self.architecture} are {', '.join(heads)}"
            )
        if self.architecture == "vgg" and not self.widths:
            raise ValueError(f"network {self.name} is a vgg without widths")
        return self

    @model_validator(mode="after")
    def _has_square_pixels(self) -> Self:
        if self.region is None:
            return self
        across, down = self.region.width / self.width_px, self.region.height / self.height_px
        if not math.isclose(across, down, rel_tol=_SQUARE_TOLERANCE):
            raise ValueError(
                f"network {self.name} would see its region distorted: {self.region.width:g} x "
                f"{self.region.height:g} in {self.width_px} x {self.height_px} pixels"
            )
        return self


class Band(_Part):
    """Factor of the interval for readings below ``below_months`` and not in an earlier band.

    An interval's half width is so many times the deviation that is expected of a label (``Interval``).
    """

    below_months: Positive
    factor: Positive

    @model_validator(mode="before")
    @classmethod
    def _reads_half_width(cls, given: Any) -> Any:
        """Manifests up to 0.3.1 have one half width a band: so many times a deviation of one month."""
        if isinstance(given, dict) and "half_width_months" in given:
            others = {name: value for name, value in given.items() if name != "half_width_months"}
            return {"factor": given["half_width_months"]} | others
        return given


class Interval(_Part):
    """Normalised split-conformal prediction interval, by sex and band of the bone age (see ``interval``).

    A label is expected to deviate from a reading by sqrt(``floor_months``² + ``slope`` · spread²), the
    spread being the standard deviation of the members' readings, in months.

    Attributes:
        coverage: Nominal, 0 to 1.
        floor_months: What is expected where the members agree.
        slope: By how much the variance grows with that of the members' readings.
        reader_sd_months: Standard deviation of one reader's label about the mean of readers. Models up to
            0.3.1 do not have it: their interval is that of a reader's label.
        bands: By sex, in the order of ``below_months``.
    """

    coverage: Annotated[float, Field(gt=0, lt=1)]
    floor_months: Positive = 1.0
    slope: NotNegative = 0.0
    reader_sd_months: Positive | None = None
    bands: dict[Sex, tuple[Band, ...]]

    @model_validator(mode="after")
    def _has_bands_in_order(self) -> Self:
        for sex in Sex:
            bands = self.bands.get(sex, ())
            if not bands:
                raise ValueError(f"there is no band for sex {sex}")
            if any(later.below_months <= band.below_months for band, later in pairwise(bands)):
                raise ValueError(f"the bands of sex {sex} are not in the order of below_months")
        return self

    def band(self, sex: Sex, bone_age_months: float) -> Band:
        """The band of a reading; the last has no upper end."""
        bands = self.bands[sex]
        return next((b for b in bands if bone_age_months < b.below_months), bands[-1])


class Missing(_Part):
    """Greatest share of each part of the usual hand that may lie beyond the image's border.

    Constants of the method, from calibration hands cropped step by step: where the wrist is cut shorter,
    hands are read as four months older; a fingertip or an edge of the palm hardly matters.
    """

    fingers: Share = 0.25
    palm: Share = 0.25
    wrist: Share = 0.12


class Plausibility(_Part):
    """Limits beyond which a hand is refused.

    That on the shape is set on training images, those on the spread on calibration images; those on a second
    thing and on what is missing are constants of the method.

    Attributes:
        overlap: Least overlap of the registered mask with the usual hand, 0 to 1.
        second_component: Greatest size of a second thing like a hand, apart or touching, as a share of the
            hand's.
        missing: What of the hand may lie beyond the image's border.
        fingers_at_border: Greatest number of fingers that the image's border may touch or cut.
        spread_months: Greatest standard deviation of the members' readings.
        usual_spread_months: What 95 % of calibration hands do not exceed: no reason to refuse, but to say so.
    """

    overlap: Share
    second_component: NotNegative
    missing: Missing = Missing()
    fingers_at_border: Annotated[int, Field(ge=0)] = 2
    spread_months: NotNegative
    usual_spread_months: NotNegative

    @model_validator(mode="before")
    @classmethod
    def _forgets_cut_off(cls, given: Any) -> Any:
        """Manifests before 0.3.1 limit the length along the border instead of what is missing."""
        if isinstance(given, dict):
            return {name: value for name, value in given.items() if name != "cut_off"}
        return given


class Recognition(_Part):
    """Test that the networks see the bones of a hand (see ``recognition``); set on calibration images.

    Attributes:
        regions: What each network that is asked shows, in words, by the network's name.
        groups: Names of the groups of known hands.
        directions: Along how many directions the variation in a group is told apart.
        unlikeness: Greatest distance from the nearest group, over these networks; of a usual hand about one.
    """

    regions: Annotated[dict[str, str], Field(min_length=1)]
    groups: Annotated[tuple[str, ...], Field(min_length=1)]
    directions: Annotated[int, Field(gt=0)]
    unlikeness: Positive


class ChallengeTest(_Part):
    """Figures on the 200 images of the RSNA 2017 challenge's test set, measured by whoever has them.

    Attributes:
        mae_months: Mean absolute error against the mean of six readers, over the hands that were read.
        refused: How many were not read.
    """

    mae_months: Positive
    refused: Annotated[int, Field(ge=0)]


class Manifest(_Part):
    """``manifest.json``.

    ``training``, ``metrics`` and ``challenge_test`` are for people and programs to read; the node does not
    depend on them. The last is written by hand, and the next ``evaluate --card`` takes it over. Models
    before 0.3.1 have no ``recognition``: theirs is not tested.

    Attributes:
        repeatability_months: Repeatability coefficient: 95 of 100 pairs of readings of a re-taken hand differ
            by less, over all ages. None where it was not measured.
    """

    name: str
    version: str
    summary: str
    terms: str
    weights: Weights
    segmentation: SegmentationNetwork
    registration: RegistrationNetwork
    members: Annotated[tuple[AgeMember, ...], Field(min_length=1)]
    plausibility: Plausibility
    recognition: Recognition | None = None
    interval: Interval
    repeatability_months: Positive | None = None
    training: dict[str, Any]
    metrics: dict[str, Any]
    challenge_test: ChallengeTest | None = None

    @model_validator(mode="after")
    def _has_an_ensemble(self) -> Self:
        names = [member.name for member in self.members]
        if len(set(names)) < len(names):
            raise ValueError(f"two networks have one name: {', '.join(names)}")
        total = sum(share for member in self.members for share in member.weights.values())
        if not math.isclose(total, 1, abs_tol=_SHARES_TOLERANCE):
            raise ValueError(f"the shares of the ensemble sum to {total:.4f}, not to one")
        return self

    @model_validator(mode="after")
    def _asks_networks_that_tell(self) -> Self:
        telling = {member.name for member in self.members if member.architecture == "vgg"}
        if self.recognition and (unknown := sorted(set(self.recognition.regions) - telling)):
            raise ValueError(f"recognition asks {', '.join(unknown)}, which is no vgg of the ensemble")
        return self

    @property
    def identity(self) -> ModelIdentity:
        """Identity of the model, for reports."""
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
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        said = ": ".join(filter(None, (place, first["msg"].removeprefix("Value error, "))))
        raise ModelError(f"{file} is not a model manifest: {said}. Install the model again") from error


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
