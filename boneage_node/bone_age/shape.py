"""Whether a registered mask has the shape of a hand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import nn

from .cropping import FoundHand
from .registration import FRAME_HEIGHT, FRAME_WIDTH
from .segmentation import Mask

HEIGHT, WIDTH = 52, 40
"""The frame at a fortieth of its size."""

PARTS = {"fingers": (0, 700), "palm": (700, 1300), "wrist": (1300, 1975)}
"""From where to where each part of the hand reaches down the method's frame."""

_BETWEEN_TIPS_AND_KNUCKLES = slice(6, 22)
_FINGER = 0.03
"""Least width of a finger, in lengths of the hand."""


class UsualHand(nn.Module):
    """The mean of registered hand masks: how often each place of the frame is hand."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("share", torch.zeros(HEIGHT, WIDTH))

    def learn(self, masks: npt.NDArray[np.uint8]) -> None:
        """Take the mean of registered masks, shape (n, HEIGHT, WIDTH), uint8 with 255 for hand."""
        self.share = torch.from_numpy(masks.mean(axis=0, dtype=np.float64) / 255).float()

    def overlap(self, hand: FoundHand) -> float:
        """Soft intersection over union of a hand's registered mask with the usual one in the image, 0 to 1.

        What of the usual hand would lie beyond the image's border does not count.
        """
        return self.overlap_of(registered_mask(hand), registered_image(hand))

    def overlap_of(
        self, mask: npt.NDArray[np.float32], image: npt.NDArray[np.float32] | None = None
    ) -> float:
        """As ``overlap``, of a registered mask of shape (HEIGHT, WIDTH), 0 to 1; by default all is image."""
        usual = self._usual if image is None else self._usual * image
        union = float(np.maximum(mask, usual).sum())
        return float(np.minimum(mask, usual).sum()) / union if union else 0.0

    def missing(self, hand: FoundHand) -> dict[str, float]:
        """Share of each of ``PARTS`` of the usual hand that would lie beyond the image's border."""
        beyond = self._usual * (1 - registered_image(hand))
        rows = {
            part: slice(round(top * HEIGHT / FRAME_HEIGHT), round(bottom * HEIGHT / FRAME_HEIGHT))
            for part, (top, bottom) in PARTS.items()
        }
        return {part: float(beyond[own].sum() / self._usual[own].sum()) for part, own in rows.items()}

    @property
    def _usual(self) -> npt.NDArray[np.float32]:
        return np.asarray(self.share.float().cpu().numpy(), dtype=np.float32)


def registered_mask(hand: FoundHand) -> npt.NDArray[np.float32]:
    """A hand's mask in the method's frame, shape (HEIGHT, WIDTH), 0 to 1."""
    return _registered(hand, hand.mask.astype(np.float32))


def registered_image(hand: FoundHand) -> npt.NDArray[np.float32]:
    """Where the method's frame lies on the image, shape (HEIGHT, WIDTH), 0 to 1."""
    return _registered(hand, np.ones_like(hand.image))


def _registered(hand: FoundHand, plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    raster = hand.placement.region(0, 0, FRAME_WIDTH, FRAME_HEIGHT, WIDTH, HEIGHT)
    return raster.cut(plane, HEIGHT, WIDTH)


def fingers_apart(hand: FoundHand) -> int:
    """Greatest number of strips of the hand side by side between fingertips and knuckles."""
    strips = np.pad(registered_mask(hand)[_BETWEEN_TIPS_AND_KNUCKLES] > 0.5, ((0, 0), (1, 1))).astype(np.int8)
    return int((np.diff(strips, axis=1) == 1).sum(axis=1).max())


def fingers_at_border(hand: FoundHand) -> int:
    """How many strips of the hand lie on the image's border beyond the knuckles, each as wide as a finger."""
    border = _border(hand.mask)
    rows, columns = border[hand.mask[tuple(border.T)]].T
    if not len(rows):
        return 0
    places = hand.placement.from_image(np.stack([columns, rows], axis=1))
    beyond_knuckles = np.zeros_like(hand.mask)
    chosen = places[:, 1] < PARTS["fingers"][1]
    beyond_knuckles[rows[chosen], columns[chosen]] = True
    labels, count = ndimage.label(beyond_knuckles, np.ones((3, 3)))
    widths_px = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    return int((widths_px >= _FINGER * hand.length_px).sum())


def _border(mask: Mask) -> npt.NDArray[np.intp]:
    """(row, column) of the pixels along the image's border, shape (n, 2)."""
    edge = np.ones_like(mask)
    edge[1:-1, 1:-1] = False
    return np.argwhere(edge)


def beyond_frame(hand: FoundHand) -> Mask:
    """What of the mask lies beside or above the method's frame, forearm left out."""
    rows, columns, beside, _ = _frame_sides(hand)
    beyond = np.zeros_like(hand.mask)
    beyond[rows[beside], columns[beside]] = True
    return beyond


def beyond_frame_share(hand: FoundHand) -> float:
    """Size of what lies beyond the frame (``beyond_frame``) as a share of the hand in it."""
    _, _, beside, before_forearm = _frame_sides(hand)
    beyond = int(beside.sum())
    return beyond / max(1, int(before_forearm.sum()) - beyond)


def _frame_sides(hand: FoundHand) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Mask, Mask]:
    """Rows and columns of the mask's pixels, which lie beside or above the frame, which before its end."""
    rows, columns = np.nonzero(hand.mask)
    x, y = hand.placement.from_image(np.stack([columns, rows], axis=1)).T
    before_forearm = y < FRAME_HEIGHT
    return rows, columns, ((x < 0) | (x > FRAME_WIDTH) | (y < 0)) & before_forearm, before_forearm


def second_component(hand_pixels: Mask) -> Mask:
    """The second largest connected component; empty where there is none."""
    labels, count = ndimage.label(hand_pixels)
    if count < 2:
        return np.zeros_like(hand_pixels)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == np.argsort(sizes)[-2], dtype=np.bool_)


def second_component_share(hand_pixels: Mask) -> float:
    """Size of the second largest connected component as a share of the largest, 0 where there is none."""
    labels, _ = ndimage.label(hand_pixels)
    sizes = np.sort(np.bincount(labels.ravel())[1:])
    return float(sizes[-2] / sizes[-1]) if len(sizes) > 1 else 0.0
