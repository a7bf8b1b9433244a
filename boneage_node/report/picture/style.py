"""Colours and type of our pictures."""

from __future__ import annotations

from PIL import ImageFont

BLACK, PANEL, WHITE = (0, 0, 0), (18, 24, 32), (255, 255, 255)
GREY, OUTLINE, AMBER = (158, 170, 184), (64, 200, 255), (255, 186, 64)
REGION, KEY_POINT = (150, 120, 255), (255, 96, 160)
CHART_BAND, CHART_GRID = (38, 66, 84), (52, 62, 74)

LINE_SPACING = 1.25


def font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font: there on every machine."""
    return ImageFont.load_default(size=size_px)


def wrap(text: str, type_: ImageFont.FreeTypeFont | ImageFont.ImageFont, width_px: float) -> list[str]:
    """Text as lines no wider than given, broken at spaces, and within a word only if it fits no line."""
    lines = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            longer = f"{line} {word}" if line else word
            if line and type_.getlength(longer) > width_px:
                lines.append(line)
                longer = word
            while type_.getlength(longer) > width_px:
                too_wide = next(
                    n for n in range(1, len(longer) + 1) if type_.getlength(longer[:n]) > width_px
                )
                fits = max(1, too_wide - 1)
                lines.append(longer[:fits])
                longer = longer[fits:]
            line = longer
        lines.append(line)
    return lines
