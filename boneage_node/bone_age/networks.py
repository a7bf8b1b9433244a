"""The small networks: a U-Net for the hand mask, VGG-like ones for the key points and the age."""

from __future__ import annotations

from copy import deepcopy
from itertools import pairwise
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Network = TypeVar("Network", bound=nn.Module)

AGE_BINS = 240


def _block(in_channels: int, out_channels: int, convolutions: int = 2) -> nn.Sequential:
    """3x3 convolutions, each with batch normalisation and ELU."""
    layers: list[nn.Module] = []
    for index in range(convolutions):
        layers += [
            nn.Conv2d(in_channels if index == 0 else out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ELU(inplace=True),
        ]
    return nn.Sequential(*layers)


def folded(network: Network) -> Network:
    """A copy for reading alone: each batch normalisation is part of the convolution before it.

    It answers the same but for the last bits of its floats, in four fifths of the time.
    """
    copy = deepcopy(network).eval()
    for block in [module for module in copy.modules() if isinstance(module, nn.Sequential)]:
        for index, (layer, following) in enumerate(pairwise(list(block))):
            if isinstance(layer, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
                block[index] = fuse_conv_bn_eval(layer, following)
                block[index + 1] = nn.Identity()
    return copy.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


class HandUNet(nn.Module):
    """U-Net (Ronneberger et al. 2015) that says which pixels are hand.

    Args:
        widths: Channels of each level, from full resolution down.
    """

    def __init__(self, widths: tuple[int, ...] = (16, 32, 48, 96, 96)) -> None:
        super().__init__()
        self.widths = widths
        self.down = nn.ModuleList(
            _block(2 if level == 0 else widths[level - 1], width) for level, width in enumerate(widths)
        )
        self.up = nn.ModuleList(_block(deep + shallow, shallow) for shallow, deep in pairwise(widths))
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Conv2d(widths[0], 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of shape (n, 1, h, w) from images (n, 2, h, w); h and w divisible by 16."""
        skipped: list[Tensor] = []
        features = images
        for level, block in enumerate(self.down):
            features = block(features if level == 0 else self.pool(features))
            skipped.append(features)
        for level in range(len(self.up) - 1, -1, -1):
            larger = nn.functional.interpolate(features, scale_factor=2.0, mode="nearest")
            features = self.up[level](torch.cat([larger, skipped[level]], dim=1))
        logits: Tensor = self.head(features)
        return logits


class KeyPointVgg(nn.Module):
    """VGG-like network that says where three key points are, as heat maps at a quarter of the resolution.

    Args:
        widths: Channels of the blocks; each after the first halves the image.
    """

    def __init__(self, widths: tuple[int, ...] = (12, 24, 48, 96, 128)) -> None:
        super().__init__()
        self.widths = widths
        self.blocks = nn.ModuleList(
            _block(2 if level == 0 else widths[level - 1], width, convolutions=1 if level == 0 else 2)
            for level, width in enumerate(widths)
        )
        self.merge = nn.ModuleList(
            _block(deep + shallow, shallow, convolutions=1) for shallow, deep in pairwise(widths[2:])
        )
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Conv2d(widths[2], 3, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of the points' places, shape (n, 3, h / 4, w / 4), from images (n, 2, h, w)."""
        features, levels = images, []
        for level, block in enumerate(self.blocks):
            features = block(features if level == 0 else self.pool(features))
            levels.append(features)
        for merge, level_features in zip(reversed(self.merge), reversed(levels[2:-1]), strict=True):
            larger = nn.functional.interpolate(features, scale_factor=2.0, mode="nearest")
            features = merge(torch.cat([larger, level_features], dim=1))
        logits: Tensor = self.head(features)
        return logits


class AgeHeads(NamedTuple):
    """Output of an age network for n hands; a head that it has not is None.

    Attributes:
        regression: Age scaled so that -1 is 0 and 1 is ``AGE_BINS`` months, shape (n,).
        classification: Logits over the one-month bins, shape (n, AGE_BINS).
    """

    regression: Tensor | None
    classification: Tensor | None


class AgeNetwork(nn.Module):
    """An age network in two steps: what costs time does not depend on sex, and is done once for both."""

    def describe(self, images: Tensor) -> Tensor:
        """What the dense layers are told of images (n, 1, h, w), shape (n, k)."""
        raise NotImplementedError

    def judge(self, features: Tensor, male: Tensor) -> AgeHeads:
        """The heads' answers.

        Args:
            features: As ``describe`` gives them, shape (n, k).
            male: 1.0 for boys, 0.0 for girls, 0.5 where sex is unknown, shape (n,).
        """
        raise NotImplementedError

    def forward(self, images: Tensor, male: Tensor) -> AgeHeads:
        """Both steps: arguments as theirs."""
        return self.judge(self.describe(images), male)


def months_by_head(heads: AgeHeads) -> dict[str, Tensor]:
    """Ages in months, shape (n,), by the name of the head: the expectation over bins for classification."""
    months = {}
    if heads.regression is not None:
        months["regression"] = (heads.regression.float() + 1) * (AGE_BINS / 2)
    if heads.classification is not None:
        bins_months = torch.arange(AGE_BINS, dtype=torch.float32, device=heads.classification.device)
        share = heads.classification.float().softmax(dim=1)
        months["classification"] = (share * bins_months).sum(dim=1)  # not a product: autocast would round it
    return months


class AgeVgg(AgeNetwork):
    """VGG-like age network with both heads: ELU, sex as an input (Iglovikov et al. 2017).

    Args:
        widths: Channels of the blocks; each block halves the image.
        dropout: Probability before each dense layer.
    """

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64, 128, 160), dropout: float = 0.3) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for level, width in enumerate(widths):
            layers += [_block(channels, width, convolutions=1 if level == 0 else 2), nn.MaxPool2d(2)]
            channels = width
        self.features = nn.Sequential(*layers)
        self.sex = nn.Linear(1, 32)
        self.dense = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(2 * channels + 32, 256), nn.ELU(), nn.Dropout(dropout)
        )
        self.regression = nn.Linear(256, 1)
        self.classification = nn.Linear(256, AGE_BINS)

    def freeze(self, blocks: int) -> None:
        """Keep the weights of so many of the first blocks as they are."""
        self.features[: 2 * blocks].requires_grad_(False)  # each is convolutions and a pooling

    def describe(self, images: Tensor) -> Tensor:
        """Means and maxima of the last block, from a region of registered hands, contrast-normalised."""
        features = self.features(images)
        return torch.cat([features.mean(dim=(2, 3)), features.amax(dim=(2, 3))], dim=1)

    def judge(self, features: Tensor, male: Tensor) -> AgeHeads:
        """Both heads' answers; arguments as of ``AgeNetwork``."""
        sex = nn.functional.elu(self.sex(2 * male[:, None] - 1))
        dense = self.dense(torch.cat([features, sex], dim=1))
        return AgeHeads(self.regression(dense)[:, 0], self.classification(dense))
