"""Precision: how far readings of one hand lie apart that is taken again and again.

Radiographs are re-taken on the computer, with small changes such as any two real ones differ by. Told are the
within-subject standard deviation and the repeatability coefficient, which is the smallest real change of two
readings (Bland and Altman, "Measurement error", BMJ 1996;313:744).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from skimage.transform import AffineTransform, warp

from boneage_node.bone_age import Answer, Assessment, Hand
from boneage_node.bone_age.framing import Grey
from boneage_node.bone_age.predictor import Predictor
from boneage_node.bone_age.rounding import MONTHS_DIGITS
from boneage_node.bone_age.rounding import rounded as printed
from boneage_node.datasets.rsna import read_image, share_of

from .parallel import each
from .readings import Reading, rounded
from .sample import draw_sample
from .strata import SEX_NAMES

RETAKES = 4
"""Of each hand, by each kind of change."""
TOGETHER = "all together"
_COEFFICIENT = 1.96 * math.sqrt(2)
"""95 of 100 differences of two readings are smaller than so many standard deviations."""
_AGES_MONTHS = (0, 36, 72, 120, 168)
"""The youngest have a band of their own: some of them are read much further apart than most others."""


@dataclass(frozen=True)
class Retake:
    """How a hand is taken once more; the defaults change nothing but that the picture is resampled.

    Attributes:
        edges: How much further out the left, upper, right and lower edge of the field lie, as shares of its
            width or height. Where there was no picture it is black, as beside a collimated field.
        degrees: Turned counter-clockwise, in a field that holds all of it.
        magnification: Of the hand in the field: its distance from the detector.
        pixels: Along a former pixel: the detector's pitch.
        gamma: Exponent of the greys.
        contrast: Factor of their distances from the mean.
        brightness: What is added to them.
        noise: Standard deviation of the noise.
    """

    edges: tuple[float, float, float, float] = (0, 0, 0, 0)
    degrees: float = 0
    magnification: float = 1
    pixels: float = 1
    gamma: float = 1
    contrast: float = 1
    brightness: float = 0
    noise: float = 0

    def take(self, image: Grey, random: np.random.Generator) -> Grey:
        """Take a picture, float32 in [0, 1], so; ``random`` draws the noise."""
        greys = self._placed(image) ** self.gamma
        mean = greys.mean()
        greys = mean + (greys - mean) * self.contrast + self.brightness
        if self.noise:
            greys = greys + self.noise * random.standard_normal(greys.shape, dtype=np.float32)
        return np.asarray(np.clip(greys, 0, 1), dtype=np.float32)

    def _placed(self, image: Grey) -> Grey:
        """The hand in the new field, resampled once."""
        former = np.array(image.shape[::-1], dtype=np.float64)
        turn = np.radians(self.degrees)
        cosine, sine = np.cos(turn), np.sin(turn)
        size = np.abs([[cosine, sine], [sine, cosine]]) @ former
        first = -size * (0.5 + np.array(self.edges[:2]))
        last = size * (0.5 + np.array(self.edges[2:]))
        width, height = np.maximum(np.rint((last - first) * self.pixels), 1).astype(int)
        # from a pixel's centre in the new picture to its place in the former one, about the latter's middle
        back = np.array([[cosine, -sine], [sine, cosine]]) / self.magnification
        matrix = np.eye(3)
        matrix[:2, :2] = back / self.pixels
        matrix[:2, 2] = back @ (first + 0.5 / self.pixels) + former / 2 - 0.5
        return np.asarray(warp(image, AffineTransform(matrix), output_shape=(height, width), order=1))


def _framed(random: np.random.Generator) -> dict[str, Any]:
    return {"edges": tuple(random.uniform(-0.03, 0.03, 4))}


def _turned(random: np.random.Generator) -> dict[str, Any]:
    return {"degrees": random.uniform(-15, 15)}


def _exposed(random: np.random.Generator) -> dict[str, Any]:
    return {
        "gamma": random.uniform(0.85, 1.18),
        "contrast": random.uniform(0.85, 1.15),
        "brightness": random.uniform(-0.05, 0.05),
        "noise": random.uniform(0, 0.015),
    }


def _sized(random: np.random.Generator) -> dict[str, Any]:
    return {"magnification": random.uniform(0.95, 1.05), "pixels": random.uniform(0.95, 1.05)}


_CHANGES: Mapping[str, Callable[[np.random.Generator], dict[str, Any]]] = {
    "re-framed": _framed,
    "turned": _turned,
    "exposed otherwise": _exposed,
    "another size": _sized,
}
KINDS = (*_CHANGES, TOGETHER)


def draw_retake(kind: str, random: np.random.Generator) -> Retake:
    """Draw a re-take by one of ``KINDS``."""
    changes = _CHANGES.values() if kind == TOGETHER else [_CHANGES[kind]]
    return Retake(**{name: value for change in changes for name, value in change(random).items()})


@dataclass(frozen=True)
class Retaken:
    """A radiograph that is read as it is, with the model's readings of its re-takes by kind of change."""

    reading: Reading
    answers: Mapping[str, list[Answer]]


