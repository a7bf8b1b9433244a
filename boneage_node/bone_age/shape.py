"""Whether a registered mask has the shape of a hand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import nn

from .cropping import FoundHand
from .registration import CAPITATE_AT, FRAME_HEIGHT, FRAME_WIDTH, HAND_LENGTH
from .segmentation import Mask

HEIGHT, WIDTH = 52, 40
"""The frame at a fortieth of its size."""


class UsualHand(nn.Module):
    """The mean of registered hand masks: how often each place of the frame is hand."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("share", torch.zeros(HEIGHT, WIDTH))

    def learn(self, masks: npt.NDArray[np.uint8]) -> None:
        """Take the mean of registered masks, shape (n, HEIGHT, WIDTH), uint8 with 255 for hand."""
        self.share = torch.from_numpy(masks.mean(axis=0, dtype=np.float64) / 255).float()

    def overlap(self, hand: FoundHand) -> float:
        """Soft intersection over union of a hand's registered mask with the usual one, 0 to 1."""
        return self.overlap_of(registered_mask(hand))

    def overlap_of(self, mask: npt.NDArray[np.float32]) -> float:
        """As ``overlap``, of a registered mask of shape (HEIGHT, WIDTH), 0 to 1."""
        usual = self.share.float().cpu().numpy()
        return float(np.minimum(mask, usual).sum() / np.maximum(mask, usual).sum())


def registered_mask(hand: FoundHand) -> npt.NDArray[np.float32]:
    """A hand's mask in the method's frame, shape (HEIGHT, WIDTH), 0 to 1."""
    raster = hand.placement.region(0, 0, FRAME_WIDTH, FRAME_HEIGHT, WIDTH, HEIGHT)
    return raster.cut(hand.mask.astype(np.float32), HEIGHT, WIDTH)


def cut_off_share(hand: FoundHand) -> float:
    """Length of the image's border that the hand beyond the wrist lies along, in lengths of the hand."""
    edge = np.zeros_like(hand.mask)
    edge[0], edge[-1], edge[:, 0], edge[:, -1] = True, True, True, True
    rows, columns = np.nonzero(edge & hand.mask)
    if not len(rows):
        return 0.0
    places = hand.placement.from_image(np.stack([columns, rows], axis=1))
    beyond_wrist = places[:, 1] < CAPITATE_AT[1]
    step = 1 / np.sqrt(abs(np.linalg.det(hand.placement.matrix[:, :2])))
    return float(beyond_wrist.sum() * step / HAND_LENGTH)


def beyond_frame_share(hand: FoundHand) -> float:
    """Size of what lies beside or above the method's frame as a share of the hand in it, forearm left out."""
    rows, columns = np.nonzero(hand.mask)
    x, y = hand.placement.from_image(np.stack([columns, rows], axis=1)).T
    beyond = int(((x < 0) | (x > FRAME_WIDTH) | (y < 0))[y < FRAME_HEIGHT].sum())
    return beyond / max(1, int((y < FRAME_HEIGHT).sum()) - beyond)


def second_component_share(hand_pixels: Mask) -> float:
    """Size of the second largest connected component as a share of the largest, 0 where there is none."""
    labels, _ = ndimage.label(hand_pixels)
    sizes = np.sort(np.bincount(labels.ravel())[1:])
    return float(sizes[-2] / sizes[-1]) if len(sizes) > 1 else 0.0
