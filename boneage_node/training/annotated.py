"""How well the hand is found, on radiographs that people annotated and no weight depends on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from boneage_node.bone_age.finding import HandFinder

from .data import Example, read_outlines, read_points
from .registration import point_figures
from .segmentation import overlap_figures

OUTLINES = Path("annotations/hand_outlines.json")
KEY_POINTS = Path("annotations/keypoints.csv")


def finding_figures(finder: HandFinder, data: Path, examples: list[Example]) -> dict[str, Any]:
    """Hand mask on the held-out outlines, key points on the validation images that a person marked.

    Args:
        finder: The model's.
        data: Folder with the RSNA layout; what it has no annotations of is left out.
        examples: All of its radiographs.
    """
    figures: dict[str, Any] = {}
    if (data / OUTLINES).is_file():
        outlines = read_outlines(data / OUTLINES)
        figures["hand_mask"] = overlap_figures(lambda pixels: finder.find(pixels).mask, outlines, examples)
    if (data / KEY_POINTS).is_file():
        marked = [
            one
            for one in read_points(data / KEY_POINTS, examples)
            if one.manual and one.example.split == "validation"
        ]
        if marked:
            figures["key_points"] = point_figures(finder, marked)
    return figures