def draw_hands(readings: Iterable[Reading], count: int, seed: int) -> list[Reading]:
    """Draw hands of high resolution that were read, spread in sex and bone age as in all of them."""
    read = {one.example.id: one for one in readings if one.sharp and one.assessment}
    return [read[one.id] for one in draw_sample([one.example for one in read.values()], count, seed).examples]


def read_retakes(
    predictor: Predictor, hands: list[Reading], progress: Callable[[int], None]
) -> list[Retaken]:
    """Read hands re-taken; ``progress(done)`` counts hands. A hand is re-taken the same way each time."""

    def read(hand: Reading) -> Retaken:
        image = read_image(hand.example.path)
        random = np.random.default_rng(int(share_of(hand.example.id, "re-takes") * 2**32))
        answers: dict[str, list[Answer]] = {}
        for kind in KINDS:
            answers[kind] = []
            for _ in range(RETAKES):
                pixels = draw_retake(kind, random).take(image, random)
                answers[kind] += predictor.assess([Hand(pixels, hand.example.sex)])
        return Retaken(hand, answers)

    return each(read, hands, progress)


def within_subject_sd(subjects: Iterable[Sequence[float]]) -> float:
    """Root of the mean of the variances of each subject's values, weighted by their degrees of freedom.

    NaN where no subject has two values.
    """
    repeated = [values for values in subjects if len(values) > 1]
    freedom = sum(len(values) - 1 for values in repeated)
    squares = sum((len(values) - 1) * float(np.var(values, ddof=1)) for values in repeated)
    return math.sqrt(squares / freedom) if freedom else math.nan


def precision_table(retaken: list[Retaken]) -> dict[str, Any]:
    """Precision by kind of change; of all of them together by sex and labelled age, too.

    ``repeatability_months`` is that of all changes together and all hands, to the printed digit: what a
    manifest tells. None where it cannot be told.
    """
    changes = {kind: _figures(retaken, kind) for kind in KINDS}
    by_sex = {
        name: _figures([one for one in retaken if one.reading.example.sex is sex])
        for sex, name in SEX_NAMES.items()
    }
    place = np.digitize([one.reading.example.bone_age_months for one in retaken], _AGES_MONTHS[1:])
    ages = [
        {"from_months": low, "to_months": high}
        | _figures([one for one, own in zip(retaken, place, strict=True) if own == number])
        for number, (low, high) in enumerate(zip(_AGES_MONTHS, [*_AGES_MONTHS[1:], None], strict=True))
    ]
    told = changes[TOGETHER]["repeatability_months"]
    return {
        "hands": len(retaken),
        "changes": changes,
        "sexes": by_sex,
        "ages": ages,
        "repeatability_months": printed(told or 0, MONTHS_DIGITS) or None,
    }


def _figures(retaken: list[Retaken], kind: str = TOGETHER) -> dict[str, Any]:
    """A row of the table.

    ``images`` are hands, ``refused`` is of their re-takes. ``repeatability_months`` is by a normal
    distribution of the differences; ``beyond`` is the share of pairs of re-takes that differ by more, which
    is then 5 %. ``mean_change_months`` is of the re-takes from the reading of the hand as it is.
    """
    hands = [
        [answer.bone_age_months for answer in one.answers[kind] if isinstance(answer, Assessment)]
        for one in retaken
    ]
    sd = within_subject_sd(hands)
    apart = [abs(a - b) for months in hands for a, b in combinations(months, 2)]
    changes = [
        read - one.reading.assessment.bone_age_months
        for one, months in zip(retaken, hands, strict=True)
        if one.reading.assessment
        for read in months
    ]
    return {
        "images": len(retaken),
        "refused": sum(len(one.answers[kind]) for one in retaken) - sum(map(len, hands)),
        "sd_months": rounded(sd),
        "repeatability_months": rounded(_COEFFICIENT * sd),
        "beyond": rounded(float(np.mean(np.array(apart) > _COEFFICIENT * sd)), 4) if apart else None,
        "mean_change_months": rounded(float(np.mean(changes))) if changes else None,
    }
