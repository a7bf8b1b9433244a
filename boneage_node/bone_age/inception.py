"""Inception v3 with sex as an input: the age network that won the RSNA 2017 challenge."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .networks import AgeHeads, AgeNetwork

# Makes a layer for (input channels, width) and says how many channels come out of it.
_Maker = Callable[[int, float], tuple[nn.Module, int]]


def _scaled(count: int, width: float) -> int:
    return max(4, round(count * width))


def _conv(channels: int, rows: int = 1, columns: int = 1, *, stride: int = 1, padded: bool = True) -> _Maker:
    """A convolution with batch normalisation and ReLU; padded to keep the size at stride 1."""

    def make(in_channels: int, width: float) -> tuple[nn.Module, int]:
        out_channels = _scaled(channels, width)
        padding = (rows // 2, columns // 2) if padded else (0, 0)
        layer = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, (rows, columns), stride, padding, bias=False),
            nn.BatchNorm2d(out_channels, eps=1e-3),
            nn.ReLU(inplace=True),
        )
        return layer, out_channels

    return make


def _halve(channels: int) -> _Maker:
    return _conv(channels, 3, 3, stride=2, padded=False)


def _max_pool(in_channels: int, width: float) -> tuple[nn.Module, int]:
    return nn.MaxPool2d(3, stride=2), in_channels


def _mean_pool(in_channels: int, width: float) -> tuple[nn.Module, int]:
    return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False), in_channels


def _chain(*makers: _Maker) -> _Maker:
    def make(in_channels: int, width: float) -> tuple[nn.Module, int]:
        layers = []
        for maker in makers:
            layer, in_channels = maker(in_channels, width)
            layers.append(layer)
        return nn.Sequential(*layers), in_channels

    return make


class _Branches(nn.Module):
    """Layers that read the same features; what they say is joined along the channels."""

    def __init__(self, branches: list[nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, features: Tensor) -> Tensor:
        return torch.cat([branch(features) for branch in self.branches], dim=1)


def _fork(*makers: _Maker) -> _Maker:
    def make(in_channels: int, width: float) -> tuple[nn.Module, int]:
        branches, channels = zip(*(maker(in_channels, width) for maker in makers), strict=True)
        return _Branches(list(branches)), sum(channels)

    return make


def _block_a(pooled: int) -> _Maker:
    return _fork(
        _conv(64),
        _chain(_conv(48), _conv(64, 5, 5)),
        _chain(_conv(64), _conv(96, 3, 3), _conv(96, 3, 3)),
        _chain(_mean_pool, _conv(pooled)),
    )


def _block_b() -> _Maker:
    return _fork(_halve(384), _chain(_conv(64), _conv(96, 3, 3), _halve(96)), _max_pool)


def _block_c(inner: int) -> _Maker:
    """7x7 convolutions as pairs of 1x7 and 7x1."""
    return _fork(
        _conv(192),
        _chain(_conv(inner), _conv(inner, 1, 7), _conv(192, 7, 1)),
        _chain(_conv(inner), _conv(inner, 7, 1), _conv(inner, 1, 7), _conv(inner, 7, 1), _conv(192, 1, 7)),
        _chain(_mean_pool, _conv(192)),
    )


def _block_d() -> _Maker:
    return _fork(
        _chain(_conv(192), _halve(320)),
        _chain(_conv(192), _conv(192, 1, 7), _conv(192, 7, 1), _halve(192)),
        _max_pool,
    )


def _block_e() -> _Maker:
    spread = _fork(_conv(384, 1, 3), _conv(384, 3, 1))
    return _fork(
        _conv(320),
        _chain(_conv(384), spread),
        _chain(_conv(448), _conv(384, 3, 3), spread),
        _chain(_mean_pool, _conv(192)),
    )


_STEM = _chain(
    _halve(32), _conv(32, 3, 3, padded=False), _conv(64, 3, 3), _max_pool,
    _conv(80), _conv(192, 3, 3, padded=False), _max_pool,
)  # fmt: skip
_TRUNK = _chain(
    _STEM,
    *map(_block_a, (32, 64, 64)), _block_b(),
    *map(_block_c, (128, 160, 160, 192)), _block_d(),
    _block_e(), _block_e(),
)  # fmt: skip


class AgeInception(AgeNetwork):
    """Age from the whole radiograph: Inception v3, sex joined to its features, two dense layers.

    The trunk is that of Szegedy et al. 2016 (arXiv 1512.00567, without the auxiliary head), fed with one
    channel; the head is that of Cicero and Bilbily, winners of the RSNA 2017 challenge, who trained it at
    500 x 500 pixels (Halabi et al. 2019, doi 10.1148/radiol.2018180736).

    Args:
        width: Factor on every number of channels, and on the two dense layers.
        dropout: Probability before each of the two dense layers.
    """

    def __init__(self, width: float = 1.0, dropout: float = 0.0) -> None:
        super().__init__()
        self.features, channels = _TRUNK(1, width)
        self.sex = nn.Linear(1, 32)
        dense = _scaled(1000, width)
        self.dense = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(channels + 32, dense), nn.ReLU(inplace=True),
            nn.Dropout(dropout), nn.Linear(dense, dense), nn.ReLU(inplace=True),
        )  # fmt: skip
        self.regression = nn.Linear(dense, 1)

    def describe(self, images: Tensor) -> Tensor:
        """Means of the last block, from whole radiographs, bone bright; at least 75 pixels a side."""
        features: Tensor = self.features(images).mean(dim=(2, 3))
        return features

    def judge(self, features: Tensor, male: Tensor) -> AgeHeads:
        """The regression head's answer, not clipped; it has no other. Arguments as of ``AgeNetwork``."""
        sex = nn.functional.relu(self.sex(2 * male[:, None] - 1))
        ages: Tensor = self.regression(self.dense(torch.cat([features, sex], dim=1)))
        return AgeHeads(ages[:, 0], None)
