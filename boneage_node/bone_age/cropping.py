"""From a radiograph, its hand mask and its key points to the rasters the age networks read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

from .framing import Frame, Grey, stretch, working_image
from .manifest import Region
from .registration import Placement, Points
from .segmentation import Mask

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

    @cached_property
    def near(self) -> Grey:
        """1 on the hand, falling to 0 over a narrow halo around it, of the mask's shape."""
        length_px = float(np.linalg.norm(self.points_px[0] - self.points_px[2]))
        distance_px = ndimage.distance_transform_edt(~self.mask)
        return np.asarray(np.clip(2 - distance_px / max(1.0, _HALO * length_px), 0, 1), dtype=np.float32)

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
        margin: Share by which box and raster are enlarged about their centre, for training to move in.

    Returns:
        Shape (height_px, width_px), float32 in [0, 1]; 0 outside the hand and a narrow halo around it, so
        that markers, notes and collimator edges are not seen.
    """
    left = region.left - margin / 2 * region.width
    top = region.top - margin / 2 * region.height
    raster = hand.placement.region(
        left, top, region.width * (1 + margin), region.height * (1 + margin), width_px, height_px
    )
    grey = raster.cut(hand.image, height_px, width_px)
    hand_px = raster.cut(hand.near, height_px, width_px)
    values = grey[hand_px > 0.99]
    if values.size < _LEAST_PIXELS:
        return np.zeros_like(grey)
    low, high = np.percentile(values, [2, 99.5])
    return np.asarray(stretch(grey, float(low), float(high)) * hand_px, dtype=np.float32)


def whole_radiograph(pixels: Grey, height_px: int, width_px: int) -> Grey:
    """The radiograph as it is, neither masked nor registered, shape (height_px, width_px), zero beside it."""
    image, _ = working_image(pixels)
    height, width = image.shape
    return Frame.around((0, 0, width, height), height_px, width_px).cut(image)
