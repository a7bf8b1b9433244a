"""Training the age networks on registered hands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from boneage_node.bone_age.manifest import AgeMember, Region
from boneage_node.bone_age.networks import AGE_BINS, AgeHeads, AgeNetwork, months_by_head
from boneage_node.bone_age.views import read_views

from .augment import Warp, apply, lower_resolution, vary_exposure
from .fitting import autocast
from .rasters import MARGIN, Rasters
from .recipe import Recipe


@dataclass(frozen=True)
class AgeRecipe(Recipe):
    """Recipe for training an age network; written into the manifest.

    Attributes:
        sharp_share: Share of a batch drawn from high-resolution images at the start and at the end.
        label_sigma_months: Width of the soft label over the one-month bins.
        sex_dropped: Share of a batch whose sex the network is not told.
        small_until: Share of the fit that sees rasters reduced by ``small_scale``: what is coarse is learned
            at less than half the cost (progressive resizing). None of a fit that begins with another model's
            weights: they have learned that, and would have to learn the larger size anew.
        small_scale: See there.
        frozen_blocks: How many of the first blocks of a network that begins with another model's weights stay
            as they are: edges are edges, and learning them costs most.
    """

    sharp_share: tuple[float, float] = (0.1, 0.3)
    label_sigma_months: float = 5.0
    sex_dropped: float = 0.15
    small_until: float = 0.55
    small_scale: float = 2 / 3
    frozen_blocks: int = 1


_VGG = (16, 32, 96, 160, 224)

FAMILIES: dict[str, tuple[AgeMember, ...]] = {
    "regions": tuple(
        AgeMember(
            name=name,
            architecture="vgg",
            widths=_VGG,
            region=Region(left=left, top=top, width=width, height=height),
            height_px=height_px,
            width_px=width_px,
            views=2,
            weights={"regression": 1 / 8, "classification": 1 / 8},
        )
        for name, left, top, width, height, height_px, width_px in (
            ("A", 50, 40, 1500, 2000, 192, 144),
            ("B", 425, 1225, 750, 750, 112, 112),
            ("C", 100, 700, 1400, 600, 84, 196),
            ("D", 100, 80, 1400, 600, 84, 196),
        )
    ),
    "inception": tuple(
        AgeMember(
            name=f"inception-{number}",
            architecture="inception",
            region=None,
            height_px=500,
            width_px=500,
            views=10,
            weights={"regression": 1 / 5},
        )
        for number in range(1, 6)
    ),
}
"""Families of age networks: the paper's by region, with D added, and the challenge winner's."""


def soft_labels(ages_months: Tensor, sigma_months: float) -> Tensor:
    """A Gaussian over the one-month bins about each age, shape (n, 240) (label distribution learning)."""
    bins = torch.arange(AGE_BINS, dtype=torch.float32, device=ages_months.device)
    return torch.softmax(-0.5 * ((bins - ages_months[:, None]) / sigma_months) ** 2, dim=1)


class AgeTask:
    """The age of registered hands.

    Args:
        train: Rasters to learn from.
        watch: Rasters to measure on as it goes; no weight depends on them.
        member: The network's place in the ensemble.
        recipe: How.
        device: Where to compute.
    """

    def __init__(
        self, train: Rasters, watch: Rasters, member: AgeMember, recipe: AgeRecipe, device: torch.device
    ) -> None:
        self._watch = watch
        self._member, self._recipe, self._device = member, recipe, device
        self._warp = Warp(rotation_degrees=15, scale=0.12, shift=0.06, mirror=0.5)
        self._pools = {
            sharp: torch.from_numpy(np.flatnonzero(train.sharp == sharp)).to(device)
            for sharp in (True, False)
        }
        # All of it on the device: a GPU would wait for images that are moved and changed by the CPU.
        self._pixels = torch.from_numpy(train.pixels).to(device)
        self._male = torch.from_numpy(train.male).to(device)
        self._ages = torch.from_numpy(train.ages_months).to(device)

    def loss(self, network: nn.Module, images: int, done: float, generator: torch.Generator) -> Tensor:
        """Cross-entropy with soft labels, and the absolute error of each head in years."""
        generator = _on(self._device, generator)
        chosen = self._choose(images, done, generator)
        shown = self._shown(chosen, self._size(done), generator).contiguous(memory_format=torch.channels_last)
        told = torch.rand(images, generator=generator, device=self._device) >= self._recipe.sex_dropped
        male = torch.where(told, self._male[chosen], 0.5)
        ages = self._ages[chosen]
        with autocast(self._device):
            heads: AgeHeads = network(shown, male)
        errors = [(months - ages).abs().mean() / 12 for months in months_by_head(heads).values()]
        loss = torch.stack(errors).sum()
        if heads.classification is not None:
            labels = soft_labels(ages, self._recipe.label_sigma_months)
            loss = loss + functional.cross_entropy(heads.classification.float(), labels)
        return loss

    def measure(self, network: nn.Module, done: float) -> dict[str, float]:
        """Mean absolute error of each head on the watched rasters, of the size it learns now, in months."""
        assert isinstance(network, AgeNetwork), "what learns here is one"
        figures = {}
        height_px, width_px = self._size(done)
        shown = self._member.model_copy(update={"height_px": height_px, "width_px": width_px})
        for head, ages in predict(network, self._watch, shown, self._device).items():
            errors = np.abs(ages - self._watch.ages_months)
            figures[f"watch_{head}_mae_months"] = round(float(errors.mean()), 3)
            if self._watch.sharp.any():
                figures[f"watch_sharp_{head}_mae_months"] = round(float(errors[self._watch.sharp].mean()), 3)
        return figures

    def _choose(self, images: int, done: float, generator: torch.Generator) -> Tensor:
        """Indices of a batch; sharp images have a share of their own."""
        first, last = self._recipe.sharp_share
        sharp = round(images * (first + (last - first) * done)) if len(self._pools[True]) else 0
        if not len(self._pools[False]):
            sharp = images
        parts = [
            pool[torch.randint(len(pool), (count,), generator=generator, device=self._device)]
            for pool, count in ((self._pools[True], sharp), (self._pools[False], images - sharp))
            if count
        ]
        return torch.cat(parts)

    def _size(self, done: float) -> tuple[int, int]:
        """(height_px, width_px) that the network sees at this share of the fit."""
        scale = self._recipe.small_scale if done < self._recipe.small_until else 1.0
        return round(self._member.height_px * scale), round(self._member.width_px * scale)

    def _shown(self, chosen: Tensor, size_px: tuple[int, int], generator: torch.Generator) -> Tensor:
        """Augmented images, shape (n, 1, height_px, width_px)."""
        pixels = self._pixels[chosen][:, None].float() / 255
        height_px, width_px = size_px
        maps = self._warp.maps(len(chosen), height_px / width_px, generator) / (1 + MARGIN)
        images = apply(maps, pixels, height_px, width_px)
        images = lower_resolution(
            images, generator, probability=0.2, shortest_px=min(height_px, width_px) // 3
        )
        return vary_exposure(images, generator)


def _on(device: torch.device, generator: torch.Generator) -> torch.Generator:
    """A generator on a device, whose numbers follow from another's."""
    if device == generator.device:
        return generator
    seed = int(torch.randint(2**62, (1,), generator=generator))
    return torch.Generator(device).manual_seed(seed)


def predict(
    network: AgeNetwork, rasters: Rasters, member: AgeMember, device: torch.device, batch: int = 64
) -> dict[str, npt.NDArray[np.float32]]:
    """Ages in months by head, shape (n,): without margin and over all views as the node, but in bfloat16."""
    parts: list[dict[str, npt.NDArray[np.float32]]] = []
    centre = torch.eye(2, 3)[None] / (1 + MARGIN)
    for start in range(0, len(rasters.examples), batch):
        pixels = torch.from_numpy(rasters.pixels[start : start + batch])[:, None].float() / 255
        images = apply(centre.expand(len(pixels), 2, 3), pixels, member.height_px, member.width_px)
        with autocast(device):
            male = rasters.male[start : start + batch].tolist()
            (months,) = read_views(network, images.to(device), [male], member.views).months
        parts.append(months)
    return {head: np.concatenate([part[head] for part in parts]) for head in parts[0]}
