"""Mask of the hand, and its outline."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from skimage import measure

from .framing import Frame, Grey, equalise, stretch
from .networks import HandUNet
from .words import ReasonCode, Refusal

SIDE_PX = 192
"""Side of the square that the network sees."""

Mask = npt.NDArray[np.bool_]

_PLAUSIBLE_AREA = (0.03, 0.85)
_PLAUSIBLE_SOLIDITY = (0.45, 0.95)


def whole_frame(image: Grey) -> Frame:
    """The square that the network sees of an image: all of it, centred."""
    height, width = image.shape
    return Frame.around((0, 0, width, height), SIDE_PX, SIDE_PX)


def input_planes(grey: Grey, inside: Mask) -> npt.NDArray[np.float32]:
    """A square as the network sees it.

    The first plane is stretched to the image's percentiles, the second equalised, because exposures range
    from nearly black to nearly white.

    Args:
        grey: Shape (side, side), any range.
        inside: Where the square lies on the image, same shape; only there are values counted.

    Returns:
        Shape (2, side, side), in [0, 1], 0 beyond the image.
    """
    values = grey[inside]
    low, high = np.percentile(values, [1, 99.5])
    planes = np.zeros((2, *grey.shape), dtype=np.float32)
    planes[0][inside] = stretch(values, float(low), float(high))
    planes[1][inside] = equalise(values)
    return planes


def hand_share(network: HandUNet, image: Grey, device: torch.device) -> npt.NDArray[np.float32]:
    """Probability of each pixel to be hand.

    Args:
        network: Trained network in evaluation mode on ``device``.
        image: Shape (height, width), float32, of either polarity.
        device: Where to compute.

    Returns:
        Shape (height, width), 0 to 1.
    """
    frame = whole_frame(image)
    inside = frame.cut(np.ones_like(image)) > 0.5
    planes = torch.from_numpy(input_planes(frame.cut(image), inside))[None]
    with torch.inference_mode():
        share = network(planes.to(device)).float().sigmoid()[0, 0].cpu().numpy()
    height, width = image.shape
    whole = Frame(-frame.left_px * frame.scale, -frame.top_px * frame.scale, 1 / frame.scale, height, width)
    return whole.cut(share)


class Segmented(NamedTuple):
    """Masks of an image, of the image's shape.

    Attributes:
        mask: The largest connected component, holes filled.
        hand_pixels: All pixels that look like hand, other components too.
    """

    mask: Mask
    hand_pixels: Mask


def segment(network: HandUNet, image: Grey, device: torch.device) -> Segmented:
    """The hand's pixels.

    Args:
        network: Trained network in evaluation mode on ``device``.
        image: Working image, shape (height, width), float32, of either polarity.
        device: Where to compute.

    Raises:
        Refusal: ``NO_HAND_FOUND`` where the mask has not the area and shape of one hand.
    """
    hand_pixels = hand_share(network, image, device) > 0.5
    mask = largest_component(hand_pixels)
    refuse_implausible(mask)
    return Segmented(mask, hand_pixels)


def largest_component(mask: Mask) -> Mask:
    """The largest connected component with its holes filled; empty where the mask is."""
    labels, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(ndimage.binary_fill_holes(labels == sizes.argmax()), dtype=np.bool_)


def refuse_implausible(mask: Mask) -> None:
    """Raise ``NO_HAND_FOUND`` where a mask cannot be one whole hand."""
    area = float(mask.mean())
    if not _PLAUSIBLE_AREA[0] <= area <= _PLAUSIBLE_AREA[1]:
        raise Refusal(ReasonCode.NO_HAND_FOUND, f"the hand would cover {area:.0%} of the image")
    solidity = float(measure.regionprops(mask.astype(np.uint8))[0].solidity)
    if not _PLAUSIBLE_SOLIDITY[0] <= solidity <= _PLAUSIBLE_SOLIDITY[1]:
        raise Refusal(
            ReasonCode.NO_HAND_FOUND, f"the shape found fills {solidity:.0%} of its hull, no hand does"
        )


def outline(mask: Mask, tolerance_px: float = 0.7) -> npt.NDArray[np.float32]:
    """The mask's outer contour, simplified.

    Args:
        mask: One connected component.
        tolerance_px: How far the simplified line may stray (Douglas and Peucker).

    Returns:
        Shape (n, 2), float32, (x, y) in the mask's pixels; closed, the first point not repeated.
    """
    contours = measure.find_contours(np.pad(mask, 1).astype(np.float32), 0.5)
    longest = max(contours, key=len)
    simple = measure.approximate_polygon(longest, tolerance_px)[:-1, ::-1] - 1
    height, width = mask.shape
    return np.asarray(np.clip(simple, 0, [width - 1, height - 1]), dtype=np.float32)
