"""The course of a patient's bone age over several studies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

DAYS_PER_MONTH = 30.4375
LEAST_MONTHS_FOR_RATE = 6.0
"""Readings closer together say more of their errors than of the child."""


@dataclass(frozen=True)
class EarlierReading:
    """Reading of an earlier study.

    Attributes:
        study_date: When the image was made.
        bone_age_months: The reading.
        chronological_age_months: The patient's age then, or None.
        model: What read it, as ``str(ModelIdentity)``.
    """

    study_date: date
    bone_age_months: float
    chronological_age_months: float | None
    model: str


@dataclass(frozen=True)
class Rate:
    """Advance of the bone age over time.

    Attributes:
        since: Date of the earlier reading.
        calendar_months: Between the two images.
        bone_age_months: Between the two readings.
    """

    since: date
    calendar_months: float
    bone_age_months: float

    @property
    def months_per_month(self) -> float:
        """Bone-age months per calendar month: 1 where the bones age as fast as the calendar."""
        return self.bone_age_months / self.calendar_months


@dataclass(frozen=True)
class Course:
    """Earlier readings of a patient, oldest first.

    Attributes:
        study_date: When the present image was made.
        earlier: At least one reading of an earlier date.
    """

    study_date: date
    earlier: Sequence[EarlierReading]

    def rate(self, bone_age_months: float, model: str) -> Rate | None:
        """The rate since the latest reading by the same model that is old enough; None where there is none.

        Args:
            bone_age_months: The present reading.
            model: What made it. Two models may differ by more than a child grows.
        """
        for reading in reversed(self.earlier):
            calendar_months = (self.study_date - reading.study_date).days / DAYS_PER_MONTH
            if reading.model == model and calendar_months >= LEAST_MONTHS_FOR_RATE:
                return Rate(reading.study_date, calendar_months, bone_age_months - reading.bone_age_months)
        return None
