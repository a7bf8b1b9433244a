"""Three key points, and the map they fix between a radiograph and the method's frame.

Source: Iglovikov et al., doi 10.1101/234120: the middle finger straight above the capitate, all hands of one
length, the thumb always on the same side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from .framing import Grey, sample
from .networks import KeyPointVgg
from .segmentation import Mask, input_planes
from .words import ReasonCode, Refusal

Points = npt.NDArray[np.float32]
"""Tip of the middle finger, tip of the thumb, centre of the capitate: shape (3, 2), (x, y) in pixels."""

POINT_NAMES = ("middle_tip", "thumb_tip", "capitate")

FRAME_HEIGHT, FRAME_WIDTH = 2080, 1600
TIP_AT = np.array([800.0, 100.0])
CAPITATE_AT = np.array([800.0, 1600.0])
HAND_LENGTH = float(CAPITATE_AT[1] - TIP_AT[1])
"""Tip of the middle finger to capitate, in the frame's units."""

SIDE_PX = 128
"""Side of the square that the key-point network sees."""

NEAR_SIDE = 1.5 * HAND_LENGTH
"""Side, in the frame's units, of the square that is looked at once the hand is roughly known."""

LEAST_LENGTH_PX = 8.0
"""With tip and capitate closer than this there is no telling how a hand lies."""

_HAND_CENTRE = (TIP_AT + CAPITATE_AT) / 2
_PLAUSIBLE_THUMB_REACH = (0.08, 0.75)
_PLAUSIBLE_THUMB_HEIGHT = (-0.15, 0.85)
_SURE_SPREAD = 0.075
_LOOKS = 4
_GRID_PX = 1 / 16
_STILL = 0.03
_PLAUSIBLE_MOVE = 0.15
_MASK_TOLERANCE = 0.1


