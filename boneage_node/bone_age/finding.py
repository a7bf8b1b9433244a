"""Search for the hand in the pixels of a radiograph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from .cropping import FoundHand
from .framing import Grey, working_image
from .manifest import Plausibility
from .networks import HandUNet, KeyPointVgg
from .registration import find_points
from .segmentation import Mask, segment
from .shape import UsualHand, beyond_frame_share, cut_off_share, second_component_share
from .words import ReasonCode, Refusal

_RIM = 0.02
_LEAST_SIDE_PX = 32


@dataclass(frozen=True)
class HandFinder:
    """Finds the one hand of a radiograph, of either polarity and in any rotation.

    Attributes:
        segmentation: Hand-mask network in evaluation mode on ``device``.
        registration: Key-point network, likewise.
        device: Where to compute.
        usual: The usual hand's shape; None leaves out the checks on shape, as when it is yet to be learned.
        limits: What is still plausible; needed where ``usual`` is given.
    """

    segmentation: HandUNet
    registration: KeyPointVgg
    device: torch.device
    usual: UsualHand | None = None
    limits: Plausibility | None = None

    def find(self, pixels: Grey) -> FoundHand:
        """The hand in a radiograph.

        Args:
            pixels: Shape (height, width), float32 in [0, 1].

        Raises:
            Refusal: ``NO_HAND_FOUND``, ``SEVERAL_HANDS`` or ``IMPLAUSIBLE_HAND``.
        """
        if min(pixels.shape) < _LEAST_SIDE_PX or not np.isfinite(pixels).all():
            raise Refusal(ReasonCode.NO_HAND_FOUND, f"{pixels.shape[1]} x {pixels.shape[0]} pixels")
        image, scale = working_image(pixels)
        mask, hand_pixels = segment(self.segmentation, image, self.device)
        checks = self.limits if self.usual is not None else None
        if checks is not None and second_component_share(hand_pixels) > checks.second_component:
            raise Refusal(ReasonCode.SEVERAL_HANDS)
        if bone_is_dark(image, mask):
            image = image.max() + image.min() - image
        points_px = find_points(self.registration, image, mask, self.device)
        hand = FoundHand(image, mask, points_px, scale)
        if self.usual is not None and self.limits is not None:
            self._refuse_unusual(hand, self.usual, self.limits)
        return hand

    @staticmethod
    def _refuse_unusual(hand: FoundHand, usual: UsualHand, limits: Plausibility) -> None:
        if beyond_frame_share(hand) > limits.second_component:  # two hands that touch
            raise Refusal(ReasonCode.SEVERAL_HANDS)
        overlap = usual.overlap(hand)
        if overlap < limits.overlap:
            raise Refusal(
                ReasonCode.IMPLAUSIBLE_HAND, f"its shape overlaps that of the usual hand by {overlap:.0%}"
            )
        cut_off = cut_off_share(hand)
        if cut_off > limits.cut_off:
            raise Refusal(ReasonCode.IMPLAUSIBLE_HAND, "the image's border cuts the hand off")


def bone_is_dark(image: Grey, mask: Mask) -> bool:
    """Whether grey values are inverted: a hand attenuates, so its rim is brighter than the air beside it."""
    rim_px = max(2.0, _RIM * max(image.shape))
    near = tuple(
        slice(max(0, int(edges[0] - rim_px) - 1), int(edges[-1] + rim_px) + 2)
        for edges in (np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0)))
    )
    image, mask = image[near], mask[near]  # what is further away does not count, and takes time
    outside_px = ndimage.distance_transform_edt(~mask)
    inside_px = ndimage.distance_transform_edt(mask)
    inner = image[(inside_px > 0) & (inside_px <= rim_px)]
    outer = image[(outside_px > 0) & (outside_px <= rim_px)]
    return bool(outer.size) and float(np.median(inner)) < float(np.median(outer))
