"""The attention map as a column beside the picture."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from boneage_node.bone_age import Attention

from .style import AMBER, GREY, LINE_SPACING, PANEL, WHITE, font, wrap

_WIDTH_PX, _MARGIN_PX = 560, 30
_TITLE_PX, _TEXT_PX = 38, 30
_OPAQUE = 0.75
_LEAST_MONTHS = 2.0
"""The full colour is of the cell that changes most, and of no less than this: noise must look like noise."""


def draw_attention(shown: Image.Image, attention: Attention, scale: float, height_px: int) -> Image.Image:
    """A column that shows how much hiding each part of the hand changes its bone age.

    Args:
        shown: The radiograph as the picture shows it, RGB.
        attention: The map.
        scale: Pixels of ``shown`` per pixel of the radiograph.
        height_px: Height of the column.

    Returns:
        RGB, 560 pixels wide.
    """
    strength = np.abs(attention.change_months)
    most_months = max(_LEAST_MONTHS, float(strength.max(initial=0)))
    overlay = Image.new("RGBA", shown.size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(overlay)
    for corners_px, months in zip(attention.cells_px.tolist(), strength.tolist(), strict=True):
        corners = [((x + 0.5) * scale, (y + 0.5) * scale) for x, y in corners_px]
        draw.polygon(corners, fill=(*AMBER, round(255 * _OPAQUE * months / most_months)))
    coloured = Image.alpha_composite(shown.convert("RGBA"), overlay).convert("RGB")
    inner_px = _WIDTH_PX - 2 * _MARGIN_PX
    coloured = coloured.resize(
        (inner_px, round(coloured.height * inner_px / coloured.width)), Image.Resampling.LANCZOS
    )
    coloured.thumbnail((inner_px, height_px // 2), Image.Resampling.LANCZOS)

    column = Image.new("RGB", (_WIDTH_PX, height_px), PANEL)
    text = ImageDraw.Draw(column)
    text.text((_MARGIN_PX, _MARGIN_PX), "Where the networks looked", fill=GREY, font=font(_TITLE_PX))
    top_px = _MARGIN_PX + _TITLE_PX * LINE_SPACING + 20
    column.paste(coloured, (_MARGIN_PX, round(top_px)))
    y_px = top_px + coloured.height + 24
    legend = (
        "Amber: hiding this part changes the bone age. "
        f"Full colour: by {most_months:.1f} months. Measured on this hand, one part hidden at a time."
    )
    for line in wrap(legend, font(_TEXT_PX), inner_px):
        text.text((_MARGIN_PX, y_px), line, fill=WHITE, font=font(_TEXT_PX))
        y_px += _TEXT_PX * LINE_SPACING
    return column
