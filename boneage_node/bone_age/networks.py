"""The networks: a small U-Net for the hand mask and a VGG-like network for the age."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

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


class HandUNet(nn.Module):
    """U-Net (Ronneberger et al. 2015) that says which pixels are hand.

    Args:
        widths: Channels of each level, from full resolution down.
    """

    def __init__(self, widths: tuple[int, ...] = (12, 24, 48, 96, 96)) -> None:
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


class AgeVgg(nn.Module):
    """VGG-like age network: ELU, sex as an input, 240 one-month bins (Iglovikov et al. 2017).

    Args:
        widths: Channels of the blocks; each block halves the image.
        dropout: Probability before each dense layer.
    """

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64, 128, 192), dropout: float = 0.3) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for width in widths:
            layers += [_block(channels, width), nn.MaxPool2d(2)]
            channels = width
        self.features = nn.Sequential(*layers)
        self.sex = nn.Linear(1, 32)
        self.head = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(2 * channels + 32, 256),
            nn.ELU(),
            nn.Dropout(dropout),
            nn.Linear(256, AGE_BINS),
        )
        self.register_buffer("bins_months", torch.arange(AGE_BINS, dtype=torch.float32), persistent=False)

    def forward(self, images: Tensor, male: Tensor) -> Tensor:
        """Logits over the one-month bins, shape (n, 240).

        Args:
            images: Registered hands, shape (n, 1, h, w), contrast-normalised.
            male: 1.0 for boys, 0.0 for girls, shape (n,).
        """
        features = self.features(images)
        pooled = torch.cat([features.mean(dim=(2, 3)), features.amax(dim=(2, 3))], dim=1)
        sex = nn.functional.elu(self.sex(2 * male[:, None] - 1))
        logits: Tensor = self.head(torch.cat([pooled, sex], dim=1))
        return logits

    def age_months(self, logits: Tensor) -> Tensor:
        """Expectation over the bins in months, shape (n,)."""
        assert isinstance(self.bins_months, Tensor)
        return logits.float().softmax(dim=1) @ self.bins_months
