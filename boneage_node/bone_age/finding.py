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
from .registration import LEAST_LENGTH_PX, find_points, hand_length_px, locate_points
from .segmentation import Mask, box_around, largest_component, refuse_implausible, segment
from .shape import (
    UsualHand,
    beyond_frame,
    beyond_frame_share,
    fingers_at_border,
    second_component,
    second_component_share,
)
from .words import ReasonCode, Refusal

_RIM = 0.02
_PERHAPS_A_HAND = 0.6
"""From this share of the overlap that a hand to read must have, a second thing counts as a hand, too."""
_LEAST_SIDE_PX = 32
_EVEN = 0.08
"""Range of greys along an even border, as a share of that of the image."""
_EVEN_OVER_PX = 5
_FIELD_MARGIN = 0.01
_NEARLY_ALL = 0.8


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

        What is refused is looked at once more without what surrounds the exposed field: a small hand in a
        wide collimator is found there.

        Args:
            pixels: Shape (height, width), float32 in [0, 1].

        Raises:
            Refusal: ``NO_HAND_FOUND``, ``SEVERAL_HANDS`` or ``IMPLAUSIBLE_HAND``.
        """
        if min(pixels.shape) < _LEAST_SIDE_PX or not np.isfinite(pixels).all():
            raise Refusal(ReasonCode.NO_HAND_FOUND, f"{pixels.shape[1]} x {pixels.shape[0]} pixels")
        image, scale = working_image(pixels)
        try:
            return self._look(image, scale)
        except Refusal as refusal:
            box = exposed_box(image)
            if box is None:
                raise
            try:
                return within(image, box, self._look(image[box], scale))
            except Refusal:
                raise refusal from None

    def _look(self, image: Grey, scale: float) -> FoundHand:
        mask, hand_pixels = segment(self.segmentation, image, self.device)
        if self.usual is None or self.limits is None:
            return self._registered(image, mask, scale)
        share = second_component_share(hand_pixels)
        if share > self.limits.second_component:
            self._refuse_second_hand(image, second_component(hand_pixels), share, self.usual, self.limits)
        hand = self._registered(image, mask, scale)
        self._refuse_unusual(hand, self.usual, self.limits)
        return hand

    def _registered(self, image: Grey, mask: Mask, scale: float) -> FoundHand:
        image = bone_bright(image, mask)
        return FoundHand(image, mask, find_points(self.registration, image, mask, self.device), scale)

    def _refuse_second_hand(
        self, image: Grey, mask: Mask, share: float, usual: UsualHand, limits: Plausibility
    ) -> None:
        """Raise ``SEVERAL_HANDS`` where a mask beside the hand's has the shape of a hand, too."""
        mask = largest_component(mask)
        image = bone_bright(image, mask)
        try:
            refuse_implausible(mask)
            points_px, _ = locate_points(self.registration, image, mask, self.device)
        except Refusal:
            return
        if hand_length_px(points_px) < LEAST_LENGTH_PX:
            return
        overlap = usual.overlap(FoundHand(image, mask, points_px, 1.0))
        if overlap >= _PERHAPS_A_HAND * limits.overlap:
            raise Refusal(ReasonCode.SEVERAL_HANDS, f"the smaller has {share:.0%} of the larger one's size")

    def _refuse_unusual(self, hand: FoundHand, usual: UsualHand, limits: Plausibility) -> None:
        beyond = beyond_frame_share(hand)
        if beyond > limits.second_component:  # perhaps two hands that touch
            self._refuse_second_hand(hand.image, beyond_frame(hand), beyond, usual, limits)
            raise Refusal(
                ReasonCode.IMPLAUSIBLE_HAND, f"something else of {beyond:.0%} of its size touches the hand"
            )
        fingers = fingers_at_border(hand)
        if fingers > limits.fingers_at_border:
            raise Refusal(ReasonCode.IMPLAUSIBLE_HAND, f"the image's border cuts through {fingers} fingers")
        for part, share in usual.missing(hand).items():
            if share > getattr(limits.missing, part):
                raise Refusal(
                    ReasonCode.IMPLAUSIBLE_HAND, f"the image's border cuts off {share:.0%} of the {part}"
                )
        overlap = usual.overlap(hand)
        if overlap < limits.overlap:
            raise Refusal(
                ReasonCode.IMPLAUSIBLE_HAND, f"its shape overlaps that of the usual hand by {overlap:.0%}"
            )


def exposed_box(image: Grey) -> tuple[slice, slice] | None:
    """Rows and columns of what is left of an image without its even borders; None where that is nearly all.

    A collimator, a shutter or padding leaves borders of one grey, bright or dark.
    """
    coarse = ndimage.uniform_filter(image, _EVEN_OVER_PX)
    low, high = np.percentile(coarse, [1, 99])
    sides = []
    for axis in (0, 1):
        varied = np.flatnonzero(np.ptp(coarse, axis=1 - axis) > _EVEN * max(high - low, 1e-6))
        if not len(varied):
            return None
        margin_px = _FIELD_MARGIN * image.shape[axis]
        first, last = varied[0] - margin_px, varied[-1] + margin_px
        sides.append(slice(max(0, int(first)), min(image.shape[axis], int(last) + 1)))
    rows, columns = sides
    height_px, width_px = rows.stop - rows.start, columns.stop - columns.start
    if min(height_px, width_px) < _LEAST_SIDE_PX or height_px * width_px > _NEARLY_ALL * image.size:
        return None
    return rows, columns


def within(image: Grey, box: tuple[slice, slice], hand: FoundHand) -> FoundHand:
    """A hand that was found in a box of an image, in the whole image."""
    mask = np.zeros(image.shape, dtype=np.bool_)
    mask[box] = hand.mask
    whole = np.full(image.shape, hand.image.min(), dtype=np.float32)
    whole[box] = hand.image
    corner_px = np.array([box[1].start, box[0].start], dtype=np.float32)
    return FoundHand(whole, mask, hand.points_px + corner_px, hand.scale)


def bone_bright(image: Grey, mask: Mask) -> Grey:
    """The image with its grey values inverted where bone is dark."""
    return image.max() + image.min() - image if bone_is_dark(image, mask) else image


def bone_is_dark(image: Grey, mask: Mask) -> bool:
    """Whether grey values are inverted: a hand attenuates, so its rim is brighter than the air beside it."""
    rim_px = max(2.0, _RIM * max(image.shape))
    near = box_around(mask, rim_px)
    image, mask = image[near], mask[near]  # what is further away does not count, and takes time
    outside_px = ndimage.distance_transform_edt(~mask)
    inside_px = ndimage.distance_transform_edt(mask)
    inner = image[(inside_px > 0) & (inside_px <= rim_px)]
    outer = image[(outside_px > 0) & (outside_px <= rim_px)]
    return bool(outer.size) and float(np.median(inner)) < float(np.median(outer))
