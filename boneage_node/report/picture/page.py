"""The reading as a picture: for people and viewers that show no SR graphics.

Nothing in a picture names the patient.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from boneage_node.bone_age import (
    Assessment,
    Attention,
    Course,
    Determination,
    Laterality,
    Refusal,
    Sex,
)
from boneage_node.bone_age.reference import LIMIT_SD
from boneage_node.bone_age.rounding import Z_SCORE_DIGITS
from boneage_node.report.identity import DEFAULT_DEVICE, DeviceIdentity
from boneage_node.report.wording import (
    CHILDREN,
    cautions,
    course_sentences,
    determination_words,
    interval_name,
    months,
    percent,
    signed,
    years_and_months,
)

from .attention import draw_attention
from .chart import draw_chart
from .style import AMBER, BLACK, GREY, KEY_POINT, LINE_SPACING, OUTLINE, PANEL, REGION, WHITE, font, wrap

DISCLAIMER = "AI result, not verified,\nresearch use only"

# Sizes are those of a picture that can still be read when a phone shows it 400 pixels wide.
_IMAGE_BOX_PX = (1000, 1500)  # the radiograph fits into it: width, height
_LEAST_IMAGE_WIDTH_PX = 620
_PANEL_WIDTH_PX = 680
_CHART_HEIGHT_PX, _LEAST_CHART_HEIGHT_PX, _CHART_GAP_PX = 380, 200, 18
_MARGIN_PX, _FOOT_GAP_PX = 40, 12
_LABEL_PX, _TEXT_PX, _VALUE_PX, _TITLE_PX, _SMALL_PX = 30, 42, 96, 42, 26

_MORE = "more lines in the structured report"
_REGIONS = {
    "A": "whole hand",
    "B": "carpal bones",
    "C": "metacarpals and proximal phalanges",
    "D": "middle and distal phalanges",
}
_SEXES = {Sex.FEMALE: "female", Sex.MALE: "male"}
_HANDS = {Laterality.LEFT: "left hand", Laterality.RIGHT: "right hand", None: "side not known"}


def draw_picture(
    pixels: npt.NDArray[np.float32],
    assessment: Assessment,
    course: Course | None = None,
    device: DeviceIdentity = DEFAULT_DEVICE,
    attention: Attention | None = None,
    *,
    exam_date: date | None = None,
    replaces: str = "",
) -> Image.Image:
    """The radiograph with what was found in it, and the reading beside it.

    Args:
        pixels: Grey image of shape (height, width), bone bright, any range.
        assessment: The reading; its outline, key points and regions in pixels of that image.
        course: Earlier readings of the patient.
        device: The station that made the reading.
        attention: Where the networks looked, to be shown in a further column.
        exam_date: When the radiograph was made.
        replaces: Sentence on the report that this one replaces.

    Returns:
        An RGB picture, 1300 to 1680 pixels wide (with attention 560 more) and 1500 high.
    """
    picture, scale, left, top = _canvas(pixels)
    shown = picture.crop(
        (left, top, left + round(pixels.shape[1] * scale), top + round(pixels.shape[0] * scale))
    )
    _draw_findings(ImageDraw.Draw(picture), assessment, scale, left, top)
    panel = _Panel(picture, _provenance(device, assessment), _legend(assessment))
    panel.begin(exam_date, replaces)
    panel.write(years_and_months(assessment.bone_age_months), _VALUE_PX, WHITE)
    mean = ", mean of both" if assessment.sex is None else ""
    panel.write(months(assessment.bone_age_months) + mean, _TEXT_PX, WHITE, gap_px=18)
    _write_comparison(panel, assessment)
    panel.field("Read as", f"{_read_as(assessment)}, {_HANDS[assessment.laterality]}")
    sentences = course_sentences(course, assessment) if course else ()
    if assessment.chronological_age_months is not None:
        # the rate, or the latest reading, comes before a larger chart
        below = [*sentences[:1], *(_MORE for _ in sentences[1:2])]
        room_px = panel.room_px - _CHART_GAP_PX - panel.height_px(below, _LABEL_PX)
        height_px = min(_CHART_HEIGHT_PX, int(room_px))
        if height_px >= _LEAST_CHART_HEIGHT_PX:
            panel.paste(draw_chart(assessment, course, _PANEL_WIDTH_PX - 2 * _MARGIN_PX, height_px))
    panel.lines(sentences, _LABEL_PX, WHITE)
    if attention is None:
        return picture
    return _beside(picture, draw_attention(shown, attention, scale, picture.height))


def _write_comparison(panel: _Panel, assessment: Assessment) -> None:
    """Interval and chronological age, and what is to be noticed of them."""
    low_months, high_months = assessment.interval_months
    panel.field(
        interval_name(assessment, joint=", "),
        f"{years_and_months(low_months)} to {years_and_months(high_months)}",
    )
    age_months, z_score = assessment.chronological_age_months, assessment.z_score
    panel.fields(
        ("Chronological age", "not known" if age_months is None else years_and_months(age_months)),
        ("Z-score", "not available" if z_score is None else f"{signed(z_score, Z_SCORE_DIGITS)} SD"),
    )
    if words := determination_words(assessment):
        usual = assessment.determination is Determination.NORMAL
        panel.write(words, _TEXT_PX, WHITE if usual else AMBER)
    if assessment.probability_outside_normal is not None:
        probability = percent(assessment.probability_outside_normal)
        panel.write(f"Probability outside ±{LIMIT_SD:.0f} SD: {probability}", _LABEL_PX, WHITE)
    for sentence in cautions(assessment):
        panel.write(sentence, _LABEL_PX, AMBER)


def _legend(assessment: Assessment) -> list[tuple[str, tuple[int, int, int]]]:
    """What is drawn on the radiograph, each line in its colour."""
    regions = ", ".join(f"{name} {_REGIONS.get(name, 'a region')}" for name in assessment.regions_px)
    return [
        *([(f"Read by the networks: {regions}", REGION)] if regions else []),
        ("Circles: tips of middle finger and thumb, capitate", KEY_POINT),
    ]


def _beside(left: Image.Image, right: Image.Image) -> Image.Image:
    both = Image.new("RGB", (left.width + right.width, left.height))
    both.paste(left, (0, 0))
    both.paste(right, (left.width, 0))
    return both


def draw_refusal_picture(
    pixels: npt.NDArray[np.float32] | None,
    refusal: Refusal,
    device: DeviceIdentity = DEFAULT_DEVICE,
    *,
    exam_date: date | None = None,
    replaces: str = "",
) -> Image.Image:
    """The image that was refused, where it could be decoded, and the reason beside it.

    Args:
        pixels: Grey image of shape (height, width), or None.
        refusal: The reason.
        device: The station that refused it.
        exam_date: When the image was made.
        replaces: Sentence on the report that this one replaces.

    Returns:
        An RGB picture of the same size as ``draw_picture``'s.
    """
    shown = np.zeros((_IMAGE_BOX_PX[1], _LEAST_IMAGE_WIDTH_PX), np.float32) if pixels is None else pixels
    picture, *_ = _canvas(shown)
    if pixels is None:
        centre = (picture.width - _PANEL_WIDTH_PX) / 2, picture.height / 2
        ImageDraw.Draw(picture).text(centre, "image not shown", fill=GREY, font=font(_TITLE_PX), anchor="mm")
    panel = _Panel(picture, _provenance(device))
    panel.begin(exam_date, replaces)
    panel.write("not read", _VALUE_PX, AMBER, gap_px=36)
    panel.field("Reason", refusal.sentence)
    panel.field("Code", refusal.code)
    return picture


def _draw_findings(
    draw: ImageDraw.ImageDraw, assessment: Assessment, scale: float, left: float, top: float
) -> None:
    """Regions, outline and key points on the radiograph."""

    def in_picture(points_px: npt.NDArray[np.float32]) -> list[tuple[float, float]]:
        return [((x + 0.5) * scale + left, (y + 0.5) * scale + top) for x, y in points_px.tolist()]

    for name, corners_px in assessment.regions_px.items():
        corners = in_picture(corners_px)
        draw.line([*corners, corners[0]], fill=REGION, width=2)
        draw.text(min(corners, key=sum), f" {name}", fill=REGION, font=font(_LABEL_PX))
    outline = in_picture(assessment.outline_px)
    draw.line([*outline, outline[0]], fill=OUTLINE, width=4, joint="curve")
    for point in in_picture(assessment.key_points_px):
        draw.circle(point, 9, outline=KEY_POINT, width=4)


def _read_as(assessment: Assessment) -> str:
    """The sex, or where it is unknown what was read as either."""
    if assessment.sex is not None:
        return _SEXES[assessment.sex]
    readings = (f"{CHILDREN[sex]} {age:.1f}" for sex, age in sorted(assessment.months_by_sex.items()))
    return "sex unknown: " + ",\n".join(readings) + " months"


def _provenance(device: DeviceIdentity, assessment: Assessment | None = None) -> str:
    """Software and weights that made the picture."""
    software = f"{device.model_name} {device.software_version}"
    if assessment is None:
        return software
    model = assessment.model
    return f"{software}, {model.name} {model.version} ({model.sha256[:12]})"


class _Panel:
    """Text from top to bottom in the dark panel at the right, above what is always at its foot."""

    def __init__(
        self, picture: Image.Image, provenance: str, legend: Sequence[tuple[str, tuple[int, int, int]]] = ()
    ) -> None:
        self._picture = picture
        self._draw = ImageDraw.Draw(picture)
        self._left_px = picture.width - _PANEL_WIDTH_PX + _MARGIN_PX
        self._width_px = _PANEL_WIDTH_PX - 2 * _MARGIN_PX
        self._bottom_px = float(picture.height)
        self._draw.rectangle((picture.width - _PANEL_WIDTH_PX, 0, picture.width, picture.height), fill=PANEL)
        small_px = self.height_px([*(line for line, _ in legend), provenance], _SMALL_PX)
        foot_px = picture.height - _MARGIN_PX - small_px - self.height_px([DISCLAIMER], _TEXT_PX)
        self._y_px = foot_px
        for line, colour in legend:
            self.write(line, _SMALL_PX, colour, gap_px=0)
        self.write(DISCLAIMER, _TEXT_PX, AMBER, gap_px=0)
        self.write(provenance, _SMALL_PX, GREY)
        self._y_px, self._bottom_px = float(_MARGIN_PX), foot_px - _FOOT_GAP_PX

    @property
    def room_px(self) -> float:
        """Height that is left."""
        return self._bottom_px - self._y_px

    def height_px(self, texts: Sequence[str], size_px: int) -> float:
        """What paragraphs take."""
        lines = sum(len(wrap(text, font(size_px), self._width_px)) for text in texts)
        return lines * size_px * LINE_SPACING

    def begin(self, exam_date: date | None, replaces: str) -> None:
        """What it is, of which day, and which report it replaces."""
        self.write("Bone age (Greulich and Pyle)", _TITLE_PX, GREY, gap_px=0)
        if exam_date is not None:
            self.write(f"Radiograph of {exam_date.isoformat()}", _LABEL_PX, GREY)
        if replaces:
            self.write(replaces, _LABEL_PX, AMBER)

    def write(self, text: str, size_px: int, fill: tuple[int, int, int], gap_px: int = 10) -> None:
        """A paragraph, broken into lines that fit; what would reach the foot is left out."""
        self._write(text, size_px, fill, self._left_px, self._width_px)
        self._y_px += gap_px

    def lines(self, sentences: Sequence[str], size_px: int, fill: tuple[int, int, int]) -> None:
        """As many sentences as there is room for, each whole, and how many are left out."""
        for number, sentence in enumerate(sentences):
            more = f"{len(sentences) - number} {_MORE}"
            after = [more] if number < len(sentences) - 1 else []
            if self.height_px([sentence, *after], size_px) > self.room_px:
                self.write(more, size_px, GREY, gap_px=0)
                return
            self.write(sentence, size_px, fill, gap_px=0)

    def field(self, label: str, text: str) -> None:
        """A small label with its value below."""
        self.write(label, _LABEL_PX, GREY, gap_px=0)
        self.write(text, _TEXT_PX, WHITE, gap_px=18)

    def fields(self, *labelled: tuple[str, str]) -> None:
        """Labels with their values side by side, in columns of one width."""
        column_px, top_px, bottoms_px = self._width_px / len(labelled), self._y_px, []
        for number, (label, text) in enumerate(labelled):
            self._y_px = top_px
            left_px = self._left_px + number * column_px
            self._write(label, _LABEL_PX, GREY, left_px, column_px)
            self._write(text, _TEXT_PX, WHITE, left_px, column_px)
            bottoms_px.append(self._y_px)
        self._y_px = max(bottoms_px) + 18

    def paste(self, image: Image.Image) -> None:
        """An image, for which there is room."""
        self._picture.paste(image, (round(self._left_px), round(self._y_px)))
        self._y_px += image.height + _CHART_GAP_PX

    def _write(
        self, text: str, size_px: int, fill: tuple[int, int, int], left_px: float, width_px: float
    ) -> None:
        type_ = font(size_px)
        for line in wrap(text, type_, width_px):
            if self._y_px + size_px > self._bottom_px:
                return
            self._draw.text((left_px, self._y_px), line, fill=fill, font=type_)
            self._y_px += size_px * LINE_SPACING


def _canvas(pixels: npt.NDArray[np.float32]) -> tuple[Image.Image, float, int, int]:
    """The radiograph on black with room for the panel: picture, its scale, and its left and top in pixels."""
    height_px, width_px = pixels.shape
    scale = min(_IMAGE_BOX_PX[0] / width_px, _IMAGE_BOX_PX[1] / height_px)
    size = max(1, round(width_px * scale)), max(1, round(height_px * scale))
    grey = Image.fromarray(_stretch(pixels)).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    area_width_px = max(size[0], _LEAST_IMAGE_WIDTH_PX)
    left, top = (area_width_px - size[0]) // 2, (_IMAGE_BOX_PX[1] - size[1]) // 2
    picture = Image.new("RGB", (area_width_px + _PANEL_WIDTH_PX, _IMAGE_BOX_PX[1]), BLACK)
    picture.paste(grey.convert("RGB"), (left, top))
    return picture, scale, left, top


def _stretch(pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Grey values of 0 to 255, contrast stretched between the 1st and the 99.5th percentile."""
    low, high = np.percentile(pixels, (1.0, 99.5))
    stretched = (pixels - low) / max(float(high - low), 1e-6)
    return np.asarray(np.clip(stretched, 0, 1) * 255, dtype=np.uint8)
