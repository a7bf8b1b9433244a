"""Mask of the hand, and its outline."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from scipy.spatial import ConvexHull
from skimage import measure

from .framing import Frame, Grey, equalise, stretch
from .networks import HandUNet
from .words import ReasonCode, Refusal

SIDE_PX = 192
"""Side of the square that the network sees."""

Mask = npt.NDArray[np.bool_]

_ON_EDGE = 1e-9
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
    number = int(np.bincount(labels.ravel())[1:].argmax()) + 1
    box = ndimage.find_objects(labels)[number - 1]
    largest = np.zeros(mask.shape, dtype=np.bool_)
    largest[box] = ndimage.binary_fill_holes(labels[box] == number)
    return largest


def box_around(mask: Mask, margin_px: float) -> tuple[slice, slice]:
    """Rows and columns of all that lies within a margin of a mask that is not empty, in its image."""
    rows, columns = (
        slice(max(0, int(edges[0] - margin_px) - 1), int(edges[-1] + margin_px) + 2)
        for edges in (np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0)))
    )
    return rows, columns


def refuse_implausible(mask: Mask) -> None:
    """Raise ``NO_HAND_FOUND`` where a mask cannot be one whole hand."""
    area = float(mask.mean())
    if not _PLAUSIBLE_AREA[0] <= area <= _PLAUSIBLE_AREA[1]:
        raise Refusal(ReasonCode.NO_HAND_FOUND, f"the hand would cover {area:.0%} of the image")
    solidity = float(mask.sum()) / hull_pixels(mask)
    if not _PLAUSIBLE_SOLIDITY[0] <= solidity <= _PLAUSIBLE_SOLIDITY[1]:
        raise Refusal(
            ReasonCode.NO_HAND_FOUND, f"the shape found fills {solidity:.0%} of its hull, no hand does"
        )


def hull_pixels(mask: Mask) -> int:
    """How many pixels the convex hull of a mask has: those whose centre it holds, each pixel a diamond.

    As ``skimage.morphology.convex_hull_image`` counts them, which tries every pixel and takes 20 ms.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    first = mask[rows].argmax(axis=1)
    last = mask.shape[1] - 1 - mask[rows, ::-1].argmax(axis=1)
    ends = np.concatenate([np.stack([rows, first], axis=1), np.stack([rows, last], axis=1)])
    diamond = np.array([[-0.5, 0], [0.5, 0], [0, -0.5], [0, 0.5]])
    # The hull is where down * row + right * column + offset <= 0 for every edge.
    down, right, offset = ConvexHull((ends[:, None] + diamond).reshape(-1, 2)).equations.T
    every = np.arange(rows[0], rows[-1] + 1)[:, None]
    low, high = right < 0, right > 0
    least = (-(down[low] * every + offset[low]) / right[low]).max(axis=1)
    most = (-(down[high] * every + offset[high]) / right[high]).min(axis=1)
    return int((np.floor(most + _ON_EDGE) - np.ceil(least - _ON_EDGE) + 1).sum())


def contour(mask: Mask) -> npt.NDArray[np.float64]:
    """The outer contour of one connected component, between its pixels and those beside it.

    Returns:
        Shape (n, 2), (x, y) in the mask's pixels; closed, the first point repeated at the end.
    """
    contours = measure.find_contours(np.pad(mask, 1).astype(np.float32), 0.5)
    return np.asarray(max(contours, key=len)[:, ::-1] - 1, dtype=np.float64)


def simplified(
    contour_px: npt.NDArray[np.float64], shape: tuple[int, int], tolerance_px: float = 0.7
) -> npt.NDArray[np.float32]:
    """A contour with fewer points, none of them beyond the image.

    Args:
        contour_px: Of ``contour``.
        shape: (height, width) of the mask.
        tolerance_px: How far the simplified line may stray (Douglas and Peucker).

    Returns:
        Shape (n, 2), float32, (x, y) in the mask's pixels; closed, the first point not repeated.
    """
    height, width = shape
    simple = _fewer_points(contour_px, tolerance_px)[:-1]
    return np.asarray(np.clip(simple, 0, [width - 1, height - 1]), dtype=np.float32)


def _fewer_points(line: npt.NDArray[np.float64], tolerance: float) -> npt.NDArray[np.float64]:
    """Those of a line's points (n, 2) that no other stands in for: all parts of the line are split at once.

    As ``skimage.measure.approximate_polygon``, which splits one after the other and takes ten times as long.
    """
    kept = np.array([0, len(line) - 1])
    while True:
        part = np.repeat(np.arange(len(kept) - 1), np.diff(kept))
        start = line[kept[part]]
        along, off = line[kept[part + 1]] - start, line[:-1] - start
        length_squared = np.maximum((along**2).sum(axis=1), np.finfo(np.float64).tiny)
        share = np.clip((off * along).sum(axis=1) / length_squared, 0, 1)
        squared = ((off - share[:, None] * along) ** 2).sum(axis=1)
        furthest = np.maximum.reduceat(squared, kept[:-1])[part]
        far = np.flatnonzero((squared == furthest) & (squared > tolerance**2))
        if not len(far):
            return np.asarray(line[kept], dtype=np.float64)
        kept = np.union1d(kept, far[np.unique(part[far], return_index=True)[1]])


def outline(mask: Mask) -> npt.NDArray[np.float32]:
    """The outer contour of a mask of one connected component, simplified."""
    return simplified(contour(mask), mask.shape)
