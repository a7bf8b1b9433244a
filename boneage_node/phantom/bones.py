"""Draws bones: what a shaft, an epiphysis, a growth plate and a carpal take out of the beam.

Each piece is an outline with a depth. Its rim is compact bone (bright where the beam grazes it), its inside
spongy bone with a grain, and the middle of a shaft is mostly marrow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import distance_transform_edt, gaussian_filter
from skimage.draw import polygon2mask

from boneage_node.bone_age import Sex

from .anatomy import CARPAL_OUTLINES_MM, CARPAL_THICKNESS_MM, LongBone, Skeleton
from .canvas import Array, Canvas
from .ossification import CARPALS, Milestones, milestones

COMPACT_PER_MM = 0.058
"""Attenuation of compact bone over the soft tissue it displaces."""
SPONGY_PER_MM = 0.0125
MARROW_PER_MM = 0.002


@dataclass(frozen=True)
class Shape:
    """Outline of a grown long bone, measured from its epiphyseal end, in units of the shaft's half width.

    Attributes:
        profile: (fraction of length from the epiphyseal end, half width) control points.
        plate: Where the growth plate lies, as a fraction of the length.
        distal: The epiphysis is at the distal end (metacarpals 2 to 5, radius, ulna).
        near_bulge: How far the epiphyseal end's middle stands out, in half widths; negative: hollow.
        far_bulge: The same for the other end.
        slant: Tilt of the epiphyseal end, mm per mm to the side.
        flatness: Exponent of the grown epiphysis: 2 an ellipse, larger a box with round corners.
    """

    profile: tuple[tuple[float, float], ...]
    plate: float
    distal: bool = False
    near_bulge: float = -0.12
    far_bulge: float = 0.35
    slant: float = 0.0
    flatness: float = 3.6


_PHALANX = ((0, 1.42), (0.05, 1.66), (0.11, 1.62), (0.2, 1.26), (0.35, 1.0), (0.55, 0.88), (0.72, 0.9),
            (0.84, 1.17), (0.92, 1.3), (0.97, 1.2), (1, 0.95))  # fmt: skip
SHAPES = {
    "metacarpal": Shape(
        ((0, 0.75), (0.04, 1.32), (0.1, 1.6), (0.16, 1.55), (0.25, 1.15), (0.4, 0.86), (0.6, 0.82),
         (0.76, 1.0), (0.9, 1.36), (0.96, 1.48), (1, 1.3)), 0.16, True, 0.75, -0.1, 0.0, 2.5),
    "first_metacarpal": Shape(
        ((0, 1.3), (0.05, 1.55), (0.12, 1.5), (0.25, 1.12), (0.45, 0.88), (0.65, 0.88), (0.82, 1.2),
         (0.91, 1.42), (0.96, 1.35), (1, 1.0)), 0.13, False, 0.0, 0.55, 0.0, 3.2),
    "proximal_phalanx": Shape(_PHALANX, 0.125),
    "middle_phalanx": Shape(
        ((0, 1.5), (0.07, 1.72), (0.14, 1.62), (0.26, 1.2), (0.42, 0.95), (0.58, 0.88), (0.72, 0.94),
         (0.84, 1.22), (0.92, 1.32), (0.97, 1.2), (1, 0.95)), 0.15, False, 0.1, 0.3),
    "distal_phalanx": Shape(
        ((0, 1.7), (0.09, 2.05), (0.17, 1.9), (0.3, 1.35), (0.5, 1.0), (0.68, 0.95), (0.8, 1.3), (0.9, 1.45),
         (0.97, 1.1), (1, 0.7)), 0.165, False, 0.15, 0.9),
    "radius": Shape(
        ((0, 1.7), (0.016, 2.1), (0.04, 2.14), (0.055, 2.1), (0.09, 1.78), (0.14, 1.42), (0.22, 1.12),
         (0.35, 1.0), (1, 1.0)), 0.042, True, -0.22, 0.0, 0.24, 3.2),
    "ulna": Shape(
        ((0, 1.2), (0.012, 1.48), (0.03, 1.5), (0.055, 1.45), (0.09, 1.2), (0.14, 1.05), (0.35, 1.0),
         (1, 1.0)),
        0.032, True, 0.05, 0.0, -0.16, 3.0),
}  # fmt: skip
_DEPTH = {"radius": 0.75, "ulna": 0.85, "distal_phalanx": 0.75, "metacarpal": 1.0}


def draw_bones(canvas: Canvas, skeleton: Skeleton, age_months: float, sex: Sex) -> None:
    """Add every bone that has ossified by an age to the canvas's attenuation."""
    flesh = canvas.attenuation.copy()
    bones = [skeleton.radius, skeleton.ulna, *(bone for ray in skeleton.rays.values() for bone in ray)]
    for bone in bones:
        _draw_long_bone(canvas, bone, milestones(bone.name, sex), age_months, skeleton.width_scale)
    for name in CARPALS:
        _draw_carpal(canvas, name, milestones(name, sex).size(age_months), skeleton)
    _draw_sesamoid(canvas, milestones("sesamoid", sex).size(age_months), skeleton)
    grown = milestones("radius", sex).fused
    assert grown is not None
    mineral = 0.6 + 0.4 * min(1.0, age_months / grown)  # young bone is less dense
    canvas.attenuation[:] = flesh + mineral * (canvas.attenuation - flesh)


