import numpy as np
import pytest
from support.report import hand_outline

from boneage_node.report.sr.outline import outline_polyline


def area(polygon):
    x, y = polygon.T
    return 0.5 * abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))


def test_the_polyline_is_closed_short_and_near_the_outline():
    outline = hand_outline(5000)
    polyline = outline_polyline(outline, 1200, 900)
    assert len(polyline) <= 200
    assert (polyline[0] == polyline[-1]).all()
    distances = np.linalg.norm(polyline[:, None] - (outline[None] + 0.5), axis=2).min(axis=1)
    assert distances.max() < 0.5  # but for where it begins, its points are points of the outline
    assert area(polyline) == pytest.approx(area(outline), rel=0.01)


def test_a_pixel_centre_is_half_a_pixel_from_its_corner():
    square = np.array([[0, 0], [9, 0], [9, 9], [0, 9]], np.float32)
    polyline = outline_polyline(square, 10, 10)
    assert polyline.min() == 0.5
    assert polyline.max() == 9.5


def hand_with_thumb(thumb_row):
    """A hand from above to the lower edge, its right edge at column 500, with a thumb that reaches to 800."""
    thumb = [[500, thumb_row + 150], [800, thumb_row + 40], [800, thumb_row], [500, thumb_row]]
    return np.array([[300, 100], [300, 1199], [500, 1199], *thumb, [500, 100]], np.float32)


@pytest.mark.parametrize("start", [0, 2, 5])
@pytest.mark.parametrize(("thumb_row", "clear"), [(500, range(650, 961)), (800, range(951, 961))])
def test_it_begins_where_viewers_have_room_to_write_the_result(start, thumb_row, clear):
    outline = np.roll(hand_with_thumb(thumb_row), start, axis=0)
    first, second = outline_polyline(outline, 1200, 900)[:2]
    assert first[0] == pytest.approx(500.5)
    assert round(first[1]) in clear
    assert np.linalg.norm(first - second) < 1.1


def test_on_a_wide_image_it_begins_where_the_text_stays_in_the_window():
    whole = np.array(
        [[0, 0], [1999, 0], [1999, 999], [1000, 999], [1000, 300], [900, 999], [0, 999]], np.float32
    )
    first = outline_polyline(whole, 1000, 2000)[0]
    assert first[0] == pytest.approx(1000.5)


def test_a_hand_above_the_usual_place_begins_at_its_own_middle():
    square = np.array([[100, 100], [300, 100], [300, 200], [100, 200]], np.float32)
    assert outline_polyline(square, 1200, 900)[0].tolist() == [300.5, 150.5]


def test_a_jagged_outline_has_at_most_200_points():
    points = hand_outline(4000) + np.random.default_rng(0).normal(0, 9, (4000, 2))
    assert 4 <= len(outline_polyline(points, 1200, 900)) <= 200


def test_points_outside_come_to_the_border():
    outline = np.array([[-50, -50], [2000, -50], [2000, 2000], [-50, 2000]], np.float32)
    polyline = outline_polyline(outline, 1200, 900)
    assert polyline.min(axis=0).tolist() == [0, 0]
    assert polyline.max(axis=0).tolist() == [900, 1200]


@pytest.mark.parametrize(
    "outline",
    [
        np.zeros((0, 2)),
        np.zeros((2, 2)),
        np.zeros((5, 3)),
        np.full((5, 2), np.nan),
        np.full((5, 2), 7.0),
        np.array([[0, 0], [5, 5], [9, 9]]),
        np.array([[-9, 4], [-20, 400], [-30, 200]]),
    ],
    ids=["empty", "two points", "three columns", "nan", "one spot", "line", "outside"],
)
def test_what_encloses_nothing_is_no_outline(outline):
    with pytest.raises(ValueError, match="outline"):
        outline_polyline(outline, 1200, 900)
