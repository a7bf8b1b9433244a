"""The figures of an evaluation, worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.evaluation import BOY, GIRL, a_manifest, a_reading, an_assessment

from boneage_node.bone_age import ReasonCode, Refusal, Sex
from boneage_node.bone_age.cropping import FoundHand
from boneage_node.evaluation.phantoms import PhantomReading, phantom_table
from boneage_node.evaluation.readings import Reading, mask_iou, point_errors, refusals
from boneage_node.evaluation.report import Evaluation
from boneage_node.evaluation.strata import stage_of

REFUSED = ReasonCode.NO_HAND_FOUND


def measured(readings: list[Reading]) -> dict[str, Any]:
    return Evaluation(a_manifest(), "validation", readings).figures()


def test_figures_are_of_what_was_read_and_count_what_was_refused() -> None:
    readings = [
        a_reading(100, an_assessment(103)),
        a_reading(100, an_assessment(96)),
        a_reading(100, an_assessment(112)),  # beyond its interval
        a_reading(100, REFUSED),
    ]
    assert measured(readings)["figures"]["all"] == {
        "images": 4,
        "refused": 1,
        "mae_months": 6.33,  # 3, 4 and 12
        "median_absolute_error_months": 4.0,
        "rmse_months": 7.51,  # sqrt(169 / 3)
        "bias_months": 3.67,  # 11 / 3
        "interval_coverage": 0.667,
        "half_width_months": 10.0,
        "bone_age_half_width_months": None,
    }
    assert measured([a_reading(100, REFUSED)])["figures"]["all"] == {"images": 1, "refused": 1}


def test_high_resolution_images_are_reported_apart() -> None:
    readings = [
        a_reading(100, an_assessment(101), BOY),
        a_reading(100, an_assessment(102), GIRL),
        a_reading(100, an_assessment(106), GIRL, sharp=False),
    ]
    assert {name: row["mae_months"] for name, row in measured(readings)["figures"].items()} == {
        "high_resolution": 1.5,
        "high_resolution_boys": 1.0,
        "high_resolution_girls": 2.0,
        "all": 3.0,
    }


def test_refusals_are_counted_by_reason() -> None:
    codes = [ReasonCode.SEVERAL_HANDS, REFUSED, REFUSED]
    counted = refusals([None, *(Refusal(code) for code in codes)])
    assert list(counted.items()) == [("no-hand-found", 2), ("several-hands", 1)]


def test_every_network_has_its_error_by_sex_and_with_the_sex_not_told() -> None:
    boy = an_assessment(103, BOY, members={"A regression": 110, "B regression": 90})
    girl = an_assessment(98, GIRL, members={"A regression": 104, "B regression": 99})
    readings = [
        a_reading(100, boy, BOY, untold={"A regression": 108, "B regression": 95, "ensemble": 101}),
        a_reading(100, girl, GIRL, untold={"A regression": 96, "B regression": 91, "ensemble": 95}),
        a_reading(100, REFUSED, GIRL),
    ]
    table = measured(readings)["networks"]["all"]
    assert list(table) == ["A regression", "B regression", "ensemble"]
    assert table["A regression"] == {"all": 7.0, "boys": 10.0, "girls": 4.0, "sex not told": 6.0}
    assert table["B regression"] == {"all": 5.5, "boys": 10.0, "girls": 1.0, "sex not told": 7.0}
    assert table["ensemble"] == {"all": 2.5, "boys": 3.0, "girls": 2.0, "sex not told": 3.0}


def test_a_table_of_refusals_alone_has_no_errors() -> None:
    assert measured([a_reading(100, REFUSED)])["networks"]["all"] == {
        "ensemble": {"all": None, "boys": None, "girls": None, "sex not told": None}
    }


@pytest.mark.parametrize(
    ("age_months", "boys", "girls"),
    [
        (0, "infancy", "infancy"),
        (9.9, "infancy", "infancy"),
        (10, "infancy", "toddlers"),
        (14, "toddlers", "toddlers"),
        (24, "toddlers", "pre-puberty"),
        (36, "pre-puberty", "pre-puberty"),
        (84, "pre-puberty", "early and mid-puberty"),
        (108, "early and mid-puberty", "early and mid-puberty"),
        (156, "early and mid-puberty", "late puberty"),
        (168, "late puberty", "late puberty"),
        (180, "late puberty", "post-puberty"),
        (198, "late puberty", "post-puberty"),  # boys of 16, who have no stage in the paper
        (204, "post-puberty", "post-puberty"),
        (240, "post-puberty", "post-puberty"),
    ],
)
def test_each_age_has_one_stage(age_months: float, boys: str, girls: str) -> None:
    assert stage_of(age_months, BOY) == boys
    assert stage_of(age_months, GIRL) == girls


def test_errors_are_told_by_stage() -> None:
    readings = [
        a_reading(30, an_assessment(33), BOY),
        a_reading(30, an_assessment(35), GIRL),
        a_reading(40, an_assessment(41), BOY, untold={"A regression": 41.0, "ensemble": 46.0}),
        a_reading(40, REFUSED, GIRL),
    ]
    table = measured(readings)["stages"]["all"]
    toddlers, later = (table[name]["mae_months"]["ensemble"] for name in ("toddlers", "pre-puberty"))
    assert toddlers == {"all": 3.0, "boys": 3.0, "girls": None, "sex not told": None}
    assert later == {"all": 3.0, "boys": 1.0, "girls": 5.0, "sex not told": 6.0}
    assert table["pre-puberty"]["images"] == {"all": 2, "boys": 1, "girls": 1}
    assert table["infancy"]["mae_months"]["ensemble"]["all"] is None


def test_bands_of_age_are_two_years_and_the_last_is_open() -> None:
    labels = ((23, BOY), (24, BOY), (47, BOY), (228, GIRL))
    readings = [a_reading(label, an_assessment(label + 1), sex) for label, sex in labels]
    rows = measured(readings)["bands"]["all"]
    places = [(row["sex"], row["from_months"], row["to_months"], row["images"]) for row in rows]
    assert places == [("M", 0, 24, 1), ("M", 24, 48, 2), ("F", 216, None, 1)]
    assert rows[1]["bias_months"] == 1.0


def test_coverage_is_told_by_sex_and_band_of_the_age_read() -> None:
    readings = [
        a_reading(80, an_assessment(95.9, BOY, 10), BOY),  # 15.9 off, in the first band
        a_reading(90, an_assessment(95, BOY, 14), BOY),
        a_reading(80, an_assessment(96, BOY, 20), BOY),  # 16 off, in the second
        a_reading(300, an_assessment(260, BOY, 20), BOY),  # the last has no end
        a_reading(100, REFUSED, BOY),
    ]
    rows = measured(readings)["intervals"]["all"]
    told = ("sex", "from_months", "to_months", "half_width_months", "images", "interval_coverage")
    assert [tuple(row[name] for name in told) for row in rows] == [
        ("M", 0, 96, 12, 2, 0.5),
        ("M", 96, None, 20, 2, 0.5),
        ("F", 0, None, None, 0, None),
    ]


def test_labels_are_compared_with_the_interval_of_a_reader_and_both_widths_are_told() -> None:
    answers = [replace(an_assessment(100, BOY, 8), reader_interval_months=(88.0, 112.0)) for _ in range(3)]
    readings = [a_reading(label, answer, BOY) for label, answer in zip((89, 95, 120), answers, strict=True)]
    figures = measured(readings)
    for row in (figures["figures"]["all"], figures["intervals"]["all"][1]):
        assert row["interval_coverage"] == 0.667
        assert row["half_width_months"] == 12.0
        assert row["bone_age_half_width_months"] == 8.0


def test_the_price_of_an_unknown_sex() -> None:
    readings = [
        a_reading(100, an_assessment(100), as_both=an_assessment(104, None, half_width=15)),
        a_reading(100, an_assessment(100), as_both=an_assessment(80, None, half_width=15)),
        a_reading(100, an_assessment(100)),  # refused where sex is unknown
        a_reading(100, REFUSED),
    ]
    assert measured(readings)["sex_unknown"]["all"] == {
        "images": 3,
        "refused": 1,
        "mae_months": 12.0,
        "interval_coverage": 0.5,
        "interval_width_months": 30.0,
        "interval_width_sex_known_months": 20.0,
    }


def test_mask_and_key_points_are_compared_in_one_scale() -> None:
    mask = np.zeros((1536, 1000), dtype=bool)  # is read at half its size
    mask[200:1200, 200:800] = True
    found_mask = np.zeros((768, 500), dtype=bool)
    found_mask[100:600, 100:250] = True
    true_px = np.array([[500.0, 200], [300, 800], [500, 1200]])
    true = (true_px + 0.5) / 2 - 0.5
    off = np.array([[0.0, 0], [15, 20], [0, 50]])
    found = FoundHand(np.zeros((768, 500), np.float32), found_mask, (true + off).astype(np.float32), 0.5)
    assert mask_iou(found.mask, mask) == pytest.approx(0.5)
    assert point_errors(found, true_px) == pytest.approx([0, 0.05, 0.1], abs=1e-6)


def test_drawn_hands_are_ranked_and_what_was_found_is_measured() -> None:
    def read(age: float, months: float, sex: Sex, iou: float) -> PhantomReading:
        return PhantomReading(sex, age, an_assessment(months), iou, np.array([0.01, 0.02, 0.03]))

    readings = [
        read(40, 50, BOY, 0.9),
        read(80, 60, BOY, 0.8),
        read(120, 150, BOY, 1.0),
        read(60, 100, GIRL, 0.9),
        PhantomReading(GIRL, 90, Refusal(ReasonCode.IMPLAUSIBLE_HAND), None, None),
    ]
    table = phantom_table(readings)
    assert table["phantoms"] == 5
    assert table["refusals"] == {"implausible-hand": 1}
    assert table["boys"] == {
        "images": 3,
        "refused": 0,
        "rank_correlation": 1.0,
        "mae_months": 20.0,
        "bias_months": 6.67,
    }
    assert table["girls"]["rank_correlation"] is None  # of one there is none
    assert table["girls"]["refused"] == 1
    assert table["all"]["rank_correlation"] == 0.8  # ranks 1 2 3 4 read as 1 3 2 4
    assert table["mask_iou"] == {"mean": 0.9, "least": 0.8}
    assert table["key_points"]["thumb_tip"] == {"median": 0.02, "percentile_95": 0.02}
    assert table["key_points"]["all"] == {"median": 0.02, "percentile_95": 0.03}