def _draw_long_bone(
    canvas: Canvas, bone: LongBone, ages: Milestones, age_months: float, width_scale: float
) -> None:
    shape = SHAPES[bone.kind]
    joint = bone.end_mm if shape.distal else np.array(bone.start_mm)
    forearm = bone.kind in ("radius", "ulna")
    away = -bone.direction if shape.distal else bone.direction
    reach = [joint, joint + bone.length_mm * (0.5 if forearm else 1.0) * away]
    window = canvas.window(reach, 3.0 * bone.half_width_mm)
    if window is None:
        return
    dx, dy = canvas.x_mm[window] - joint[0], canvas.y_mm[window] - joint[1]
    along = (dx * away[0] + dy * away[1]).astype(np.float32)
    across = (dx * bone.direction[1] - dy * bone.direction[0]).astype(np.float32)
    piece = _LongBonePiece(canvas, window, bone, shape, along, across)
    size, fusion = ages.size(age_months), ages.fusion(age_months)
    growth = min(1.0, age_months / ages.shaped)
    joint_mm = (0.55 + 0.9 * (1 - growth) ** 1.5) * width_scale
    open_bone = piece.shaft(growth, joint_mm)
    if size > 0:
        open_bone = open_bone + piece.epiphysis(size, growth, joint_mm)
    if fusion > 0:
        open_bone = (1 - fusion) * open_bone + fusion * piece.fused(joint_mm, scar=1.0 - 0.6 * fusion)
    canvas.attenuation[window] += open_bone


