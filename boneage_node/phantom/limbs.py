"""Drawn limbs and a skull: something of bone that is no hand, and that a node for hands must refuse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from .bones import COMPACT_PER_MM, MARROW_PER_MM, SPONGY_PER_MM
from .canvas import Array
from .exposure import Exposure, expose

_FLESH_PER_MM = 0.011
_SHELL = 0.24
"""Compact bone at the middle of a shaft, as a share of its half width."""

_EXPOSED = 1.3
"""Attenuation, as the detector sees it, that all but one in a hundred pixels stay below."""

Place = tuple[float, float]


@dataclass(frozen=True)
class PhantomLimb:
    """A drawn radiograph of a part of the body other than the hand.

    Attributes:
        part: Key of ``PARTS``.
        pixels: (height, width) float32 in [0, 1], bone bright.
        spacing_mm: Edge of a pixel.
    """

    part: str
    pixels: Array
    spacing_mm: float


class _Sheet:
    """Sums up attenuation in millimetres, x right and y down from the middle of the picture."""

    def __init__(
        self, height_mm: float, width_mm: float, height_px: int, random: np.random.Generator
    ) -> None:
        self.spacing_mm = height_mm / height_px
        row, column = np.mgrid[0:height_px, 0 : int(width_mm / self.spacing_mm)].astype(np.float32)
        self.y = (row + 0.5) * self.spacing_mm - height_mm / 2
        self.x = (column + 0.5) * self.spacing_mm - width_mm / 2
        self.random = random
        self.flesh: Array = np.zeros_like(self.x)
        self.bone: Array = np.zeros_like(self.x)
        noise = random.standard_normal(self.x.shape).astype(np.float32)
        grain = gaussian_filter(noise, 0.25 / self.spacing_mm) - gaussian_filter(noise, 0.8 / self.spacing_mm)
        self.grain = grain / grain.std()

    def limb(self, start: Place, end: Place, widths_mm: Sequence[float]) -> None:
        """Flesh along a line, with these half widths at even steps; where pieces meet, the thicker counts."""
        along, across = self._along(start, end)
        half = self._half_width(along, widths_mm)
        self.flesh = np.maximum(self.flesh, _chord(half, self._beyond(along, across, start, end)))

    def shaft(self, start: Place, end: Place, widths_mm: Sequence[float], bend: float = 0.0) -> None:
        """A long bone: a tube of compact bone, spongy at its ends."""
        along, across = self._along(start, end)
        across = across + bend * 4 * along * (1 - along)
        half = self._half_width(along, widths_mm)
        inside = (along > 0) & (along < 1)
        length_mm = float(np.hypot(end[0] - start[0], end[1] - start[1]))
        to_end_mm = np.minimum(along, 1 - along) * length_mm
        rounded = half * np.sqrt(np.clip(1 - (1 - np.clip(to_end_mm / (0.5 * half), 0, 1)) ** 2, 0, 1))
        middle = np.clip(to_end_mm / (0.16 * length_mm), 0, 1)
        inner = np.clip(rounded - np.maximum(0.7, _SHELL * min(widths_mm) * middle), 1e-3, None)
        outer_mm, inner_mm = _chord(rounded, np.abs(across)), _chord(inner, np.abs(across))
        spongy = SPONGY_PER_MM * (1 - middle) * (1 + 0.25 * self.grain) + MARROW_PER_MM * middle
        self.bone += np.where(inside, (outer_mm - inner_mm) * COMPACT_PER_MM + inner_mm * spongy, 0)

    def lump(self, centre: Place, half_widths_mm: tuple[float, float], turn_degrees: float = 0.0) -> None:
        """A short bone: an ellipse, a thin shell about spongy bone."""
        angle = np.radians(turn_degrees)
        dx, dy = self.x - centre[0], self.y - centre[1]
        across = (np.cos(angle) * dx + np.sin(angle) * dy) / half_widths_mm[0]
        down = (-np.sin(angle) * dx + np.cos(angle) * dy) / half_widths_mm[1]
        radius = np.hypot(across, down)
        depth_mm = 1.5 * min(half_widths_mm) * np.sqrt(np.clip(1 - radius**2, 0, None))
        shell = 0.9 * np.exp(-(((radius - 0.94) / 0.05) ** 2))
        self.bone += depth_mm * SPONGY_PER_MM * (1 + 0.25 * self.grain) + shell * COMPACT_PER_MM

    def exposed(self) -> Array:
        """The picture."""
        attenuation = self.flesh * _FLESH_PER_MM + self.bone * (self.flesh > 0)
        attenuation = gaussian_filter(attenuation.astype(np.float32), 0.4 / self.spacing_mm)
        attenuation *= _EXPOSED / np.quantile(attenuation, 0.99)  # thicker parts get more dose
        return expose(attenuation, self.spacing_mm, Exposure.vary(self.random), self.random)

    def _along(self, start: Place, end: Place) -> tuple[Array, Array]:
        """Place along a line, 0 at its start and 1 at its end, and millimetres across it."""
        dx, dy = end[0] - start[0], end[1] - start[1]
        length = np.hypot(dx, dy)
        along = ((self.x - start[0]) * dx + (self.y - start[1]) * dy) / length**2
        return along, ((self.x - start[0]) * dy - (self.y - start[1]) * dx) / length

    def _beyond(self, along: Array, across: Array, start: Place, end: Place) -> Array:
        """Distance from a line, in millimetres, beyond its ends too."""
        length = np.hypot(end[0] - start[0], end[1] - start[1])
        beyond = np.maximum(np.maximum(-along, along - 1), 0) * length
        return np.asarray(np.hypot(across, beyond), dtype=np.float32)

    @staticmethod
    def _half_width(along: Array, widths_mm: Sequence[float]) -> Array:
        steps = np.linspace(0, 1, len(widths_mm))
        return np.asarray(np.interp(np.clip(along, 0, 1), steps, widths_mm), dtype=np.float32)


def _chord(half_mm: Array, across_mm: Array) -> Array:
    """Path of the beam through a round rod."""
    return np.asarray(2 * np.sqrt(np.clip(half_mm**2 - across_mm**2, 0, None)), dtype=np.float32)


def _lower_leg(sheet: _Sheet, vary: Callable[[float, float], float]) -> None:
    foot = vary(-12, 12)
    sheet.limb((0, -180), (0, 80), [vary(44, 56), vary(42, 52), vary(30, 36), vary(27, 32)])
    sheet.limb((0, 80), (foot, 170), [32, 30, 26])
    sheet.shaft((-6, -180), (-6, 78), [15, 11, 10, 11, 19], vary(-3, 3))
    sheet.shaft((22, -170), (20, 90), [8, 5, 5, 5, 8], vary(-3, 3))
    sheet.lump((0, 92), (18, 12))
    sheet.lump((foot / 2, 120), (15, 20))


def _knee(sheet: _Sheet, vary: Callable[[float, float], float]) -> None:
    sheet.limb((0, -150), (0, 150), [vary(62, 72), vary(50, 58), vary(46, 54), vary(44, 52)])
    sheet.shaft((vary(-8, 8), -150), (0, -3), [14, 14, 17, 34])
    sheet.shaft((0, 3), (vary(-8, 8), 150), [35, 18, 13, 12])
    sheet.shaft((26, 18), (24, 150), [9, 6, 5, 5])
    sheet.lump((0, -26), (19, 20))


def _elbow(sheet: _Sheet, vary: Callable[[float, float], float]) -> None:
    bend = np.radians(vary(0, 95))
    end = (float(140 * np.sin(bend)), float(140 * np.cos(bend)))
    aside = np.array([np.cos(bend), -np.sin(bend)])

    def beside(step_mm: float, share: float = 1.0) -> Place:
        return (float(share * end[0] + step_mm * aside[0]), float(share * end[1] + step_mm * aside[1]))

    sheet.limb((0, -140), (0, 0), [vary(36, 46), vary(32, 38), vary(32, 38)])
    sheet.limb((0, 0), end, [vary(34, 40), vary(32, 38), vary(22, 28)])
    sheet.shaft((0, -140), (0, 2), [10, 9, 9, 12, 24])
    sheet.shaft(beside(9, 0.03), beside(9), [9, 6, 6, 7])
    sheet.shaft(beside(-8, -0.06), beside(-8), [11, 8, 6, 5])


def _forearm(sheet: _Sheet, vary: Callable[[float, float], float]) -> None:
    sheet.limb((0, -130), (0, 130), [vary(38, 44), vary(34, 40), vary(24, 30)])
    sheet.shaft((-11, -140), (-13, 140), [8, 7, 7, 8], vary(-5, 0))
    sheet.shaft((11, -140), (12, 140), [8, 6, 6, 5], vary(0, 5))


def _foot(sheet: _Sheet, vary: Callable[[float, float], float]) -> None:
    toes = [(-28.0, -86.0), (-12.0, -92.0), (1.0, -86.0), (13.0, -77.0), (24.0, -66.0)]
    sheet.limb((0, -22), (4, 105), [vary(34, 38), vary(33, 38), vary(27, 32)])
    for number, (x, top) in enumerate(toes):
        wide, lean = (10.0 if number == 0 else 5.5), vary(-3, 3)
        sheet.limb((0.9 * x, -35), (x + lean, top + vary(-3, 3)), [wide + 4, wide + 1.5, wide])
        joint, base = top + (28 if number == 0 else 20), -2.0 + 3 * number
        sheet.shaft((x + lean, top + 3), (x, top + 15), [0.5 * wide, 0.35 * wide, 0.6 * wide])
        sheet.shaft((x, top + 16), (0.95 * x, joint + 6), [0.55 * wide, 0.4 * wide, 0.7 * wide])
        sheet.shaft(
            (0.95 * x, joint + 8), (0.62 * x, base), [0.75 * wide, 0.45 * wide, 0.5 * wide, 0.8 * wide]
        )
    for x, y, across, down in (
        (-16, 12, 9, 8),
        (-3, 11, 7, 8),
        (7, 11, 7, 8),
        (16, 24, 9, 12),
        (-9, 30, 13, 9),
    ):
        sheet.lump((x, y), (across, down), vary(-15, 15))
    sheet.lump((-4, 56), (16, 18))
    sheet.lump((6, 92), (17, 26))


def _skull(sheet: _Sheet, vary: Callable[[float, float], float]) -> None:
    sheet.limb((0, -40), (0, 10), [vary(78, 86), vary(74, 82)])
    sheet.limb((0, 20), (0, 95), [66, vary(44, 52)])
    sheet.limb((0, 90), (0, 170), [44, 46])
    for half, shell in ((80.0, 5.0), (74.0, 2.0)):
        radius = np.hypot(sheet.x / half, (sheet.y + 20) / (half * 1.15))
        sheet.bone += 7 * COMPACT_PER_MM * shell * np.exp(-(((radius - 0.96) / 0.03) ** 2))
    for side in (-1, 1):
        sheet.lump((side * 33, 32), (20, 18))
        sheet.shaft((side * 52, 40), (side * 18, 104), [7, 9, 9])
    for level in range(4):
        sheet.lump((0, 105 + 17 * level), (17, 7))


PARTS: dict[str, tuple[Callable[[_Sheet, Callable[[float, float], float]], None], float, float]] = {
    "lower leg and ankle": (_lower_leg, 300.0, 170.0),
    "knee": (_knee, 260.0, 190.0),
    "elbow": (_elbow, 300.0, 260.0),
    "forearm": (_forearm, 240.0, 150.0),
    "foot": (_foot, 230.0, 130.0),
    "skull": (_skull, 280.0, 220.0),
}
"""How each part is drawn, and the height and width of its picture in millimetres."""


def draw_limb(part: str, *, seed: int, height_px: int = 640) -> PhantomLimb:
    """Draw a part of the body that is no hand.

    Args:
        part: Key of ``PARTS``.
        seed: The same seed draws the same picture.
        height_px: Height of the picture; its width follows from the part.

    Raises:
        KeyError: For a part that is not drawn.
    """
    draw, height_mm, width_mm = PARTS[part]
    random = np.random.default_rng(seed)
    sheet = _Sheet(height_mm, width_mm, height_px, random)
    draw(sheet, lambda low, high: float(random.uniform(low, high)))
    return PhantomLimb(part, sheet.exposed(), sheet.spacing_mm)
