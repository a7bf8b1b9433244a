"""Rasters for the age networks, cut from a radiograph by its hand mask and key points."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from .framing import Frame, Grey, stretch
from .manifest import AgeMember, Region
from .registration import Placement, Points
from .segmentation import Mask, box_around, contour

_HALO = 0.02
_LEAST_PIXELS = 16


@dataclass(frozen=True)
class FoundHand:
    """A hand found in its radiograph.

    Attributes:
        image: The working image, shape (height, width), float32, bone bright.
        mask: The hand's pixels, same shape.
        points_px: Key points in the working image.
        scale: Working image pixels per pixel of the radiograph.
    """

    image: Grey
    mask: Mask
    points_px: Points
    scale: float

    @property
    def placement(self) -> Placement:
        """The method's frame laid on the working image."""
        return Placement.of_points(self.points_px)

    @property
    def length_px(self) -> float:
        """Tip of the middle finger to capitate, in the working image."""
        return float(np.linalg.norm(self.points_px[0] - self.points_px[2]))

    @cached_property
    def near(self) -> Grey:
        """1 on the hand, falling to 0 over a narrow halo around it, of the mask's shape."""
        reach_px = max(1.0, _HALO * self.length_px)
        around = box_around(self.mask, 2 * reach_px)
        near = np.zeros(self.mask.shape, dtype=np.float32)
        distance_px = ndimage.distance_transform_edt(~self.mask[around])
        near[around] = np.clip(2 - distance_px / reach_px, 0, 1)
        return near

    @cached_property
    def contour(self) -> npt.NDArray[np.float64]:
        """The mask's outer contour, shape (n, 2), (x, y) in the working image (``segmentation.contour``)."""
        return contour(self.mask)

    def in_radiograph(self, points_px: Points) -> Points:
        """Points of the working image in the radiograph's pixels, pixel centres at integers."""
        return np.asarray((points_px + 0.5) / self.scale - 0.5, dtype=np.float32)


def cut_region(hand: FoundHand, region: Region, height_px: int, width_px: int, margin: float = 0.0) -> Grey:
    """A region of the registered hand, contrast normalised to its own grey values.

    Args:
        hand: The hand.
        region: Box in the method's frame.
        height_px: Height of the raster.
        width_px: Width of the raster.
        margin: Share by which the box is enlarged about its centre, for training to move in. The contrast is
            that of the box itself, whatever the margin.

    Returns:
        Shape (height_px, width_px), float32 in [0, 1]; 0 outside the hand and a narrow halo around it, so
        that markers, notes and collimator edges are not seen.
    """
    larger = 1 + margin
    own = _cut(hand, region, round(height_px / larger), round(width_px / larger))
    shown = own if margin == 0 else _cut(hand, _enlarged(region, margin), height_px, width_px)
    values = own.grey[own.near > 0.99]
    if values.size < _LEAST_PIXELS:
        return np.zeros_like(shown.grey)
    low, high = np.percentile(values, [2, 99.5])
    return np.asarray(stretch(shown.grey, float(low), float(high)) * shown.near, dtype=np.float32)


class _Cut(NamedTuple):
    """A box's grey values and nearness to the hand, each of shape (height_px, width_px)."""

    grey: Grey
    near: Grey


def _cut(hand: FoundHand, box: Region, height_px: int, width_px: int) -> _Cut:
    raster = hand.placement.region(box.left, box.top, box.width, box.height, width_px, height_px)
    return _Cut(*raster.cut(np.stack([hand.image, hand.near]), height_px, width_px))


def _enlarged(box: Region, margin: float) -> Region:
    return Region(
        left=box.left - margin / 2 * box.width,
        top=box.top - margin / 2 * box.height,
        width=box.width * (1 + margin),
        height=box.height * (1 + margin),
    )


def region_corners(region: Region) -> npt.NDArray[np.float64]:
    """Corners of a region in the method's frame, shape (4, 2), in order around it."""
    right, bottom = region.left + region.width, region.top + region.height
    return np.array([[region.left, region.top], [right, region.top], [right, bottom], [region.left, bottom]])


def whole_radiograph(hand: FoundHand, height_px: int, width_px: int, margin: float = 0.0) -> Grey:
    """The radiograph with bone bright, neither masked nor registered, zero beside it.

    Args:
        hand: The hand in it.
        height_px: Height of the raster.
        width_px: Width of the raster.
        margin: Share of the image's size that is shown beside it, for training to move in.

    Returns:
        Shape (height_px, width_px), float32.
    """
    height, width = hand.image.shape
    return Frame.around((0, 0, width, height), height_px, width_px, margin).cut(hand.image)


def member_raster(member: AgeMember, hand: FoundHand, margin: float = 0.0) -> Grey:
    """Raster of a hand for a member, shape (height_px, width_px); with a margin, enlarged by that share."""
    height_px, width_px = (round(side * (1 + margin)) for side in (member.height_px, member.width_px))
    if member.region is None:
        return whole_radiograph(hand, height_px, width_px, margin)
    return cut_region(hand, member.region, height_px, width_px, margin)
