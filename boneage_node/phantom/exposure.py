"""Radiograph made of attenuation: scatter, detector, noise, lead marker, collimation, display curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt, gaussian_filter
from skimage.draw import disk, polygon

from boneage_node.bone_age import Laterality

from .canvas import Array

_LETTERS = {
    Laterality.LEFT: (((0, 0), (0.26, 0), (0.26, 0.78), (0.9, 0.78), (0.9, 1), (0, 1)),),
    Laterality.RIGHT: (
        ((0, 0), (0.62, 0), (0.86, 0.12), (0.9, 0.3), (0.82, 0.48), (0.6, 0.58), (0.95, 1), (0.66, 1),
         (0.36, 0.6), (0.24, 0.6), (0.24, 1), (0, 1)),
        ((0.24, 0.19), (0.56, 0.19), (0.64, 0.3), (0.56, 0.41), (0.24, 0.41)),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Exposure:
    """Settings with which one radiograph was taken and shown.

    Attributes:
        gain: Contrast of the display curve.
        base: Grey of bare detector.
        gamma: Below 1 lifts the soft tissue, above 1 darkens it.
        noise: Standard deviation of the noise where nothing attenuates the beam.
        scatter: Share of the signal spread over centimetres.
    """

    gain: float
    base: float
    gamma: float
    noise: float
    scatter: float

    @classmethod
    def vary(cls, random: np.random.Generator) -> Exposure:
        """An exposure like those of an ordinary department."""
        return cls(
            gain=random.uniform(1.3, 1.9),
            base=random.uniform(0.015, 0.06),
            gamma=random.uniform(1.2, 1.55),
            noise=random.uniform(0.0012, 0.0025),
            scatter=random.uniform(0.12, 0.24),
        )


def expose(attenuation: Array, spacing_mm: float, exposure: Exposure, random: np.random.Generator) -> Array:
    """The picture that a detector makes of attenuation: float32 in [0, 1], bone bright."""
    wide = gaussian_filter(attenuation, 12.0 / spacing_mm)
    signal = (1 - exposure.scatter) * attenuation + exposure.scatter * wide
    signal = gaussian_filter(signal, 0.12 / spacing_mm + 0.35)
    curve = 1 - np.exp(-exposure.gain * 1.25 * np.clip(signal, 0, None) ** exposure.gamma)
    noise = gaussian_filter(random.standard_normal(signal.shape).astype(np.float32), 0.5) * 1.9
    picture = exposure.base + (1 - exposure.base) * curve
    picture = picture + exposure.noise * noise * (1 + 1.5 * signal)
    return np.asarray(np.clip(picture, 0, 1), dtype=np.float32)


def add_marker(
    attenuation: Array,
    silhouette: npt.NDArray[np.bool_],
    laterality: Laterality,
    spacing_mm: float,
    random: np.random.Generator,
) -> None:
    """Lay a lead letter in its plastic holder where there is most room beside the hand."""
    size = 11.0 / spacing_mm
    room = distance_transform_edt(np.pad(~silhouette, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(int(np.argmax(np.minimum(room, 1.6 * size))), room.shape)
    angle = np.radians(random.uniform(-12, 12))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    centre = np.array([column, row], dtype=np.float64)

    def fill(points: npt.ArrayLike, value: float) -> None:
        """Set a polygon given in letter heights around the marker's centre."""
        place = np.asarray(points, dtype=np.float64) @ turn * size + centre
        rows, columns = polygon(place[:, 1], place[:, 0], shape=attenuation.shape)
        attenuation[rows, columns] = value

    fill([(-0.75, -0.8), (0.75, -0.8), (0.75, 1.0), (-0.75, 1.0)], 0.07)
    body, *holes = _LETTERS[laterality]
    fill(np.array(body) - [0.45, 0.5], 2.4)
    for hole in holes:
        fill(np.array(hole) - [0.45, 0.5], 0.07)
    hole_at = np.array([0.0, 0.78]) @ turn * size + centre
    rows, columns = disk((hole_at[1], hole_at[0]), 0.09 * size, shape=attenuation.shape)
    attenuation[rows, columns] = 0.0


def collimate(picture: Array, spacing_mm: float, random: np.random.Generator) -> Array:
    """Darken what lies outside a slightly turned rectangle, with the soft edge that a collimator has."""
    height, width = picture.shape
    row, column = np.mgrid[0:height, 0:width].astype(np.float32)
    angle = np.radians(random.uniform(-2.0, 2.0))
    x, y = column - width / 2, row - height / 2
    along, down = np.cos(angle) * x + np.sin(angle) * y, -np.sin(angle) * x + np.cos(angle) * y
    inset = random.uniform(0.015, 0.035) * height
    edge = np.minimum(width / 2 - inset - np.abs(along), height / 2 - inset - np.abs(down))
    light = np.clip(edge * spacing_mm / 1.5 + 0.5, 0, 1)
    return np.asarray(picture * light, dtype=np.float32)
