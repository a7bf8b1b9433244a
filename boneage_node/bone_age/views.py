"""Test-time augmentation: several views of an image, whose ages are averaged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from .networks import AgeHeads, months_by_head

VIEW_COUNTS = (1, 2, 10)

_CORNER_SHARE = 0.9


def views(images: Tensor, count: int) -> Tensor:
    """Views of a batch: the ten crops of Krizhevsky et al. 2012, with the whole image for the centre.

    Args:
        images: Shape (n, 1, h, w), floating point.
        count: 1, the image itself; 2, also its mirror image; 10, the image and its four corners (90 % of each
            side, enlarged to h x w, in the order top left, top right, bottom left, bottom right), then the
            mirror images of these five in the same order.

    Returns:
        Shape (count * n, 1, h, w), all n of the first view first.

    Raises:
        ValueError: If the count is none of ``VIEW_COUNTS``.
    """
    if count not in VIEW_COUNTS:
        raise ValueError(f"{count} views: must be one of {VIEW_COUNTS}")
    if count == 1:
        return images
    plain = images if count == 2 else torch.cat([images, *_corners(images)])
    return torch.cat([plain, plain.flip(3)])


class Seen(NamedTuple):
    """What a network says of n images, over their views.

    Attributes:
        months: Ages in months by head, shape (n,), each the mean over the views.
        features: What the network told them by, likewise, shape (n, k); None where it does not say.
    """

    months: dict[str, npt.NDArray[np.float32]]
    features: npt.NDArray[np.float32] | None


def read_views(network: nn.Module, images: torch.Tensor, male: Sequence[float], count: int) -> Seen:
    """Read ``count`` views of images (n, 1, h, w)."""
    sexes = torch.tensor(list(male), dtype=torch.float32, device=images.device).repeat(count)
    with torch.inference_mode():
        heads: AgeHeads = network(views(images, count), sexes)
        months = {name: _mean(m, count) for name, m in months_by_head(heads).items()}
        features = None if heads.features is None else _mean(heads.features.float(), count)
    return Seen(months, features)


def _mean(values: Tensor, count: int) -> npt.NDArray[np.float32]:
    """Mean over the views."""
    return np.asarray(values.view(count, -1, *values.shape[1:]).mean(dim=0).cpu().numpy(), dtype=np.float32)


def _corners(images: Tensor) -> list[Tensor]:
    height_px, width_px = images.shape[2:]
    rows_px, columns_px = round(_CORNER_SHARE * height_px), round(_CORNER_SHARE * width_px)
    return [
        functional.interpolate(
            images[:, :, rows, columns], (height_px, width_px), mode="bilinear", align_corners=False
        )
        for rows in (slice(rows_px), slice(-rows_px, None))
        for columns in (slice(columns_px), slice(-columns_px, None))
    ]
