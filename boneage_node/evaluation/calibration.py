"""Calibration of trained networks.

Ensemble, interval and the limits on disagreement and on unlikeness are set on calibration images, on which no
weight of a network depends; the limit on shape on training images.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from boneage_node.bone_age import Sex
from boneage_node.bone_age.manifest import AgeMember, Band, Interval, Manifest, Plausibility
from boneage_node.bone_age.networks import AGE_BINS
from boneage_node.bone_age.shape import UsualHand
from boneage_node.datasets.rsna import DataError, Example

from .readings import Reading

Array = npt.NDArray[np.float64]

COVERAGE = 0.95
READER_SD_MONTHS = 6.0
"""Standard deviation of one reader's label about the mean of readers: a constant of the method.

With one label a hand it cannot be told from the errors of networks, but from those against labels of one
reader and against the mean of six: hand-regions 0.3.0 erred by 7.8 and 6.2 months (mean absolute; as normal
deviations 9.8 and 7.8, of whose squares the difference has a root of 5.9). Readers themselves err by 4.8 to
7.0 against that mean, which is 6.0 to 8.8 as a deviation. Should it be more, intervals are wider than they
must be.
"""
BAND_EDGES_MONTHS = (96.0, 132.0, 168.0)
_LEAST_IN_BAND = 40
_FOLDS = 5
_RIDGE = 0.1
_REWEIGHTINGS = 20
_LEAST_FLOOR_MONTHS = 1.0
_FALSE_REFUSALS = 0.001
_UNRECOGNISED = 0.003
"""Share of the calibration hands that may be refused for being unlike known hands."""
_USUAL = 0.95

_SECOND_COMPONENT = 0.3
UNLIMITED_SPREAD: dict[str, float] = {"spread_months": AGE_BINS, "usual_spread_months": AGE_BINS}
"""Limits on the spread that nothing crosses, until they are set."""
_SPREAD_MARGIN = 2.0
"""By how much the spread of networks may exceed all but one in a thousand of the calibration hands.

Among some hundred hands that quantile is about the greatest spread of all, and of as many new hands one will
exceed it, though nothing is wrong with it. That networks agree less than usual is said of a reading
(``usual_spread_months``); the limit is to refuse only what they cannot read at all.
"""


def conformal_rank(count: int, coverage: float) -> int:
    """Rank, from 1, of the half width of a split-conformal interval among ``count`` sorted errors."""
    return int(np.ceil((count + 1) * coverage))


def refuse_small_calibration(examples: list[Example], coverage: float) -> None:
    """Refuse, before hours of training, data on which the intervals could not be calibrated.

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


def with_unlikeness(manifest: Manifest, readings: list[Reading]) -> Manifest:
    """A manifest with the limit on unlikeness, such that a few in a thousand calibration hands cross it.

    Args:
        manifest: Of a model that knows hands, with a limit that none of the readings crossed.
        readings: Of the calibration split.
    """
    values = sorted(r.assessment.unlikeness for r in readings if r.assessment and r.assessment.unlikeness)
    if manifest.recognition is None or not values:
        return manifest
    limit = values[len(values) - 1 - int(_UNRECOGNISED * len(values))]
    recognition = manifest.recognition.model_copy(update={"unlikeness": limit})
    return manifest.model_copy(update={"recognition": recognition})


def recognised(manifest: Manifest, readings: list[Reading]) -> list[Reading]:
    """The readings that the limit on unlikeness lets pass."""
    limit = manifest.recognition.unlikeness if manifest.recognition else math.inf
    return [r for r in readings if not r.assessment or (r.assessment.unlikeness or 0) <= limit]


