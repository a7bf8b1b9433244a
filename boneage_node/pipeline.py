"""From the files of a study to an answer: the one path that the worker and ``assess`` share."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .bone_age import Assessment, Course, Refusal, model_zoo
from .bone_age.manifest import ModelError
from .bone_age.predictor import Predictor
from .exit_codes import ExitCode, NodeError
from .radiograph import Choice, choose_hand_image

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


@dataclass(frozen=True)
class Reading:
    """What became of a study.

    Attributes:
        choice: The image that the study is reported on.
        answer: Its assessment, or why there is none.
        elapsed_ms: From opening the files to the answer.
    """

    choice: Choice
    answer: Assessment | Refusal
    elapsed_ms: float

    def result(self) -> dict[str, Any]:
        """The object that ``assess --json`` prints and the database keeps; null is what is not known."""
        return result(self.choice, self.answer, self.elapsed_ms)


def load_predictor(model: str | None, device: str) -> Predictor:
    """Load a model by name or folder; None is the default one.

    Raises:
        NodeError: Where the model or the device cannot be used.
    """
    try:
        return Predictor.load(model_zoo.model_dir(model), device)
    except ModelError as error:
        raise NodeError(ExitCode.MODEL, f"{error}.") from error


def read_study(paths: Sequence[Path], predictor: Predictor, *, sex_required: bool = True) -> Reading:
    """Read one study.

    Args:
        paths: The files of its instances, in the order in which they were received; at least one.
        predictor: The model.
        sex_required: Refuse a patient of unknown sex, who is else read as both.

    Raises:
        OSError: A file cannot be opened.
    """
    started = time.perf_counter()
    choice = choose_hand_image(paths, sex_required=sex_required)
    (answer,) = answers([choice], predictor)
    return Reading(choice, answer, 1000 * (time.perf_counter() - started))


def answers(choices: Sequence[Choice], predictor: Predictor) -> list[Assessment | Refusal]:
    """Assess the chosen images, in one batch, in order; a choice that was refused keeps its refusal."""
    assessed = iter(predictor.assess([c.radiograph.hand for c in choices if c.radiograph is not None]))
    return [next(assessed) if choice.refusal is None else choice.refusal for choice in choices]


def result(
    choice: Choice,
    answer: Assessment | Refusal,
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
