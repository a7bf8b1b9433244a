"""A result in sentences, for reports that are read as text."""

from __future__ import annotations

from boneage_node.bone_age import Assessment, Course, Laterality, Refusal

from .fhir_types import printable
from .months import CHILDREN, agreement_sentence, course_sentences, months, years_and_months
from .refusal import STATEMENT

_SIDES = {Laterality.LEFT: "left hand", Laterality.RIGHT: "right hand", None: "hand"}


def assessment_sentences(assessment: Assessment, course: Course | None) -> list[str]:
    """What was read, how sure it is, how it compares, and that nobody has verified it.

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
        f"{age}; z-score {z_score:+.2f} (Brush Foundation standard deviations): "
        f"{assessment.determination} for age."
    ]
