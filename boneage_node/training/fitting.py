"""Fitting of a network: schedule, mixed precision, averaged weights, checkpoints, several processes.

A fit started by ``torchrun`` spreads each batch over its processes; the first of them measures, shows and
writes.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any, Generic, Protocol, cast

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from boneage_node.datasets.rsna import DataError

from .provenance import Network, replacing
from .recipe import Recipe


class Task(Protocol):
    """A task that a network learns, and the measure of its progress."""

    def loss(self, network: nn.Module, images: int, done: float, generator: torch.Generator) -> Tensor:
        """Loss of ``network`` on a random batch of ``images``; ``done`` is the share of the fit, 0 to 1."""

    def measure(self, network: nn.Module, done: float) -> dict[str, float]:
        """Figures of the averaged network on images that it does not learn from."""


def cosine(steps: int, warm_up: int) -> Callable[[int], float]:
    """Factor of the learning rate: linear warm-up, then half a cosine down to zero."""

    def factor(step: int) -> float:
        if step < warm_up:
            return (step + 1) / warm_up
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm_up) / max(1, steps - warm_up))))

    return factor


def autocast(device: torch.device) -> torch.autocast:
    """Mixed precision: bfloat16 where it does no harm, on devices that multiply in it.

    Others emulate it, many times slower than float32.
    """
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=_multiplies_in_bfloat16(device))


def _multiplies_in_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities: dict[str, Any] = getattr(
        torch.cpu, "get_capabilities", dict
    )()  # not in the earliest PyTorch we take
    return any(value for name, value in capabilities.items() if name.endswith("bf16"))


def rank_and_world_size() -> tuple[int, int]:
    """(rank, world size) of this fit as torchrun set them, joined on first use; (0, 1) without torchrun."""
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if processes > 1 and not distributed.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        distributed.init_process_group(backend, timeout=timedelta(hours=12))
    return (distributed.get_rank(), processes) if processes > 1 else (0, 1)


@contextmanager
def rank_zero_first() -> Iterator[None]:
    """Let the process of rank 0 do something; the others come after it, to find it done."""
    rank, processes = rank_and_world_size()
    if rank > 0:
        distributed.barrier()
    yield
    if rank == 0 and processes > 1:
        distributed.barrier()


def averaged(network: nn.Module, decay: float) -> AveragedModel:
    """Wrap a network's exponential moving average, batch-norm statistics included.

    A single fit jumps from epoch to epoch by months of bias; the average does not. It follows the first steps
    faster than ``decay`` says, to leave the untrained weights behind.
    """

    @torch.no_grad()
    def follow(means: Any, now: Any, updates: Tensor | int) -> None:
        count = int(updates) + 1
        share = 1 - min(decay, (1 + count) / (10 + count))
        for mean, value in zip(means, now, strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, share)
            else:
                mean.copy_(value)

    return AveragedModel(network, multi_avg_fn=follow, use_buffers=True).eval()


class Fit(Generic[Network]):
    """A fit that can be stopped and gone on with: all it needs is in ``folder/checkpoint.pt``.

    Every random choice follows from the recipe's seed, the process and the step, so a fit that was
    interrupted ends with the same weights as one that was not.

    Args:
        network: To be trained, as initialised; moved to the device.
        task: What it learns.
        recipe: How.
        folder: For ``checkpoint.pt`` and ``metrics.jsonl``.
        device: Where to compute.
        decay: Of the average over steps.

    Attributes:
        average: The averaged network: what is shipped.

    Raises:
        DataError: Where the folder holds the checkpoint of another recipe, of another number of processes or
            of an earlier version, or the batch cannot be spread evenly over the processes.
    """

    def __init__(
        self,
        network: Network,
        task: Task,
        recipe: Recipe,
        folder: Path,
        device: torch.device,
        decay: float = 0.998,
    ) -> None:
        self._task, self._recipe, self._device = task, recipe, device
        self._rank, self._processes = rank_and_world_size()
        if recipe.batch % self._processes:
            counts = ", ".join(str(n) for n in range(1, recipe.batch + 1) if recipe.batch % n == 0)
            raise DataError(
                f"a batch of {recipe.batch} cannot be spread over {self._processes} processes: "
                f"take one of {counts}"
            )
        self._network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._averaged = averaged(network, decay)
        self._optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=1e-3)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimiser, cosine(recipe.steps, warm_up=min(200, recipe.steps // 10 + 1))
        )
        folder.mkdir(parents=True, exist_ok=True)
        self._checkpoint = folder / "checkpoint.pt"
        self._metrics = folder / "metrics.jsonl"
        self._step = 0
        if self._checkpoint.is_file():
            self._resume()
        self._learning = DistributedDataParallel(network) if self._processes > 1 else network

    @property
    def steps(self) -> int:
        """Steps of the whole fit."""
        return self._recipe.steps

    @property
    def average(self) -> Network:
        """The averaged network in evaluation mode."""
        return cast(Network, self._averaged.module)

    def run(self, *, every: int = 250) -> Iterator[tuple[int, float]]:
        """Fit to the end, yielding (step, loss); measures and keeps a checkpoint ``every`` so many steps."""
        while self._step < self._recipe.steps:
            loss = self._one_step()
            self._step += 1
            if self._rank == 0 and (self._step % every == 0 or self._step == self._recipe.steps):
                self._measure(loss)
                self._keep()
            yield self._step, loss

    def _one_step(self) -> float:
        seed = (self._recipe.seed * 1_000_003 + self._step) * self._processes + self._rank
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        self._learning.train()
        images = self._recipe.batch // self._processes
        loss = self._task.loss(self._learning, images, self._step / self._recipe.steps, generator)
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), 5.0)
        self._optimiser.step()
        self._schedule.step()
        self._averaged.update_parameters(self._network)
        return float(loss.detach())

    def _measure(self, loss: float) -> None:
        """Append a line to ``metrics.jsonl``."""
        measured = self._task.measure(self.average, self._step / self._recipe.steps)
        line = {"step": self._step, "loss": round(loss, 4), **measured}
        with self._metrics.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def _keep(self) -> None:
        state = {
            "recipe": self._described(),
            "processes": self._processes,
            "step": self._step,
            "network": self._network.state_dict(),
            "average": self._averaged.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict(),
        }
        with replacing(self._checkpoint) as file:
            torch.save(state, file)

    def _resume(self) -> None:
        state = torch.load(self._checkpoint, map_location=self._device, weights_only=True)
        if state["recipe"] != self._described() or "n_averaged" not in state["average"]:
            raise DataError(
                f"{self._checkpoint} is of another recipe, or of an earlier version: give another --out, "
                f"or delete {self._checkpoint.parent}"
            )
        if state["processes"] != self._processes:
            raise DataError(
                f"{self._checkpoint} was begun with {state['processes']} processes: go on with as many, "
                f"or delete {self._checkpoint.parent}"
            )
        self._step = state["step"]
        self._network.load_state_dict(state["network"])
        self._averaged.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._schedule.load_state_dict(state["schedule"])
        if self._rank == 0:  # a line may have been written whose checkpoint was not
            lines = self._metrics.read_text().splitlines()
            kept = [line for line in lines if json.loads(line)["step"] <= self._step]
            self._metrics.write_text("".join(f"{line}\n" for line in kept))

    def _described(self) -> dict[str, Any]:
        """The recipe as a checkpoint holds it."""
        described: dict[str, Any] = json.loads(json.dumps(asdict(self._recipe)))
        return described
