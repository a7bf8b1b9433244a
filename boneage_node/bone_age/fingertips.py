"""Whether outline and key points of a hand agree on its fingertips: what a reader is told to look at."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.signal import find_peaks

from .cropping import FoundHand
from .registration import CAPITATE_AT, HAND_LENGTH
from .words import Caution

_PROMINENCE = 0.06
_LEAST_REACH = 0.45
_WIDEST_DEGREES = 90.0
_SMOOTH_POINTS = 2

_MIDDLE, _THUMB = 2, 4
_REACHES = ((0.68, 0.93), (0.88, 1.01), (0.94, 1.03), (0.87, 1.0), (0.6, 0.83))
"""Least and greatest distance from the capitate to the tips of little, ring, middle, index finger and thumb.

In lengths of the hand: what 499 radiographs of the calibration split have, and a little more.
"""
_POINT_TOLERANCES = (0.05, 0.08)
"""Between the points of middle finger and thumb and their tips in the outline, in lengths of the hand."""


def cautions(hand: FoundHand) -> tuple[Caution, ...]:
    """What does not fit together: nothing, on 97 of 100 hands."""
    tips = fingertips(hand)
    if len(tips) != len(_REACHES):
        return (Caution.FINGERS_OUTLINE,)
    found = []
    reaches = np.linalg.norm(tips, axis=1)
    if any(not least <= reach <= most for reach, (least, most) in zip(reaches, _REACHES, strict=True)):
        found.append(Caution.FINGERS_OUTLINE)
    points = _in_hand_lengths(hand, hand.points_px[:2])
    off = np.linalg.norm(tips[[_MIDDLE, _THUMB]] - points, axis=1)
    if (off > _POINT_TOLERANCES).any():
        found.append(Caution.POINT_OFF_FINGER)
    return tuple(found)


def fingertips(hand: FoundHand) -> npt.NDArray[np.float64]:
    """Where the outline is furthest from the capitate, finger by finger, from the little one to the thumb.

    Returns:
        Shape (n, 2), (x, y) from the capitate in lengths of the hand, y upwards to the middle finger and x to
        the thumb; five of them where the fingers are spread and the outline follows them.
    """
    outline = _in_hand_lengths(hand, hand.contour)
    # The peaks are looked for from the wrist round to the wrist.
    outline = np.roll(outline, -int(outline[:, 1].argmin()), axis=0)
    reach = ndimage.gaussian_filter1d(np.linalg.norm(outline, axis=1), _SMOOTH_POINTS)
    peaks, _ = find_peaks(reach, height=_LEAST_REACH, prominence=_PROMINENCE)
    degrees = np.degrees(np.arctan2(outline[peaks, 0], outline[peaks, 1]))
    peaks = peaks[np.argsort(degrees)]
    tips = peaks[np.abs(np.sort(degrees)) < _WIDEST_DEGREES]
    return np.asarray(outline[tips], dtype=np.float64)


def _in_hand_lengths(hand: FoundHand, points_px: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Points of the working image from the capitate, y upwards, in lengths of the hand."""
    from_capitate = (hand.placement.from_image(points_px) - CAPITATE_AT) * [1, -1]
    return np.asarray(from_capitate / HAND_LENGTH, dtype=np.float64)
