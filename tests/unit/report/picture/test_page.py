from dataclasses import replace
from datetime import date
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from support.report import (
    ASSESSMENT,
    COLUMNS,
    COURSE,
    NOTHING_KNOWN,
    OF_A_LABEL,
    READ_AS_BOTH,
    REFUSAL,
    RIGHT_HAND,
    ROWS,
    UNCERTAIN,
)

from boneage_node.bone_age import Agreement, Attention, Caution, ReasonCode, Refusal, Sex
from boneage_node.report.picture.page import draw_picture, draw_refusal_picture
from boneage_node.report.picture.style import CHART_BAND, CHART_GRID, KEY_POINT, OUTLINE, REGION

PANEL_WIDTH_PX = 680


def ramp(rows=ROWS, columns=COLUMNS):
    return np.linspace(0, 1, rows * columns, dtype=np.float32).reshape(rows, columns)


def test_the_outline_is_where_the_hand_is():
    picture = np.asarray(draw_picture(ramp(), ASSESSMENT))
    drawn = np.argwhere((picture == OUTLINE).all(axis=2))[:, ::-1]  # (column, row)
    scale, top = 1000 / COLUMNS, (1500 - round(ROWS * 1000 / COLUMNS)) // 2
    expected = (ASSESSMENT.outline_px + 0.5) * scale + (0, top)
    assert np.abs(drawn.min(axis=0) - expected.min(axis=0)).max() < 4
    assert np.abs(drawn.max(axis=0) - expected.max(axis=0)).max() < 4


def test_the_outline_is_on_the_image_where_that_is_narrower_than_its_frame():
    square = np.array([[0, 0], [99, 0], [99, 399], [0, 399]], np.float32)  # all round an image of 100 x 400
    picture = np.asarray(draw_picture(ramp(400, 100), replace(ASSESSMENT, outline_px=square)))
    drawn = np.argwhere((picture == OUTLINE).all(axis=2))[:, 1]
    scale, left = 3.75, (620 - 375) // 2
    assert drawn.min() == pytest.approx(left + 0.5 * scale, abs=4)
    assert drawn.max() == pytest.approx(left + 99.5 * scale, abs=4)


def test_contrast_is_stretched():
    dim = 0.4 + 0.05 * ramp()
    bare = replace(ASSESSMENT, regions_px={}, key_points_px=np.empty((0, 2), np.float32))
    picture = np.asarray(draw_picture(dim, bare))[84:1416, :1000]  # black above and below
    assert picture[:5].max() < 10
    assert picture[-5:].min() > 245


@pytest.mark.parametrize(
    "shape", [(1200, 900), (900, 1200), (3000, 2500), (40, 30), (4000, 50), (50, 4000), (1, 1)], ids=str
)
def test_every_shape_of_image_makes_a_picture_of_a_size_to_read(shape):
    picture = draw_picture(np.full(shape, 0.5, np.float32), ASSESSMENT)
    assert picture.mode == "RGB"
    assert picture.height == 1500
    assert 1300 <= picture.width <= 1680


@pytest.mark.parametrize(
    "changed",
    [
        NOTHING_KNOWN,
        RIGHT_HAND,
        replace(ASSESSMENT, bone_age_months=99.4375),
        replace(ASSESSMENT, interval_months=(80.0, 113.0)),
        replace(ASSESSMENT, interval_coverage=0.95),
        replace(ASSESSMENT, interval_months=(85.3, 125.0)),
        OF_A_LABEL,
        replace(ASSESSMENT, z_score=-0.71),
        replace(ASSESSMENT, z_score=2.1),
        replace(ASSESSMENT, agreement=Agreement.LOW),
        replace(ASSESSMENT, cautions=(Caution.FINGERS_OUTLINE,)),
        replace(ASSESSMENT, model=replace(ASSESSMENT.model, sha256="cd" * 32)),
    ],
    ids=[
        "nothing known",
        "hand",
        "bone age",
        "interval",
        "coverage",
        "probability",
        "interval of a label",
        "z-score",
        "advanced",
        "agreement",
        "caution",
        "model",
    ],
)
def test_the_panel_shows_each_fact(changed):
    first, second = (np.asarray(draw_picture(ramp(), a))[:, -PANEL_WIDTH_PX:] for a in (ASSESSMENT, changed))
    assert (first != second).any()


@pytest.mark.parametrize("sex", Sex)
def test_the_panel_shows_what_was_read_as_either_sex(sex):
    other = READ_AS_BOTH.months_by_sex | {sex: 99.0}
    changed = replace(READ_AS_BOTH, months_by_sex=other)
    first, second = (draw_picture(ramp(), assessment) for assessment in (READ_AS_BOTH, changed))
    assert (np.asarray(first) != np.asarray(second)).any()


@pytest.mark.parametrize(
    "draw", [partial(draw_picture, ramp(), ASSESSMENT), partial(draw_refusal_picture, None, REFUSAL)]
)
def test_the_panel_names_the_day_and_what_is_replaced(draw):
    day = date(2026, 3, 4)
    panels = [
        np.asarray(draw(exam_date=exam_date, replaces=replaces))[:, -PANEL_WIDTH_PX:]
        for exam_date, replaces in ((None, ""), (day, ""), (day, "This replaces report 1."))
    ]
    assert all((first != second).any() for first, second in pairwise(panels))


