"""The one door to a model: loads once, then reads hands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from .assessment import Assessment, Hand, ModelIdentity
from .cropping import crop_hand
from .framing import Grey, working_image
from .manifest import Manifest, ModelError, read_manifest, verified_weights
from .networks import AgeVgg, HandUNet
from .reference import z_score
from .segmentation import outline, segment
from .words import Refusal, Sex


def choose_device(device: str) -> torch.device:
    """``auto`` is the first GPU where there is one, else the CPU; ``cpu`` and ``cuda:N`` are themselves.

    Raises:
        ModelError: Where the GPU asked for is not there.
    """
    if device == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    chosen = torch.device(device)
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise ModelError(
            f"device {device} is not there: {torch.cuda.device_count()} GPU found; try --device auto"
        )
    return chosen


@dataclass(frozen=True)
class _Found:
    """A hand found in its image: what the age network reads, and the outline in the image's pixels."""

    crop: Grey
    outline_px: npt.NDArray[np.float32]


class Predictor:
    """A model in memory.

    Args:
        manifest: The model's manifest.
        segmentation: Hand-mask network.
        age: Age network.
        device: Where both compute.

    Attributes:
        identity: Name, version and sha256 that go into every report.
    """

    def __init__(
        self,
        manifest: Manifest,
        segmentation: HandUNet,
        age: AgeVgg,
        device: torch.device,
    ) -> None:
        self.manifest = manifest
        self.device = device
        self.identity = ModelIdentity(manifest.name, manifest.version, manifest.weights.sha256)
        self.segmentation = segmentation.to(device).eval()
        self._age = age.to(device).eval()

    @classmethod
    def load(cls, folder: Path, device: str = "auto") -> Predictor:
        """Load a model folder, its sha256 checked.

        Args:
            folder: Holds ``manifest.json`` and the weights it names.
            device: ``auto``, ``cpu`` or ``cuda:N``.

        Raises:
            ModelError: Where the model or the device cannot be used.
        """
        return cls.of_manifest(folder, read_manifest(folder), device)

    @classmethod
    def of_manifest(cls, folder: Path, manifest: Manifest, device: str = "auto") -> Predictor:
        """As ``load``, for a manifest that is not, or not yet, the one in the folder."""
        file = verified_weights(folder, manifest)
        segmentation, age = HandUNet(manifest.segmentation.widths), AgeVgg(manifest.age.widths)
        try:
            tensors = load_file(file)
            for prefix, network in (("segmentation.", segmentation), ("age.", age)):
                own = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
                network.load_state_dict(own)
        except (RuntimeError, SafetensorError) as error:
            raise ModelError(f"{file} does not hold the networks that its manifest describes") from error
        return cls(manifest, segmentation, age, choose_device(device))

    def assess(self, hands: Sequence[Hand]) -> list[Assessment | Refusal]:
        """Read each hand, all in one pass of the age network.

        Returns:
            For each hand, in order, its assessment, or the refusal where no hand was found in the image.
        """
        found = [self._find(hand) for hand in hands]
        readable = [(hand, f) for hand, f in zip(hands, found, strict=True) if isinstance(f, _Found)]
        if not readable:
            return [f for f in found if isinstance(f, Refusal)]
        crops = np.stack([f.crop for _, f in readable])
        ages = iter(self.read_crops(crops, [hand.sex for hand, _ in readable]))
        return [
            f if isinstance(f, Refusal) else self._assessment(hand, f, float(next(ages)))
            for hand, f in zip(hands, found, strict=True)
        ]

    def crop(self, pixels: Grey) -> Grey:
        """What the age network sees of an image; raises ``Refusal`` where no hand is found."""
        return self._locate(pixels).crop

    def read_crops(self, crops: npt.NDArray[np.float32], sexes: Sequence[Sex]) -> npt.NDArray[np.float32]:
        """Bone ages in months, shape (n,), of crops of shape (n, height_px, width_px).

        Each is the mean over the hand and its mirror image, so that left and right hands read alike.
        """
        images = torch.from_numpy(crops)[:, None]
        views = torch.cat([images, images.flip(3)]).to(self.device)
        male = torch.tensor([float(sex is Sex.MALE) for sex in sexes]).repeat(2).to(self.device)
        with torch.inference_mode():
            ages = self._age.age_months(self._age(views, male)).view(2, -1).mean(dim=0)
        return np.asarray(ages.cpu().numpy(), dtype=np.float32)

    def _find(self, hand: Hand) -> _Found | Refusal:
        try:
            return self._locate(hand.pixels)
        except Refusal as refusal:
            return refusal

    def _locate(self, pixels: Grey) -> _Found:
        image, scale = working_image(pixels)
        mask = segment(self.segmentation, image, self.device)
        shape = self.manifest.age
        outline_px = (outline(mask) + 0.5) / scale - 0.5
        return _Found(crop_hand(image, mask, shape.height_px, shape.width_px), outline_px.astype(np.float32))

    def _assessment(self, hand: Hand, found: _Found, bone_age_months: float) -> Assessment:
        half = self.manifest.interval.half_width_months[hand.sex]
        return Assessment(
            bone_age_months=bone_age_months,
            interval_months=(max(0.0, bone_age_months - half), bone_age_months + half),
            interval_coverage=self.manifest.interval.coverage,
            sex=hand.sex,
            chronological_age_months=hand.chronological_age_months,
            z_score=z_score(bone_age_months, hand.chronological_age_months, hand.sex),
            laterality=hand.laterality,
            outline_px=found.outline_px,
            model=self.identity,
        )
