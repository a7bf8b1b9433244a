from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from support.evaluation import BOY, GIRL, a_manifest, a_reading, an_assessment

from boneage_node.bone_age import ReasonCode
from boneage_node.bone_age.interval import ReadAs, band_widths, intervals
from boneage_node.bone_age.manifest import Interval, Manifest
from boneage_node.bone_age.shape import HEIGHT, WIDTH, UsualHand
from boneage_node.datasets.rsna import DataError
from boneage_node.evaluation import calibration
from boneage_node.evaluation.readings import Reading
from boneage_node.training import assembly


def readings(deviations: list[float], count: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Readings of networks with independent errors of these deviations, and the labels."""
    random = np.random.default_rng(5)
    labels = random.uniform(20, 220, count)
    return labels[:, None] + random.normal(0, deviations, (count, len(deviations))), labels


def test_shares_are_those_of_a_mean_and_favour_the_better_network() -> None:
    read, labels = readings([4.0, 12.0])
    shares = calibration.fit_shares(read, labels, np.zeros(len(labels), dtype=bool))
    assert shares.sum() == pytest.approx(1)
    assert shares.min() >= 0
    assert shares[0] > 0.7


def test_a_network_that_only_harms_has_no_share() -> None:
    read, labels = readings([4.0, 4.0])
    read = np.column_stack([read, labels + 60])
    shares = calibration.fit_shares(read, labels, np.zeros(len(labels), dtype=bool))
    assert shares[2] < 0.05


def test_sharp_images_count_as_much_as_the_others() -> None:
    read, labels = readings([5.0, 5.0])
    sharp = np.arange(len(labels)) < 20
    read[sharp, 1] += 40  # the second network fails on what a node sees
    shares = calibration.fit_shares(read, labels, sharp)
    assert shares[0] > 0.8


def test_cross_fitted_readings_do_not_see_their_own_label() -> None:
    read, labels = readings([5.0, 5.0], count=50)
    before = np.stack(calibration.cross_fitted(read, labels, np.zeros(50, dtype=bool)))
    labels[7] += 500
    after = np.stack(calibration.cross_fitted(read, labels, np.zeros(50, dtype=bool)))
    assert after[:, 7] == pytest.approx(before[:, 7])
    assert after[:, 8] != pytest.approx(before[:, 8], rel=1e-3)


def test_bands_hold_the_share_of_errors_that_they_promise() -> None:
    random = np.random.default_rng(1)
    ages = random.uniform(10, 220, 4000)
    scores = np.abs(random.normal(0, 4 + ages / 20))
    bands = calibration.bands(ages, scores)
    assert [band.below_months for band in bands] == [96, 132, 168, 240]
    factors = [band.factor for band in bands]
    assert factors == sorted(factors)
    low = 0.0
    for band in bands:
        inside = (ages >= low) & (ages < band.below_months)
        covered = scores[inside] <= band.factor
        assert covered.mean() == pytest.approx(0.95, abs=0.01)
        low = band.below_months


def test_thin_bands_are_joined() -> None:
    ages = np.concatenate([np.full(10, 50.0), np.full(60, 120.0), np.full(60, 150.0)])
    bands = calibration.bands(ages, np.linspace(1, 9, len(ages)))
    assert [band.below_months for band in bands] == [132, 240]


def test_too_few_images_for_the_coverage_are_said() -> None:
    with pytest.raises(DataError, match="too few"):
        calibration.bands(np.full(10, 100.0), np.full(10, 1.0))


class Hands:
    """Hands whose bone age is known, each read with an error of its own size and labelled by one reader.

    Ensembles of members that disagree err more; boys are read worse than girls, and older hands than younger.
    """

    def __init__(self, seed: int, count: int) -> None:
        random = np.random.default_rng(seed)
        self.male = np.arange(count) % 2 == 0
        self.truth = random.uniform(24, 216, count)
        self.spread = np.clip(random.lognormal(1.2, 0.6, count), 0.5, 20)
        variance = (16 + 3 * self.spread**2) * np.where(self.male, 1.3, 1) * (0.8 + self.truth / 400)
        self.ages = self.truth + random.normal(0, np.sqrt(variance))
        self.labels = self.truth + random.normal(0, calibration.READER_SD_MONTHS, count)

    def fit(self) -> Interval:
        return calibration.fit_interval(self.ages, self.spread, self.labels, self.male)

    def held_by(self, interval: Interval) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Which bone ages and which labels the intervals hold, and the half widths of the former."""
        found = [
            intervals(interval, [ReadAs(BOY if male else GIRL, age, spread)])
            for male, age, spread in zip(
                self.male.tolist(), self.ages.tolist(), self.spread.tolist(), strict=True
            )
        ]
        own, of_label = (np.array(ends) for ends in zip(*found, strict=True))
        return (
            (own[:, 0] <= self.truth) & (self.truth <= own[:, 1]),
            (of_label[:, 0] <= self.labels) & (self.labels <= of_label[:, 1]),
            own[:, 1] - self.ages,
        )


def test_in_every_group_the_intervals_hold_what_they_promise() -> None:
    new = Hands(seed=2, count=20_000)
    true, labels, half_widths = new.held_by(Hands(seed=1, count=8_000).fit())
    for sex in (new.male, ~new.male):
        for low, high in pairwise((-np.inf, *calibration.BAND_EDGES_MONTHS, np.inf)):
            band = sex & (new.ages >= low) & (new.ages < high)
            assert 0.93 < labels[band].mean() < 0.97
            assert 0.92 < true[band].mean() < 0.98
    agreed, apart = (new.spread < 2, new.spread > 8)
    for some in (agreed, apart):
        assert 0.92 < labels[some].mean() < 0.98
        assert 0.92 < true[some].mean() < 0.98
    assert half_widths[apart].mean() > 2 * half_widths[agreed].mean()


def test_the_expected_variance_is_that_of_reader_and_ensemble_though_a_few_labels_are_wild() -> None:
    random = np.random.default_rng(4)
    spreads = random.lognormal(1.2, 0.6, 4000)
    errors = random.normal(0, np.sqrt(49 + 2 * spreads**2))
    floor_months, slope = calibration.fit_variance(np.abs(errors), spreads)
    assert floor_months == pytest.approx(7, abs=0.4)
    assert slope == pytest.approx(2, abs=0.4)
    wild = errors * np.where(spreads > np.quantile(spreads, 0.995), 4, 1)
    floor_months, slope = calibration.fit_variance(np.abs(wild), spreads)
    assert floor_months == pytest.approx(7, abs=0.6)
    assert calibration.fit_variance(np.full(50, 5.0), spreads[:50]) == (5, 0)


def calibration_readings(count: int) -> list[Reading]:
    """Of boys and girls in turn, by networks and heads with errors of their own; every tenth is sharp.

    Between them is one that was refused.
    """
    random = np.random.default_rng(8)
    readings = [a_reading(1, ReasonCode.NO_HAND_FOUND)]
    heads = [f"{m.name} {head}" for m in a_manifest().members for head in m.weights]
    for number in range(count):
        sex = GIRL if number % 2 else BOY
        label = random.uniform(20, 220)
        off = random.normal(0, np.linspace(6, 12, len(heads)))
        members = dict(zip(heads, (label + off).tolist(), strict=True))
        readings.append(
            a_reading(label, an_assessment(label, sex, members=members), sex, sharp=number % 10 == 0)
        )
    return readings


def table_of(readings: list[Reading]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What networks and heads read, labels, whether sharp, whether a boy, of those not refused."""
    read = [(r, r.assessment) for r in readings if r.assessment]
    return (
        np.array([list(assessment.member_months.values()) for _, assessment in read]),
        np.array([r.example.bone_age_months for r, _ in read]),
        np.array([r.sharp for r, _ in read]),
        np.array([r.example.sex is BOY for r, _ in read]),
    )


def test_intervals_are_calibrated_on_readings_by_shares_that_did_not_see_them() -> None:
    readings = calibration_readings(90)
    table, labels, sharp, boys = table_of(readings)
    apart = calibration.cross_fitted(table, labels, sharp)
    within = calibration.ensemble(table, calibration.fit_shares(table, labels, sharp))

    made = calibration.calibrate(a_manifest(), readings)

    assert made.interval == calibration.fit_interval(*apart, labels, boys)
    assert made.interval != calibration.fit_interval(*within, labels, boys)
    assert made.interval.coverage == 0.95
    assert made.interval.reader_sd_months == calibration.READER_SD_MONTHS


def test_each_sex_has_the_intervals_of_its_own_errors() -> None:
    hands = Hands(seed=3, count=400)
    hands.ages = hands.labels + np.where(hands.male, 1, 4) * (hands.ages - hands.labels)
    widths = {row.sex: row.label_months[0] for row in band_widths(hands.fit(), 10)}
    assert widths[GIRL] > 2 * widths[BOY]


def test_the_ensemble_and_the_limits_on_its_spread_come_from_calibration() -> None:
    readings = calibration_readings(90)
    table, labels, sharp, _ = table_of(readings)
    shares = calibration.fit_shares(table, labels, sharp)

    made = calibration.calibrate(a_manifest(), readings)

    own = np.array([share for member in made.members for share in member.weights.values()])
    assert own == pytest.approx(shares, abs=5e-4)
    assert own.max() > 1.5 * own.min()
    spread = np.sqrt((table - (table @ shares)[:, None]) ** 2 @ shares)
    assert made.plausibility.spread_months == pytest.approx(2 * np.quantile(spread, 0.999), abs=0.02)
    assert made.plausibility.usual_spread_months == pytest.approx(np.quantile(spread, 0.95), abs=0.02)
    assert made.plausibility.overlap == a_manifest().plausibility.overlap


def test_three_calibration_hands_in_a_thousand_are_too_unlike() -> None:
    readings = [
        a_reading(100, replace(an_assessment(100), unlikeness=round(0.5 + number / 1000, 3)))
        for number in range(1000)
    ]
    refused = [a_reading(100, ReasonCode.SEVERAL_HANDS)]
    unlimited = a_manifest().recognition
    assert unlimited is not None

    made = calibration.with_unlikeness(a_manifest(), [*reversed(readings), *refused])

    assert made.recognition is not None
    assert made.recognition.unlikeness == 1.496
    assert made.recognition.regions == unlimited.regions
    assert len(calibration.recognised(made, [*readings, *refused])) == 998
    before = a_manifest().model_copy(update={"recognition": None})
    assert calibration.with_unlikeness(before, readings) == before
    assert calibration.recognised(before, readings) == readings


def test_a_manifest_that_was_calibrated_is_valid() -> None:
    made = calibration.calibrate(a_manifest(), calibration_readings(90))
    assert Manifest.model_validate_json(made.model_dump_json()) == made


def test_shares_have_four_digits_and_sum_to_one() -> None:
    random = np.random.default_rng(3)
    members = a_manifest().members
    for _ in range(50):
        names = [f"{m.name} {head}" for m in members for head in m.weights]
        shares = random.dirichlet([0.5] * len(names))
        made = calibration.with_shares(members, dict(zip(names, shares.tolist(), strict=True)))
        own = [share for member in made for share in member.weights.values()]
        assert sum(own) == pytest.approx(1, abs=1e-12)
        assert own == pytest.approx(shares, abs=5e-4)
        assert own == [round(share, 4) for share in own]


def test_a_model_that_finds_no_hand_cannot_be_calibrated() -> None:
    refused = [a_reading(100, ReasonCode.NO_HAND_FOUND, sex) for sex in (BOY, GIRL)]
    with pytest.raises(DataError, match="none of 2 calibration images"):
        calibration.calibrate(a_manifest(), refused)


def test_the_limit_on_shape_is_crossed_by_one_training_hand_in_a_thousand() -> None:
    usual = UsualHand()
    usual.learn(np.full((1, HEIGHT, WIDTH), 255, dtype=np.uint8))
    masks = np.full((2001, HEIGHT, WIDTH), 255, dtype=np.uint8)
    masks[:2] = 0
    masks[2:4, : HEIGHT // 2] = 0

    assert calibration.limits(usual, masks).overlap == pytest.approx(0.5)


def test_limits_and_usual_hand_are_those_of_training_images(monkeypatch: pytest.MonkeyPatch) -> None:
    splits = ["train", "validation", "calibration", "train"]
    examples = [
        replace(a_reading(100, ReasonCode.NO_HAND_FOUND).example, id=str(number), split=split)
        for number, split in enumerate(splits)
    ]
    kept = {"ids": np.array(["3", "2", "1", "0"]), "sharp": np.array([0.3, 0.2, 0.1, 0.0])}
    monkeypatch.setattr(assembly, "read_array", lambda folder, name: kept[name])
    assert assembly.of_training("sharp", Path("rasters"), examples).tolist() == [0.3, 0.0]
