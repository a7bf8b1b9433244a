"""Training the age network on crops of hands."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from boneage_node.bone_age import Refusal, Sex
from boneage_node.bone_age.cropping import crop_hand
from boneage_node.bone_age.framing import working_image
from boneage_node.bone_age.networks import AGE_BINS, AgeVgg, HandUNet
from boneage_node.bone_age.segmentation import segment

from .augment import Warp, lower_resolution, vary_exposure
from .data import HIGH_RESOLUTION_PX, Example, read_image
from .fitting import Averaged, autocast, cosine


@dataclass(frozen=True)
class Crops:
    """Hands cut from their radiographs once, so that no epoch does it again.

    Attributes:
        examples: Those in whose image a hand was found, n of them.
        pixels: Shape (n, height_px, width_px), uint8.
        sharp: Whether each came from a high-resolution image, shape (n,).
    """

    examples: list[Example]
    pixels: npt.NDArray[np.uint8]
    sharp: npt.NDArray[np.bool_]

    def where(self, keep: npt.NDArray[np.bool_]) -> Crops:
        """Some of the crops."""
        chosen = np.flatnonzero(keep)
        return Crops([self.examples[i] for i in chosen], self.pixels[chosen], self.sharp[chosen])

    def split(self, name: str) -> Crops:
        """The crops of one split."""
        return self.where(np.array([example.split == name for example in self.examples]))

    @property
    def ages_months(self) -> npt.NDArray[np.float32]:
        """Labels, shape (n,)."""
        return np.array([example.bone_age_months for example in self.examples], dtype=np.float32)

    @property
    def male(self) -> npt.NDArray[np.float32]:
        """1 for boys, 0 for girls, shape (n,)."""
        return np.array([example.sex is Sex.MALE for example in self.examples], dtype=np.float32)


@dataclass(frozen=True)
class AgeRecipe:
    """How the age network is trained; written into the manifest.

    Attributes:
        height_px, width_px: Raster of the crops.
        widths: Channels of the network's blocks.
        steps: Optimiser steps in all.
        batch: Images a step.
        learning_rate: Peak of the schedule.
        sharp_share: Share of a batch drawn from high-resolution images at the start and at the end.
        label_sigma_months: Width of the soft label over the one-month bins.
        seed: Of every random choice.
    """

    height_px: int = 192
    width_px: int = 144
    widths: tuple[int, ...] = (16, 32, 64, 128, 160)
    steps: int = 9000
    batch: int = 32
    learning_rate: float = 2e-3
    sharp_share: tuple[float, float] = (0.2, 0.6)
    label_sigma_months: float = 5.0
    seed: int = 1


def _crop(
    example: Example, network: HandUNet, height_px: int, width_px: int
) -> tuple[npt.NDArray[np.uint8], bool] | None:
    """The example's crop and whether its image is sharp; None where no hand is found."""
    torch.set_num_threads(1)
    pixels = read_image(example.path)
    image, _ = working_image(pixels)
    try:
        mask = segment(network, image, torch.device("cpu"))
    except Refusal:
        return None
    crop = crop_hand(image, mask, height_px, width_px)
    return (crop * 255).round().astype(np.uint8), max(pixels.shape) >= HIGH_RESOLUTION_PX


def cut_crops(
    examples: list[Example],
    network: HandUNet,
    recipe: AgeRecipe,
    *,
    processes: int,
    progress: Callable[[int], None],
) -> Crops:
    """Find and cut the hand of every example; ``progress(done)`` counts them.

    Examples in which no hand is found are left out.
    """
    kept: list[Example] = []
    pixels: list[npt.NDArray[np.uint8]] = []
    sharp: list[bool] = []
    work = partial(_crop, network=network, height_px=recipe.height_px, width_px=recipe.width_px)
    with ProcessPoolExecutor(processes) as pool:
        for done, (example, cut) in enumerate(
            zip(examples, pool.map(work, examples, chunksize=16), strict=True)
        ):
            if cut is not None:
                kept.append(example)
                pixels.append(cut[0])
                sharp.append(cut[1])
            progress(done + 1)
    return Crops(kept, np.stack(pixels), np.array(sharp))


def load_or_cut_crops(file: Path, cut: Callable[[], Crops], examples: list[Example]) -> Crops:
    """Crops kept in ``file`` (npz), cut now and kept there where it does not exist."""
    if file.is_file():
        with np.load(file) as kept:
            by_id = {example.id: example for example in examples}
            return Crops([by_id[i] for i in kept["ids"]], kept["pixels"], kept["sharp"])
    crops = cut()
    np.savez(file, ids=[example.id for example in crops.examples], pixels=crops.pixels, sharp=crops.sharp)
    return crops


def soft_labels(ages_months: Tensor, sigma_months: float) -> Tensor:
    """A Gaussian over the one-month bins about each age, shape (n, 240) (label distribution learning)."""
    bins = torch.arange(AGE_BINS, dtype=torch.float32)
    return torch.softmax(-0.5 * ((bins - ages_months[:, None]) / sigma_months) ** 2, dim=1)


