"""The outline of a hand as SR graphics: a closed polyline of few points inside the image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from skimage.measure import approximate_polygon

MOST_POINTS = 200


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
        left corner of the first pixel is (0, 0), hence its centre (0.5, 0.5) (PS3.3 C.18.6.1.1).

    Raises:
        ValueError: The outline is not a closed shape of at least three finite points inside the image.
    """
    outline = np.asarray(outline_px, dtype=np.float64)
    if outline.ndim != 2 or outline.shape[1] != 2 or len(outline) < 3 or not np.isfinite(outline).all():
        raise ValueError("an outline is at least three finite points of shape (n, 2)")
    inside = np.clip(outline + 0.5, 0, (columns, rows))
    closed = np.vstack([inside, inside[:1]])
    tolerance_px = 0.5
    polyline: npt.NDArray[np.float64] = approximate_polygon(closed, tolerance_px)
    while len(polyline) > MOST_POINTS:
        tolerance_px *= 1.5
        polyline = approximate_polygon(closed, tolerance_px)
    if len(polyline) < 4:
        raise ValueError("the outline encloses nothing")
    return polyline.round(2)


def read_outline(report: Dataset) -> npt.NDArray[np.float32]:
    """The outline in a report of ours, as ``Assessment.outline_px`` has it.

    Args:
        report: A structured report of an assessment.

    Returns:
        Shape (n, 2), float32, (column, row), pixel centres at whole numbers, the first point not repeated.

    Raises:
        ValueError: There is no graphic in the report.
    """
    waiting = [report]
    while waiting:
        item = waiting.pop()
        if item.get("ValueType") == "SCOORD":
            points = np.asarray(item.GraphicData, dtype=np.float32).reshape(-1, 2)
            return points[:-1] - np.float32(0.5)
        waiting.extend(item.get("ContentSequence", []))
    raise ValueError("the report has no outline")
