"""The hand's silhouette and how thick the flesh is under every pixel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter
from skimage.draw import polygon2mask
from skimage.transform import resize

from .anatomy import Skeleton
from .canvas import Array, Canvas

FLESH_PER_MM = 0.0125
"""Attenuation of soft tissue."""

_COARSE = 4
_FINGER_HALF_WIDTHS_MM = {  # at knuckle, first and second joint, tip (thumb: knuckle, joint, tip)
    1: (13.0, 11.8, 9.8),
    2: (11.8, 10.6, 9.3, 8.0),
    3: (11.8, 10.8, 9.5, 8.3),
    4: (11.3, 10.1, 9.0, 7.9),
    5: (10.3, 9.0, 7.9, 7.0),
}


def draw_flesh(canvas: Canvas, skeleton: Skeleton) -> npt.NDArray[np.bool_]:
    """Add the soft tissue to the canvas's attenuation.

    Returns:
        The silhouette, (height, width) bool.
    """
    shape = canvas.attenuation.shape
    coarse_shape = (-(-shape[0] // _COARSE), -(-shape[1] // _COARSE))
    coarse = Canvas(canvas.view.coarser(_COARSE), coarse_shape, np.zeros(coarse_shape, dtype=np.float32))
    distance_mm, thickness_mm = _flesh(coarse, skeleton)
    full = (coarse_shape[0] * _COARSE, coarse_shape[1] * _COARSE)
    distance = _enlarge(distance_mm, full)[: shape[0], : shape[1]]
    thickness = _enlarge(thickness_mm, full)[: shape[0], : shape[1]]
    silhouette = distance < 0
    edge_mm = np.clip(-distance, 0, None)
    skin = np.sqrt(np.clip(1 - (1 - np.minimum(edge_mm / 2.2, 1)) ** 2, 0, None))
    canvas.attenuation += (FLESH_PER_MM * thickness * skin * silhouette).astype(np.float32)
    return np.asarray(silhouette, dtype=np.bool_)


def _enlarge(coarse: Array, shape: tuple[int, int]) -> Array:
    return np.asarray(resize(coarse, shape, order=3, mode="edge", anti_aliasing=False), dtype=np.float32)


def _flesh(canvas: Canvas, skeleton: Skeleton) -> tuple[Array, Array]:
    """Signed distance to the silhouette (negative inside) and thickness, both in mm on a coarse canvas."""
    width = skeleton.width_scale
    palm = _polygon_distance(canvas, palm_outline_mm(skeleton))
    palm_thickness = 33.0 * width * _rolloff(-palm, 17.0 * width)
    distance = palm
    powers = palm_thickness**3
    for finger, ray in skeleton.rays.items():
        joints = [bone.end_mm for bone in ray]
        widths = [w * width for w in _FINGER_HALF_WIDTHS_MM[finger]]
        last = ray[-1]
        joints[-1] = skeleton.tip_mm(finger) - widths[-1] * last.direction
        if finger == 1:
            joints = [np.array(ray[0].start_mm) * 0.8, *joints]
            widths = [15.0 * width, *widths]
        away, half = _rod(canvas, np.array(joints), np.array(widths))
        distance = _smooth_minimum(distance, away - half, 4.5 * width)
        powers = powers + (1.6 * np.sqrt(np.clip(half**2 - away**2, 0, None))) ** 3
    away, half = _forearm(canvas, skeleton)
    distance = _smooth_minimum(distance, away - half, 9.0 * width)
    powers = powers + (1.75 * np.sqrt(np.clip(half**2 - away**2, 0, None))) ** 3
    fillet = 15.0 * width * _rolloff(-distance, 8.0 * width)
    thickness = np.cbrt(powers + fillet**3)
    sigma = 1.1 * width / canvas.view.spacing_mm
    return distance, gaussian_filter(thickness.astype(np.float32), sigma)


def palm_outline_mm(skeleton: Skeleton) -> npt.NDArray[np.float64]:
    """Corner points of the palm from the wrist's thumb side round to its other side."""
    scale, width = skeleton.length_scale, skeleton.width_scale

    def web(first: int, second: int, reach: float) -> npt.NDArray[np.float64]:
        """Place of the skin between two fingers."""
        one, other = skeleton.rays[first][1], skeleton.rays[second][1]
        ends = [np.array(b.start_mm) + reach * b.length_mm * b.direction for b in (one, other)]
        return np.asarray((ends[0] + ends[1]) / 2)

    def beside(finger: int, index: int, along: float, aside: float) -> npt.NDArray[np.float64]:
        """Beside a bone: ``along`` its length, ``aside`` mm towards the thumb."""
        bone = skeleton.rays[finger][index]
        normal = np.array([bone.direction[1], -bone.direction[0]])
        return np.asarray(
            np.array(bone.start_mm) + along * bone.length_mm * bone.direction + aside * width * normal
        )

    points = [
        np.array([25.0 * width, -30.0 * scale]),
        np.array([31.0 * width, -12.0 * scale]),
        beside(1, 0, 0.45, 11.0),
        beside(1, 0, 0.95, 10.0),
        beside(1, 0, 0.98, -9.0),
        (beside(1, 0, 0.8, -9.0) + beside(2, 0, 0.68, 9.0)) / 2 + np.array([1.0, 1.0]) * width,
        beside(2, 0, 0.72, 10.0),
        beside(2, 0, 1.0, 10.5),
        beside(2, 1, 0.3, 10.5),
        web(2, 3, 0.42),
        web(3, 4, 0.42),
        web(4, 5, 0.46),
        beside(5, 1, 0.3, -9.0),
        beside(5, 0, 0.95, -10.5),
        beside(5, 0, 0.4, -14.0),
        np.array([-32.0 * width, -10.0 * scale]),
        np.array([-27.0 * width, -30.0 * scale]),
    ]
    return np.array(points)


