"""A small growth chart: bone age against chronological age, with the band of two standard deviations."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image, ImageDraw

from boneage_node.bone_age import Assessment, Course, Sex
from boneage_node.bone_age.reference import LIMIT_SD, standard_deviation_months

from .style import AMBER, CHART_BAND, CHART_GRID, GREY, OUTLINE, PANEL, WHITE, font

_YEARS = 19
_TICK_YEARS = 3
_LABEL_PX = 26
_LEFT_PX, _BOTTOM_PX = 56, 74
_SUPERSAMPLE = 2
"""Pillow draws lines without smoothing: drawn larger and reduced, they are smooth."""


@dataclass(frozen=True)
class _Axes:
    """Map from ages in months to pixels of a chart of this size."""

    width_px: int
    height_px: int

    def at(self, age_months: float, bone_age_months: float) -> tuple[float, float]:
        """Pixel of a point."""
        across = (self.width_px - _LEFT_PX - 14) / (12 * _YEARS)
        up = (self.height_px - _BOTTOM_PX - 14) / (12 * _YEARS)
        return _LEFT_PX + age_months * across, self.height_px - _BOTTOM_PX - bone_age_months * up


def draw_chart(assessment: Assessment, course: Course | None, width_px: int, height_px: int) -> Image.Image:
    """The growth chart of an assessment.

    Args:
        assessment: The reading; needs a chronological age.
        course: Earlier readings; those without a chronological age are left out.
        width_px: Width of the chart.
        height_px: Height of the chart.

    Returns:
        RGB, on the colour of the panel.

    Raises:
        ValueError: The chronological age is not known.
    """
    if assessment.chronological_age_months is None:
        raise ValueError("a growth chart needs the chronological age")
    axes = _Axes(width_px, height_px)
    large = Image.new("RGB", (width_px * _SUPERSAMPLE, height_px * _SUPERSAMPLE), PANEL)
    pen = _Pen(ImageDraw.Draw(large), axes)
    if assessment.sex is not None:
        pen.band(assessment.sex)
    pen.grid()
    pen.line([(0, 0), (12 * _YEARS, 12 * _YEARS)], GREY, 2)
    now = (assessment.chronological_age_months, assessment.bone_age_months)
    readings = course.earlier if course else ()
    past = [
        (r.chronological_age_months, r.bone_age_months)
        for r in readings
        if r.chronological_age_months is not None
    ]
    pen.line([*past, now], OUTLINE, 3)
    for point in past:
        pen.dot(point, OUTLINE, 7, hollow=True)
    low_months, high_months = assessment.interval_months
    pen.line([(now[0], low_months), (now[0], min(high_months, 12 * _YEARS))], AMBER, 4)
    pen.dot(now, AMBER, 9)
    chart = large.resize((width_px, height_px), Image.Resampling.LANCZOS)
    _write_axes(ImageDraw.Draw(chart), axes, with_band=assessment.sex is not None)
    return chart


class _Pen:
    """Draws in ages, on the enlarged chart."""

    def __init__(self, draw: ImageDraw.ImageDraw, axes: _Axes) -> None:
        self._draw = draw
        self._axes = axes

    def _px(self, point: tuple[float, float]) -> tuple[float, float]:
        x, y = self._axes.at(*point)
        return x * _SUPERSAMPLE, y * _SUPERSAMPLE

    def line(self, points: list[tuple[float, float]], fill: tuple[int, int, int], width_px: int) -> None:
        self._draw.line([self._px(p) for p in points], fill=fill, width=width_px * _SUPERSAMPLE)

    def dot(
        self,
        point: tuple[float, float],
        fill: tuple[int, int, int],
        radius_px: int,
        *,
        hollow: bool = False,
    ) -> None:
        self._draw.circle(
            self._px(point),
            radius_px * _SUPERSAMPLE,
            fill=PANEL if hollow else fill,
            outline=fill,
            width=3 * _SUPERSAMPLE,
        )

    def grid(self) -> None:
        for years in range(0, _YEARS, _TICK_YEARS):
            self.line([(12 * years, 0), (12 * years, 12 * _YEARS)], CHART_GRID, 1)
            self.line([(0, 12 * years), (12 * _YEARS, 12 * years)], CHART_GRID, 1)

    def band(self, sex: Sex) -> None:
        """Draw the band of healthy children's bone ages, as far as the table goes."""
        ages = [float(age) for age in range(12 * _YEARS + 1)]
        known = [(age, sd) for age in ages if (sd := standard_deviation_months(age, sex)) is not None]
        upper = [(age, min(age + LIMIT_SD * sd, 12.0 * _YEARS)) for age, sd in known]
        lower = [(age, max(age - LIMIT_SD * sd, 0.0)) for age, sd in known]
        self._draw.polygon([self._px(p) for p in [*upper, *reversed(lower)]], fill=CHART_BAND)


def _write_axes(draw: ImageDraw.ImageDraw, axes: _Axes, *, with_band: bool) -> None:
    small = font(_LABEL_PX)
    for years in range(0, _YEARS, _TICK_YEARS):
        x, y = axes.at(12 * years, 0)
        draw.text((x, y + 6), str(years), fill=GREY, font=small, anchor="ma")
    apart_px = axes.at(0, 0)[1] - axes.at(0, 12 * _TICK_YEARS)[1]
    # of a low chart every other one, where they would run into each other
    for years in range(0, _YEARS, _TICK_YEARS if apart_px >= _LABEL_PX else 2 * _TICK_YEARS):
        x, y = axes.at(0, 12 * years)
        draw.text((x - 8, y), str(years), fill=GREY, font=small, anchor="rm")
    draw.text(
        (axes.width_px - 14, axes.height_px), "chronological age (years)", fill=GREY, font=small, anchor="rd"
    )
    note = "bone age (years), band: ±2 SD" if with_band else "bone age (years)"
    draw.text((_LEFT_PX + 10, 8), note, fill=WHITE, font=small)
