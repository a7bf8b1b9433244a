"""Drawn hands of known age, mask and key points as a yardstick for a model that never saw one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from boneage_node.bone_age import Answer, Assessment, Hand, Sex
from boneage_node.bone_age.cropping import FoundHand
from boneage_node.bone_age.predictor import Predictor
from boneage_node.bone_age.registration import POINT_NAMES, Points
from boneage_node.phantom import PhantomHand

from .parallel import each
from .readings import mask_iou, point_errors, refusals, rounded
from .strata import SEX_NAMES


@dataclass(frozen=True)
class PhantomReading:
    """One drawn hand with the model's answer.

    Attributes:
        sex, age_months: The truth.
        answer: Assessment or refusal.
        mask_iou: As ``mask_iou`` says; None where no hand was found.
        point_errors: As ``point_errors`` says; None where no hand was found.
    """

    sex: Sex
    age_months: float
    answer: Answer
    mask_iou: float | None
    point_errors: npt.NDArray[np.float64] | None


def read_phantoms(
    predictor: Predictor, hands: Iterable[PhantomHand], progress: Callable[[int], None]
) -> list[PhantomReading]:
    """Read drawn hands; ``progress(done)`` counts them."""

    def read(hand: PhantomHand) -> PhantomReading:
        found = predictor.find(hand.pixels)
        (answer,) = predictor.assess([Hand(hand.pixels, hand.sex)], [found])
        iou = mask_iou(found.mask, hand.mask) if isinstance(found, FoundHand) else None
        errors = point_errors(found, _true_points(hand)) if isinstance(found, FoundHand) else None
        return PhantomReading(hand.sex, hand.age_months, answer, iou, errors)

    return each(read, hands, progress)


def _true_points(hand: PhantomHand) -> Points:
    return np.array([hand.key_points_px[name] for name in POINT_NAMES], dtype=np.float32)


def phantom_table(readings: list[PhantomReading]) -> dict[str, Any]:
    """Rank correlation and errors in months by sex, refusals, and how well mask and key points were found."""
    ious = [r.mask_iou for r in readings if r.mask_iou is not None]
    errors = np.array([r.point_errors for r in readings if r.point_errors is not None])
    return {
        "phantoms": len(readings),
        "refusals": refusals(r.answer for r in readings),
        "all": _figures(readings),
        **{name: _figures([r for r in readings if r.sex is sex]) for sex, name in SEX_NAMES.items()},
        "mask_iou": {"mean": round(float(np.mean(ious)), 3), "least": round(min(ious), 3)} if ious else None,
        "key_points": _point_figures(errors) if len(errors) else None,
    }


def _point_figures(errors: npt.NDArray[np.float64]) -> dict[str, dict[str, float]]:
    """Of errors of shape (n, 3): over all points and for each."""
    columns = {"all": errors.ravel(), **dict(zip(POINT_NAMES, errors.T, strict=True))}
    return {
        name: {
            "median": round(float(np.median(column)), 4),
            "percentile_95": round(float(np.percentile(column, 95)), 4),
        }
        for name, column in columns.items()
    }


def _figures(readings: list[PhantomReading]) -> dict[str, Any]:
    pairs = [(r.age_months, r.answer.bone_age_months) for r in readings if isinstance(r.answer, Assessment)]
    row: dict[str, Any] = {"images": len(readings), "refused": len(readings) - len(pairs)}
    if not pairs:
        return row
    true, read = np.array(pairs).T
    ranked = len(pairs) > 2 and np.ptp(true) > 0 and np.ptp(read) > 0
    return row | {
        "rank_correlation": rounded(stats.spearmanr(true, read).statistic, 3) if ranked else None,
        "mae_months": rounded(np.abs(read - true).mean()),
        "bias_months": rounded((read - true).mean()),
    }
