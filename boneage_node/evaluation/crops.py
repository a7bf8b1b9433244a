"""Stress test by cropping: the picture cut off close to the hand, and into it.

How a hand is cropped matters to a reader too: what is hardly missing is to be read, and what is missing is to
be said. The crops are ours, not those of the published stress test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from boneage_node.bone_age import Answer, Hand, Refusal
from boneage_node.bone_age.cropping import FoundHand
from boneage_node.bone_age.framing import Grey
from boneage_node.bone_age.predictor import Predictor
from boneage_node.bone_age.registration import CAPITATE_AT
from boneage_node.datasets.rsna import read_image

from .parallel import each
from .readings import Reading
from .stress import row

_BEYOND_WRIST = CAPITATE_AT[1] + 100


@dataclass(frozen=True)
class Crop:
    """How close a picture is cropped to its hand.

    Attributes:
        name: In words.
        tips, sides: Room left beyond fingertips and at the sides, in hand lengths; below 0, what is cut.
        wrist_at: Where it ends, down the method's frame; None keeps the arm.
    """

    name: str
    tips: float
    sides: float
    wrist_at: float | None = None


CROPS = (
    Crop("to fingertips and sides", 0.0, 0.0),
    Crop("3 % of the fingers cut", -0.03, 0.01),
    Crop("15 % of the fingers cut", -0.15, 0.01),
    Crop("2 % of both sides cut", 0.02, -0.02),
    Crop("forearm cut", 0.0, 0.0, 1980),
    Crop("below the carpal bones", 0.02, 0.02, 1780),
)


def cropped(image: Grey, hand: FoundHand, crop: Crop) -> Grey:
    """The picture cropped along its own edges, the fingers towards whichever edge they point to most.

    Args:
        image: The radiograph, shape (height, width).
        hand: The hand in it.
        crop: How.
    """
    rows, columns = np.nonzero(hand.mask)
    places = np.stack([columns, rows], axis=1).astype(np.float64)
    beyond_wrist = hand.placement.from_image(places)[:, 1] < _BEYOND_WRIST
    low, high = places[beyond_wrist].min(axis=0), places[beyond_wrist].max(axis=0)
    up = hand.points_px[0] - hand.points_px[2]
    along = int(abs(up[1]) >= abs(up[0]))
    room = np.full(2, crop.sides * hand.length_px)
    room[along] = crop.tips * hand.length_px
    box = np.stack([low - room, high + room]).astype(np.float32)
    size_px = hand.image.shape[1 - along]
    upside_down = up[along] > 0
    end = 0.0 if upside_down else size_px - 1.0
    if crop.wrist_at is not None:
        wrist = float(hand.placement.to_image(np.array([[CAPITATE_AT[0], crop.wrist_at]]))[0, along])
        end = max(end, wrist) if upside_down else min(end, wrist)
    box[0 if upside_down else 1, along] = end
    left, top = np.maximum(np.floor(hand.in_radiograph(box[0])), 0).astype(int)
    right, bottom = np.ceil(hand.in_radiograph(box[1])).astype(int) + 1
    return np.ascontiguousarray(image[top:bottom, left:right])


def read_crops(
    predictor: Predictor, readings: list[Reading], progress: Callable[[int], None]
) -> list[dict[str, Any]]:
    """Read images cropped, those that are read whole; rows as of ``stress.stress_table``."""
    whole = [reading for reading in readings if reading.assessment]

    def read(reading: Reading) -> list[Answer]:
        image = read_image(reading.example.path)
        found = predictor.find(image)
        assert not isinstance(found, Refusal), "it was read"
        return predictor.assess([Hand(cropped(image, found, crop), reading.example.sex) for crop in CROPS])

    answers = each(read, whole, progress)
    return [
        row("crop", crop.name, whole, [own[number] for own in answers]) for number, crop in enumerate(CROPS)
    ]
