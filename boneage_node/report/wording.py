"""Sentences of the reports: ages, the reading, its course, a refusal."""

from __future__ import annotations

import math

from boneage_node.bone_age import Agreement, Assessment, Course, Laterality, Refusal, Sex

CHILDREN = {Sex.FEMALE: "girl", Sex.MALE: "boy"}
"""Words for a patient of unknown sex, who is read as both."""

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
    return f"{age_months:z.1f} months"


def signed(value: float, digits: int) -> str:
    """A difference with its sign; one that rounds to zero is ``+0.0``, from whichever side."""
    return f"{value:+z.{digits}f}"


def agreement_sentence(assessment: Assessment) -> str:
    """Sentence on the agreement of the networks."""
    usual = assessment.agreement is Agreement.USUAL
    compared = "as on most hands" if usual else "less than on most hands"
    return f"The networks agree {compared} (standard deviation {months(assessment.spread_months)})."


def course_sentences(course: Course, assessment: Assessment) -> tuple[str, ...]:
    """Earlier readings, latest first, and the rate since, where it can be told: one sentence each.

    Args:
        course: The earlier readings.
        assessment: The present one.
    """
    rate = course.rate(assessment.bone_age_months, str(assessment.model))
    sentences = []
    if rate is not None:
        sentences.append(
            f"Since {rate.since.isoformat()}: {signed(rate.bone_age_months, 1)} months of bone age in "
            f"{rate.calendar_months:.1f} months, {rate.months_per_month:z.2f} a month."
        )
    for reading in reversed(course.earlier):
        age_months = reading.chronological_age_months
        at = f" at {years_and_months(age_months)}" if age_months is not None else ""
        sentences.append(f"{reading.study_date.isoformat()}: bone age {months(reading.bone_age_months)}{at}.")
    return tuple(sentences)


STATEMENT = "Result of software (AI), not verified by a physician. For research use only."


_SIDES = {Laterality.LEFT: "left hand", Laterality.RIGHT: "right hand", None: "hand"}


def assessment_sentences(assessment: Assessment, course: Course | None) -> list[str]:
    """Sentences on the reading, its certainty, how it compares, and that nobody has verified it.

    Args:
        assessment: The reading.
        course: Earlier readings of the patient, if any.
    """
    low_months, high_months = assessment.interval_months
    coverage = f"{100 * assessment.interval_coverage:.0f} %"
    return [
        _reading(assessment),
        f"{coverage} prediction interval: {low_months:.1f} to {months(high_months)}.",
        agreement_sentence(assessment),
        *_comparison(assessment),
        *(course_sentences(course, assessment) if course else ()),
        STATEMENT,
    ]


def printable(text: str) -> str:
    """A text with a question mark for whatever is no printable character."""
    return "".join(character if character.isprintable() else "?" for character in text)


def refusal_sentences(refusal: Refusal) -> list[str]:
    """That nothing was read, why, and that nobody has verified it."""
    return [f"No bone age was read. {printable(refusal.sentence)}", STATEMENT]


def _reading(assessment: Assessment) -> str:
    bone_age = f"{years_and_months(assessment.bone_age_months)} ({months(assessment.bone_age_months)})"
    hand = _SIDES[assessment.laterality]
    if assessment.sex is not None:
        child = CHILDREN[assessment.sex]
        return f"Bone age by the standards of Greulich and Pyle: {bone_age}, {hand}, read as a {child}'s."
    readings = " and ".join(
        f"{months(age_months)} read as a {CHILDREN[sex]}'s"
        for sex, age_months in sorted(assessment.months_by_sex.items())
    )
    return (
        f"Bone age by the standards of Greulich and Pyle: {bone_age}, {hand}. "
        f"The patient's sex is not known: this is the mean of {readings}."
    )


def _comparison(assessment: Assessment) -> list[str]:
    """With the chronological age, as far as it is known."""
    age_months, z_score = assessment.chronological_age_months, assessment.z_score
    if age_months is None:
        return ["The chronological age is not known."]
    age = f"Chronological age: {years_and_months(age_months)} ({months(age_months)})"
    if z_score is None:
        return [f"{age}."]
    return [
        f"{age}; z-score {signed(z_score, 2)} (Brush Foundation standard deviations): "
        f"{assessment.determination} for age."
    ]
