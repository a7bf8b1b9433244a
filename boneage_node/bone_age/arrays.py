"""Reading arrays without a node and without DICOM: load a model once, then assess hand after hand.

Example::

    import numpy as np
    from PIL import Image
    from boneage_node.bone_age import assess, load

    model = load()
    hand = assess(model, np.asarray(Image.open("hand.png")), sex="F", age_months=99)
    print(hand.bone_age_months, hand.interval_months, hand.z_score)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from .assessment import Assessment, Hand
from .words import Refusal, Sex

if TYPE_CHECKING:
    from .predictor import Predictor


def load(model: str | Path | None = None, device: str = "auto") -> Predictor:
    """Load a model; it takes a second, so do it once.

    Args:
        model: Name in the zoo (``boneage-node models list``), or a folder with a manifest; None is the
            default model.
        device: ``auto`` (the first GPU where there is one), ``cpu`` or ``cuda:N``.

    Raises:
        ModelError: The model or the device cannot be used; the text says why.
    """
    from . import model_zoo
    from .predictor import Predictor

    return Predictor.load(model_zoo.model_dir(None if model is None else str(model)), device)


def assess(
    model: Predictor,
    pixels: npt.NDArray[Any],
    *,
    sex: Sex | Literal["F", "M"] | None,
    age_months: float | None = None,
) -> Assessment:
    """Read the bone age from a radiograph of one hand, seen from the front, in whatever rotation.

    What a header would forbid, an adult for one, is for the caller to see to.

    Args:
        model: From `load`.
        pixels: Grey values, shape (height, width): unsigned integers of 8 or 16 bits, or floating point in
            [0, 1]; bone bright or dark.
        sex: The patient's, ``"F"`` or ``"M"``; None where it is not known: the hand is then read as both.
        age_months: Chronological age at the exposure, for the z-score; None where it is not known.

    Returns:
        The assessment: ages in months, places in pixels of ``pixels``.

    Raises:
        Refusal: It is not to be read; ``code`` and ``sentence`` say why.
        ValueError: The pixels are not such an array, or the sex is neither.
    """
    hand = Hand(_grey(np.asarray(pixels)), None if sex is None else Sex(sex), age_months)
    (answer,) = model.assess([hand])
    if isinstance(answer, Refusal):
        raise answer
    return answer


def _grey(pixels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """The pixels as networks take them, float32 in [0, 1]."""
    if pixels.ndim != 2:
        raise ValueError(f"pixels of shape {pixels.shape}: one channel, shape (height, width), is wanted")
    if pixels.dtype in (np.uint8, np.uint16):
        return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    if not np.issubdtype(pixels.dtype, np.floating):
        raise ValueError(f"pixels of type {pixels.dtype}: convert to uint8, uint16, or floats in [0, 1]")
    if pixels.size == 0 or not (np.min(pixels) >= 0 and np.max(pixels) <= 1):  # nan is neither
        raise ValueError("pixels of floating point must lie in [0, 1]")
    return pixels.astype(np.float32)