class _LongBonePiece:
    """The parts of one long bone in coordinates along (from the epiphyseal joint) and across it, in mm."""

    def __init__(
        self,
        canvas: Canvas,
        window: tuple[slice, slice],
        bone: LongBone,
        shape: Shape,
        along: Array,
        across: Array,
    ) -> None:
        self.bone, self.shape = bone, shape
        self.pixel_mm = canvas.view.spacing_mm
        self.texture = canvas.texture[window]
        self.across = across
        half = bone.half_width_mm
        fractions, widths = zip(*shape.profile, strict=True)
        self.half_width: Array = (
            PchipInterpolator(fractions, widths)(np.clip(along / bone.length_mm, 0, 1)) * half
        ).astype(np.float32)
        side = np.clip(across / (half * 1.6), -1.3, 1.3)
        self.along = along + shape.slant * across * np.clip(1 - along / (6 * half), 0, 1)
        self.near = -shape.near_bulge * half * (1 - side**2) + max(shape.near_bulge, 0) * half
        self.far = bone.length_mm - max(shape.far_bulge, 0) * half + shape.far_bulge * half * (1 - side**2)
        self.plate_mm = shape.plate * bone.length_mm
        self.depth = _DEPTH.get(bone.kind, 0.85)

    def shaft(self, growth: float, joint_mm: float) -> Array:
        """The ossified shaft; young ones stop further short of their plate and joint, with squarer ends."""
        start = self.plate_mm * (1 + 0.2 * (1 - growth)) + self._gap(growth) / 2
        end = self.far - joint_mm - 0.035 * (1 - growth) * min(self.bone.length_mm, 60.0)
        bend = 0.10 * self.bone.half_width_mm * (self.across / (1.6 * self.bone.half_width_mm)) ** 2
        inside = (self.along > start + bend) & (self.along < end) & (np.abs(self.across) < self.half_width)
        return self._tube(_rounded(inside, 0.9 / self.pixel_mm), start + 1.2)

    def epiphysis(self, size: float, growth: float, joint_mm: float) -> Array:
        """The secondary centre: a dot that widens to a disc over the shaft's end."""
        gap = self._gap(growth)
        full_height = max(self.plate_mm - gap / 2 - joint_mm, 0.4 * self.plate_mm)
        height = full_height * min(1.0, 0.35 + 0.75 * size, 2.2 * size)
        widest = max(width for fraction, width in self.shape.profile if fraction <= self.shape.plate * 1.3)
        half_width = self.bone.half_width_mm * widest * (size**0.8) * (1.03 if size > 0.95 else 1.0)
        middle = self.plate_mm - gap * 0.5 - height / 2 - 0.2 * (1 - size) * full_height
        lift = self.near * size
        exponent = 2.0 + (self.shape.flatness - 2.0) * size**2
        along = np.abs(self.along - middle - lift * 0.6) / (height / 2)
        inside = along**exponent + (np.abs(self.across) / half_width) ** exponent < 1
        return self._pillow(inside, 2 * self.depth * half_width * 0.6, 0.42)

    def fused(self, joint_mm: float, scar: float) -> Array:
        """The grown bone, with the faint bright line where its plate was."""
        inside = (
            (self.along > self.near + joint_mm)
            & (self.along < self.far - joint_mm)
            & (np.abs(self.across) < self.half_width)
        )
        bone = self._tube(_rounded(inside, 0.9 / self.pixel_mm), 0.0)
        line = np.exp(-(((self.along - self.plate_mm) / 0.45) ** 2)) * inside
        return np.asarray(bone + 0.055 * scar * line, dtype=np.float32)

    def _gap(self, growth: float) -> float:
        """Height of the growth plate in mm."""
        return min(0.08 * self.plate_mm, 0.5) + 0.11 * self.plate_mm * (1 - growth)

    def _tube(self, inside: npt.NDArray[np.bool_], dense_from_mm: float) -> Array:
        rim_mm = distance_transform_edt(inside).astype(np.float32) * self.pixel_mm
        fraction = np.clip(self.along / self.bone.length_mm, 0, 1)
        middle = np.exp(-(((fraction - 0.52) / 0.27) ** 4))
        if self.bone.kind in ("radius", "ulna"):
            middle = np.clip((fraction - 0.05) / 0.15, 0, 1)
        compact_mm = 0.42 + middle * 0.42 * self.bone.half_width_mm * 0.75
        outer = _chord(self.half_width, self.across, rim_mm, 1.3) * self.depth
        inner_rim = np.maximum(rim_mm - 0.4, 0)
        inner = _chord(self.half_width - compact_mm, self.across, inner_rim, 1.3) * self.depth
        spongy = SPONGY_PER_MM + (MARROW_PER_MM - SPONGY_PER_MM) * middle
        dense = 1 + 0.5 * np.exp(-(((self.along - dense_from_mm) / 1.8) ** 2))
        grain = 1 + 0.2 * self.texture * (1 - 0.6 * middle)
        result = (outer - inner) * COMPACT_PER_MM + inner * spongy * grain * dense
        return np.asarray(result * inside, dtype=np.float32)

    def _pillow(self, inside: npt.NDArray[np.bool_], thickness_mm: float, compact_mm: float) -> Array:
        return _pillow(inside, self.pixel_mm, thickness_mm, compact_mm, self.texture)


