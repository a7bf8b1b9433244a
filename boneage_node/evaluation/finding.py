"""Accuracy of hand mask and key points, on radiographs that people annotated and no weight depends on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

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
from boneage_node.datasets.rsna import Example, read_image

from .readings import mask_iou, point_errors


def finding_figures(finder: HandFinder, data: Path, examples: list[Example]) -> dict[str, Any]:
    """Hand mask on the held-out outlines, key points on the validation images that a person marked.

    Args:
        finder: The model's.
        data: Folder with the RSNA layout; what it has no annotations of is left out.
        examples: All of its radiographs.
    """
    figures: dict[str, Any] = {}
    if (data / OUTLINES_FILE).is_file():
        outlines = read_outlines(data / OUTLINES_FILE)
        figures["hand_mask"] = overlap_figures(lambda pixels: finder.find(pixels).mask, outlines, examples)
    if (data / KEY_POINTS_FILE).is_file():
        marked = [
            one
            for one in read_key_points(data / KEY_POINTS_FILE, examples)
            if one.manual and one.example.split == "validation"
        ]
        if marked:
            figures["key_points"] = point_figures(finder, marked)
    return figures


def point_figures(finder: HandFinder, marked: list[KeyPoints]) -> dict[str, float]:
    """Errors over all three points as shares of the hand's length; none where every hand was refused."""
    errors = []
    for one in marked:
        image = read_image(one.example.path)
        with suppress(Refusal):
            errors.append(point_errors(finder.find(image), points_in(one, image)))
    figures: dict[str, float] = {"images": len(marked), "refused": len(marked) - len(errors)}
    if not errors:
        return figures
    return figures | {
        "median": round(float(np.median(errors)), 4),
        "percentile_95": round(float(np.percentile(errors, 95)), 4),
    }


def overlap_figures(
    find: Callable[[Grey], Mask], outlines: list[Outline], examples: list[Example]
) -> dict[str, float]:
    """Overlap with the held-out outlines: mean and least of the hands that are not refused, and how many are.

    Args:
        find: The hand's mask in the working image of a radiograph; raises ``Refusal``.
        outlines: All hand-drawn outlines.
        examples: All radiographs.
    """
    _, held_out = split_outlines(outlines, examples)
    paths = {example.id: example.path for example in examples}
    shares, refused = [], 0
    for outline in held_out:
        image = read_image(paths[outline.id])
        try:
            shares.append(mask_iou(find(image), outline.mask(*image.shape)))
        except Refusal:
            refused += 1
    figures: dict[str, float] = {"images": len(held_out), "refused": refused}
    if not shares:
        return figures
    return figures | {"mean_iou": round(float(np.mean(shares)), 3), "least_iou": round(min(shares), 3)}
