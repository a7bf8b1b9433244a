from __future__ import annotations

import numpy as np
import pytest

from boneage_node.training import calibration
from boneage_node.training.data import DataError


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
    before = calibration.cross_fitted(read, labels, np.zeros(50, dtype=bool))
    labels[7] += 500
    after = calibration.cross_fitted(read, labels, np.zeros(50, dtype=bool))
    assert after[7] == pytest.approx(before[7])


def test_bands_hold_the_share_of_errors_that_they_promise() -> None:
    random = np.random.default_rng(1)
    ages = random.uniform(10, 220, 4000)
    labels = ages + random.normal(0, 4 + ages / 20)
    bands = calibration.bands(ages, labels)
    assert [band.below_months for band in bands] == [96, 132, 168, 240]
    widths = [band.half_width_months for band in bands]
    assert widths == sorted(widths)
    low = 0.0
    for band in bands:
        inside = (ages >= low) & (ages < band.below_months)
        covered = np.abs(ages - labels)[inside] <= band.half_width_months
        assert covered.mean() == pytest.approx(0.95, abs=0.01)
        low = band.below_months


def test_thin_bands_are_joined() -> None:
    ages = np.concatenate([np.full(10, 50.0), np.full(60, 120.0), np.full(60, 150.0)])
    bands = calibration.bands(ages, ages + np.linspace(-9, 9, len(ages)))
    assert [band.below_months for band in bands] == [132, 240]


def test_too_few_images_for_the_coverage_are_said() -> None:
    with pytest.raises(DataError, match="too few"):
        calibration.bands(np.full(10, 100.0), np.full(10, 101.0))