class AgeFit:
    """A fit that can be stopped and gone on with: everything it needs is in its checkpoint.

    Args:
        train: Crops to learn from.
        watch: Crops to measure on as it goes; no weight depends on them.
        recipe: How to train.
        folder: For ``checkpoint.pt`` and ``metrics.jsonl``.
        device: Where to compute.
    """

    def __init__(
        self, train: Crops, watch: Crops, recipe: AgeRecipe, folder: Path, device: torch.device
    ) -> None:
        self.train, self.watch, self.recipe, self.device = train, watch, recipe, device
        self._checkpoint = folder / "checkpoint.pt"
        self._metrics = folder / "metrics.jsonl"
        self._warp = Warp(rotation_degrees=25, scale=0.15, shift=0.08)
        torch.manual_seed(recipe.seed)
        self._generator = torch.Generator().manual_seed(recipe.seed)
        self.network = AgeVgg(recipe.widths).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = Averaged(self.network, decay=0.998)
        self._optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=recipe.learning_rate, weight_decay=1e-3
        )
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimiser, cosine(recipe.steps, warm_up=200))
        self.step = 0
        self._sharp = torch.from_numpy(np.flatnonzero(train.sharp))
        self._coarse = torch.from_numpy(np.flatnonzero(~train.sharp))
        if self._checkpoint.is_file():
            self._resume()

    def run(self, *, every: int = 250) -> Iterator[tuple[int, float]]:
        """Fit to the end, yielding (step, loss); measures and keeps a checkpoint ``every`` so many steps."""
        while self.step < self.recipe.steps:
            loss = self._one_step()
            self.step += 1
            if self.step % every == 0 or self.step == self.recipe.steps:
                self._measure(loss)
                self._keep()
            yield self.step, loss

    def _batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """Augmented images (n, 1, h, w), sex (n,) and ages in months (n,)."""
        first, last = self.recipe.sharp_share
        share = first + (last - first) * self.step / self.recipe.steps
        sharp = round(self.recipe.batch * share) if len(self._sharp) else 0
        if not len(self._coarse):
            sharp = self.recipe.batch
        chosen = torch.cat(
            [
                pool[torch.randint(len(pool), (count,), generator=self._generator)]
                for pool, count in ((self._sharp, sharp), (self._coarse, self.recipe.batch - sharp))
                if count
            ]
        ).numpy()
        images = torch.from_numpy(self.train.pixels[chosen])[:, None].float() / 255
        images = lower_resolution(images, self._generator, probability=0.3, shortest_px=48)
        images = vary_exposure(self._warp(images, self._generator), self._generator)
        return (
            images,
            torch.from_numpy(self.train.male[chosen]),
            torch.from_numpy(self.train.ages_months[chosen]),
        )

    def _one_step(self) -> float:
        images, male, ages = self._batch()
        images = images.to(self.device, memory_format=torch.channels_last)
        male, ages = male.to(self.device), ages.to(self.device)
        self.network.train()
        with autocast(self.device):
            logits = self.network(images, male).float()
        labels = soft_labels(ages.cpu(), self.recipe.label_sigma_months).to(self.device)
        error = (self.network.age_months(logits) - ages).abs().mean()
        loss = functional.cross_entropy(logits, labels) + error / 12
        self._optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self._optimiser.step()
        self._schedule.step()
        self.average.update(self.network)
        return float(loss.detach())

    def _measure(self, loss: float) -> None:
        """Append a line to ``metrics.jsonl``: error of the averaged network on the watched crops."""
        errors = np.abs(predict(self.average.network, self.watch, self.device) - self.watch.ages_months)
        line = {
            "step": self.step,
            "loss": loss,
            "watch_mae_months": float(errors.mean()),
            "watch_sharp_mae_months": float(errors[self.watch.sharp].mean())
            if self.watch.sharp.any()
            else None,
        }
        with self._metrics.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def _keep(self) -> None:
        state = {
            "recipe": asdict(self.recipe),
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average.network.state_dict(),
            "updates": self.average.updates,
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict(),
            "generator": self._generator.get_state(),
            "torch_generator": torch.get_rng_state(),
        }
        partial_file = self._checkpoint.with_suffix(".partial")
        torch.save(state, partial_file)
        partial_file.replace(self._checkpoint)

    def _resume(self) -> None:
        state = torch.load(self._checkpoint, map_location=self.device, weights_only=True)
        if state["recipe"] != asdict(self.recipe):
            raise ValueError(f"{self._checkpoint} is of another recipe: choose another folder, or delete it")
        self.step = state["step"]
        self.network.load_state_dict(state["network"])
        self.average.network.load_state_dict(state["average"])
        self.average.updates = state["updates"]
        self._optimiser.load_state_dict(state["optimiser"])
        self._schedule.load_state_dict(state["schedule"])
        self._generator.set_state(state["generator"].cpu())
        torch.set_rng_state(state["torch_generator"].cpu())


def predict(network: AgeVgg, crops: Crops, device: torch.device, batch: int = 64) -> npt.NDArray[np.float32]:
    """Ages in months, shape (n,), each the mean over a crop and its mirror image."""
    ages = []
    with torch.inference_mode(), autocast(device):
        for start in range(0, len(crops.examples), batch):
            images = torch.from_numpy(crops.pixels[start : start + batch])[:, None].float().to(device) / 255
            images = images.contiguous(memory_format=torch.channels_last)
            male = torch.from_numpy(crops.male[start : start + batch]).to(device)
            views = [network.age_months(network(view, male)) for view in (images, images.flip(3))]
            ages.append(torch.stack(views).mean(dim=0).float().cpu().numpy())
    return np.concatenate(ages)
