"""The numbers of an assessment as measurements of a structured report."""

from __future__ import annotations

from highdicom.sr import ContentSequence, Measurement, RelationshipTypeValues, TextContentItem

from boneage_node.bone_age import Assessment, Sex
from boneage_node.bone_age.rounding import MONTHS_DIGITS, Z_SCORE_DIGITS, rounded
from boneage_node.report import codes
from boneage_node.report.wording import CHILDREN, OUTSIDE_NORMAL, whole_percent


def measurements(assessment: Assessment) -> list[Measurement]:
    """The numbers; those that are not known are not there.

    OHIF prints the first five beside the outline, older versions the first three: the two readings of a
    patient of unknown sex come early, so that neither is seen without the other.
    """
    low_months, high_months = assessment.interval_months
    bone_age_months = assessment.bone_age_months
    # One number must stand for both sides of the interval: the wider side.
    wider_months = max(high_months - bone_age_months, bone_age_months - low_months)
    numbers = _bone_ages(assessment)
    numbers.append(Measurement(codes.UNCERTAINTY, rounded(wider_months, MONTHS_DIGITS), codes.MONTH))
    if assessment.chronological_age_months is not None:
        age_months = rounded(assessment.chronological_age_months, MONTHS_DIGITS)
        numbers.append(Measurement(codes.SUBJECT_AGE, age_months, codes.MONTH))
    if assessment.z_score is not None:
        z_score = rounded(assessment.z_score, Z_SCORE_DIGITS)
        numbers.append(Measurement(codes.Z_SCORE, z_score, codes.STANDARD_DEVIATIONS))
    if assessment.probability_outside_normal is not None:
        numbers.append(_outside_normal(assessment.probability_outside_normal))
    return numbers


def _outside_normal(probability: float) -> Measurement:
    """The probability; a measurement has no place for "less than": what is less than 1 % is 1 % here."""
    _, percent = whole_percent(probability)
    return _meaning(Measurement(codes.OUTSIDE_NORMAL, percent, codes.PERCENT), OUTSIDE_NORMAL)


def _bone_ages(assessment: Assessment) -> list[Measurement]:
    """The bone age; where sex is unknown it is a mean, and what it is the mean of follows."""
    known = assessment.sex is not None
    bone_age = Measurement(
        codes.BONE_AGE,
        assessment.bone_age_months,
        codes.MONTH,
        method=codes.GREULICH_AND_PYLE,
        derivation=None if known else codes.MEAN,
    )
    readings = {} if known else assessment.months_by_sex
    return [bone_age, *(_read_as(sex, age_months) for sex, age_months in sorted(readings.items()))]


def _read_as(sex: Sex, age_months: float) -> Measurement:
    """Bone age of a patient of unknown sex, read as one of either."""
    measurement = Measurement(
        codes.SKELETAL_AGE,
        age_months,
        codes.MONTH_READ_AS[sex],
        method=codes.GREULICH_AND_PYLE,
    )
    return _meaning(measurement, f"Bone age, read as a {CHILDREN[sex]}")


def _meaning(measurement: Measurement, words: str) -> Measurement:
    """A measurement that says in words what it is of."""
    item = TextContentItem(
        codes.EQUIVALENT_MEANING, words, relationship_type=RelationshipTypeValues.HAS_CONCEPT_MOD
    )
    said = measurement[0]
    said.ContentSequence = ContentSequence([*said.get("ContentSequence", []), item])
    return measurement
