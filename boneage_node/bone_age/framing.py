"""Geometry and contrast between a radiograph and what the networks see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

WORKING_SIDE_PX = 768
"""About the longest side of the image that segmentation and cropping start from; at most 1.5 times that."""

Grey = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Frame:
    """A rectangle of an image, mapped to a raster by scaling alone.

    Attributes:
        left_px, top_px: Corner of the rectangle in the image; may lie outside it.
        scale: Raster pixels per image pixel.
        height_px, width_px: Size of the raster.
    """

    left_px: float
    top_px: float
    scale: float
    height_px: int
    width_px: int

    @classmethod
    def around(
        cls, box_px: tuple[float, float, float, float], height_px: int, width_px: int, margin: float = 0.0
    ) -> Frame:
        """Smallest frame of the raster's shape that holds a box (left, top, right, bottom), centred on it."""
        left, top, right, bottom = box_px
        scale = min(width_px / (right - left), height_px / (bottom - top)) / (1 + margin)
        return cls(
            (left + right - width_px / scale) / 2,
            (top + bottom - height_px / scale) / 2,
            scale,
            height_px,
            width_px,
        )

    def cut(self, image: Grey) -> Grey:
        """The frame's content, shape (height_px, width_px); zero beyond the image.

        Bilinear, after averaging where the frame is much smaller than the image, so that nothing aliases.
        """
        factor = max(1, int(1 / self.scale))
        source = torch.from_numpy(np.ascontiguousarray(image))[None, None]
        if factor > 1:
            source = torch.nn.functional.avg_pool2d(source, factor, ceil_mode=True, count_include_pad=False)
        rows = self._grid(self.height_px, self.top_px, factor, source.shape[2])
        columns = self._grid(self.width_px, self.left_px, factor, source.shape[3])
        grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij")[::-1], dim=-1)[None]
        cut = torch.nn.functional.grid_sample(source, grid, align_corners=False)[0, 0]
        return np.asarray(cut.numpy(), dtype=np.float32)

    def _grid(self, length_px: int, start_px: float, factor: int, source_px: int) -> torch.Tensor:
        """Sample positions along one axis in grid_sample's [-1, 1]."""
        centres = (torch.arange(length_px, dtype=torch.float32) + 0.5) / self.scale + start_px
        return 2 * centres / (factor * source_px) - 1


def sample(image: Grey, matrix: npt.NDArray[np.float64], height_px: int, width_px: int) -> Grey:
    """A raster laid on an image by an affine map, shape (..., height_px, width_px); zero beyond the image.

    Bilinear, after averaging where the raster is much coarser than the image, so that nothing aliases.

    Args:
        image: Shape (..., height, width): one plane, or several that are cut alike.
        matrix: Shape (2, 3): image (x, y) = matrix @ (x, y, 1) of the raster, pixel centres at integers.
        height_px: Height of the raster.
        width_px: Width of the raster.
    """
    factor = max(1, int(np.sqrt(abs(np.linalg.det(matrix[:, :2])))))
    source = torch.from_numpy(np.ascontiguousarray(image)).reshape(1, -1, *image.shape[-2:])
    if factor > 1:
        source = torch.nn.functional.avg_pool2d(source, factor, ceil_mode=True, count_include_pad=False)
    columns, rows = np.arange(width_px), np.arange(height_px)[:, None]
    grid = np.empty((1, height_px, width_px, 2), dtype=np.float32)
    for axis, (across, down, start) in enumerate(matrix):
        places = across * columns + down * rows + start
        grid[0, :, :, axis] = 2 * (places + 0.5) / (factor * source.shape[3 - axis]) - 1
    cut = torch.nn.functional.grid_sample(source, torch.from_numpy(grid), align_corners=False)[0]
    return np.asarray(cut.numpy().reshape(*image.shape[:-2], height_px, width_px), dtype=np.float32)


def working_image(pixels: Grey) -> tuple[Grey, float]:
    """The image reduced by a whole factor to about ``WORKING_SIDE_PX``, and its scale (at most 1)."""
    factor = max(1, round(max(pixels.shape) / WORKING_SIDE_PX))
    if factor == 1:
        return pixels, 1.0
    source = torch.from_numpy(np.ascontiguousarray(pixels))[None, None]
    reduced = torch.nn.functional.avg_pool2d(source, factor, ceil_mode=True, count_include_pad=False)
    return np.asarray(reduced[0, 0].numpy(), dtype=np.float32), 1.0 / factor


def stretch(image: Grey, low: float, high: float) -> Grey:
    """Contrast such that ``low`` becomes 0 and ``high`` 1, clipped."""
    return np.asarray(np.clip((image - low) / max(high - low, 1e-4), 0, 1), dtype=np.float32)


def equalise(values: Grey) -> Grey:
    """Histogram equalisation to [0, 1]: each value becomes the share of values below it, of any shape."""
    low, high = float(values.min()), float(values.max())
    levels = (stretch(values, low, high) * 4095).astype(np.int64)
    counts = np.bincount(levels.ravel(), minlength=4096)
    share = (np.cumsum(counts) - counts / 2) / values.size
    return np.asarray(share[levels], dtype=np.float32)