def calibrate(manifest: Manifest, readings: list[Reading]) -> Manifest:
    """A manifest with the ensemble's shares, intervals, and limits on the members' spread.

    Args:
        manifest: Of a model whose networks are trained.
        readings: Of the calibration split.

    Raises:
        DataError: Where too few were read.
    """
    read = [(r, r.assessment) for r in readings if r.assessment]
    if not read:
        raise DataError(
            f"a hand was found in none of {len(readings)} calibration images, so nothing can be calibrated: "
            "look at the contact sheets of the hand mask, and train it longer"
        )
    heads = list(read[0][1].member_months)
    table = np.array([[assessment.member_months[head] for head in heads] for _, assessment in read])
    labels = np.array([r.example.bone_age_months for r, _ in read])
    male = np.array([r.example.sex is Sex.MALE for r, _ in read])
    sharp = np.array([r.sharp for r, _ in read])
    shares = fit_shares(table, labels, sharp)
    _, spread = ensemble(table, shares)
    spread_limits = {
        "spread_months": round(_SPREAD_MARGIN * high_limit(spread), 2),
        "usual_spread_months": usual_limit(spread),
    }
    return manifest.model_copy(
        update={
            "members": with_shares(manifest.members, dict(zip(heads, shares, strict=True))),
            "interval": fit_interval(*cross_fitted(table, labels, sharp), labels, male),
            "plausibility": manifest.plausibility.model_copy(update=spread_limits),
        }
    )


def limits(usual: UsualHand, masks: npt.NDArray[np.uint8]) -> Plausibility:
    """A limit on the shape that about one in a thousand of the training hands cross; none yet on the spread.

    Args:
        usual: The usual hand.
        masks: Registered masks of the training hands, shape (n, HEIGHT, WIDTH), uint8 with 255 for hand.
    """
    overlaps = [usual.overlap_of(mask / np.float32(255)) for mask in masks]
    return Plausibility(
        overlap=low_limit(np.array(overlaps)),
        second_component=_SECOND_COMPONENT,
        **UNLIMITED_SPREAD,
    )


def fit_shares(read: Array, labels: Array, sharp: npt.NDArray[np.bool_]) -> Array:
    """Shares of networks and heads in the ensemble: not negative, their sum one.

    Least squares, drawn towards equal shares. High-resolution images, which a node sees and which are few,
    count together as much as all the others.

    Args:
        read: Ages in months, shape (n, k).
        labels: Shape (n,).
        sharp: Which images are of high resolution, shape (n,).

    Returns:
        Shape (k,).
    """
    count = read.shape[1]
    weight = np.ones(len(labels))
    if sharp.any() and not sharp.all():
        weight[sharp] = (~sharp).sum() / sharp.sum()
    errors = (read - labels[:, None]) * np.sqrt(weight / weight.sum())[:, None]
    pull = np.sqrt(_RIDGE * np.trace(errors.T @ errors) / count)
    heavy = 1e3 * max(1.0, pull)  # holds the sum at one
    rows = np.vstack([errors, pull * np.eye(count), np.full((1, count), heavy)])
    targets = np.concatenate([np.zeros(len(labels)), np.full(count, pull / count), [heavy]])
    shares, _ = nnls(rows, targets)
    return np.asarray(shares / shares.sum(), dtype=np.float64)


def ensemble(read: Array, shares: Array) -> tuple[Array, Array]:
    """Reading of each image and weighted deviation of what networks and heads read, each of shape (n,)."""
    ages = read @ shares
    return ages, np.sqrt((read - ages[:, None]) ** 2 @ shares)


def cross_fitted(read: Array, labels: Array, sharp: npt.NDArray[np.bool_]) -> tuple[Array, Array]:
    """``ensemble`` of each image with shares fitted on the other folds."""
    folds = np.arange(len(labels)) % _FOLDS
    ages, spreads = np.empty(len(labels)), np.empty(len(labels))
    for fold in range(_FOLDS):
        out = folds == fold
        ages[out], spreads[out] = ensemble(read[out], fit_shares(read[~out], labels[~out], sharp[~out]))
    return ages, spreads


