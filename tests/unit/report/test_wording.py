import pytest

from boneage_node.bone_age.rounding import rounded
from boneage_node.report import years_and_months
from boneage_node.report.wording import months, signed


@pytest.mark.parametrize(
    ("age_months", "words"),
    [
        (0.0, "0 mo"),
        (0.49, "0 mo"),
        (0.5, "1 mo"),
        (11.4, "11 mo"),
        (11.5, "1 y 0 mo"),
        (12.0, "1 y 0 mo"),
        (98.4, "8 y 2 mo"),
        (98.5, "8 y 3 mo"),
        (239.9, "20 y 0 mo"),
        (-0.2, "0 mo"),
        (-3.0, "-3 mo"),
        (-14.0, "-1 y 2 mo"),
    ],
)
def test_an_age_reads_as_years_and_months(age_months, words):
    assert years_and_months(age_months) == words


@pytest.mark.parametrize("value", [0.0, -0.0, 0.04, -0.04])
def test_what_rounds_to_zero_has_no_minus(value):
    assert signed(value, 1) == "+0.0"
    assert months(value) == "0.0 months"
    assert str(rounded(value, 1)) == "0.0"
