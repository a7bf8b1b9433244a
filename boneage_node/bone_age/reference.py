"""Distance of a bone age from the chronological age, in standard deviations.

Source: the Brush Foundation study's standard deviations of skeletal age, the table radiologists quote with
the atlas of Greulich and Pyle (2nd ed., 1959).
"""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files
from statistics import NormalDist

import numpy as np

from .rounding import PROBABILITY_DIGITS, Z_SCORE_DIGITS, rounded
from .words import Determination, Sex

LIMIT_SD = 2.0
"""A bone age is delayed or advanced when it is further from the chronological age than so many SD."""


@cache
def _table(sex: Sex) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(chronological ages, standard deviations) in months, ages ascending."""
    text = files(__package__).joinpath("brush_foundation_sd.csv").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    rows = [row for row in csv.DictReader(lines) if row["sex"] == sex]
    return (
        tuple(float(row["chronological_age_months"]) for row in rows),
        tuple(float(row["sd_months"]) for row in rows),
    )


def standard_deviation_months(chronological_age_months: float, sex: Sex) -> float | None:
    """Standard deviation of skeletal age at a chronological age, interpolated; None outside the table."""
    ages, deviations = _table(sex)
    if not ages[0] <= chronological_age_months <= ages[-1]:
        return None
    return float(np.interp(chronological_age_months, ages, deviations))


def z_score(bone_age_months: float, chronological_age_months: float | None, sex: Sex) -> float | None:
    """(bone age - chronological age) / standard deviation, to the tenth; None without an age in the table."""
    if chronological_age_months is None:
        return None
    deviation = standard_deviation_months(chronological_age_months, sex)
    if deviation is None:
        return None
    return rounded((bone_age_months - chronological_age_months) / deviation, Z_SCORE_DIGITS)


def probability_outside_normal(
    bone_age_months: float, deviation_months: float, chronological_age_months: float, sex: Sex
) -> float | None:
    """Probability that a hand is outside ``LIMIT_SD`` of its chronological age, 0 to 1, to the percent.

    Args:
        bone_age_months: The reading, about which the bone age is normally distributed.
        deviation_months: With this standard deviation.
        chronological_age_months: Age at the study.
        sex: Of the child.

    Returns:
        None where the age is not in the table.
    """
    limit = standard_deviation_months(chronological_age_months, sex)
    if limit is None:
        return None
    bone_age = NormalDist(bone_age_months, deviation_months)
    below, above = (chronological_age_months + side * LIMIT_SD * limit for side in (-1, 1))
    return rounded(bone_age.cdf(below) + 1 - bone_age.cdf(above), PROBABILITY_DIGITS)


def determination(z: float | None) -> Determination:
    """Delayed below -2 SD, advanced above +2 SD, normal in between; indeterminate without a z-score.

    By the z-score as it is printed: -2.0 is the same for every child.
    """
    if z is None:
        return Determination.INDETERMINATE
    if abs(rounded(z, Z_SCORE_DIGITS)) <= LIMIT_SD:
        return Determination.NORMAL
    return Determination.ADVANCED if z > 0 else Determination.DELAYED
