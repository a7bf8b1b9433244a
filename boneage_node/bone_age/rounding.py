"""Numbers rounded once, to what is printed of them."""

from __future__ import annotations

MONTHS_DIGITS = 1
Z_SCORE_DIGITS = 1
"""Everywhere: that a child is delayed, normal or advanced must be true of the z-score that is printed."""

RATE_DIGITS = 2
PROBABILITY_DIGITS = 2
"""Whole percent."""

UNLIKENESS_DIGITS = 2


def rounded(value: float, digits: int) -> float:
    """A number rounded to so many digits, zero without a sign."""
    return round(value, digits) + 0.0
