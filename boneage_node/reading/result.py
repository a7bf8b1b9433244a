"""Result of an answer."""

from __future__ import annotations

from dataclasses import replace

from boneage_node.bone_age import Answer, Assessment, Course
from boneage_node.bone_age.rounding import MONTHS_DIGITS, RATE_DIGITS, Z_SCORE_DIGITS, rounded
from boneage_node.radiograph import Choice
from boneage_node.traffic.result import EarlierBoneAge, EarlierBoneAges, Result, ResultStatus


def result(
    file: str,
    choice: Choice,
    answer: Answer,
    elapsed_ms: float | None = None,
    course: Course | None = None,
) -> Result:
    """The result of a reading, its numbers rounded as they are stored and printed.

    Args:
        file: What the result calls the file that was read.
        choice: The image that was read or refused.
        answer: What the reading came to.
        elapsed_ms: How long it took.
        course: Earlier readings of the patient.
    """
    header = choice.header
    of_header = Result(
        file=file,
        sop_instance_uid=header.sop_instance_uid or None if header else None,
        status=ResultStatus.REFUSED,
        sex=str(header.sex) if header and header.sex else None,
        chronological_age_months=_rounded(header.chronological_age_months if header else None, MONTHS_DIGITS),
        laterality=str(header.laterality) if header and header.laterality else None,
        elapsed_ms=_rounded(elapsed_ms, 1),
    )
    if not isinstance(answer, Assessment):
        return replace(of_header, reason=str(answer.code))
    return replace(
        of_header,
        status=ResultStatus.ASSESSED,
        bone_age_months=answer.bone_age_months,
        bone_age_months_by_sex={str(sex): months for sex, months in sorted(answer.months_by_sex.items())},
        interval_months=answer.interval_months,
        reader_interval_months=answer.reader_interval_months,
        z_score=_rounded(answer.z_score, Z_SCORE_DIGITS),
        probability_outside_normal=answer.probability_outside_normal,
        determination=str(answer.determination),
        determination_certain=answer.determination_certain,
        agreement=str(answer.agreement),
        cautions=tuple(str(caution) for caution in answer.cautions),
        earlier=_earlier(course, answer) if course else None,
        model=str(answer.model),
    )


def _earlier(course: Course, assessment: Assessment) -> EarlierBoneAges:
    """Earlier readings, oldest first, and the rate since the latest that it can be told from."""
    rate = course.rate(assessment.bone_age_months, str(assessment.model))
    return EarlierBoneAges(
        readings=tuple(
            EarlierBoneAge(reading.study_date.isoformat(), reading.bone_age_months)
            for reading in course.earlier
        ),
        since=rate.since.isoformat() if rate else None,
        bone_age_months_per_month=_rounded(rate.months_per_month if rate else None, RATE_DIGITS),
        repeatability_months=assessment.repeatability_months if rate else None,
    )


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else rounded(value, digits)
