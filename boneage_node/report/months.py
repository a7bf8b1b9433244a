"""Ages in words that people read: years and months."""

from __future__ import annotations

import math

from boneage_node.bone_age import Sex

CHILDREN = {Sex.FEMALE: "girl", Sex.MALE: "boy"}
"""What a patient of unknown sex is read as."""

_MONTHS_A_YEAR = 12


def years_and_months(age_months: float) -> str:
    """An age as ``8 y 3 mo``, rounded to the nearest month (halves up).

    Args:
        age_months: Age in months, finite.

    Returns:
        ``11 mo`` under one year, ``8 y 3 mo`` from one year on; a negative age has a leading minus sign.
    """
    whole = math.floor(abs(age_months) + 0.5)
    sign = "-" if age_months < 0 and whole else ""
    years, months = divmod(whole, _MONTHS_A_YEAR)
    return f"{sign}{years} y {months} mo" if years else f"{sign}{months} mo"


def months(age_months: float) -> str:
    """An age as ``99.4 months``."""
    return f"{age_months:.1f} months"
