from __future__ import annotations

import pytest

from boneage_node.bone_age import Determination, Sex
from boneage_node.bone_age.reference import determination, standard_deviation_months, z_score


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
