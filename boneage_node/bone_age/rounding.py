"""Numbers rounded once, to what is printed of them."""

from __future__ import annotations

MONTHS_DIGITS = 1
Z_SCORE_DIGITS = 4
"""More than is printed: OHIF leaves out a value of exactly 0."""


def rounded(value: float, digits: int) -> float:
    """A number rounded to so many digits, zero without a sign."""
    return round(value, digits) + 0.0
