"""A grid of rays through the hand: millimetres in the hand's frame for every pixel, and what the beam met."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from boneage_node.bone_age import Laterality

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class View:
    """Position of the hand's frame in the picture.

    Attributes:
        spacing_mm: Edge of a pixel.
        corner_mm: Upper left corner of the picture in the picture's millimetres (x right, y up).
        rotation_radians: Counter-clockwise turn of the hand in the picture.
        laterality: A right hand is the left one's mirror image.
    """

    spacing_mm: float
    corner_mm: tuple[float, float]
    rotation_radians: float
    laterality: Laterality

    def to_picture_mm(self, points_mm: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Points (..., 2) of the hand's frame in the picture's millimetres, y still up."""
        points = np.array(points_mm, dtype=np.float64)
        if self.laterality is Laterality.RIGHT:
            points = points * [-1.0, 1.0]
        cos, sin = np.cos(self.rotation_radians), np.sin(self.rotation_radians)
        return np.asarray(points @ np.array([[cos, sin], [-sin, cos]]))

    def to_pixels(self, points_mm: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Points (..., 2) of the hand's frame as (x, y) = (column, row); pixel centres are integers."""
        points = self.to_picture_mm(points_mm)
        column = (points[..., 0] - self.corner_mm[0]) / self.spacing_mm - 0.5
        row = (self.corner_mm[1] - points[..., 1]) / self.spacing_mm - 0.5
        return np.stack([column, row], axis=-1)

    def to_hand_mm(self, column: Array, row: Array) -> tuple[Array, Array]:
        """Hand coordinates (x, y) of pixel centres."""
        x = self.corner_mm[0] + (column + 0.5) * self.spacing_mm
        y = self.corner_mm[1] - (row + 0.5) * self.spacing_mm
        cos, sin = np.cos(self.rotation_radians), np.sin(self.rotation_radians)
        hand_x, hand_y = cos * x + sin * y, -sin * x + cos * y
        if self.laterality is Laterality.RIGHT:
            hand_x = -hand_x
        return hand_x.astype(np.float32), hand_y.astype(np.float32)

    def finer(self, factor: int) -> View:
        """The same view with ``factor`` times as many pixels along each edge (or fewer, below 1)."""
        return View(self.spacing_mm / factor, self.corner_mm, self.rotation_radians, self.laterality)

    def coarser(self, factor: int) -> View:
        """The same view with ``factor`` times larger pixels."""
        return View(self.spacing_mm * factor, self.corner_mm, self.rotation_radians, self.laterality)


class Canvas:
    """Sums up attenuation over a view.

    Attributes:
        view: Where the pixels lie.
        x_mm, y_mm: Hand coordinates of every pixel centre, each (height, width) float32.
        attenuation: What the beam lost on its way, (height, width) float32, 0 in air.
        texture: Zero-mean noise with the grain of trabecular bone, (height, width) float32.
    """

    def __init__(self, view: View, shape: tuple[int, int], texture: Array) -> None:
        self.view = view
        row, column = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
        self.x_mm, self.y_mm = view.to_hand_mm(column, row)
        self.attenuation: Array = np.zeros(shape, dtype=np.float32)
        self.texture = texture

    def window(self, points_mm: npt.ArrayLike, margin_mm: float) -> tuple[slice, slice] | None:
        """Rows and columns around points of the hand's frame, or None where none is in the picture."""
        pixels = self.view.to_pixels(points_mm).reshape(-1, 2)
        margin = margin_mm / self.view.spacing_mm
        height, width = self.attenuation.shape
        left, top = np.maximum(np.floor(pixels.min(axis=0) - margin), 0).astype(int)
        right, bottom = np.minimum(np.ceil(pixels.max(axis=0) + margin), [width, height]).astype(int)
        if right - left < 2 or bottom - top < 2:
            return None
        return slice(int(top), int(bottom)), slice(int(left), int(right))
