"""Accuracy of hand mask and key points, on radiographs that people annotated and no weight depends on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from boneage_node.bone_age.finding import HandFinder
from boneage_node.bone_age.framing import Grey
from boneage_node.bone_age.segmentation import Mask
from boneage_node.bone_age.words import Refusal
from boneage_node.datasets.annotations import (
    KEY_POINTS_FILE,
    OUTLINES_FILE,
    KeyPoints,
    Outline,
    points_in,
    read_key_points,
    read_outlines,
    split_outlines,
)
from boneage_node.datasets.rsna import Example, read_image, share_of

from .parallel import each
from .readings import mask_iou, point_errors

Item = TypeVar("Item")


def finding_figures(
    finder: HandFinder,
    data: Path,
    examples: list[Example],
    progress: Callable[[int], None] = lambda done: None,
    limit: int | None = None,
) -> dict[str, Any]:
    """Hand mask on the held-out outlines, key points on the validation images that a person marked.

    Args:
        finder: The model's.
        data: Folder with the RSNA layout; what it has no annotations of is left out.
        examples: All of its radiographs.
        progress: Called with how many images were looked at.
        limit: Of either, look at no more than so many.
    """
    figures: dict[str, Any] = {}
    looked_at = 0
    if (data / OUTLINES_FILE).is_file():
        outlines = read_outlines(data / OUTLINES_FILE)
        figures["hand_mask"] = overlap_figures(
            lambda pixels: finder.find(pixels).mask, outlines, examples, progress, limit
        )
        looked_at = figures["hand_mask"]["images"]
    if (data / KEY_POINTS_FILE).is_file():
        marked = [
            one
            for one in read_key_points(data / KEY_POINTS_FILE, examples)
            if one.manual and one.example.split == "validation"
        ]
        marked = _some(marked, lambda one: one.example.id, limit)
        if marked:
            figures["key_points"] = point_figures(finder, marked, lambda done: progress(looked_at + done))
    return figures


def _some(items: list[Item], identity: Callable[[Item], str], limit: int | None) -> list[Item]:
    """So many of them, always the same; all in their order where there is no limit."""
    return items if limit is None else sorted(items, key=lambda one: share_of(identity(one), "some"))[:limit]


def point_figures(
    finder: HandFinder, marked: list[KeyPoints], progress: Callable[[int], None] = lambda done: None
) -> dict[str, float]:
    """Errors over all three points as shares of the hand's length; none where every hand was refused."""

    def error(one: KeyPoints) -> npt.NDArray[np.float64] | None:
        image = read_image(one.example.path)
        try:
            return point_errors(finder.find(image), points_in(one, image))
        except Refusal:
            return None

    errors = [one for one in each(error, marked, progress) if one is not None]
    figures: dict[str, float] = {"images": len(marked), "refused": len(marked) - len(errors)}
    if not errors:
        return figures
    return figures | {
        "median": round(float(np.median(errors)), 4),
        "percentile_95": round(float(np.percentile(errors, 95)), 4),
    }


def overlap_figures(
    find: Callable[[Grey], Mask],
    outlines: list[Outline],
    examples: list[Example],
    progress: Callable[[int], None] = lambda done: None,
    limit: int | None = None,
) -> dict[str, float]:
    """Overlap with the held-out outlines: mean and least of the hands that are not refused, and how many are.

    Args:
        find: The hand's mask in the working image of a radiograph; raises ``Refusal``.
        outlines: All hand-drawn outlines.
        examples: All radiographs.
        progress: Called with how many images were looked at.
        limit: Look at no more than so many.
    """
    _, held_out = split_outlines(outlines, examples)
    held_out = _some(held_out, lambda one: one.id, limit)
    paths = {example.id: example.path for example in examples}

    def overlap(outline: Outline) -> float | None:
        image = read_image(paths[outline.id])
        try:
            return mask_iou(find(image), outline.mask(*image.shape))
        except Refusal:
            return None

    shares = [one for one in each(overlap, held_out, progress) if one is not None]
    figures: dict[str, float] = {"images": len(held_out), "refused": len(held_out) - len(shares)}
    if not shares:
        return figures
    return figures | {"mean_iou": round(float(np.mean(shares)), 3), "least_iou": round(min(shares), 3)}