def test_a_long_course_leaves_room_for_the_chart_and_says_how_much_is_left_out():
    endless = replace(COURSE, earlier=COURSE.earlier * 9)
    few, many = (
        np.asarray(draw_picture(ramp(), ASSESSMENT, c))[:, -PANEL_WIDTH_PX:] for c in (COURSE, endless)
    )
    assert (many == CHART_BAND).all(axis=2).sum() > 1000
    assert (few != many).any()


def test_a_reading_that_is_advanced_and_not_certain_leaves_room_for_the_chart():
    three = UNCERTAIN.regions_px | {"C": UNCERTAIN.regions_px["B"]}
    fullest = replace(UNCERTAIN, regions_px=three, repeatability_months=3.1)
    picture = draw_picture(ramp(), fullest, COURSE, exam_date=date(2026, 3, 4))
    assert (np.asarray(picture)[:, -PANEL_WIDTH_PX:] == CHART_BAND).all(axis=2).sum() > 1000


def test_the_smallest_real_change_is_written_with_the_rate_alone():
    told = replace(ASSESSMENT, repeatability_months=3.1)
    for course, same in ((None, True), (COURSE, False)):
        plain, telling = (np.asarray(draw_picture(ramp(), one, course)) for one in (ASSESSMENT, told))
        assert (plain == telling).all() == same


def test_what_is_drawn_on_the_radiograph_is_explained_in_its_colours():
    panel = np.asarray(draw_picture(ramp(), ASSESSMENT))[:, -PANEL_WIDTH_PX:]
    for colour in (REGION, KEY_POINT):
        assert (panel == colour).all(axis=2).sum() > 200


def test_nothing_is_written_over_the_disclaimer_or_beyond_the_panel():
    endless = replace(COURSE, earlier=COURSE.earlier * 40)
    low = replace(ASSESSMENT, agreement=Agreement.LOW, z_score=2.5)
    for first, second in (
        (draw_picture(ramp(), ASSESSMENT), draw_picture(ramp(), low, endless)),
        (draw_refusal_picture(None, REFUSAL), draw_refusal_picture(None, Refusal(REFUSAL.code, "x " * 900))),
    ):
        panels = [np.asarray(picture)[:, -PANEL_WIDTH_PX:] for picture in (first, second)]
        assert (panels[0][-150:] == panels[1][-150:]).all()
        assert (panels[1][:, -38:] == panels[1][0, 0]).all()


def test_key_points_and_regions_are_drawn():
    drawn = np.asarray(draw_picture(ramp(), ASSESSMENT))
    for bare in (
        replace(ASSESSMENT, regions_px={}),
        replace(ASSESSMENT, key_points_px=np.empty((0, 2), np.float32)),
    ):
        assert (drawn != np.asarray(draw_picture(ramp(), bare))).any()


def test_the_attention_map_is_a_column_of_its_own():
    cells = np.array([[[100, 100], [200, 100], [200, 200], [100, 200]]], np.float32)
    plain = np.asarray(draw_picture(ramp(), ASSESSMENT))
    drawn = [
        np.asarray(
            draw_picture(ramp(), ASSESSMENT, attention=Attention(cells, np.array([change], np.float32)))
        )
        for change in (0.0, -9.0)
    ]
    assert all((picture[:, : plain.shape[1]] == plain).all() for picture in drawn)
    left, right = (picture[:700, plain.shape[1] :].astype(int) for picture in drawn)
    rows, columns = np.nonzero(np.abs(left - right).sum(axis=2) > 100)
    assert columns.max() - columns.min() == pytest.approx(100 * 500 / COLUMNS, abs=4)  # the cell and no more
    assert rows.max() - rows.min() == pytest.approx(100 * 500 / COLUMNS, abs=4)


def test_the_growth_chart_shows_the_reading_its_course_and_the_band_of_the_sex():
    plain = np.asarray(draw_picture(ramp(), ASSESSMENT))[:, -PANEL_WIDTH_PX:]
    with_course = np.asarray(draw_picture(ramp(), ASSESSMENT, COURSE))[:, -PANEL_WIDTH_PX:]
    assert (plain == CHART_BAND).all(axis=2).sum() > 1000
    assert (plain != with_course).any()
    both = np.asarray(draw_picture(ramp(), READ_AS_BOTH))[:, -PANEL_WIDTH_PX:]
    assert not (both == CHART_BAND).all(axis=2).any()
    assert not (np.asarray(draw_picture(ramp(), NOTHING_KNOWN)) == CHART_GRID).all(axis=2).any()


@pytest.mark.parametrize("code", ReasonCode)
def test_a_refusal_has_a_picture_with_or_without_pixels(code):
    refusal = Refusal(code, "PhotometricInterpretation is YBR_FULL_422")
    with_pixels, without = draw_refusal_picture(ramp(), refusal), draw_refusal_picture(None, refusal)
    assert with_pixels.mode == without.mode == "RGB"
    panels = [np.asarray(picture)[:, -PANEL_WIDTH_PX:] for picture in (with_pixels, without)]
    assert (panels[0] == panels[1]).all()


def test_refusals_for_different_reasons_look_different():
    other = draw_refusal_picture(None, Refusal(ReasonCode.ADULT))
    assert (np.asarray(other) != np.asarray(draw_refusal_picture(None, REFUSAL))).any()
