"""The prediction intervals of one hand: of its bone age, and of what a reader will say of it.

The truth to be met is the bone age as the mean of readers. Intervals are calibrated on labels of one reader
each: normalised split-conformal (Papadopoulos, Gammerman and Vovk, 2008; Lei et al., J Am Stat Assoc
2018;113:1094-1111, section 5.2), so that a hand on which the networks disagree has a wider one. The variance
that a reader adds is then taken out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from .manifest import Interval
from .rounding import MONTHS_DIGITS, rounded
from .words import Sex

Range = tuple[float, float]

_LEAST_SHARE = 0.25
"""Share of a label's variance that is the model's own at the least, however well the networks agree."""


@dataclass(frozen=True)
class ReadAs:
    """A hand read as one sex: the ensemble's reading and the deviation of its members, in months."""

    sex: Sex
    bone_age_months: float
    spread_months: float


def intervals(interval: Interval, readings: Iterable[ReadAs]) -> tuple[Range, Range | None]:
    """The intervals, (low, high) in months, that hold those of all readings, to the printed digit.

    Args:
        interval: The model's.
        readings: Of one hand, as its sex, or as each where it is unknown.

    Returns:
        That of the bone age as the mean of readers, and that of one reader's label. Where the model does not
        tell the two apart, that of a reader's label, and None.
    """
    read = list(readings)
    label = _around(read, [label_half_width(interval, one) for one in read])
    if interval.reader_sd_months is None:
        return label, None
    return _around(read, [half_width(interval, one) for one in read]), label


def label_half_width(interval: Interval, reading: ReadAs) -> float:
    """Half width of the interval of one reader's label, in months."""
    return _factor(interval, reading) * math.sqrt(_variance(interval, reading.spread_months))


def half_width(interval: Interval, reading: ReadAs) -> float:
    """Half width of the interval of the bone age, in months; of a model that tells it from a label's."""
    assert interval.reader_sd_months is not None, "asked of models that tell the two apart"
    of_label = _variance(interval, reading.spread_months)
    own = max(of_label - interval.reader_sd_months**2, _LEAST_SHARE * of_label)
    return _factor(interval, reading) * math.sqrt(own)


@dataclass(frozen=True)
class BandWidths:
    """Half widths of the intervals in a band of the bone age, each as a range over hands.

    Attributes:
        sex: Of the child.
        from_months, to_months: Ends of the band; the last of a sex has none.
        label_months: Half width of a reader's label where the networks agree, and where they disagree.
        bone_age_months: That of the bone age; None where the model does not tell the two apart.
    """

    sex: Sex
    from_months: float
    to_months: float | None
    label_months: Range
    bone_age_months: Range | None


def reaching(half_widths_months: Range) -> str:
    """``±11.2 to ±17.4``; ``±19.3`` where all hands have that."""
    return " to ".join(dict.fromkeys(f"\u00b1{end:.1f}" for end in half_widths_months))


def band_widths(interval: Interval, spread_months: float) -> list[BandWidths]:
    """Every band's half widths, by sex.

    Args:
        interval: The model's.
        spread_months: Deviation of networks that disagree.
    """
    found = []
    for sex, bands in sorted(interval.bands.items()):
        from_months = 0.0
        for band in bands:
            ends = [ReadAs(sex, from_months, spread) for spread in (0.0, spread_months)]
            agreed, apart = (label_half_width(interval, one) for one in ends)
            own = None
            if interval.reader_sd_months is not None:
                own = half_width(interval, ends[0]), half_width(interval, ends[1])
            to_months = None if band is bands[-1] else band.below_months
            found.append(BandWidths(sex, from_months, to_months, (agreed, apart), own))
            from_months = band.below_months
    return found


def _variance(interval: Interval, spread_months: float) -> float:
    return interval.floor_months**2 + interval.slope * spread_months**2


def _factor(interval: Interval, reading: ReadAs) -> float:
    return interval.band(reading.sex, reading.bone_age_months).factor


def _around(readings: list[ReadAs], half_widths: list[float]) -> Range:
    pairs = list(zip(readings, half_widths, strict=True))
    low = min(one.bone_age_months - half for one, half in pairs)
    high = max(one.bone_age_months + half for one, half in pairs)
    return rounded(max(0.0, low), MONTHS_DIGITS), rounded(high, MONTHS_DIGITS)
