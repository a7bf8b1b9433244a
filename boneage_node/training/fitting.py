"""What every fit shares: the learning-rate schedule, mixed precision, averaged weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def cosine(steps: int, warm_up: int) -> Callable[[int], float]:
    """Factor of the learning rate: linear warm-up, then half a cosine down to zero."""

    def factor(step: int) -> float:
        if step < warm_up:
            return (step + 1) / warm_up
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm_up) / max(1, steps - warm_up))))

    return factor


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 where the device is fast at it."""
    return torch.autocast(device.type, dtype=torch.bfloat16)


class Averaged(Generic[Network]):
    """Exponential moving average of a network, batch-norm statistics included.

    A single fit jumps from epoch to epoch by months of bias; the average does not.
    """

    def __init__(self, network: Network, decay: float) -> None:
        self.network: Network = copy.deepcopy(network).eval()
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, network: Network) -> None:
        """Take one step towards the network's present state."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for mean, now in zip(self.network.state_dict().values(), network.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(now.detach(), 1 - decay)
            else:
                mean.copy_(now)
