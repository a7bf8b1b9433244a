"""Readings of labelled radiographs, made as the node makes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from boneage_node.bone_age import Assessment, Hand, Refusal, Sex
from boneage_node.bone_age.cropping import FoundHand
from boneage_node.bone_age.framing import working_image
from boneage_node.bone_age.predictor import Predictor
from boneage_node.bone_age.registration import Points
from boneage_node.bone_age.segmentation import Mask
from boneage_node.datasets.rsna import Example, is_high_resolution, read_image

from .parallel import each

ENSEMBLE = "ensemble"


@dataclass(frozen=True)
class Reading:
    """One labelled radiograph with the model's answer.

    Attributes:
        example: The radiograph and its labels.
        sharp: Whether it is of high resolution.
        assessment: The reading, or None where it was refused.
        refusal: Why it was refused, or None.
        as_both: The reading of a patient of unknown sex; None where that was refused or not asked.
        untold_months: What each network and head, and the ensemble of them, reads when it is told that sex is
            not known; None where the image was refused or that was not asked.
    """

    example: Example
    sharp: bool
    assessment: Assessment | None
    refusal: Refusal | None = None
    as_both: Assessment | None = None
    untold_months: Mapping[str, float] | None = None


def read_all(
    predictor: Predictor, examples: list[Example], progress: Callable[[int], None], *, untold: bool = False
) -> list[Reading]:
    """Read every example.

    Args:
        predictor: The model.
        examples: What to read.
        progress: Called with how many were read.
        untold: Read each hand that is found also as if its sex were not known.
    """
    return each(lambda example: _read(predictor, example, untold=untold), examples, progress)


def _read(predictor: Predictor, example: Example, *, untold: bool) -> Reading:
    image = read_image(example.path)
    sharp = is_high_resolution(image)
    found = predictor.find(image)
    if isinstance(found, Refusal):
        return Reading(example, sharp, None, found)
    seen = predictor.see(found, [*Sex, None] if untold else [example.sex])
    answer = predictor.answer(Hand(image, example.sex), found, seen)
    if isinstance(answer, Refusal):
        return Reading(example, sharp, None, answer)
    if not untold:
        return Reading(example, sharp, answer)
    both = predictor.answer(Hand(image, None), found, seen)
    as_both = both if isinstance(both, Assessment) else None
    months = seen.months[None]
    return Reading(example, sharp, answer, None, as_both, months | {ENSEMBLE: predictor.ensemble(months)[0]})


def mask_iou(mask: Mask, true: Mask) -> float:
    """Intersection over union of a mask of the working image with the true one of the radiograph."""
    seen = working_image(true.astype(np.float32))[0] >= 0.5
    return float((mask & seen).sum() / (mask | seen).sum())


def point_errors(found: FoundHand, true_px: Points) -> npt.NDArray[np.float64]:
    """Distance of each key point from the true one, as a share of the true length from tip to capitate.

    Args:
        found: The hand.
        true_px: Where they are in the radiograph, pixel centres at integers, shape (3, 2).

    Returns:
        Shape (3,).
    """
    length_px = np.linalg.norm(true_px[0] - true_px[2])
    off_px = np.linalg.norm(found.in_radiograph(found.points_px) - true_px, axis=1)
    return np.asarray(off_px / length_px, dtype=np.float64)


def refusals(answers: Iterable[Assessment | Refusal | None]) -> dict[str, int]:
    """Count the refusals by reason, the most frequent first; assessments are left out."""
    return dict(Counter(str(one.code) for one in answers if isinstance(one, Refusal)).most_common())


def rounded(value: float | None, digits: int = 2) -> float | None:
    """A figure as reports have it: None where there is none, and no -0.0."""
    return None if value is None or np.isnan(value) else round(float(value), digits) + 0.0
