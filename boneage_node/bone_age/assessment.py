"""Input and output of a reading: hand, assessment, attention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from .reference import determination, probability_outside_normal, z_score
from .words import Agreement, Caution, Determination, Laterality, Refusal, Sex


@dataclass(frozen=True)
class Hand:
    """A hand image ready to be read.

    Attributes:
        pixels: Grey image of shape (height, width), float32 in [0, 1], bone bright.
        sex: The patient's sex, from the header; None where it is unknown and is to be read as both.
        chronological_age_months: Age at the study, or None where the header does not give it.
        laterality: Which hand, or None where the header does not say.
    """

    pixels: npt.NDArray[np.float32]
    sex: Sex | None
    chronological_age_months: float | None = None
    laterality: Laterality | None = None


@dataclass(frozen=True)
class ModelIdentity:
    """Identity of the weights: name and version from the manifest, sha256 of the weights (hex)."""

    name: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.sha256[:12]})"


@dataclass(frozen=True)
class Assessment:
    """A bone age and what is needed to report it.

    Bone ages, interval and spread are rounded to the tenth of a month that is printed, so that all reports
    and the database say the same.

    Attributes:
        bone_age_months: The reading; the mean of both readings where sex is unknown.
        interval_months: (low, high): prediction interval of the bone age as the mean of readers; where sex is
            unknown it holds the intervals of both readings. Where there is no ``reader_interval_months``, it
            is that of one reader's label.
        interval_coverage: Nominal coverage of the intervals, 0 to 1.
        sex: Sex the reading was made for, or None where it is unknown.
        months_by_sex: The reading as each sex: one entry, or two where sex is unknown.
        member_months: What each network and head read, e.g. ``"A regression"``; where sex is unknown, the
            mean over both sexes.
        chronological_age_months: Age at the study, or None.
        z_score: (bone age - chronological age) / Brush Foundation SD, rounded to the tenth; None outside that
            table or where sex is unknown.
        spread_months: Weighted standard deviation of the members' readings; the larger where there are two.
        agreement: Whether that is usual for hands that are read well.
        laterality: Which hand, or None.
        outline_px: Closed outline of the hand, shape (n, 2), float32, (x, y) = (column, row) in pixels of
            the image that was read; the first point is not repeated.
        key_points_px: Tip of the middle finger, tip of the thumb and centre of the capitate, shape (3, 2),
            float32, in the same pixels.
        regions_px: Corners of the regions that the networks read, by name, each of shape (4, 2), float32, in
            the same pixels, in order around the region; empty where they read the whole radiograph.
        model: The weights that made the reading.
        cautions: What to look at before the reading is used.
        unlikeness: How unlike known hands the bones are (``recognition``): of a usual hand about 1; None
            where the model has no such test.
        reader_interval_months: (low, high): the wider prediction interval of one reader's label; None with
            models that do not tell the two apart.
        repeatability_months: Smallest real change of two readings by this model; None where it does not tell.
    """

    bone_age_months: float
    interval_months: tuple[float, float]
    interval_coverage: float
    sex: Sex | None
    months_by_sex: Mapping[Sex, float]
    member_months: Mapping[str, float]
    chronological_age_months: float | None
    z_score: float | None
    spread_months: float
    agreement: Agreement
    laterality: Laterality | None
    outline_px: npt.NDArray[np.float32]
    key_points_px: npt.NDArray[np.float32]
    regions_px: Mapping[str, npt.NDArray[np.float32]]
    model: ModelIdentity
    cautions: tuple[Caution, ...] = ()
    unlikeness: float | None = None
    reader_interval_months: tuple[float, float] | None = None
    repeatability_months: float | None = None

    @property
    def determination(self) -> Determination:
        """Delayed, normal or advanced; indeterminate without a z-score."""
        return determination(self.z_score)

    @property
    def z_interval(self) -> tuple[float, float] | None:
        """(low, high): z-scores of the interval's ends; None without a z-score."""
        if self.z_score is None or self.sex is None:
            return None
        low, high = (z_score(end, self.chronological_age_months, self.sex) for end in self.interval_months)
        return None if low is None or high is None else (low, high)

    @property
    def probability_outside_normal(self) -> float | None:
        """Probability that the hand is outside 2 SD of the chronological age, 0 to 1, to the percent.

        By a normal distribution about the bone age that has the interval at its coverage. None without a
        z-score, and where the interval is not that of the bone age but of a reader's label.
        """
        age_months = self.chronological_age_months
        if self.z_score is None or self.sex is None or age_months is None or not self.reader_interval_months:
            return None
        # The upper half, for no interval begins before birth; it may have been rounded to nothing.
        half_width_months = max(self.interval_months[1] - self.bone_age_months, 0.1)
        deviation_months = half_width_months / NormalDist().inv_cdf((1 + self.interval_coverage) / 2)
        return probability_outside_normal(self.bone_age_months, deviation_months, age_months, self.sex)

    @property
    def determination_certain(self) -> bool | None:
        """Whether all of the interval is delayed, or advanced, as the reading is; None where that is neither.

        Of a normal reading nothing is said: most intervals are about as wide as the normal range and reach
        out of it on one side, so that hardly one would be certain.
        """
        found = self.determination
        if self.z_interval is None or found not in (Determination.DELAYED, Determination.ADVANCED):
            return None
        return all(determination(end) is found for end in self.z_interval)


Answer = Assessment | Refusal
"""Answer of a reading: a bone age, or why there is none."""


@dataclass(frozen=True)
class Attention:
    """Change of the bone age by hiding each cell of the hand.

    Attributes:
        cells_px: Corners of the cells, shape (n, 4, 2), float32, (column, row) in pixels of the radiograph.
        change_months: Bone age with the cell hidden, less the bone age as read, shape (n,), float32.
    """

    cells_px: npt.NDArray[np.float32]
    change_months: npt.NDArray[np.float32]