def fit_interval(ages: Array, spreads: Array, labels: Array, male: npt.NDArray[np.bool_]) -> Interval:
    """The interval that readings call for on which no share of the ensemble depends.

    Args:
        ages: Read, in months, shape (n,).
        spreads: Deviation of the members' readings, in months, shape (n,).
        labels: Of one reader each, in months, shape (n,).
        male: Which are boys, shape (n,).

    Raises:
        DataError: Where there are too few for the coverage.
    """
    errors = np.abs(ages - labels)
    floor_months, slope = fit_variance(errors, spreads)
    scores = errors / np.sqrt(floor_months**2 + slope * spreads**2)
    return Interval(
        coverage=COVERAGE,
        floor_months=floor_months,
        slope=slope,
        reader_sd_months=READER_SD_MONTHS,
        bands={
            sex: bands(ages[chosen], scores[chosen])
            for sex, chosen in ((Sex.FEMALE, ~male), (Sex.MALE, male))
        },
    )


def fit_variance(errors: Array, spreads: Array) -> tuple[float, float]:
    """``Interval.floor_months`` and ``slope``, by the gamma likelihood of the squared errors.

    That is, by least squares weighted with the reciprocal of the squared variance, neither below zero: so a
    few great errors, on hands on which the networks disagree, do not decide what is said of all others.

    Args:
        errors: Reading less label, in months, shape (n,).
        spreads: Deviation of the members' readings, in months, shape (n,).
    """
    columns = np.stack([np.ones_like(spreads), spreads**2], axis=1)
    variance = np.full_like(errors, np.mean(errors**2))
    for _ in range(_REWEIGHTINGS):
        found, _ = nnls(columns / variance[:, None], errors**2 / variance)
        floor = max(found[0], _LEAST_FLOOR_MONTHS**2)
        variance = floor + found[1] * spreads**2
    return round(math.sqrt(floor), 3), round(float(found[1]), 4)


def with_shares(members: tuple[AgeMember, ...], shares: dict[str, float]) -> tuple[AgeMember, ...]:
    """The members with their heads' shares, given by ``"<member> <head>"``: four digits that sum to one."""
    rounded = {name: round(share, 4) for name, share in shares.items()}
    greatest = max(rounded, key=lambda name: rounded[name])
    rounded[greatest] = round(rounded[greatest] + 1 - sum(rounded.values()), 4)
    return tuple(
        member.model_copy(
            update={"weights": {head: rounded[f"{member.name} {head}"] for head in member.weights}}
        )
        for member in members
    )


def bands(ages: Array, scores: Array, coverage: float = COVERAGE) -> tuple[Band, ...]:
    """Split-conformal factors by band of the age read; thin bands are joined with the next.

    The ceil((n + 1) coverage)-th smallest score (Lei et al., J Am Stat Assoc 2018;113:1094-1111).

    Args:
        ages: Read, in months, shape (n,).
        scores: Absolute errors over the deviations that were expected, shape (n,).
        coverage: Nominal.

    Raises:
        DataError: Where there are too few for the coverage.
    """
    edges = [0.0, *BAND_EDGES_MONTHS, np.inf]
    kept = [0.0]
    for low, high in pairwise(edges):
        enough = ((ages >= kept[-1]) & (ages < high)).sum() >= _LEAST_IN_BAND
        rest = (ages >= high).sum() >= _LEAST_IN_BAND
        if enough and rest and high > low:
            kept.append(high)
    found = []
    for low, high in pairwise([-np.inf, *kept[1:], np.inf]):
        ranked = np.sort(scores[(ages >= low) & (ages < high)])
        rank = conformal_rank(len(ranked), coverage)
        if rank > len(ranked):
            raise DataError(f"{len(ranked)} calibration images are too few for a {coverage:.0%} interval")
        below = 240.0 if np.isinf(high) else float(high)
        found.append(Band(below_months=below, factor=round(float(ranked[rank - 1]), 3)))
    return tuple(found)


def low_limit(values: Array) -> float:
    """A limit below which one in a thousand lie."""
    return math.floor(1000 * float(np.quantile(values, _FALSE_REFUSALS))) / 1000


def usual_limit(values: Array) -> float:
    """A limit above which one in twenty lie."""
    return math.ceil(100 * float(np.quantile(values, _USUAL))) / 100


def high_limit(values: Array) -> float:
    """A limit above which one in a thousand lie."""
    return math.ceil(1000 * float(np.quantile(values, 1 - _FALSE_REFUSALS))) / 1000
