"""The intervals of one hand, worked out by hand."""

from __future__ import annotations

import pytest

from boneage_node.bone_age import Sex
from boneage_node.bone_age.interval import ReadAs, band_widths, intervals, reaching
from boneage_node.bone_age.manifest import Band, Interval

BANDS = {
    Sex.FEMALE: (Band(below_months=96, factor=1.5), Band(below_months=240, factor=2)),
    Sex.MALE: (Band(below_months=240, factor=1),),
}
INTERVAL = Interval(coverage=0.95, floor_months=8, slope=4, reader_sd_months=6, bands=BANDS)


def girl(bone_age_months: float, spread_months: float) -> ReadAs:
    return ReadAs(Sex.FEMALE, bone_age_months, spread_months)


def test_a_hand_on_which_the_networks_disagree_has_a_wider_interval() -> None:
    # 8 x 8 + 4 x 3 x 3 is 10 x 10; without a reader's 6 x 6 it is 8 x 8
    assert intervals(INTERVAL, [girl(100, 3)]) == ((84.0, 116.0), (80.0, 120.0))
    assert intervals(INTERVAL, [girl(100, 7.5)]) == ((68.2, 131.8), (66.0, 134.0))
    assert intervals(INTERVAL, [girl(90, 3)]) == ((78.0, 102.0), (75.0, 105.0))


def test_of_a_labels_variance_a_quarter_is_the_models_own_at_the_least() -> None:
    nearer = INTERVAL.model_copy(update={"reader_sd_months": 9.5})
    assert intervals(nearer, [girl(100, 3)]) == ((90.0, 110.0), (80.0, 120.0))


def test_no_interval_begins_before_birth() -> None:
    assert intervals(INTERVAL, [girl(13, 3)]) == ((1.0, 25.0), (0.0, 28.0))


def test_the_interval_of_an_unknown_sex_holds_those_of_both_readings() -> None:
    both = [girl(100, 3), ReadAs(Sex.MALE, 112, 3)]
    assert intervals(INTERVAL, both) == ((84.0, 120.0), (80.0, 122.0))


def test_bands_have_half_widths_from_hands_that_are_agreed_on_to_hands_that_are_not() -> None:
    first, second, boys = band_widths(INTERVAL, 3)
    assert (first.sex, first.from_months, first.to_months) == (Sex.FEMALE, 0, 96)
    assert (second.sex, second.from_months, second.to_months) == (Sex.FEMALE, 96, None)
    assert first.label_months == pytest.approx((12, 15))
    assert second.label_months == pytest.approx((16, 20))
    assert second.bone_age_months == pytest.approx((2 * 28**0.5, 16))
    assert boys.sex is Sex.MALE
    assert reaching((16, 20)) == "±16.0 to ±20.0"


def test_a_model_without_a_readers_deviation_has_one_half_width_a_band() -> None:
    older = Interval(coverage=0.95, bands={sex: (Band(below_months=240, factor=19.32),) for sex in Sex})
    assert intervals(older, [girl(100, 3)]) == ((80.7, 119.3), None)
    assert band_widths(older, 8)[0].bone_age_months is None
    assert reaching(band_widths(older, 8)[0].label_months) == "±19.3"
