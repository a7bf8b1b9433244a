"""Test-time augmentation: several views of an image, whose ages are averaged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from .networks import AgeNetwork, months_by_head

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
        months: Ages in months by head, for each sex as which the images were read; each of shape (n,), the
            mean over the views.
        features: What the network told them by, whatever the sex, likewise, shape (n, k).
    """

    months: list[dict[str, npt.NDArray[np.float32]]]
    features: npt.NDArray[np.float32]


def read_views(
    network: AgeNetwork, images: torch.Tensor, told: Sequence[Sequence[float]], count: int
) -> Seen:
    """Read ``count`` views of images.

    Args:
        network: What reads them.
        images: Shape (n, 1, h, w).
        told: As what to read them, once or several times: each time n of 1.0 for a boy, 0.0 for a girl, 0.5
            where sex is not said.
        count: One of ``VIEW_COUNTS``.
    """
    with torch.inference_mode():
        features = network.describe(views(images, count))
        months = []
        for male in told:
            sexes = torch.tensor(male, dtype=torch.float32, device=images.device).repeat(count)
            heads = network.judge(features, sexes)
            months.append({name: _mean(m, count) for name, m in months_by_head(heads).items()})
        return Seen(months, _mean(features.float(), count))


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
