"""From a radiograph and its hand mask to the raster the age network reads."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .framing import Frame, Grey, stretch
from .segmentation import Mask

_MARGIN = 0.06
_HALO = 0.015


def crop_hand(image: Grey, mask: Mask, height_px: int, width_px: int) -> Grey:
    """The hand alone, filling the raster, contrast normalised to its own grey values.

    Args:
        image: Shape (height, width), float32, bone bright.
        mask: The hand's pixels, same shape.
        height_px: Height of the raster.
        width_px: Width of the raster.

    Returns:
        Shape (height_px, width_px), float32 in [0, 1]; 0 outside the hand and a narrow halo around it, so
        that markers, notes and collimator edges are not seen.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
    low, high = np.percentile(image[mask], [2, 99.5])
    distance_px = ndimage.distance_transform_edt(~mask)
    halo_px = max(1.0, _HALO * max(mask.shape))
    shown = stretch(image, float(low), float(high)) * np.clip(2 - distance_px / halo_px, 0, 1)
    return Frame.around(box, height_px, width_px, _MARGIN).cut(shown.astype(np.float32))
