"""Fits that are interrupted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from boneage_node.training.fitting import Fit


def run(fit: Fit[Any], every: int, stop_at: int | None = None) -> dict[str, torch.Tensor]:
    """Go on to the end, or to a step, with a checkpoint ``every`` so many; gives the averaged weights."""
    for step, _ in fit.run(every=every):
        if step == stop_at:
            break
    weights: dict[str, torch.Tensor] = fit.average.state_dict()
    return weights


def assert_goes_on_to_the_same_weights(
    begin: Callable[[Path], Fit[Any]], folder: Path, *, every: int, stop_at: int
) -> None:
    """A fit of ``begin`` that stops in ``folder / "parts"`` ends there as one that does not."""
    whole = run(begin(folder / "whole"), every)
    run(begin(folder / "parts"), every, stop_at)
    resumed = run(begin(folder / "parts"), every)
    for name, tensor in whole.items():
        assert torch.equal(tensor, resumed[name]), name
