"""The reading as a picture: for people and viewers that show no SR graphics.

Nothing in a picture names the patient.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from boneage_node.bone_age import Assessment, Laterality, Refusal, Sex

from .months import CHILDREN, months, years_and_months

DISCLAIMER = "AI result, not verified,\nresearch use only"

# Sizes are those of a picture that can still be read when a phone shows it 400 pixels wide.
_IMAGE_BOX_PX = (1000, 1200)  # the radiograph fits into it: width, height
_LEAST_IMAGE_WIDTH_PX = 620
_PANEL_WIDTH_PX = 620
_MARGIN_PX = 40
_LABEL_PX, _TEXT_PX, _VALUE_PX, _TITLE_PX = 30, 42, 96, 44
_LINE_SPACING = 1.25

_BLACK, _PANEL, _WHITE = (0, 0, 0), (18, 24, 32), (255, 255, 255)
_GREY, _OUTLINE, _AMBER = (158, 170, 184), (64, 200, 255), (255, 186, 64)

_SEXES = {Sex.FEMALE: "female", Sex.MALE: "male"}
_HANDS = {Laterality.LEFT: "left hand", Laterality.RIGHT: "right hand", None: "side not known"}


def draw_picture(pixels: npt.NDArray[np.float32], assessment: Assessment) -> Image.Image:
    """The radiograph with the outline of the hand, and the reading beside it.

    Args:
        pixels: Grey image of shape (height, width), bone bright, any range.
        assessment: The reading; its outline in pixels of that image.

    Returns:
        An RGB picture, 1240 to 1620 pixels wide and 1200 high.
    """
    picture, scale, left, top = _canvas(pixels)
    draw = ImageDraw.Draw(picture)
    outline = [((x + 0.5) * scale + left, (y + 0.5) * scale + top) for x, y in assessment.outline_px.tolist()]
    draw.line([*outline, outline[0]], fill=_OUTLINE, width=4, joint="curve")

    low_months, high_months = assessment.interval_months
    age_months = assessment.chronological_age_months
    panel = _Panel(draw, picture)
    panel.write("Bone age", _TITLE_PX, _GREY)
    panel.write(years_and_months(assessment.bone_age_months), _VALUE_PX, _WHITE)
    mean = ", mean of both" if assessment.sex is None else ""
    panel.write(months(assessment.bone_age_months) + mean, _TEXT_PX, _WHITE, gap_px=36)
    panel.field(
        f"{assessment.interval_coverage:.0%} interval",
        f"{years_and_months(low_months)} to {years_and_months(high_months)}",
    )
    panel.field("Chronological age", "not known" if age_months is None else years_and_months(age_months))
    panel.field("Z-score", "not available" if assessment.z_score is None else f"{assessment.z_score:+.1f} SD")
    panel.field("Read as", f"{_read_as(assessment)}, {_HANDS[assessment.laterality]}")
    panel.field(
        "Model", f"{assessment.model.name} {assessment.model.version}\n{assessment.model.sha256[:12]}"
    )
    return picture


def _read_as(assessment: Assessment) -> str:
    """The sex, or where it is unknown what was read as either."""
    if assessment.sex is not None:
        return _SEXES[assessment.sex]
    readings = (f"{CHILDREN[sex]} {age:.1f}" for sex, age in sorted(assessment.months_by_sex.items()))
    return "sex unknown: " + ",\n".join(readings) + " months"


def draw_refusal_picture(pixels: npt.NDArray[np.float32] | None, refusal: Refusal) -> Image.Image:
    """The image that was refused, where it could be decoded, and the reason beside it.

    Args:
        pixels: Grey image of shape (height, width), or None.
        refusal: The reason.

    Returns:
        An RGB picture of the same size as ``draw_picture``'s.
    """
    shown = np.zeros((_IMAGE_BOX_PX[1], _LEAST_IMAGE_WIDTH_PX), np.float32) if pixels is None else pixels
    picture, *_ = _canvas(shown)
    draw = ImageDraw.Draw(picture)
    if pixels is None:
        centre = (picture.width - _PANEL_WIDTH_PX) / 2, picture.height / 2
        draw.text(centre, "no image", fill=_GREY, font=_font(_TITLE_PX), anchor="mm")
    panel = _Panel(draw, picture)
    panel.write("Bone age", _TITLE_PX, _GREY)
    panel.write("not read", _VALUE_PX, _AMBER, gap_px=36)
    panel.field("Reason", refusal.sentence)
    panel.field("Code", refusal.code)
    return picture


class _Panel:
    """Text from top to bottom in the dark panel at the right of a picture, above the disclaimer."""

    def __init__(self, draw: ImageDraw.ImageDraw, picture: Image.Image) -> None:
        self._draw = draw
        self._left_px = picture.width - _PANEL_WIDTH_PX + _MARGIN_PX
        self._bottom_px = float(picture.height)
        draw.rectangle((picture.width - _PANEL_WIDTH_PX, 0, picture.width, picture.height), fill=_PANEL)
        foot_px = picture.height - _MARGIN_PX - 2 * _TEXT_PX * _LINE_SPACING
        self._y_px = foot_px
        self.write(DISCLAIMER, _TEXT_PX, _AMBER)
        self._y_px, self._bottom_px = float(_MARGIN_PX), foot_px

    def write(self, text: str, size_px: int, fill: tuple[int, int, int], gap_px: int = 10) -> None:
        """A paragraph, broken into lines that fit; what would reach the disclaimer is left out."""
        font = _font(size_px)
        for line in _wrap(text, font, _PANEL_WIDTH_PX - 2 * _MARGIN_PX):
            if self._y_px + size_px > self._bottom_px:
                return
            self._draw.text((self._left_px, self._y_px), line, fill=fill, font=font)
            self._y_px += size_px * _LINE_SPACING
        self._y_px += gap_px

    def field(self, label: str, text: str) -> None:
        """A small label with its value below."""
        self.write(label, _LABEL_PX, _GREY, gap_px=0)
        self.write(text, _TEXT_PX, _WHITE, gap_px=22)


def _canvas(pixels: npt.NDArray[np.float32]) -> tuple[Image.Image, float, float, float]:
    """The radiograph on black with room for the panel: picture, its scale, and its left and top in pixels."""
    height_px, width_px = pixels.shape
    scale = min(_IMAGE_BOX_PX[0] / width_px, _IMAGE_BOX_PX[1] / height_px)
    size = max(1, round(width_px * scale)), max(1, round(height_px * scale))
    grey = Image.fromarray(_stretch(pixels)).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    area_width_px = max(size[0], _LEAST_IMAGE_WIDTH_PX)
    left, top = (area_width_px - size[0]) // 2, (_IMAGE_BOX_PX[1] - size[1]) // 2
    picture = Image.new("RGB", (area_width_px + _PANEL_WIDTH_PX, _IMAGE_BOX_PX[1]), _BLACK)
    picture.paste(grey.convert("RGB"), (left, top))
    return picture, scale, left, top


def _stretch(pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Grey values of 0 to 255, contrast stretched between the 1st and the 99.5th percentile."""
    low, high = np.percentile(pixels, (1.0, 99.5))
    stretched = (pixels - low) / max(float(high - low), 1e-6)
    return np.asarray(np.clip(stretched, 0, 1) * 255, dtype=np.uint8)


def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font: there on every machine."""
    return ImageFont.load_default(size=size_px)


def _wrap(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width_px: int) -> list[str]:
    """Text as lines no wider than given, broken at spaces, and within a word only if it fits no line."""
    lines = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            longer = f"{line} {word}" if line else word
            if line and font.getlength(longer) > width_px:
                lines.append(line)
                longer = word
            while font.getlength(longer) > width_px:
                too_wide = next(n for n in range(1, len(longer) + 1) if font.getlength(longer[:n]) > width_px)
                fits = max(1, too_wide - 1)
                lines.append(longer[:fits])
                longer = longer[fits:]
            line = longer
        lines.append(line)
    return lines
