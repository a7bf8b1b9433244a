from __future__ import annotations

from dataclasses import replace

import pytest
from support.report import ASSESSMENT

from boneage_node.bone_age import Determination, Sex
from boneage_node.bone_age.reference import (
    determination,
    probability_outside_normal,
    standard_deviation_months,
    z_score,
)


def test_the_table_is_read_at_its_rows_and_between_them() -> None:
    assert standard_deviation_months(120, Sex.MALE) == 9.79
    assert standard_deviation_months(126, Sex.MALE) == pytest.approx((9.79 + 10.09) / 2)
    assert standard_deviation_months(60, Sex.FEMALE) == 11.65


def test_outside_the_table_there_is_no_deviation() -> None:
    assert standard_deviation_months(2.9, Sex.MALE) is None
    assert standard_deviation_months(193, Sex.FEMALE) is None
    assert standard_deviation_months(193, Sex.MALE) is not None


def test_z_score_is_positive_where_the_bones_are_ahead() -> None:
    assert z_score(139.58, 120, Sex.MALE) == pytest.approx(2.0)
    assert z_score(100.42, 120, Sex.MALE) == pytest.approx(-2.0)
    assert z_score(100, None, Sex.MALE) is None


def test_what_rounds_to_two_standard_deviations_is_normal_for_everybody() -> None:
    for bone_age_months, z in ((99.8, -2.1), (100.0, -2.0), (100.42, -2.0), (100.9, -2.0)):
        rounded = z_score(bone_age_months, 120, Sex.MALE)
        assert rounded == z
        assert determination(rounded) is (Determination.NORMAL if z == -2.0 else Determination.DELAYED)
    assert str(z_score(119.9, 120, Sex.MALE)) == "0.0"


def test_a_hand_is_outside_with_the_probability_that_a_normal_distribution_has_there() -> None:
    # a boy of 120 months: two standard deviations are 19.58
    assert probability_outside_normal(120, 19.58 / 1.96, 120, Sex.MALE) == 0.05  # both sides
    assert probability_outside_normal(139.58, 4, 120, Sex.MALE) == 0.5
    assert probability_outside_normal(100.42, 4, 120, Sex.MALE) == 0.5
    assert probability_outside_normal(139.58 + 4, 4, 120, Sex.MALE) == 0.84
    assert probability_outside_normal(120, 2, 120, Sex.MALE) == 0
    assert probability_outside_normal(100, 4, 2.9, Sex.MALE) is None


def test_the_probability_of_a_reading_is_by_the_interval_of_its_bone_age() -> None:
    boy = replace(
        ASSESSMENT,
        bone_age_months=139.6,
        interval_months=(129.8, 149.4),  # 95 %: a deviation of 5.0
        interval_coverage=0.95,
        sex=Sex.MALE,
        chronological_age_months=110.0,  # two standard deviations are 18.3
        z_score=3.2,
    )
    assert boy.probability_outside_normal == 0.99  # 2.3 deviations above the limit
    assert replace(boy, interval_months=(120.0, 159.2)).probability_outside_normal == 0.87
    cut_off = replace(boy, bone_age_months=5.0, interval_months=(0.0, 14.8), chronological_age_months=5.0)
    whole = replace(cut_off, interval_months=(-4.8, 14.8))
    assert cut_off.probability_outside_normal == whole.probability_outside_normal
    for unknown in (
        {"sex": None, "z_score": None},
        {"chronological_age_months": None, "z_score": None},
        {"chronological_age_months": 2.0, "z_score": None},  # not in the table
        {"reader_interval_months": None},
    ):
        assert replace(boy, **unknown).probability_outside_normal is None
