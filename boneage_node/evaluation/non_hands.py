"""Drawn parts of the body that are no hands: how many of them are refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from boneage_node.bone_age import Answer, Hand, Refusal, Sex
from boneage_node.bone_age.framing import Grey
from boneage_node.bone_age.predictor import Predictor
from boneage_node.phantom.chest import draw_chest
from boneage_node.phantom.limbs import PARTS, draw_limb

from .parallel import each
from .readings import refusals

KINDS = (*PARTS, "chest")


def draw_non_hands(count: int, seed: int) -> Iterator[tuple[str, Grey]]:
    """Draw parts in turn, each turned by quarters and mirrored at random: its name, and the picture."""
    random = np.random.default_rng(seed)
    for number in range(count):
        kind, own = KINDS[number % len(KINDS)], int(random.integers(2**32))
        pixels = draw_chest(seed=own).pixels if kind == "chest" else draw_limb(kind, seed=own).pixels
        if random.random() < 0.5:
            pixels = pixels[:, ::-1]
        yield kind, np.ascontiguousarray(np.rot90(pixels, int(random.integers(4))))


def read_non_hands(
    predictor: Predictor, count: int, seed: int, progress: Callable[[int], None]
) -> list[tuple[str, Answer]]:
    """Read drawn parts; ``progress(done)`` counts them."""

    def read(drawn: tuple[str, Grey]) -> tuple[str, Answer]:
        kind, pixels = drawn
        (answer,) = predictor.assess([Hand(pixels, Sex.FEMALE)])
        return kind, answer

    return each(read, draw_non_hands(count, seed), progress)


def non_hand_table(readings: Sequence[tuple[str, Answer]]) -> dict[str, Any]:
    """How many were refused, of all and by kind, and why."""
    kinds: dict[str, list[Answer]] = {}
    for kind, answer in readings:
        kinds.setdefault(kind, []).append(answer)
    every = [answer for _, answer in readings]
    return {
        "refusals": refusals(every),
        "all": _counts(every),
        "kinds": {kind: _counts(answers) for kind, answers in kinds.items()},
    }


def _counts(answers: Sequence[Answer]) -> dict[str, int]:
    return {"images": len(answers), "refused": sum(isinstance(answer, Refusal) for answer in answers)}
