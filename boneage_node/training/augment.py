"""Random changes to a batch that a hand's age does not depend on, made on the device of the generator."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


def _uniform(shape: int | tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Random numbers in [0, 1) on the generator's device."""
    return torch.rand(shape, generator=generator, device=generator.device)


@dataclass(frozen=True)
class Warp:
    """Ranges of a random affine map: all symmetric about no change.

    Attributes:
        rotation_degrees: Greatest rotation.
        scale: Greatest relative change of size.
        shift: Greatest shift as a share of the image's side.
        mirror: Probability of a mirror image.
    """

    rotation_degrees: float
    scale: float
    shift: float
    mirror: float = 0.5

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """The batch (n, c, h, w), each image under an affine map of its own; zero beyond the border."""
        maps = self.maps(images.shape[0], images.shape[2] / images.shape[3], generator)
        return apply(maps, images, images.shape[2], images.shape[3])

    def maps(self, count: int, aspect: float, generator: torch.Generator) -> Tensor:
        """Random maps, shape (n, 2, 3), from (x, y) in the result to (x, y) in the image, both in [-1, 1].

        Args:
            count: How many.
            aspect: Height over width of the image.
            generator: Source of the random numbers.
        """

        def spread(limit: float) -> Tensor:
            return (_uniform(count, generator) * 2 - 1) * limit

        angle = spread(math.radians(self.rotation_degrees))
        size = torch.exp(spread(math.log1p(self.scale)))
        flip = torch.where(_uniform(count, generator) < self.mirror, -1.0, 1.0)
        cosine, sine = torch.cos(angle) / size, torch.sin(angle) / size
        rows = [
            torch.stack([cosine * flip, -sine * aspect * flip, spread(self.shift)], dim=1),
            torch.stack([sine / aspect, cosine, spread(self.shift)], dim=1),
        ]
        return torch.stack(rows, dim=1)


def apply(maps: Tensor, images: Tensor, height_px: int, width_px: int) -> Tensor:
    """The batch (n, c, h, w) seen through maps (n, 2, 3), shape (n, c, height_px, width_px)."""
    size = [*images.shape[:2], height_px, width_px]
    grid = functional.affine_grid(maps, size, align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


def vary_exposure(images: Tensor, generator: torch.Generator) -> Tensor:
    """Gamma, contrast, brightness and a little noise, each image its own; values kept in [0, 1]."""
    shape = (images.shape[0], 1, 1, 1)

    def normal(deviation: float) -> Tensor:
        return torch.randn(shape, generator=generator, device=generator.device) * deviation

    varied = images.clamp(1e-4, 1) ** torch.exp(normal(0.25))
    varied = (varied - 0.5) * torch.exp(normal(0.12)) + 0.5 + normal(0.05)
    noise = torch.randn(images.shape, generator=generator, device=generator.device) * normal(0.02).abs()
    return (varied + noise).clamp(0, 1)


def lower_resolution(
    images: Tensor, generator: torch.Generator, probability: float, shortest_px: int
) -> Tensor:
    """Some images with the detail of a thumbnail, so that sharp and coarse ones look alike."""
    chosen = _uniform(images.shape[0], generator) < probability
    if not chosen.any():
        return images
    height, width = images.shape[2:]
    shortest = shortest_px / width
    factor = shortest + (0.8 - shortest) * float(_uniform(1, generator))
    small = functional.interpolate(
        images[chosen], size=(round(height * factor), round(width * factor)), mode="area"
    )
    coarse = images.clone()
    coarse[chosen] = functional.interpolate(small, size=(height, width), mode="bilinear", align_corners=False)
    return coarse


def vary_tone(images: Tensor, generator: torch.Generator) -> Tensor:
    """Vary the tone as detectors and their software do, so that the hand is found in any radiograph.

    An uneven field, gamma, a background cut to black, blur or noise; each image (n, 1, h, w) its own.
    """
    count, _, height, width = images.shape

    def uniform(low: float, high: float) -> Tensor:
        return _uniform((count, 1, 1, 1), generator) * (high - low) + low

    low = images.amin(dim=(2, 3), keepdim=True)
    varied = (images - low) / (images.amax(dim=(2, 3), keepdim=True) - low).clamp(min=1e-4)
    varied = varied ** torch.exp(uniform(-0.7, 0.7))
    coarse = torch.randn((count, 1, 3, 3), generator=generator, device=generator.device)
    field = functional.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=True)
    varied = varied + field * uniform(-0.12, 0.12)
    floor = torch.quantile(varied.flatten(1), 0.3, dim=1)[:, None, None, None]
    varied = torch.where(uniform(0, 1) < 0.4, (varied - floor * uniform(0.3, 1.0)).clamp(min=0), varied)
    smooth = functional.avg_pool2d(varied, 3, stride=1, padding=1, count_include_pad=False)
    varied = torch.where(uniform(0, 1) < 0.3, smooth, varied)
    grain = torch.randn(images.shape, generator=generator, device=generator.device) * uniform(0, 0.03)
    return torch.where(uniform(0, 1) < 0.5, varied + grain, varied)
