"""Training the hand mask: from hand-drawn outlines, then by positive mining.

Source: Iglovikov et al., doi 10.1101/234120: the network's own good masks are learned from too, round after
round. What is good is decided in ``mining``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from boneage_node.bone_age.framing import Grey, working_image
from boneage_node.bone_age.networks import HandUNet
from boneage_node.bone_age.segmentation import Mask, input_planes, segment, whole_frame
from boneage_node.datasets.annotations import HELD_OUT_OUTLINES, Outline, data_digest, split_outlines
from boneage_node.datasets.rsna import DataError, Example, read_image, share_of
from boneage_node.evaluation.finding import overlap_figures

from .augment import Warp, vary_tone
from .fitting import Fit, autocast, rank_and_world_size, rank_zero_first
from .mining import Mined, contact_sheets, load_masks, mine, save_masks
from .provenance import begin_folder, digest, load_network, save_network
from .recipe import Recipe

STRIKE_FILE = "strike.txt"


@dataclass(frozen=True)
class SegmentationRecipe(Recipe):
    """Recipe for training the hand mask.

    Attributes:
        steps: Of round 0, on the outlines alone.
        rounds: Rounds of mining.
        round_steps: Steps a round, on outlines and accepted masks in equal parts.
        round_images: Radiographs that each round adds to those it looks at.
        inverted: Share of a batch shown with grey values inverted.
    """

    steps: int = 1500
    batch: int = 12
    learning_rate: float = 3e-3
    rounds: int = 5
    round_steps: int = 200
    round_images: int = 300
    inverted: float = 0.2


def _square(image: Grey, mask: Mask) -> npt.NDArray[np.float32]:
    """Planes of a training square, shape (3, s, s): grey, where the image is, and the mask to learn."""
    frame = whole_frame(image)
    return np.stack([frame.cut(plane) for plane in (image, np.ones_like(image), mask.astype(np.float32))])


class SegmentationTask:
    """Hand masks under any rotation, tone and polarity.

    The loss is binary cross-entropy plus soft Dice (Milletari et al. 2016), which keeps small hands from
    being outvoted by their background.

    Args:
        drawn: Squares with hand-drawn masks, shape (n, 3, s, s).
        mined: Squares with accepted masks, shape (m, 3, s, s); m may be 0.
        measured: What ``measure`` reports of a network.
        recipe: How.
        device: Where to compute.
    """

    def __init__(
        self,
        drawn: Tensor,
        mined: Tensor,
        measured: Callable[[HandUNet], dict[str, float]],
        recipe: SegmentationRecipe,
        device: torch.device,
    ) -> None:
        self._pools = [pool for pool in (drawn, mined) if len(pool)]
        self._measured, self._recipe, self._device = measured, recipe, device
        self._warp = Warp(rotation_degrees=180, scale=0.35, shift=0.15)

    def loss(self, network: nn.Module, images: int, done: float, generator: torch.Generator) -> Tensor:
        """Loss on a batch drawn in equal parts from the pools."""
        parts = [len(part) for part in np.array_split(np.arange(images), len(self._pools))]
        batch = torch.cat(
            [
                pool[torch.randint(len(pool), (count,), generator=generator)]
                for pool, count in zip(self._pools, parts, strict=True)
            ]
        )
        batch = self._warp(batch, generator)
        grey, inside, target = vary_tone(batch[:, :1], generator), batch[:, 1] > 0.5, batch[:, 2:]
        turned = torch.rand((images, 1, 1, 1), generator=generator) < self._recipe.inverted
        grey = torch.where(turned, 1 - grey, grey)
        planes = [input_planes(g[0].numpy(), i.numpy()) for g, i in zip(grey, inside, strict=True)]
        seen = torch.from_numpy(np.stack(planes)).to(self._device, memory_format=torch.channels_last)
        target = target.to(self._device)
        with autocast(self._device):
            logits = network(seen)
        logits = logits.float()
        share = logits.sigmoid()
        overlap = (2 * (share * target).sum((1, 2, 3)) + 1) / (
            share.sum((1, 2, 3)) + target.sum((1, 2, 3)) + 1
        )
        loss: Tensor = functional.binary_cross_entropy_with_logits(logits, target) + (1 - overlap).mean()
        return loss

    def measure(self, network: nn.Module, done: float) -> dict[str, float]:
        """Overlap with the held-out outlines."""
        assert isinstance(network, HandUNet)
        return self._measured(network)


@dataclass(frozen=True)
class SegmentationRun:
    """The hand mask from outlines to the last round of mining, in ``out``.

    Attributes:
        outlines: All hand-drawn outlines; those held out are not learned from.
        examples: All radiographs; only those of the training split are mined.
        recipe: How.
        out: ``round-N`` folders with checkpoint, metrics, accepted masks and contact sheets. Ids listed in
            ``strike.txt``, one a line, are never learned from: write them there after a look at the sheets.
        device: Where to compute.
        processes: For looking at radiographs.
    """

    outlines: list[Outline]
    examples: list[Example]
    recipe: SegmentationRecipe
    out: Path
    device: torch.device
    processes: int = 1

    def stages(self) -> list[tuple[str, int]]:
        """Title and steps of each round, for progress."""
        steps = [self.recipe.steps] + [self.recipe.round_steps] * self.recipe.rounds
        return [
            ("hand mask, outlines" if n == 0 else f"hand mask, round {n}", s) for n, s in enumerate(steps)
        ]

    def candidates(self, number: int) -> list[Example]:
        """The radiographs whose masks a round judges: more each round, in an order that never changes."""
        taken = {outline.id for outline in self.outlines}
        free = [e for e in self.examples if e.split == "train" and e.id not in taken]
        return sorted(free, key=lambda e: share_of(e.id, "mining"))[: number * self.recipe.round_images]

    def mined(self, number: int, before: HandUNet, progress: Callable[[int], None]) -> list[Mined]:
        """The masks that a round learns from, accepted now or before; writes contact sheets of all it judged.

        ``progress(done)`` counts ``candidates(number)``. Other arguments and errors as of ``round``.
        """
        folder, pool = self.weights(self.out, number).parent, self.candidates(number)
        file = folder / "mined.npz"
        with rank_zero_first():
            begin_folder(folder, self._inputs(number, before))
            if not file.is_file():
                mined = mine(before, pool, self.processes, self._struck(), progress)
                for sheet, image in enumerate(contact_sheets(mined), 1):
                    image.save(folder / f"contact-sheet-{sheet}.png")
                save_masks(mined, file)
        return [one for one in load_masks(file, pool) if one.reason is None]

    def round(self, number: int, before: HandUNet | None) -> Iterator[tuple[int, float]]:
        """Train one round, yielding (step, loss); writes its weights. A round already there is left alone.

        Args:
            number: From 0, the outlines alone.
            before: Network of the round before; None for round 0.

        Raises:
            DataError: Where the round was begun with another recipe, data, strikes or network before, or no
                outline is left to learn from.
        """
        weights = self.weights(self.out, number)
        folder = weights.parent
        if weights.is_file():
            return
        inputs = self._inputs(number, before)
        with rank_zero_first():
            begin_folder(folder, inputs)
        torch.manual_seed(self.recipe.seed)
        network = HandUNet()
        recipe, mined = self.recipe, []
        if before is not None:
            mined = self.mined(number, before, lambda done: None)
            network.load_state_dict(before.state_dict())
            recipe = replace(
                recipe,
                steps=recipe.round_steps,
                learning_rate=recipe.learning_rate / 10,
                seed=recipe.seed + number,  # or each round would draw the same batches
            )
        task = SegmentationTask(self._drawn(), self._squares(mined), self._measured, recipe, self.device)
        fit = Fit(network, task, recipe, folder, self.device, decay=0.99)
        yield from fit.run()
        with rank_zero_first():  # the others go on once the weights are there
            if rank_and_world_size()[0] == 0:
                save_network(fit.average, weights, inputs)

    def network(self, number: int, before: HandUNet | None) -> HandUNet:
        """The network of a finished round, in evaluation mode on the CPU; arguments as of ``round``.

        Raises:
            DataError: Where the round was trained with another recipe, data, strikes or network before.
        """
        return load_network(HandUNet(), self.weights(self.out, number), self._inputs(number, before))

    @staticmethod
    def weights(out: Path, number: int) -> Path:
        """File in which a finished round leaves its network."""
        return out / f"round-{number}" / "weights.safetensors"

    def _inputs(self, number: int, before: HandUNet | None) -> dict[str, Any]:
        struck = self._struck() & {example.id for example in self.candidates(number)}
        return {
            "recipe": asdict(self.recipe),
            "data": data_digest(self.examples, self.outlines),
            "network before it": digest(before) if before else None,
            "list of struck radiographs": sorted(struck),
        }

    def _measured(self, network: HandUNet) -> dict[str, float]:
        """Measure masks found as the node finds them, but for checks that need key points."""

        def find(pixels: Grey) -> Mask:
            return segment(network, working_image(pixels)[0], next(network.parameters()).device).mask

        return overlap_figures(find, self.outlines, self.examples)

    def _drawn(self) -> Tensor:
        train, held_out = split_outlines(self.outlines, self.examples)
        if not train:
            raise DataError(
                f"{len(held_out)} hand outlines have an image and all are held out, as {HELD_OUT_OUTLINES} "
                "are at least: none is left to learn from. Draw more, of images of the training split"
            )
        paths = {example.id: example.path for example in self.examples}
        squares = []
        for outline in train:
            image = read_image(paths[outline.id])
            squares.append(_square(image, outline.mask(*image.shape)))
        return torch.from_numpy(np.stack(squares))

    def _struck(self) -> set[str]:
        file = self.out / STRIKE_FILE
        return set(file.read_text().split()) if file.is_file() else set()

    @staticmethod
    def _squares(mined: list[Mined]) -> Tensor:
        if not mined:
            return torch.empty(0)
        return torch.from_numpy(np.stack([_square(read_image(m.example.path), m.mask) for m in mined]))
