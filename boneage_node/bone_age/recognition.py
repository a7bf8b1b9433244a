"""Whether what the age networks see are the bones of a hand, told by how unlike known hands it is.

The Mahalanobis distance of a network's features from those of known hands (Lee et al. 2018, arXiv 1807.03888)
along the few directions in which known hands differ most, and what is left of the features beside these
directions (as in probabilistic PCA: Tipping and Bishop 1999). Small children, of whom there are few, are a
group of their own; a hand belongs to the group that it is nearest to. No picture of anything but hands is
needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from .manifest import Recognition
from .rounding import UNLIKENESS_DIGITS, rounded
from .words import ReasonCode, Refusal

Features = npt.NDArray[np.float32]
"""What a network tells ages by, whatever the sex (``networks.AgeHeads``): shape (n, k)."""

_LEAST_DEVIATION = 1e-3


class KnownHands(nn.Module):
    """How the features of one network vary among the known hands of a group.

    Args:
        features: How many features there are, k.
        directions: Along how many directions their variation is told apart.
    """

    def __init__(self, features: int, directions: int) -> None:
        super().__init__()
        self.count = directions
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))
        self.register_buffer("directions", torch.zeros(directions, features))
        self.register_buffer("spread", torch.ones(directions))
        self.register_buffer("rest", torch.ones(()))

    def learn(self, features: Features) -> None:
        """Learn from known hands, more of them than there are directions."""
        values = features.astype(np.float64)
        mean, deviation = values.mean(axis=0), values.std(axis=0) + _LEAST_DEVIATION
        standard = (values - mean) / deviation
        count = self.count
        _, singular, directions = np.linalg.svd(standard, full_matrices=False)
        rest = standard - standard @ directions[:count].T @ directions[:count]
        learned = {
            "mean": mean,
            "deviation": deviation,
            "directions": directions[:count],
            "spread": np.maximum(singular[:count] / np.sqrt(len(values)), _LEAST_DEVIATION),
            "rest": max(np.sqrt((rest**2).sum(axis=1).mean()), _LEAST_DEVIATION),
        }
        self.load_state_dict({name: torch.tensor(value).float() for name, value in learned.items()})

    def unlikeness(self, features: Features) -> npt.NDArray[np.float64]:
        """Distance from known hands, shape (n,); its mean square over these is one."""
        own = {name: tensor.double().cpu().numpy() for name, tensor in self.state_dict().items()}
        standard = (features - own["mean"]) / own["deviation"]
        along = standard @ own["directions"].T
        beside = standard - along @ own["directions"]
        squares = ((along / own["spread"]) ** 2).mean(axis=1) + (beside**2).sum(axis=1) / own["rest"] ** 2
        return np.asarray(np.sqrt(squares / 2), dtype=np.float64)


def overall(unlikeness: Mapping[str, float]) -> float:
    """Root mean square over the networks, as it is written down and judged."""
    return rounded(float(np.sqrt(np.mean(np.square(list(unlikeness.values()))))), UNLIKENESS_DIGITS)


def nearest(
    groups: Mapping[str, Mapping[str, KnownHands]], features: Mapping[str, Features]
) -> dict[str, float]:
    """How unlike the hands of the nearest group one hand is, by name of the network.

    Args:
        groups: What each network knows of each group's hands.
        features: Of one hand, shape (1, k), by name of the network.
    """
    every = [
        {name: float(known.unlikeness(features[name])[0]) for name, known in group.items()}
        for group in groups.values()
    ]
    return min(every, key=overall)


def refuse_unrecognised(unlikeness: Mapping[str, float], limits: Recognition, fingers: int) -> None:
    """Raise ``IMPLAUSIBLE_HAND`` where the networks see no hand that they know.

    Args:
        unlikeness: By name of the network, as ``nearest`` says.
        limits: The model's.
        fingers: How many fingers stand apart in what was found.
    """
    total = overall(unlikeness)
    if total <= limits.unlikeness:
        return
    strange = [words for name, words in limits.regions.items() if unlikeness[name] > limits.unlikeness]
    where = f" in {_listed(strange)}" if 0 < len(strange) < len(limits.regions) else ""
    apart = "no finger stands apart, and " if fingers <= 1 else ""
    raise Refusal(
        ReasonCode.IMPLAUSIBLE_HAND,
        f"{apart}no bones of a hand were recognised{where}: "
        f"{total / limits.unlikeness:.1f} times as unlike known hands as a hand may be",
    )


def _listed(words: Sequence[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last
