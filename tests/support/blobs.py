"""Spots of known place, to see where a map takes them."""

from __future__ import annotations

import numpy as np


def blob(shape: tuple[int, int], x_px: float, y_px: float, sigma_px: float) -> np.ndarray:
    """A spot of this shape (height, width) with its centre at (x, y), pixel centres at integers."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.exp(-0.5 * ((columns - x_px) ** 2 + (rows - y_px) ** 2) / sigma_px**2).astype(np.float32)


def centre(image: np.ndarray) -> np.ndarray:
    """Centre of mass (x, y)."""
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array([(columns * image).sum(), (rows * image).sum()], dtype=np.float64) / image.sum()
