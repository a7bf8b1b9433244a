"""What the age networks know of hands: learned from training hands, as many of each year of age."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from boneage_node.bone_age import Refusal
from boneage_node.bone_age.manifest import AgeMember, Recognition
from boneage_node.bone_age.predictor import Predictor
from boneage_node.bone_age.recognition import Features, KnownHands
from boneage_node.datasets.rsna import DataError, Example, read_image, share_of
from boneage_node.evaluation.parallel import each
from boneage_node.phantom import PhantomHand, draw_series

REGIONS = {"A": "the hand as a whole", "B": "the wrist", "C": "the palm"}
"""What the regions of the family ``regions`` show, for a refusal."""

GROUPS = {"small": (0.0, 36.0), "grown": (24.0, math.inf)}
"""From which labelled age, in months, until which hands belong to each group."""

UNLIMITED = 1e6
"""A limit that nothing crosses, until it is set on calibration images."""


@dataclass(frozen=True)
class RecognitionRecipe:
    """Recipe for learning what a hand is; written into the manifest.

    Attributes:
        small_a_year: Training hands for each year of labelled age in the group of small children; the first
            by a hash of the id.
        hands_a_year: Likewise in that of the others.
        drawn: Drawn hands beside them, so that those by which a node is tried are known.
        directions: Along how many directions the variation of features in a group is told apart.
        seed: Of the drawn hands.
    """

    small_a_year: int = 80
    hands_a_year: int = 40
    drawn: int = 60
    directions: int = 8
    seed: int = 1


def asked(members: Sequence[AgeMember]) -> dict[str, str]:
    """What each network that can be asked shows, by its name; those that read whole radiographs are not."""
    return {m.name: REGIONS[m.name] for m in members if m.region and m.name in REGIONS}


def chosen(examples: Sequence[Example], recipe: RecognitionRecipe) -> list[Example]:
    """The training radiographs to learn from."""
    by_year: defaultdict[int, list[Example]] = defaultdict(list)
    for example in sorted(examples, key=lambda example: share_of(example.id, "recognition")):
        if example.split == "train":
            by_year[int(example.bone_age_months // 12)].append(example)
    small_until = GROUPS["small"][1] // 12
    return [
        example
        for year in sorted(by_year)
        for example in by_year[year][: recipe.small_a_year if year < small_until else recipe.hands_a_year]
    ]


def learn_hands(
    predictor: Predictor,
    examples: Sequence[Example],
    recipe: RecognitionRecipe,
    progress: Callable[[int], None],
) -> tuple[dict[str, dict[str, KnownHands]], Recognition]:
    """What networks know of hands, by group and network, and the manifest's part, not limited yet.

    Args:
        predictor: The model, with no such knowledge.
        examples: Those that ``chosen`` chose.
        recipe: How.
        progress: Called with how many radiographs and drawings were looked at.

    Raises:
        DataError: Where too few hands were found.
    """
    regions = asked(predictor.manifest.members)
    pictures: list[Example | PhantomHand] = [*examples, *draw_series(recipe.drawn, recipe.seed)]
    looks = each(lambda picture: _look(predictor, picture), pictures, progress)
    found = [look for look in looks if look is not None]
    known: dict[str, dict[str, KnownHands]] = {}
    for group, (low, high) in GROUPS.items():
        own = [features for months, features in found if low <= months < high]
        if len(own) <= recipe.directions:
            raise DataError(
                f"hands were found in {len(own)} training images of {low:g} to {high:g} months, too few to "
                "learn what a hand is: look at the contact sheets of the hand mask, and train it longer"
            )
        known[group] = {
            name: _learned(np.concatenate([features[name] for features in own]), recipe.directions)
            for name in regions
        }
    test = Recognition(
        regions=regions, groups=tuple(GROUPS), directions=recipe.directions, unlikeness=UNLIMITED
    )
    return known, test


def _learned(features: Features, directions: int) -> KnownHands:
    known = KnownHands(features.shape[1], directions)
    known.learn(features)
    return known


def _look(predictor: Predictor, picture: Example | PhantomHand) -> tuple[float, dict[str, Features]] | None:
    """The age of a hand, in months, and its features; None where it is not found."""
    if isinstance(picture, Example):
        pixels, months = read_image(picture.path), picture.bone_age_months
    else:
        pixels, months = picture.pixels, picture.age_months
    found = predictor.find(pixels)
    return None if isinstance(found, Refusal) else (months, dict(predictor.see(found, [None]).features))
