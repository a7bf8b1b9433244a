"""Readings of labelled radiographs, made as the node makes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from boneage_node.bone_age import Assessment, Hand, Refusal
from boneage_node.bone_age.cropping import FoundHand, member_raster
from boneage_node.bone_age.framing import Grey, working_image
from boneage_node.bone_age.predictor import MALE, Predictor
from boneage_node.bone_age.registration import Points
from boneage_node.bone_age.segmentation import Mask
from boneage_node.datasets.rsna import Example, is_high_resolution, read_image

ENSEMBLE = "ensemble"
_BATCH = 16


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
    readings: list[Reading] = []
    for start in range(0, len(examples), _BATCH):
        part = examples[start : start + _BATCH]
        images = [read_image(example.path) for example in part]
        found = [predictor.find(image) for image in images]
        hands = [Hand(image, example.sex) for image, example in zip(images, part, strict=True)]
        answers = predictor.assess(hands, found)
        both = _read_as_both(predictor, images, found) if untold else [None] * len(part)
        members = _read_untold(predictor, found) if untold else [None] * len(part)
        for example, image, answer, as_both, untold_months in zip(
            part, images, answers, both, members, strict=True
        ):
            sharp = is_high_resolution(image)
            if isinstance(answer, Refusal):
                readings.append(Reading(example, sharp, None, answer))
            else:
                readings.append(Reading(example, sharp, answer, None, as_both, untold_months))
        progress(len(readings))
    return readings


def _read_as_both(
    predictor: Predictor, images: Sequence[Grey], found: Sequence[FoundHand | Refusal]
) -> list[Assessment | None]:
    answers = predictor.assess([Hand(image, None) for image in images], found)
    return [answer if isinstance(answer, Assessment) else None for answer in answers]


def _read_untold(predictor: Predictor, found: Sequence[FoundHand | Refusal]) -> list[dict[str, float] | None]:
    """Months by network and head, and of the ensemble, sex not told; None where no hand was found."""
    hands = [f for f in found if isinstance(f, FoundHand)]
    if not hands:
        return [None] * len(found)
    rasters = {
        member.name: np.stack([member_raster(member, hand) for hand in hands])
        for member in predictor.manifest.members
    }
    read = predictor.read(rasters, [MALE[None]] * len(hands))
    rows = ({name: float(months[k]) for name, months in read.items()} for k in range(len(hands)))
    by_hand = iter([row | {ENSEMBLE: predictor.ensemble(row)[0]} for row in rows])
    return [next(by_hand) if isinstance(f, FoundHand) else None for f in found]


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
