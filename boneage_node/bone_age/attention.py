"""Attention map: the change of the bone age when a part of the hand is hidden.

Occlusion (Zeiler and Fergus, ECCV 2014): a measurement of the very ensemble that made the reading, not a
layer of one network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from .assessment import Attention
from .cropping import FoundHand, member_raster, region_corners
from .framing import Grey
from .manifest import AgeMember, Region
from .networks import AgeNetwork
from .views import read_views

CELL = 160.0
"""Side of what is hidden at a time, in units of the method's frame: about the width of a finger."""
_BATCH = 32


def occlude(
    members: Sequence[AgeMember],
    networks: Mapping[str, AgeNetwork],
    hand: FoundHand,
    male: Sequence[float],
    device: torch.device,
) -> Attention | None:
    """Hide the hand cell by cell, and read it each time.

    A hidden cell is blurred until no bone can be told from another; its mean grey stays.

    Args:
        members: The ensemble.
        networks: Age network of each member, by name.
        hand: The hand.
        male: As what it was read: 1.0 for a boy, 0.0 for a girl, or both.
        device: Where to compute.

    Returns:
        The map; None where a member reads the whole radiograph, in which there are no such cells.
    """
    if not all(member.region for member in members):
        return None
    cells = _cells(members, hand)
    change_months = np.zeros(len(cells), np.float32)
    for member in members:
        change_months += _changes(member, networks[member.name], hand, cells, male, device)
    corners = np.stack([hand.placement.to_image(region_corners(cell)) for cell in cells])
    return Attention(hand.in_radiograph(corners.reshape(-1, 2)).reshape(-1, 4, 2), change_months)


def _cells(members: Sequence[AgeMember], hand: FoundHand) -> list[Region]:
    """The cells of a grid over all regions that hold some of the hand."""
    regions = [member.region for member in members if member.region]
    left, top = min(r.left for r in regions), min(r.top for r in regions)
    right = max(r.left + r.width for r in regions)
    bottom = max(r.top + r.height for r in regions)
    cells = [
        Region(left=float(x), top=float(y), width=CELL, height=CELL)
        for y in np.arange(top, bottom, CELL)
        for x in np.arange(left, right, CELL)
    ]
    return [cell for cell in cells if _on_hand(cell, hand)]


def _on_hand(cell: Region, hand: FoundHand) -> bool:
    shown = hand.placement.region(cell.left, cell.top, cell.width, cell.height, 8, 8)
    return bool((shown.cut(hand.near, 8, 8) > 0.5).mean() > 0.1)


def _changes(
    member: AgeMember,
    network: AgeNetwork,
    hand: FoundHand,
    cells: Sequence[Region],
    male: Sequence[float],
    device: torch.device,
) -> npt.NDArray[np.float32]:
    """Change of this member's part of the bone age by hiding each cell, shape (n,); 0 beyond its region."""
    raster = member_raster(member, hand)
    hidden = list(_hidden(member, raster, cells))
    numbers = [number for number, _ in hidden]
    images = [raster, *(image for _, image in hidden)]
    months = _read(member, network, images, male, device)
    changes = np.zeros(len(cells), np.float32)
    changes[numbers] = months[1:] - months[0]
    return changes


def _hidden(member: AgeMember, raster: Grey, cells: Sequence[Region]) -> Iterator[tuple[int, Grey]]:
    """For each cell that the member sees: its number, and the raster with the cell blurred."""
    region = member.region
    assert region is not None, "asked for before"
    px = member.width_px / region.width
    blurred = ndimage.gaussian_filter(raster, CELL * px / 2)
    for number, cell in enumerate(cells):
        left, top = round((cell.left - region.left) * px), round((cell.top - region.top) * px)
        side = round(CELL * px)
        inside = np.zeros_like(raster)
        inside[max(0, top) : max(0, top + side), max(0, left) : max(0, left + side)] = 1
        if inside.any():
            inside = ndimage.gaussian_filter(inside, CELL * px / 12)  # no edge that was not there
            yield number, raster * (1 - inside) + blurred * inside


def _read(
    member: AgeMember,
    network: AgeNetwork,
    images: Sequence[Grey],
    male: Sequence[float],
    device: torch.device,
) -> npt.NDArray[np.float64]:
    """The member's share of the bone age in each image, the mean over the sexes, in months, shape (n,)."""
    parts = []
    for start in range(0, len(images), _BATCH):
        batch = torch.from_numpy(np.stack(images[start : start + _BATCH]))[:, None].to(device)
        months = read_views(network, batch, [[as_male] * len(batch) for as_male in male], 1).months
        shares = [[read[head] * share for head, share in member.weights.items()] for read in months]
        parts.append(np.sum(shares, axis=1).mean(axis=0))
    return np.concatenate(parts)
