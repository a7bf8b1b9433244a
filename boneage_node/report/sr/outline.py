"""The outline of a hand as SR graphics: a closed polyline of few points inside the image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from skimage.measure import approximate_polygon

MOST_POINTS = 200
LABEL_HEIGHT = 2 / 3
"""Where a polyline begins, as a part of the image's height from above: viewers write the result beside it."""


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
        the right edge of the hand, two thirds down the image.

    Raises:
        ValueError: The outline is not a closed shape of at least three finite points inside the image.
    """
    outline = np.asarray(outline_px, dtype=np.float64)
    if outline.ndim != 2 or outline.shape[1] != 2 or len(outline) < 3 or not np.isfinite(outline).all():
        raise ValueError("an outline is at least three finite points of shape (n, 2)")
    inside = np.clip(outline + 0.5, 0, (columns, rows))
    if _area_px(inside) < 0.5:
        raise ValueError("the outline encloses nothing")
    closed = _begun_beside_the_wrist(inside, LABEL_HEIGHT * rows)
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


def _begun_beside_the_wrist(outline: npt.NDArray[np.float64], height_px: float) -> npt.NDArray[np.float64]:
    """The outline, closed, begun where it crosses a height furthest to the right.

    OHIF writes the numbers to the right of a polyline's first two points and below them, wherever the rest of
    it is: begun at the lower edge of the image, as a forearm is, nobody would see them.
    """
    upper_px, lower_px = outline[:, 1].min(), outline[:, 1].max()
    if not upper_px < height_px < lower_px:
        height_px = (upper_px + lower_px) / 2
    ends = np.roll(outline, -1, axis=0)
    (crossing,) = np.nonzero((outline[:, 1] <= height_px) != (ends[:, 1] <= height_px))
    here, there = outline[crossing], ends[crossing]
    part = (height_px - here[:, 1]) / (there[:, 1] - here[:, 1])
    columns_px = here[:, 0] + part * (there[:, 0] - here[:, 0])
    rightmost = int(columns_px.argmax())
    start = [[columns_px[rightmost], height_px]]
    return np.vstack([start, np.roll(outline, -crossing[rightmost] - 1, axis=0), start])


def _with_short_first_piece(polyline: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A second point a pixel from the first, so that where the second one is does not matter."""
    step = polyline[1] - polyline[0]
    second = polyline[0] + step * min(0.5, 1 / max(float(np.linalg.norm(step)), 1e-6))
    return np.insert(polyline, 1, second, axis=0)
