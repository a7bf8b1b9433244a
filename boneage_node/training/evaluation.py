"""How well a model reads labelled radiographs, through the same door that the node uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from boneage_node.bone_age import Assessment, Hand, Sex
from boneage_node.bone_age.predictor import Predictor

from .data import HIGH_RESOLUTION_PX, DataError, Example, read_image

_BATCH = 16


@dataclass(frozen=True)
class Reading:
    """One labelled radiograph and what the model made of it: an assessment, or None where it was refused."""

    example: Example
    sharp: bool
    assessment: Assessment | None


def read_all(predictor: Predictor, examples: list[Example], progress: Callable[[int], None]) -> list[Reading]:
    """Read every example; ``progress(done)`` counts them."""
    readings: list[Reading] = []
    for start in range(0, len(examples), _BATCH):
        part = examples[start : start + _BATCH]
        images = [read_image(example.path) for example in part]
        hands = [Hand(image, example.sex) for image, example in zip(images, part, strict=True)]
        for example, image, answer in zip(part, images, predictor.assess(hands), strict=True):
            sharp = max(image.shape) >= HIGH_RESOLUTION_PX
            readings.append(Reading(example, sharp, answer if isinstance(answer, Assessment) else None))
        progress(len(readings))
    return readings


def errors_months(readings: list[Reading]) -> npt.NDArray[np.float64]:
    """Reading minus label of those that were assessed, shape (n,)."""
    return np.array(
        [r.assessment.bone_age_months - r.example.bone_age_months for r in readings if r.assessment]
    )


def figures(readings: list[Reading]) -> dict[str, Any]:
    """Errors in months, refusals and the interval's measured coverage."""
    errors = errors_months(readings)
    inside = [
        r.assessment.interval_months[0] <= r.example.bone_age_months <= r.assessment.interval_months[1]
        for r in readings
        if r.assessment
    ]
    if not len(errors):
        return {"images": len(readings), "refused": len(readings)}
    return {
        "images": len(readings),
        "refused": len(readings) - len(errors),
        "mae_months": round(float(np.abs(errors).mean()), 2),
        "median_absolute_error_months": round(float(np.median(np.abs(errors))), 2),
        "rmse_months": round(float(np.sqrt((errors**2).mean())), 2),
        "bias_months": round(float(errors.mean()), 2),
        "interval_coverage": round(float(np.mean(inside)), 3),
    }


def summary(readings: list[Reading]) -> dict[str, Any]:
    """Figures on high-resolution images, the ones a node sees, then on all and on each sex."""
    sharp = [r for r in readings if r.sharp]
    return {
        "high_resolution": figures(sharp),
        "high_resolution_boys": figures([r for r in sharp if r.example.sex is Sex.MALE]),
        "high_resolution_girls": figures([r for r in sharp if r.example.sex is Sex.FEMALE]),
        "all": figures(readings),
    }


def conformal_rank(count: int, coverage: float) -> int:
    """Which of ``count`` sorted errors is the half width of a split-conformal interval, from 1."""
    return int(np.ceil((count + 1) * coverage))


def refuse_small_calibration(examples: list[Example], coverage: float) -> None:
    """Say before an hour of training, not after it, that the intervals could not be calibrated.

    Raises:
        DataError: Where a sex has too few calibration images for the coverage.
    """
    for sex in Sex:
        count = sum(e.split == "calibration" and e.sex is sex for e in examples)
        if conformal_rank(count, coverage) > count:
            raise DataError(
                f"{count} calibration images of sex {sex} are too few for a {coverage:.0%} interval: "
                "name more in splits.csv (id,split) as 'calibration'."
            )


def half_width_months(readings: list[Reading], coverage: float) -> dict[Sex, float]:
    """Half width of a split-conformal interval for each sex.

    The ceil((n + 1) coverage)-th smallest absolute error of calibration images that no weight depends on
    (Lei et al., J Am Stat Assoc 2018;113:1094-1111).

    Raises:
        DataError: Where too few hands of a sex were found for the coverage.
    """
    widths = {}
    for sex in Sex:
        errors = np.sort(np.abs(errors_months([r for r in readings if r.example.sex is sex])))
        rank = conformal_rank(len(errors), coverage)
        if rank > len(errors):
            raise DataError(f"a hand was found in only {len(errors)} calibration images of sex {sex}")
        widths[sex] = round(float(errors[rank - 1]), 2)
    return widths
