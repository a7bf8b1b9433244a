"""Conversion of stored values to grey: modality LUT, VOI LUT or window, polarity (PS3.4 N.2.1, PS3.3 C.11).

Stored values have at most 16 bits, so the whole chain is worked out once for every value there can be, in
float64, and the image is then looked up in that table.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from .dataset import Attributes, quiet_pydicom
from .pixels import StoredPixels

Values = npt.NDArray[np.float64]

# A window of which the image fills less than this, or that clips more than this to one end, is a mistake.
_MIN_CONTRAST = 0.05
_MAX_CLIPPED = 0.995
# Beyond this, arithmetic on the outputs overflows.
_MAX_OUTPUT = 1e30
# Of the image's pixels, when there is no usable window.
_PERCENTILES = (0.1, 99.9)
_ROWS_AT_ONCE = 256


def to_grey(stored: StoredPixels, dataset: Dataset) -> npt.NDArray[np.float32]:
    """Pixels as a viewer shows them, bone bright.

    The VOI LUT sequence goes before the window, the first of several before the others. Where there is none,
    or one that shows nothing, the range between the 0.1th and 99.9th percentile of the image is taken.
    Padding (PS3.3 C.7.5.1.1.2) counts for nothing and comes out black.

    Returns:
        Pixels of shape (rows, columns), float32 in [0, 1].
    """
    attributes = Attributes(dataset)
    with quiet_pydicom():
        codes = np.arange(2**stored.bits)
        values = codes.astype(np.float64)
        if stored.signed:
            values[codes >= 2 ** (stored.bits - 1)] -= 2**stored.bits
        padding = _padding(values, attributes)
        counts = _histogram(stored)
        if np.any(counts[~padding]):
            counts[padding] = 0
        outputs, falling = _modality(values, attributes)
        grey = _voi(outputs, counts, attributes)
        if _is_inverted(stored, falling, attributes):
            grey = 1 - grey
        grey[padding] = 0
    return _look_up(grey.astype(np.float32), stored)


def _histogram(stored: StoredPixels) -> npt.NDArray[np.int64]:
    """Pixels of each code, counted in strips since bincount widens what it counts."""
    counts: npt.NDArray[np.int64] = np.zeros(2**stored.bits, np.int64)
    for top in range(0, len(stored.codes), _ROWS_AT_ONCE):
        strip = stored.codes[top : top + _ROWS_AT_ONCE]
        counts += np.bincount(strip.ravel(), minlength=counts.size)
    return counts


def _look_up(table: npt.NDArray[np.float32], stored: StoredPixels) -> npt.NDArray[np.float32]:
    pixels = np.empty(stored.codes.shape, np.float32)
    for top in range(0, len(pixels), _ROWS_AT_ONCE):
        strip = slice(top, top + _ROWS_AT_ONCE)
        np.take(table, stored.codes[strip], out=pixels[strip], mode="clip")
    return pixels


def _padding(values: Values, attributes: Attributes) -> npt.NDArray[np.bool_]:
    """Mask of the stored values that are padding, by Pixel Padding Value and Range Limit."""
    first = attributes.integer("PixelPaddingValue")
    if first is None:
        return np.zeros(values.shape, np.bool_)
    last = attributes.integer("PixelPaddingRangeLimit")
    low, high = sorted((first, first if last is None else last))
    # US and SS are mixed up for this attribute: bring an unsigned 16-bit reading of a negative value back.
    if values.min() < 0 and low >= 2**15:
        low, high = low - 2**16, high - 2**16
    return (values >= low) & (values <= high)


def _modality(values: Values, attributes: Attributes) -> tuple[Values, bool]:
    """Modality LUT sequence, else rescale: the outputs, and whether they fall as stored values rise."""
    lut = _read_lut("ModalityLUTSequence", values, attributes)
    if lut is not None:
        return lut, bool(lut[np.argmax(values)] < lut[np.argmin(values)])
    slope = attributes.number("RescaleSlope")
    intercept = attributes.number("RescaleIntercept")
    if slope is None and intercept is None:
        return values, False
    slope = 1.0 if slope is None else slope
    outputs = values * slope + (intercept or 0.0)
    if np.abs(outputs).max() > _MAX_OUTPUT or not np.ptp(outputs):
        return values, False  # absurd
    return outputs, slope < 0


def _read_lut(keyword: str, values: Values, attributes: Attributes) -> Values | None:
    """Look up in the first item of a LUT sequence (PS3.3 C.11.1.1, C.11.2.1.1); None where unusable."""
    items = attributes.items(keyword)
    if not items:
        return None
    descriptor = items[0].numbers("LUTDescriptor")
    entries = _lut_entries(items[0], descriptor)
    if entries is not None:
        first = descriptor[1]
        # The VR of the descriptor is ambiguous: a negative first value may have been read as unsigned.
        if values.min() < 0 and first >= 2**15:
            first -= 2**16
        looked_up = entries[np.clip(np.rint(values - first), 0, entries.size - 1).astype(np.intp)]
        if np.ptp(looked_up):
            return looked_up
    return None


def _lut_entries(item: Attributes, descriptor: tuple[float, ...]) -> Values | None:
    if len(descriptor) != 3:
        return None
    size = int(descriptor[0]) % 2**16 or 2**16
    data = item.value("LUTData")
    if isinstance(data, bytes):
        # Bytes, or words of 16 bits; pydicom leaves the words of OW as they came.
        kind = "u1" if len(data) in (size, size + 1) and size > 1 else item.word_type
        entries = np.frombuffer(data, kind, count=len(data) // np.dtype(kind).itemsize)
    else:
        entries = np.asarray(item.numbers("LUTData"))
    if entries.size < size:
        return None
    return entries[:size].astype(np.float64)


def _voi(outputs: Values, counts: npt.NDArray[np.int64], attributes: Attributes) -> Values:
    """Grey in [0, 1] of every value, rising as the VOI transformation has it."""
    lut = _read_lut("VOILUTSequence", outputs, attributes)
    if lut is not None:
        # Many devices fill 12 of the 16 bits that they declare, so the range is the table's own.
        grey: Values = (lut - lut.min()) / np.ptp(lut)
        if _shows_image(grey, counts):
            return grey
    grey_by_window = _window(outputs, attributes)
    if grey_by_window is not None and _shows_image(grey_by_window, counts):
        return grey_by_window
    low, high = _weighted_percentiles(outputs, counts, _PERCENTILES)
    if high <= low:
        low, high = _weighted_percentiles(outputs, counts, (0, 100))
    if high <= low:  # one value everywhere
        return np.zeros_like(outputs)
    return np.clip((outputs - low) / (high - low), 0, 1)


def _window(outputs: Values, attributes: Attributes) -> Values | None:
    """The first window, with the function that the header names (PS3.3 C.11.2.1.2 and C.11.2.1.3)."""
    center, width = attributes.number("WindowCenter"), attributes.number("WindowWidth")
    if center is None or width is None:
        return None
    function = attributes.text("VOILUTFunction").upper() or "LINEAR"
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        function = "LINEAR"
    if width <= 0 or (function == "LINEAR" and width < 1):
        return None
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (outputs - center) / width, -50, 50)))
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
        if width == 0:  # a threshold
            return (outputs > center).astype(np.float64)
    return np.clip((outputs - center) / width + 0.5, 0, 1)


def _shows_image(grey: Values, counts: npt.NDArray[np.int64]) -> bool:
    """Whether a VOI transformation leaves an image to see. One that is flat anyhow is not held against it."""
    seen = grey[counts > 0]
    if seen.size < 2:
        return True
    weights = counts[counts > 0] / counts.sum()
    clipped = max(weights[seen <= 0].sum(), weights[seen >= 1].sum())
    low, high = _weighted_percentiles(grey, counts, _PERCENTILES)
    return bool(clipped <= _MAX_CLIPPED and high - low >= _MIN_CONTRAST)


def _weighted_percentiles(
    values: Values, counts: npt.NDArray[np.int64], percentiles: tuple[float, float]
) -> tuple[float, float]:
    order = np.argsort(values, kind="stable")
    order = order[counts[order] > 0]
    reached = np.cumsum(counts[order])
    low, high = np.searchsorted(reached, np.array(percentiles) / 100 * reached[-1])
    return float(values[order[low]]), float(values[order[min(high, order.size - 1)]])


def _is_inverted(stored: StoredPixels, falling: bool, attributes: Attributes) -> bool:
    """Whether the brightest output is to be shown black.

    Photometric Interpretation decides. Presentation LUT Shape merely repeats it: INVERSE goes with
    MONOCHROME1 (PS3.3 C.8.11.3), and inverting for both would undo it. Images for processing are not made to
    be looked at, so there the relation to the X-ray intensity (PS3.3 C.8.11.3.1.2) goes before it: bone is
    where less arrives, and bone is to be bright.
    """
    sign = attributes.integer("PixelIntensityRelationshipSign")
    if attributes.text("PresentationIntentType").upper() == "FOR PROCESSING" and sign in (1, -1):
        return (sign == 1) != falling
    return stored.photometric == "MONOCHROME1"
