"""Sentences of the reports: ages, the reading, its course, a refusal."""

from __future__ import annotations

import math
from datetime import datetime

from boneage_node.bone_age import Agreement, Assessment, Course, Determination, Laterality, Refusal, Sex
from boneage_node.bone_age.reference import LIMIT_SD
from boneage_node.bone_age.rounding import MONTHS_DIGITS, RATE_DIGITS, Z_SCORE_DIGITS, rounded

CHILDREN = {Sex.FEMALE: "girl", Sex.MALE: "boy"}
"""Words for a patient of unknown sex, who is read as both."""

OUTSIDE_NORMAL = f"Probability that the bone age is outside {LIMIT_SD:.0f} SD of the chronological age"

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


def cautions(assessment: Assessment) -> list[str]:
    """What a reader is to look at before the reading is used."""
    usual = assessment.agreement is Agreement.USUAL
    disagreement = [] if usual else ["The networks agree less than on most hands."]
    return [*(caution.sentence for caution in assessment.cautions), *disagreement]


def course_sentences(course: Course, assessment: Assessment) -> tuple[str, ...]:
    """Earlier readings, latest first, and the rate since, where it can be told: one sentence each.

    Args:
        course: The earlier readings.
        assessment: The present one.
    """
    rate = course.rate(assessment.bone_age_months, str(assessment.model))
    sentences = []
    if rate is not None:
        change = f"{signed(rate.bone_age_months, MONTHS_DIGITS)} months in {rate.calendar_months:.1f} months"
        pace = rounded(rate.months_per_month, RATE_DIGITS)
        meant = f"{pace:.{RATE_DIGITS}f} times as fast as the calendar" if pace > 0 else "it did not advance"
        since = f"Bone age since {rate.since.isoformat()}: {change}, {meant}"
        sentences.append(f"{since}{_smallest_real_change(assessment)}.")
    for reading in reversed(course.earlier):
        age_months = reading.chronological_age_months
        at = f" at {years_and_months(age_months)}" if age_months is not None else ""
        sentences.append(f"{reading.study_date.isoformat()}: bone age {months(reading.bone_age_months)}{at}.")
    return tuple(sentences)


def _smallest_real_change(assessment: Assessment) -> str:
    """What of a change may be none of the hand; empty with models that do not tell."""
    least_months = assessment.repeatability_months
    if least_months is None:
        return ""
    return f"; a change of less than {months(least_months)} may come of re-taking the image alone"


STATEMENT = "Result of software (AI), not verified by a physician. For research use only."


_SIDES = {Laterality.LEFT: "Left hand", Laterality.RIGHT: "Right hand", None: "Hand, side not known"}


def assessment_sentences(assessment: Assessment, course: Course | None) -> list[str]:
    """All that is said of a reading: conclusion, certainty, course, and that nobody has verified it.

    Args:
        assessment: The reading.
        course: Earlier readings of the patient, if any.
    """
    return [
        conclusion(assessment),
        *(caution.sentence for caution in assessment.cautions),
        agreement_sentence(assessment),
        *(course_sentences(course, assessment) if course else ()),
        STATEMENT,
    ]


def conclusion(assessment: Assessment) -> str:
    """One sentence that a radiologist may quote: the reading, its interval, and how it compares."""
    low_months, high_months = assessment.interval_months
    bone_age = years_and_months(assessment.bone_age_months)
    interval = f"{interval_name(assessment)} {low_months:z.1f} to {months(high_months)}"
    reading = f"bone age {bone_age} ({months(assessment.bone_age_months)}, {interval})"
    standard = f"by the standards of Greulich and Pyle{_read_as(assessment)}"
    return f"{_SIDES[assessment.laterality]}: {reading} {standard}; {_comparison(assessment)}."


def interval_name(assessment: Assessment, joint: str = " for the ") -> str:
    """``95 % prediction interval for the mean of readers``; by older models, without the words after it.

    Args:
        assessment: The reading.
        joint: What stands between the two parts.
    """
    of = f"{joint}mean of readers" if assessment.reader_interval_months else ""
    return f"{100 * assessment.interval_coverage:.0f} % prediction interval{of}"


def percent(probability: float) -> str:
    """A probability as ``37 %``; what rounds to none or to all is ``<1 %`` or ``>99 %``."""
    comparator, whole = whole_percent(probability)
    return f"{comparator}{whole} %"


def whole_percent(probability: float) -> tuple[str, int]:
    """A probability as 1 to 99 percent, and ``<`` or ``>`` where it rounds to none or to all, else empty."""
    whole = round(100 * probability)
    return {0: ("<", 1), 100: (">", 99)}.get(whole, ("", whole))


def determination_words(assessment: Assessment) -> str:
    """``normal for age``, ``advanced for age``; empty where there is no z-score.

    Where the interval of a delayed or advanced reading reaches into the normal range, it is ``not certain``.
    """
    if assessment.determination is Determination.INDETERMINATE:
        return ""
    doubt = ", not certain" if assessment.determination_certain is False else ""
    return f"{assessment.determination} for age{doubt}"


def printable(text: str) -> str:
    """A text with a question mark for whatever is no printable character."""
    return "".join(character if character.isprintable() else "?" for character in text)


def refusal_sentences(refusal: Refusal) -> list[str]:
    """That nothing was read, why, and that nobody has verified it."""
    return [f"No bone age was read. {printable(refusal.sentence)}", STATEMENT]


def replaced_sentence(number: int, made: datetime, bone_age_months: float | None) -> str:
    """Sentence on the report of the same study that a new one replaces.

    Args:
        number: How manieth it is.
        made: When it was made.
        bone_age_months: What was read; None where it is a refusal.
    """
    said = "not read" if bone_age_months is None else f"bone age {months(bone_age_months)}"
    return f"This replaces report {number} of the study, made on {made:%Y-%m-%d at %H:%M} ({said})."


def _read_as(assessment: Assessment) -> str:
    """As whose hand it was read."""
    if assessment.sex is not None:
        return f" for {CHILDREN[assessment.sex]}s"
    readings = " and ".join(
        f"{months(age_months)} read as a {CHILDREN[sex]}'s"
        for sex, age_months in sorted(assessment.months_by_sex.items())
    )
    return f", the patient's sex not known: this is the mean of {readings}"


def _comparison(assessment: Assessment) -> str:
    """With the chronological age, as far as it is known."""
    age_months, z_score = assessment.chronological_age_months, assessment.z_score
    if age_months is None:
        return "the chronological age is not known"
    age = f"chronological age {years_and_months(age_months)} ({months(age_months)})"
    if z_score is None:
        return age
    doubt = ""
    if assessment.determination_certain is False and assessment.z_interval is not None:
        low, high = (signed(end, Z_SCORE_DIGITS) for end in assessment.z_interval)
        doubt = f"; the interval, {low} to {high}, reaches into the normal range"
    probability = assessment.probability_outside_normal
    outside = ""
    if probability is not None:  # in ASCII, the character set of most images
        outside = f"; outside {LIMIT_SD:.0f} SD with a probability of {percent(probability)}"
    z = f"z-score {signed(z_score, Z_SCORE_DIGITS)}, Brush Foundation{outside}{doubt}"
    return f"{age}: {determination_words(assessment)} ({z})"
