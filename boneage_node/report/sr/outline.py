"""The outline of a hand as SR graphics: a closed polyline of few points inside the image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from skimage.measure import approximate_polygon

MOST_POINTS = 200
_LABEL_HEIGHTS = np.linspace(0.5, 0.8, 31)
"""Where a polyline may begin, as parts of the image's height: viewers write the result beside it."""
_LABEL_SIZE = (0.2, 0.15)
"""What that text takes, from where the polyline begins: parts of the viewport's width and height."""
_VIEWPORT_ASPECT = 1.4
"""Width of a viewport by its height, where an image that is narrower has black beside it."""


def outline_polyline(
    outline_px: npt.NDArray[np.floating], rows: int, columns: int
) -> npt.NDArray[np.float64]:
    """A closed polyline along an outline, as SCOORD wants it.

    Args:
        outline_px: Outline of shape (n, 2), (column, row), n >= 3, pixel centres at whole numbers.
        rows: Height of the image in pixels.
        columns: Width of the image in pixels.

    Returns:
        Polyline of shape (m, 2), 4 <= m <= 200, (column, row), the last point equal to the first. The upper
        left corner of the first pixel is (0, 0), hence its centre (0.5, 0.5) (PS3.3 C.18.6.1.1). It begins at
        the right edge of the hand, in the lower half of the image, where there is most room for text.

    Raises:
        ValueError: The outline is not a closed shape of at least three finite points inside the image.
    """
    outline = np.asarray(outline_px, dtype=np.float64)
    if outline.ndim != 2 or outline.shape[1] != 2 or len(outline) < 3 or not np.isfinite(outline).all():
        raise ValueError("an outline is at least three finite points of shape (n, 2)")
    inside = np.clip(outline + 0.5, 0, (columns, rows))
    if _area_px(inside) < 0.5:
        raise ValueError("the outline encloses nothing")
    closed = _begun_where_there_is_room(inside, rows, columns)
    tolerance_px = 0.5
    polyline: npt.NDArray[np.float64] = approximate_polygon(closed, tolerance_px)
    while len(polyline) >= MOST_POINTS:
        tolerance_px *= 1.5
        polyline = approximate_polygon(closed, tolerance_px)
    if len(polyline) < 4:
        raise ValueError("the outline encloses nothing")
    return _with_short_first_piece(polyline).round(2)


def _area_px(points: npt.NDArray[np.float64]) -> float:
    """Area within a closed outline in square pixels."""
    x, y = points.T
    return 0.5 * abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))))


def _begun_where_there_is_room(
    outline: npt.NDArray[np.float64], rows: int, columns: int
) -> npt.NDArray[np.float64]:
    """The outline, closed, begun at its right edge where that leaves most room to the right and below.

    OHIF writes the numbers to the right of a polyline's first two points and below them, wherever the rest of
    it is: begun at the lower edge of the image, as a forearm is, nobody would see them, and beside a thumb
    they would lie on it.
    """
    upper_px, lower_px = outline[:, 1].min(), outline[:, 1].max()
    heights_px = [height for height in _LABEL_HEIGHTS * rows if upper_px < height < lower_px]
    heights_px = heights_px or [(upper_px + lower_px) / 2]
    step_px, text_px = 0.01 * rows, _LABEL_SIZE[1] * rows

    def reach_px(height_px: float) -> tuple[float, float]:
        """How far right the hand comes beside a text that begins here, then the distance from the middle."""
        beside_px = np.arange(height_px, min(height_px + text_px, lower_px), step_px)
        return max(_right_edge(outline, y)[0] for y in beside_px), abs(height_px - rows * 2 / 3)

    height_px = min(heights_px, key=reach_px)
    column_px, piece = _right_edge(outline, height_px, _last_column_px(rows, columns))
    start = [[column_px, height_px]]
    return np.vstack([start, np.roll(outline, -piece - 1, axis=0), start])


def _last_column_px(rows: int, columns: int) -> float:
    """The last column from which a text to the right stays in the viewport."""
    width_px = max(columns, _VIEWPORT_ASPECT * rows)
    return (columns + width_px) / 2 - _LABEL_SIZE[0] * width_px


def _right_edge(
    outline: npt.NDArray[np.float64], height_px: float, last_column_px: float = np.inf
) -> tuple[float, int]:
    """Column where an outline crosses a height furthest to the right, and the number of the crossing piece.

    Of several crossings one beyond the last column counts only where all of them are.
    """
    ends = np.roll(outline, -1, axis=0)
    (crossing,) = np.nonzero((outline[:, 1] <= height_px) != (ends[:, 1] <= height_px))
    here, there = outline[crossing], ends[crossing]
    part = (height_px - here[:, 1]) / (there[:, 1] - here[:, 1])
    columns_px = here[:, 0] + part * (there[:, 0] - here[:, 0])
    within = np.where(columns_px <= last_column_px, columns_px, -np.inf)
    best = int(within.argmax()) if (within > -np.inf).any() else int(columns_px.argmin())
    return float(columns_px[best]), int(crossing[best])


def _with_short_first_piece(polyline: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A second point a pixel from the first, so that where the second one is does not matter."""
    step = polyline[1] - polyline[0]
    second = polyline[0] + step * min(0.5, 1 / max(float(np.linalg.norm(step)), 1e-6))
    return np.insert(polyline, 1, second, axis=0)
