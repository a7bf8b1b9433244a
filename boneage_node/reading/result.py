"""The result of a reading, as it is stored and printed."""

from __future__ import annotations

from typing import Any

from boneage_node.bone_age import Answer, Assessment, Course
from boneage_node.radiograph import Choice

RESULT_KEYS = (
    "file",
    "sop_instance_uid",
    "status",
    "reason",
    "sex",
    "chronological_age_months",
    "bone_age_months",
    "bone_age_months_by_sex",
    "interval_months",
    "z_score",
    "determination",
    "agreement",
    "earlier",
    "laterality",
    "model",
    "elapsed_ms",
)
"""The keys of a result, always all of them."""


def result(
    choice: Choice,
    answer: Answer,
    elapsed_ms: float | None = None,
    course: Course | None = None,
) -> dict[str, Any]:
    """The answer as a JSON object."""
    header = choice.header
    assessment = answer if isinstance(answer, Assessment) else None
    return {
        "file": str(choice.path),
        "sop_instance_uid": header.sop_instance_uid or None if header else None,
        "status": "assessed" if assessment else "refused",
        "reason": None if isinstance(answer, Assessment) else str(answer.code),
        "sex": str(header.sex) if header and header.sex else None,
        "chronological_age_months": _rounded(header.chronological_age_months if header else None, 1),
        "bone_age_months": _rounded(assessment.bone_age_months if assessment else None, 1),
        "bone_age_months_by_sex": _by_sex(assessment) if assessment else None,
        "interval_months": [round(end, 1) for end in assessment.interval_months] if assessment else None,
        "z_score": _rounded(assessment.z_score if assessment else None, 2),
        "determination": str(assessment.determination) if assessment else None,
        "agreement": str(assessment.agreement) if assessment else None,
        "earlier": _earlier(course, assessment) if course and assessment else None,
        "laterality": str(header.laterality) if header and header.laterality else None,
        "model": str(assessment.model) if assessment else None,
        "elapsed_ms": _rounded(elapsed_ms, 1),
    }


def _earlier(course: Course, assessment: Assessment) -> dict[str, Any]:
    """Earlier readings, oldest first, and the rate since the latest that it can be told from."""
    rate = course.rate(assessment.bone_age_months, str(assessment.model))
    return {
        "readings": [
            {"study_date": reading.study_date.isoformat(), "bone_age_months": reading.bone_age_months}
            for reading in course.earlier
        ],
        "since": rate.since.isoformat() if rate else None,
        "bone_age_months_per_month": _rounded(rate.months_per_month if rate else None, 2),
    }


def _by_sex(assessment: Assessment) -> dict[str, float]:
    return {str(sex): round(months, 1) for sex, months in sorted(assessment.months_by_sex.items())}


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