@dataclass(frozen=True)
class Placement:
    """An affine map from a plane of our own (a frame, a raster) into an image.

    Attributes:
        matrix: Shape (2, 3): image (x, y) = matrix @ (x, y, 1), pixel centres at integers in the image.
    """

    matrix: npt.NDArray[np.float64]

    @classmethod
    def of_points(cls, points_px: Points) -> Placement:
        """The frame laid on a hand: tip and capitate at their places, the thumb on its right."""
        tip, thumb, capitate = points_px.astype(np.float64)
        down = (capitate - tip) / HAND_LENGTH
        across = np.array([down[1], -down[0]])
        if (thumb - capitate) @ across < 0:
            across = -across
        return cls._through(np.stack([across, down], axis=1), CAPITATE_AT, capitate)

    @classmethod
    def of_box(cls, centre_px: npt.NDArray[np.float64], side_px: float, turn_degrees: float) -> Placement:
        """A square of ``SIDE_PX`` laid on an image about a centre, turned about it."""
        angle = np.radians(turn_degrees)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        middle = np.full(2, (SIDE_PX - 1) / 2)
        return cls._through(turn * (side_px / SIDE_PX), middle, centre_px)

    @classmethod
    def _through(
        cls,
        linear: npt.NDArray[np.float64],
        here: npt.NDArray[np.float64],
        in_image: npt.NDArray[np.float64],
    ) -> Placement:
        """The map with this linear part that takes the point ``here`` to ``in_image``."""
        return cls(np.column_stack([linear, in_image - linear @ here]))

    def region(
        self, left: float, top: float, width: float, height: float, width_px: int, height_px: int
    ) -> Placement:
        """The map of a raster that shows a box of this plane."""
        step = np.diag([width / width_px, height / height_px])
        corner = np.array([left, top]) + 0.5 * np.diag(step) - 0.5
        linear = self.matrix[:, :2]
        return Placement(np.column_stack([linear @ step, linear @ corner + self.matrix[:, 2]]))

    def to_image(self, points: npt.NDArray[np.floating]) -> Points:
        """Points (n, 2) of this plane in the image's pixels."""
        return np.asarray(points @ self.matrix[:, :2].T + self.matrix[:, 2], dtype=np.float32)

    def from_image(self, points_px: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Points (n, 2) of the image in this plane."""
        inverse = np.linalg.inv(self.matrix[:, :2])
        return np.asarray((points_px - self.matrix[:, 2]) @ inverse.T, dtype=np.float64)

    def cut(self, image: Grey, height_px: int, width_px: int) -> Grey:
        """Cut the raster of this map out of an image, or of several planes, as ``framing.sample`` does."""
        return sample(image, self.matrix, height_px, width_px)


def find_points(network: KeyPointVgg, image: Grey, mask: Mask, device: torch.device) -> Points:
    """The three key points of the hand that a mask marks, in any rotation (``locate_points``).

    Args:
        network: Trained network in evaluation mode on ``device``.
        image: Shape (height, width), float32.
        mask: The hand's pixels, same shape.
        device: Where to compute.

    Returns:
        Points in the image's pixels.

    Raises:
        Refusal: ``IMPLAUSIBLE_HAND`` where the points do not lie as those of one hand do, or not on the mask.
    """
    found, before = locate_points(network, image, mask, device)
    refuse_implausible_points(found, before, mask)
    return found


def locate_points(
    network: KeyPointVgg, image: Grey, mask: Mask, device: torch.device
) -> tuple[Points, Points]:
    """Where the three key points would be if a mask marked a hand, and where the look before saw them.

    The hand is looked at as it lies and, unless that is sure, also turned by quarters; the surest look says
    roughly how it lies. It is then looked at upright and of one size, as it is and mirrored, and the mean of
    both taken, again from there until the points keep still.

    Raises:
        Refusal: ``IMPLAUSIBLE_HAND`` where the hand would lie outside the image.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    centre = np.array([columns[0] + columns[-1], rows[0] + rows[-1]]) / 2
    side = 1.1 * max(columns[-1] - columns[0], rows[-1] - rows[0], 1)
    planes = np.stack([image, np.ones_like(image)])
    points, spread = _look(network, planes, [Placement.of_box(centre, side, 0)], device)
    if spread[0] > _SURE_SPREAD:
        turned = [Placement.of_box(centre, side, turn) for turn in (90, 180, 270)]
        more = _look(network, planes, turned, device)
        points, spread = np.concatenate([points, more[0]]), np.concatenate([spread, more[1]])
    found = _on_grid(points[int(np.argmin(spread))])
    for _ in range(_LOOKS):
        placement, before = Placement.of_points(found), found
        near = [near_square(placement), near_square(placement, mirrored=True)]
        found = _on_grid(_look(network, planes, near, device)[0].mean(axis=0, dtype=np.float32))
        if _move(before, found) < _STILL:
            break
    return found, before


def _on_grid(points_px: Points) -> Points:
    """Points rounded to a grid.

    The contrast of what is looked at next is equalised, which makes a visible difference of an invisible one:
    without the grid, the last bits of a sum would move the points by up to a pixel from look to look.
    """
    return np.asarray(np.round(points_px / _GRID_PX) * _GRID_PX, dtype=np.float32)


def near_square(placement: Placement, *, mirrored: bool = False) -> Placement:
    """The raster of ``SIDE_PX`` that shows a registered hand whole, upright, and of one size."""
    left, top = _HAND_CENTRE - NEAR_SIDE / 2
    if mirrored:
        return placement.region(left + NEAR_SIDE, top, -NEAR_SIDE, NEAR_SIDE, SIDE_PX, SIDE_PX)
    return placement.region(left, top, NEAR_SIDE, NEAR_SIDE, SIDE_PX, SIDE_PX)


def hand_length_px(points_px: Points) -> float:
    """Tip of the middle finger to capitate, in pixels."""
    tip, _, capitate = points_px.astype(np.float64)
    return float(np.linalg.norm(tip - capitate))


def refuse_implausible_points(points_px: Points, before_px: Points, mask: Mask) -> None:
    """Raise ``IMPLAUSIBLE_HAND`` where three points are not those of one hand, or are not on its mask."""
    length = hand_length_px(points_px)
    if length < LEAST_LENGTH_PX:
        raise Refusal(ReasonCode.IMPLAUSIBLE_HAND, "finger and wrist were found in one place")
    if _move(before_px, points_px) > _PLAUSIBLE_MOVE:
        raise Refusal(ReasonCode.IMPLAUSIBLE_HAND, "two looks at the hand found it in different places")
    frame = Placement.of_points(points_px).from_image(points_px)
    reach, height = (frame[1] - CAPITATE_AT) * [1, -1] / HAND_LENGTH
    if not (
        _PLAUSIBLE_THUMB_REACH[0] <= reach <= _PLAUSIBLE_THUMB_REACH[1]
        and _PLAUSIBLE_THUMB_HEIGHT[0] <= height <= _PLAUSIBLE_THUMB_HEIGHT[1]
    ):
        raise Refusal(ReasonCode.IMPLAUSIBLE_HAND, "the thumb is not where a thumb is")
    for name, point in zip(POINT_NAMES, points_px, strict=True):
        if not _is_near(mask, point, _MASK_TOLERANCE * length):
            name = name.replace("_", " ")
            raise Refusal(ReasonCode.IMPLAUSIBLE_HAND, f"the {name} lies outside the hand that was found")


def _move(before_px: Points, points_px: Points) -> float:
    """Greatest distance between two looks at a point, in lengths of the hand."""
    length_px = float(np.linalg.norm(points_px[0] - points_px[2]))
    return float(np.linalg.norm(points_px - before_px, axis=1).max()) / max(length_px, 1.0)


def _is_near(mask: Mask, point_px: npt.NDArray[np.floating], reach_px: float) -> bool:
    """Whether a pixel of a mask lies within reach of a point."""
    left, top = (max(0, math.ceil(place - reach_px)) for place in point_px)
    right, bottom = (max(0, math.floor(place + reach_px) + 1) for place in point_px)
    rows, columns = np.nonzero(mask[top:bottom, left:right])
    return bool((np.hypot(columns + left - point_px[0], rows + top - point_px[1]) <= reach_px).any())


def _look(
    network: KeyPointVgg, planes: Grey, looks: Sequence[Placement], device: torch.device
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Points in the image's pixels, shape (n, 3, 2), and how widely each look spreads, shape (n,).

    The planes, shape (2, height, width), are the image and, to tell what lies beyond it, ones.
    """
    squares = []
    for look in looks:
        grey, inside = look.cut(planes, SIDE_PX, SIDE_PX)
        if not (inside > 0.5).any():
            raise Refusal(ReasonCode.IMPLAUSIBLE_HAND, "the hand would lie outside the image")
        squares.append(input_planes(grey, inside > 0.5))
    with torch.inference_mode():
        heat = network(torch.from_numpy(np.stack(squares)).to(device)).float()
        points, spread = expected_points(heat)
    found = points.cpu().numpy() * SIDE_PX - 0.5
    in_image = [look.to_image(p) for look, p in zip(looks, found, strict=True)]
    return np.stack(in_image), spread.amax(dim=1).cpu().numpy()


def expected_points(heat: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Expectation and spread of heat maps (Nibali et al. 2018, arXiv 1801.07372).

    Args:
        heat: Logits, shape (n, 3, h, w).

    Returns:
        (x, y) as shares of the side, shape (n, 3, 2), and their standard deviation, shape (n, 3).
    """
    count, points, height, width = heat.shape
    share = heat.flatten(2).softmax(dim=2).view(count, points, height, width)
    x = (torch.arange(width, device=heat.device) + 0.5) / width
    y = (torch.arange(height, device=heat.device) + 0.5) / height
    columns, rows = share.sum(dim=2), share.sum(dim=3)
    # Sums, not matrix products: autocast would round those to eight bits.
    mean_x, mean_y = (columns * x).sum(dim=2), (rows * y).sum(dim=2)
    variance = (columns * x**2).sum(dim=2) - mean_x**2 + (rows * y**2).sum(dim=2) - mean_y**2
    return torch.stack([mean_x, mean_y], dim=2), variance.clamp(min=0).sqrt()