def _draw_carpal(canvas: Canvas, name: str, size: float, skeleton: Skeleton) -> None:
    if size == 0:
        return
    corners = np.array(CARPAL_OUTLINES_MM[name]) * skeleton.length_scale
    centre = corners.mean(axis=0)
    outline = _smooth_closed(corners - centre)
    radius = np.sqrt(np.mean(np.sum(outline**2, axis=1)))
    disc = outline / np.linalg.norm(outline, axis=1, keepdims=True) * radius
    shaped = np.clip((size - 0.35) / 0.55, 0, 1)
    points = centre + 1.03 * size**0.9 * ((1 - shaped) * disc + shaped * outline)
    window = canvas.window(points, 2.0)
    if window is None:
        return
    inside = _polygon(canvas, window, points)
    thickness = CARPAL_THICKNESS_MM * skeleton.width_scale * size * (0.6 if name == "pisiform" else 1.0)
    canvas.attenuation[window] += _pillow(
        inside, canvas.view.spacing_mm, thickness, 0.38 + 0.2 * size, canvas.texture[window]
    )


def _draw_sesamoid(canvas: Canvas, size: float, skeleton: Skeleton) -> None:
    """The adductor sesamoid, at the inner side of the thumb's metacarpal head."""
    if size == 0:
        return
    thumb = skeleton.rays[1][0]
    side = np.array([-thumb.direction[1], thumb.direction[0]])
    centre = thumb.end_mm - 3.5 * skeleton.width_scale * thumb.direction + 6.5 * skeleton.width_scale * side
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    radii = np.array([2.1, 2.9]) * size * skeleton.width_scale
    points = centre + np.stack([radii[0] * np.cos(angles), radii[1] * np.sin(angles)], axis=1)
    window = canvas.window(points, 2.0)
    if window is not None:
        canvas.attenuation[window] += _pillow(
            _polygon(canvas, window, points), canvas.view.spacing_mm, 5.0 * size, 0.5, canvas.texture[window]
        )


def _polygon(
    canvas: Canvas, window: tuple[slice, slice], points_mm: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    rows, columns = window
    pixels = canvas.view.to_pixels(points_mm) - [columns.start, rows.start]
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    return np.asarray(polygon2mask(shape, pixels[:, ::-1]), dtype=np.bool_)


def _smooth_closed(corners: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A closed curve along corner points, (240, 2), rounded a little."""
    closed = np.vstack([corners, corners[:1]])
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    at = np.linspace(0, length[-1], 240, endpoint=False)
    curve = np.stack([np.interp(at, length, closed[:, axis]) for axis in (0, 1)], axis=1)
    return np.stack([gaussian_filter(curve[:, axis], 7.0, mode="wrap") for axis in (0, 1)], axis=1)


def _rounded(inside: npt.NDArray[np.bool_], sigma_px: float) -> npt.NDArray[np.bool_]:
    """The same region with its corners rounded."""
    return np.asarray(gaussian_filter(inside.astype(np.float32), sigma_px) > 0.5, dtype=np.bool_)


def _chord(half_width_mm: Array, across_mm: Array, rim_mm: Array, round_mm: float) -> Array:
    """Path of the beam through a round rod, closed at its ends over ``round_mm``."""
    half = np.maximum(half_width_mm, 1e-3)
    rod = 2 * half * np.sqrt(np.clip(1 - (across_mm / half) ** 2, 0, None))
    closing = np.sqrt(np.clip(1 - (1 - np.minimum(rim_mm / round_mm, 1)) ** 2, 0, None))
    return np.asarray(rod * closing, dtype=np.float32)


def _pillow(
    inside: npt.NDArray[np.bool_], pixel_mm: float, thickness_mm: float, compact_mm: float, texture: Array
) -> Array:
    """A piece with rounded edges: a thin compact shell around spongy bone."""
    rim_mm = distance_transform_edt(inside).astype(np.float32) * pixel_mm
    deepest = max(float(rim_mm.max()), 1e-3)
    roll_mm = 0.85 * deepest

    def path(distance: Array, thickness: float) -> Array:
        edge = np.clip(1 - (1 - np.clip(distance / roll_mm, 0, 1)) ** 2, 0, None)
        return np.asarray(thickness * np.sqrt(edge), dtype=np.float32)

    outer = path(rim_mm, thickness_mm)
    inner = path(rim_mm - compact_mm, max(thickness_mm - 2 * compact_mm, 0.0))
    result = (outer - inner) * COMPACT_PER_MM + inner * SPONGY_PER_MM * (1 + 0.2 * texture)
    return np.asarray(result, dtype=np.float32)
