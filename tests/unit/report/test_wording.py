import pytest

from boneage_node.report import years_and_months


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
