"""Training the key-point network from marked radiographs."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from boneage_node.bone_age.finding import HandFinder
from boneage_node.bone_age.framing import working_image
from boneage_node.bone_age.networks import HandUNet, KeyPointVgg
from boneage_node.bone_age.registration import HAND_LENGTH, NEAR_SIDE, SIDE_PX, Placement, expected_points
from boneage_node.bone_age.segmentation import input_planes
from boneage_node.datasets.annotations import KeyPoints, points_in
from boneage_node.datasets.rsna import read_image
from boneage_node.evaluation.finding import point_figures

from .augment import Warp, apply, vary_tone
from .fitting import autocast
from .provenance import replacing
from .recipe import Recipe

SQUARE_PX = 224
_SQUARE_SIDE = 2.6 * HAND_LENGTH
_NEAR = NEAR_SIDE / _SQUARE_SIDE
_SIGMA = 1 / 26
"""Width of the heat map's target as a share of the side: about one cell of it."""


@dataclass(frozen=True)
class RegistrationRecipe(Recipe):
    """Recipe for training the key-point network.

    Attributes:
        manual_share: Share of a batch that a person marked; the rest is an earlier model's.
        near_share: Share of a batch shown upright and of one size, as in the second look.
    """

    steps: int = 2200
    widths: tuple[int, ...] = (12, 24, 48, 96, 128)
    manual_share: float = 0.6
    near_share: float = 0.5


@dataclass(frozen=True)
class Squares:
    """Registered hands with much around them, cut once.

    Attributes:
        pixels: Shape (n, 2, SQUARE_PX, SQUARE_PX), uint8: grey, and 255 where the image is.
        points: Shape (n, 3, 2), (x, y) in [-1, 1] over the square.
        manual: Shape (n,).
    """

    pixels: Tensor
    points: Tensor
    manual: Tensor


def _square_with_points(marked: KeyPoints) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """A radiograph's square, (2, SQUARE_PX, SQUARE_PX) uint8, and its points, (3, 2) in [-1, 1]."""
    torch.set_num_threads(1)
    image, _ = working_image(read_image(marked.example.path))
    points_px = points_in(marked, image)
    placement = Placement.of_points(points_px)
    middle = points_px[[0, 2]].astype(np.float64).mean(axis=0)
    left, top = placement.from_image(middle[None])[0] - _SQUARE_SIDE / 2
    look = placement.region(left, top, _SQUARE_SIDE, _SQUARE_SIDE, SQUARE_PX, SQUARE_PX)
    planes = [look.cut(plane, SQUARE_PX, SQUARE_PX) for plane in (image, np.ones_like(image))]
    places = 2 * (look.from_image(points_px) + 0.5) / SQUARE_PX - 1
    return (np.stack(planes) * 255).round().astype(np.uint8), places.astype(np.float32)


def cut_squares(marked: list[KeyPoints], processes: int, progress: Callable[[int], None]) -> Squares:
    """The squares of all marked radiographs; ``progress(done)`` counts them."""
    cut = []
    with ProcessPoolExecutor(processes) as pool:
        for done, square in enumerate(pool.map(_square_with_points, marked, chunksize=32)):
            cut.append(square)
            progress(done + 1)
    return Squares(
        torch.from_numpy(np.stack([pixels for pixels, _ in cut])),
        torch.from_numpy(np.stack([points for _, points in cut])),
        torch.tensor([m.manual for m in marked]),
    )


@dataclass
class RegistrationTask:
    """Heat maps of three points, in any rotation and, as often, upright.

    Attributes:
        squares: To learn from.
        watch: Marked radiographs to measure on.
        segmentation: Hand-mask network on ``device``, for measuring as the node registers hands.
        recipe: How.
        device: Where to compute.
    """

    squares: Squares
    watch: list[KeyPoints]
    segmentation: HandUNet
    recipe: RegistrationRecipe
    device: torch.device
    _any: Warp = field(default=Warp(rotation_degrees=180, scale=0.4, shift=0.1), init=False)
    _near: Warp = field(default=Warp(rotation_degrees=12, scale=0.12, shift=0.04, mirror=0.5), init=False)

    def loss(self, network: nn.Module, images: int, done: float, generator: torch.Generator) -> Tensor:
        """Cross-entropy with a Gaussian about each point, plus the distance of the expectation from it."""
        seen, points = self._batch(images, generator)
        inside = ((points > 0) & (points < 1)).all(dim=2).to(self.device)
        points = points.to(self.device)
        with autocast(self.device):
            heat = network(seen.to(self.device, memory_format=torch.channels_last))
        heat = heat.float()
        found, _ = expected_points(heat)
        crossed = -(gaussians(points, heat.shape[2]) * functional.log_softmax(heat.flatten(2), dim=2)).sum(2)
        distance = (found - points).norm(dim=2)
        loss: Tensor = ((crossed + 20 * distance) * inside).sum() / inside.sum().clamp(min=1)
        return loss

    def _batch(self, images: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Input planes (n, 2, SIDE_PX, SIDE_PX) and points (n, 3, 2) as shares of the side."""
        pools = [torch.nonzero(self.squares.manual)[:, 0], torch.nonzero(~self.squares.manual)[:, 0]]
        manual = round(images * self.recipe.manual_share) if len(pools[1]) else images
        chosen = torch.cat(
            [
                pool[torch.randint(len(pool), (count,), generator=generator)]
                for pool, count in zip(pools, (manual, images - manual), strict=True)
                if count
            ]
        )
        near = round(images * self.recipe.near_share)
        maps = torch.cat(
            [
                self._near.maps(near, 1.0, generator) * _NEAR,
                self._any.maps(images - near, 1.0, generator) * (_NEAR * 1.2),
            ]
        )[torch.randperm(images, generator=generator)]
        batch = apply(maps, self.squares.pixels[chosen].float() / 255, SIDE_PX, SIDE_PX)
        grey, inside = vary_tone(batch[:, :1], generator), batch[:, 1] > 0.5
        planes = [input_planes(g[0].numpy(), i.numpy()) for g, i in zip(grey, inside, strict=True)]
        moved = self.squares.points[chosen] - maps[:, None, :, 2]
        points = torch.linalg.solve(maps[:, :, :2], moved.transpose(1, 2)).transpose(1, 2)
        return torch.from_numpy(np.stack(planes)), (points + 1) / 2

    def measure(self, network: nn.Module, done: float) -> dict[str, float]:
        """Error on watched radiographs, as shares of the hand's length."""
        assert isinstance(network, KeyPointVgg)
        return point_figures(HandFinder(self.segmentation, network, self.device), self.watch)


def gaussians(points: Tensor, side: int) -> Tensor:
    """Heat maps that the network should give, shape (n, 3, side * side), each summing to one."""
    places = (torch.arange(side, device=points.device) + 0.5) / side
    x = -0.5 * ((places - points[..., :1]) / _SIGMA) ** 2
    y = -0.5 * ((places - points[..., 1:]) / _SIGMA) ** 2
    return (y[..., :, None] + x[..., None, :]).flatten(2).softmax(dim=2)


def load_or_cut_squares(file: Path, cut: Callable[[], Squares]) -> Squares:
    """Squares kept in ``file`` (npz), cut now and kept there where it does not exist."""
    if file.is_file():
        with np.load(file) as kept:
            return Squares(*(torch.from_numpy(kept[name]) for name in ("pixels", "points", "manual")))
    squares = cut()
    with replacing(file) as partial_file:
        np.savez(partial_file, pixels=squares.pixels, points=squares.points, manual=squares.manual)
    return squares
