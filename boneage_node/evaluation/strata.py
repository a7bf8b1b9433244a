"""Errors by network, sex, stage of skeletal development and age: the method's whole table, as numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from boneage_node.bone_age import Sex
from boneage_node.bone_age.manifest import Interval

from .readings import ENSEMBLE, Reading, figures, holds

SEX_NAMES = {Sex.MALE: "boys", Sex.FEMALE: "girls"}
UNTOLD = "sex not told"
_BAND_MONTHS = 24
_LAST_BAND_FROM = 216


@dataclass(frozen=True)
class Stage:
    """A stage of skeletal development: from an age in months that depends on sex, until the next begins."""

    name: str
    girls_from_months: float
    boys_from_months: float

    def from_months(self, sex: Sex) -> float:
        """Where it begins."""
        return self.boys_from_months if sex is Sex.MALE else self.girls_from_months


STAGES = (
    Stage("infancy", 0, 0),
    Stage("toddlers", 10, 14),
    Stage("pre-puberty", 24, 36),
    Stage("early and mid-puberty", 84, 108),
    Stage("late puberty", 156, 168),
    Stage("post-puberty", 180, 204),
)
"""Gilsanz and Ratib, Hand Bone Age (2005), as in doi 10.1101/234120.

There boys of 16 have no stage (late puberty ends at 16 years, post-puberty begins at 17): here a stage lasts
until the next begins, so they are in late puberty. The last has no end.
"""


def stage_of(age_months: float, sex: Sex) -> Stage:
    """The one stage of an age."""
    return next(stage for stage in reversed(STAGES) if stage.from_months(sex) <= age_months)


def populations(readings: list[Reading]) -> dict[str, list[Reading]]:
    """The images to report on: of high resolution, which a node sees, and all."""
    return {"high_resolution": [r for r in readings if r.sharp], "all": readings}


def by_sex(readings: list[Reading]) -> dict[str, list[Reading]]:
    """All, boys, girls."""
    groups = {name: [r for r in readings if r.example.sex is sex] for sex, name in SEX_NAMES.items()}
    return {"all": readings, **groups}


def told_months(reading: Reading) -> dict[str, float]:
    """What each network and head, and the ensemble, reads of an assessed hand whose sex it is told."""
    assert reading.assessment is not None
    return dict(reading.assessment.member_months) | {ENSEMBLE: reading.assessment.bone_age_months}


def row_names(readings: list[Reading]) -> list[str]:
    """Networks and heads in the model's order, the ensemble last."""
    return list(next((told_months(r) for r in readings if r.assessment), {ENSEMBLE: 0.0}))


def member_table(readings: list[Reading]) -> dict[str, dict[str, float | None]]:
    """Mean absolute error in months by network and head, for all, boys, girls, and with the sex not told.

    The last is over the same images, or None where it was not read.
    """
    return {name: _maes(readings, name) for name in row_names(readings)}


def stage_table(readings: list[Reading]) -> dict[str, dict[str, Any]]:
    """For each stage: images assessed by sex, and what ``member_table`` has."""
    names = row_names(readings)
    read = [r for r in readings if r.assessment]
    table = {}
    for stage in STAGES:
        part = [r for r in read if stage_of(r.example.bone_age_months, r.example.sex) is stage]
        table[stage.name] = {
            "images": {group: len(own) for group, own in by_sex(part).items()},
            "mae_months": {name: _maes(part, name) for name in names},
        }
    return table


def band_table(readings: list[Reading]) -> list[dict[str, Any]]:
    """``figures`` for each sex and two years of labelled age that has images; the last band is open."""
    rows = []
    for sex in Sex:
        own = [r for r in readings if r.example.sex is sex]
        for low in range(0, _LAST_BAND_FROM + 1, _BAND_MONTHS):
            high = None if low == _LAST_BAND_FROM else low + _BAND_MONTHS
            part = [r for r in own if low <= r.example.bone_age_months < (high or np.inf)]
            if part:
                rows.append({"sex": str(sex), "from_months": low, "to_months": high} | figures(part))
    return rows


def interval_table(readings: list[Reading], interval: Interval) -> list[dict[str, Any]]:
    """For each sex and band of the age read: half width, images, and the share whose label it holds.

    These are the bands that the intervals were calibrated in; the last of a sex has no end.
    """
    rows = []
    for sex, bands in interval.bands.items():
        starts_months = [0.0, *(band.below_months for band in bands)]
        for band, start_months in zip(bands, starts_months, strict=False):
            inside = [
                holds(r.assessment, r.example.bone_age_months)
                for r in readings
                if r.assessment
                and r.example.sex is sex
                and interval.band(sex, r.assessment.bone_age_months) is band
            ]
            rows.append(
                {
                    "sex": str(sex),
                    "from_months": start_months,
                    "to_months": None if band is bands[-1] else band.below_months,
                    "half_width_months": band.half_width_months,
                    "images": len(inside),
                    "interval_coverage": round(float(np.mean(inside)), 3) if inside else None,
                }
            )
    return rows


def sex_unknown(readings: list[Reading]) -> dict[str, Any]:
    """Figures of hands read as both sexes, beside the width of the interval where sex is known.

    Refused are those that are read where sex is known, and not where it is unknown.
    """
    read = [(r.assessment, r.as_both, r.example.bone_age_months) for r in readings if r.assessment]
    both = [(answer, label) for _, answer, label in read if answer]
    row: dict[str, Any] = {"images": len(read), "refused": len(read) - len(both)}
    if not both:
        return row
    errors = [abs(answer.bone_age_months - label) for answer, label in both]
    return row | {
        "mae_months": round(float(np.mean(errors)), 2),
        "interval_coverage": round(float(np.mean([holds(answer, label) for answer, label in both])), 3),
        "interval_width_months": _mean_width(answer.interval_months for answer, _ in both),
        "interval_width_sex_known_months": _mean_width(told.interval_months for told, _, _ in read),
    }


def _maes(readings: list[Reading], name: str) -> dict[str, float | None]:
    """Mean absolute error of a network and head for all, boys, girls, and with the sex not told."""
    told = {group: _told_mae(part, name) for group, part in by_sex(readings).items()}
    return told | {UNTOLD: _mae((r.untold_months[name], r) for r in readings if r.untold_months)}


def _told_mae(readings: list[Reading], name: str) -> float | None:
    return _mae((told_months(r)[name], r) for r in readings if r.assessment)


def _mae(read: Iterable[tuple[float, Reading]]) -> float | None:
    """Mean absolute error of months read; None where there are none."""
    errors = [abs(months - reading.example.bone_age_months) for months, reading in read]
    return round(float(np.mean(errors)), 2) if errors else None


def _mean_width(intervals: Iterable[tuple[float, float]]) -> float:
    return round(float(np.mean([high - low for low, high in intervals])), 1)
