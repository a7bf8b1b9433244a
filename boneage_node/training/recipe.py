"""The recipe of a fit: steps, batch, learning rate."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """Recipe for training a network; written into the manifest.

    Attributes:
        steps: Optimiser steps in all.
        batch: Images a step, over all processes.
        learning_rate: Peak of the schedule.
        seed: Of every random choice.
    """

    steps: int
    batch: int = 32
    learning_rate: float = 2e-3
    seed: int = 1
