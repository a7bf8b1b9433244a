"""Polylines of fewer points."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def simplified(points: npt.NDArray[np.float64], tolerance_px: float) -> npt.NDArray[np.float64]:
    """Leave out points of a polyline that are near to what is left (Douglas and Peucker, 1973).

    It gives what ``approximate_polygon`` of skimage gives, which loads all of scipy.signal.

    Args:
        points: Points of shape (n, 2).
        tolerance_px: No point that is left out is further away than this.
    """
    kept = np.zeros(len(points), dtype=bool)
    kept[[0, -1]] = True
    pieces = [(0, len(points) - 1)]
    while pieces:
        first, last = pieces.pop()
        start, piece = points[first], points[last] - points[first]
        between = points[first + 1 : last] - start
        along = np.clip(between @ piece / max(float(piece @ piece), 1e-12), 0, 1)
        distances_px = np.linalg.norm(between - along[:, None] * piece, axis=1)
        if distances_px.max(initial=0) > tolerance_px:
            furthest = first + 1 + int(distances_px.argmax())
            kept[furthest] = True
            pieces += [(furthest, last), (first, furthest)]
    return points[kept]