def _forearm(canvas: Canvas, skeleton: Skeleton) -> tuple[Array, Array]:
    """Distance from the forearm's axis and its half width there; the arm ends inside the wrist."""
    scale, width = skeleton.length_scale, skeleton.width_scale
    direction = np.array([np.sin(skeleton.forearm_radians), np.cos(skeleton.forearm_radians)])
    middle = np.array([-2.5 * width, -22.0 * scale])
    dx, dy = canvas.x_mm - middle[0], canvas.y_mm - middle[1]
    down = -(dx * direction[0] + dy * direction[1]) / scale
    across = dx * direction[1] - dy * direction[0]
    half = np.interp(down, (-10, 5, 20, 60, 110, 200), (25, 27, 27.5, 30, 36, 42)) * width
    beyond = np.clip(-8.0 - down, 0, None) * scale
    return np.hypot(across, 1.5 * beyond).astype(np.float32), half.astype(np.float32)


def _rod(
    canvas: Canvas, points: npt.NDArray[np.float64], half_widths: npt.NDArray[np.float64]
) -> tuple[Array, Array]:
    """Distance from a bent axis and the half width at its nearest point, for every pixel."""
    best = np.full(canvas.x_mm.shape, np.inf, dtype=np.float32)
    away, half = best.copy(), np.zeros_like(best)
    for start, end, width0, width1 in zip(points, points[1:], half_widths, half_widths[1:], strict=False):
        step = end - start
        position = ((canvas.x_mm - start[0]) * step[0] + (canvas.y_mm - start[1]) * step[1]) / (step @ step)
        position = np.clip(position, 0, 1)
        gap = np.hypot(
            canvas.x_mm - start[0] - position * step[0], canvas.y_mm - start[1] - position * step[1]
        )
        width = width0 + (width1 - width0) * position
        nearer = gap - width < best
        best = np.where(nearer, gap - width, best)
        away, half = np.where(nearer, gap, away), np.where(nearer, width, half)
    return away.astype(np.float32), half.astype(np.float32)


def _polygon_distance(canvas: Canvas, points_mm: npt.NDArray[np.float64]) -> Array:
    """Exact signed distance in mm, negative inside: whole pixels would ripple the skin."""
    closed = np.vstack([points_mm, points_mm[:1]])
    away, _ = _rod(canvas, closed, np.zeros(len(closed)))
    inside = polygon2mask(canvas.x_mm.shape, canvas.view.to_pixels(points_mm)[:, ::-1])
    return np.asarray(np.where(inside, -away, away), dtype=np.float32)


def _rolloff(depth_mm: Array, radius_mm: float) -> Array:
    """0 at the edge, rising like the side of a cylinder to 1 at ``radius_mm``."""
    side = np.sqrt(np.clip(1 - (1 - np.clip(depth_mm / radius_mm, 0, 1)) ** 2, 0, None))
    return np.asarray(side, dtype=np.float32)


def _smooth_minimum(first: Array, second: Array, radius_mm: float) -> Array:
    """Union of two signed distances with its inner corners filled."""
    mix = np.clip(0.5 + 0.5 * (second - first) / radius_mm, 0, 1)
    return np.asarray(second + mix * (first - second) - radius_mm * mix * (1 - mix), dtype=np.float32)
