"""A drawn chest: something that a node for hands must refuse."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from .canvas import Array
from .exposure import Exposure, expose

_HALF_WIDTH_MM = 150.0


@dataclass(frozen=True)
class PhantomChest:
    """A drawn frontal chest radiograph.

    Attributes:
        pixels: (height, width) float32 in [0, 1], bone bright.
        spacing_mm: Edge of a pixel.
    """

    pixels: Array
    spacing_mm: float


def draw_chest(*, seed: int, height_px: int = 640) -> PhantomChest:
    """Draw a child's chest: flesh, two lungs, heart, spine, ribs, clavicles.

    Args:
        seed: The same seed draws the same picture.
        height_px: Height of the picture; its width is 0.9 times that.
    """
    random = np.random.default_rng(seed)
    width_px = int(height_px * 0.9)
    spacing = 2 * _HALF_WIDTH_MM / width_px
    row, column = np.mgrid[0:height_px, 0:width_px].astype(np.float32)
    x, y = (column - width_px / 2) / (width_px / 2), row / height_px
    torso = _soft(1 - (np.abs(x) / np.interp(y, [0, 0.1, 0.25, 1], [0.3, 0.7, 0.93, 0.9])), 0.03)
    lungs = sum(_ellipse(x, y, side * 0.4, 0.5, 0.3, 0.37) for side in (-1, 1))
    heart = _ellipse(x, y, 0.1, 0.62, 0.27, 0.2)
    spine = np.exp(-((x / 0.1) ** 4)) * (1 + 0.15 * np.sin(2 * np.pi * y * 17))
    abdomen = _soft(y - 0.82 + 0.08 * np.cos(4 * x), 0.03)
    attenuation = torso * (0.75 - 0.5 * np.clip(lungs, 0, 1) * (1 - abdomen) + 0.3 * heart + 0.2 * abdomen)
    attenuation = attenuation + 0.3 * spine * torso + 0.12 * _ribs(x, y) * torso
    attenuation = gaussian_filter(attenuation.astype(np.float32), 0.8 / spacing)
    return PhantomChest(expose(attenuation, spacing, Exposure.vary(random), random), spacing)


def _soft(value: Array, width: float) -> Array:
    """0 below zero, 1 above, with a soft step."""
    return np.asarray(1 / (1 + np.exp(-np.clip(value / width * 4, -60, 60))), dtype=np.float32)


def _ellipse(x: Array, y: Array, x0: float, y0: float, half_width: float, half_height: float) -> Array:
    return _soft(1 - np.hypot((x - x0) / half_width, (y - y0) / half_height), 0.12)


def _ribs(x: Array, y: Array) -> Array:
    """Nine pairs of ribs falling outwards from the spine, and the clavicles."""
    ribs = np.zeros_like(x)
    aside = np.abs(x)
    for index in range(9):
        arc = 0.13 + 0.085 * index + 0.16 * aside**1.5 - 0.05 * np.sin(np.pi * aside)
        ribs += np.exp(-(((y - arc) / 0.011) ** 4)) * (aside < 0.88) * (aside > 0.06)
    clavicle = 0.17 - 0.07 * aside + 0.02 * np.sin(5 * aside)
    return np.asarray(ribs + 1.4 * np.exp(-(((y - clavicle) / 0.012) ** 4)) * (aside < 0.75) * (aside > 0.08))
