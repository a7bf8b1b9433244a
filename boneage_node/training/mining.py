"""Positive mining: choice of those of a network's own masks that are good enough to learn from."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from scipy import ndimage
from skimage import measure

from boneage_node.bone_age.framing import Grey
from boneage_node.bone_age.networks import HandUNet
from boneage_node.bone_age.segmentation import Mask, hand_share, largest_component, outline
from boneage_node.datasets.rsna import Example, read_image

from .provenance import replacing

_AREA = (0.06, 0.75)
_SOLIDITY = (0.5, 0.93)
_BORDER = 0.25
_AGREEMENT = 0.94
_UNSURE = 0.15
_SCRAPS = 0.03
_TILT = 0.1
_TILE_PX = 120
_COLUMNS = 16
_ON_A_SHEET = 192


@dataclass(frozen=True)
class Mined:
    """A radiograph's mask as the network sees it.

    Attributes:
        example: The radiograph.
        mask: Largest component, of the image's shape.
        reason: Why it is not learned from; None where it is.
    """

    example: Example
    mask: Mask
    reason: str | None


def mine(
    network: HandUNet,
    examples: list[Example],
    processes: int,
    struck: set[str],
    progress: Callable[[int], None],
) -> list[Mined]:
    """Masks of radiographs, each with the verdict on it; those in ``struck`` are rejected unseen.

    ``progress(done)`` counts the radiographs.
    """
    mined = []
    with ProcessPoolExecutor(processes) as pool:
        judge = partial(_judge, network=network, struck=struck)
        for done, one in enumerate(pool.map(judge, examples, chunksize=16), 1):
            mined.append(one)
            progress(done)
    return mined


def _judge(example: Example, network: HandUNet, struck: set[str]) -> Mined:
    torch.set_num_threads(1)
    image = read_image(example.path)
    shares = np.stack([hand_share(network, seen, torch.device("cpu")) for seen in tilted(image)])
    mean = shares.mean(axis=0)
    mask = largest_component(mean > 0.5)
    if example.id in struck:
        return Mined(example, mask, "struck by hand")
    checks: list[Callable[[], str | None]] = [
        lambda: _wrong_shape(mask),
        lambda: _beyond("scraps", float(((mean > 0.5) & ~mask).sum() / mask.sum()), _SCRAPS),
        lambda: _beyond("unsure", float(((mean > 0.2) & (mean < 0.8)).sum() / mask.sum()), _UNSURE),
        lambda: _disagreement([largest_component(share > 0.5) for share in shares]),
    ]
    reasons = (check() for check in checks)
    return Mined(example, mask, next((reason for reason in reasons if reason), None))


def tilted(image: Grey) -> list[Grey]:
    """An image as it is, and with its brightness tilted a little across the diagonal, both ways."""
    low, high = np.percentile(image, [1, 99.5])
    rows, columns = (np.linspace(-0.5, 0.5, side, dtype=np.float32) for side in image.shape)
    tilt = (_TILT * (high - low) * (rows[:, None] + columns[None, :])).astype(np.float32)
    return [image, image + tilt, image - tilt]


def _beyond(name: str, value: float, limit: float) -> str | None:
    return f"{name} {value:.2f}" if value > limit else None


def _wrong_shape(mask: Mask) -> str | None:
    """Area, solidity and contact with the image's border that no single hand has."""
    area = float(mask.mean())
    if not _AREA[0] <= area <= _AREA[1]:
        return f"area {area:.2f}"
    solidity = float(measure.regionprops(mask.astype(np.uint8))[0].solidity)
    if not _SOLIDITY[0] <= solidity <= _SOLIDITY[1]:
        return f"solidity {solidity:.2f}"
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    return _beyond("border", float(border.mean()), _BORDER)


def _disagreement(masks: list[Mask]) -> str | None:
    """Least overlap of the masks of differently exposed views, in words, where it is too low."""
    least = min(float((a & b).sum() / max(1, (a | b).sum())) for a, b in pairwise(masks))
    return f"agreement {least:.2f}" if least < _AGREEMENT else None


def save_masks(mined: list[Mined], file: Path) -> None:
    """Write masks and verdicts to a file (npz), the masks packed to bits."""
    arrays = {f"mask-{one.example.id}": np.packbits(one.mask) for one in mined}
    verdicts = {one.example.id: (one.reason, one.mask.shape) for one in mined}
    with replacing(file) as partial_file:
        np.savez(partial_file, verdicts=json.dumps(verdicts), **arrays)  # type: ignore[arg-type]


def load_masks(file: Path, examples: list[Example]) -> list[Mined]:
    """Read what ``save_masks`` wrote of these examples."""
    with np.load(file) as arrays:
        verdicts = json.loads(str(arrays["verdicts"]))
        found = []
        for example in examples:
            reason, shape = verdicts[example.id]
            bits = np.unpackbits(arrays[f"mask-{example.id}"], count=shape[0] * shape[1])
            found.append(Mined(example, bits.reshape(shape).astype(np.bool_), reason))
    return found


def contact_sheets(mined: list[Mined]) -> Iterator[Image.Image]:
    """All accepted masks above and all rejected ones with their reasons below, for a person to look at."""
    verdicts = [[m for m in mined if (m.reason is None) is accepted] for accepted in (True, False)]
    for first in range(0, max(map(len, verdicts)), _ON_A_SHEET):
        yield _sheet([verdict[first : first + _ON_A_SHEET] for verdict in verdicts], first)


def _sheet(parts: list[list[Mined]], first: int) -> Image.Image:
    rows = [-(-len(part) // _COLUMNS) for part in parts]
    sheet = Image.new("RGB", (_COLUMNS * _TILE_PX, (sum(rows) + 1) * _TILE_PX), "white")
    accepted, rejected = (f"{len(part)} from number {first + 1}" if part else "none left" for part in parts)
    ImageDraw.Draw(sheet).text(
        (4, rows[0] * _TILE_PX + _TILE_PX // 2),
        f"Above: accepted, {accepted}. Below: rejected, {rejected}. Ids of bad ones go into strike.txt.",
        fill="black",
    )
    for first_row, part in zip((0, rows[0] + 1), parts, strict=True):
        for place, one in enumerate(part):
            corner = (place % _COLUMNS * _TILE_PX, (first_row + place // _COLUMNS) * _TILE_PX)
            sheet.paste(_tile(one), corner)
    return sheet


def _tile(mined: Mined) -> Image.Image:
    """One radiograph with its outline and id."""
    image = read_image(mined.example.path)
    low, high = np.percentile(image, [1, 99.5])
    grey = (np.clip((image - low) / max(high - low, 1e-4), 0, 1) * 255).astype(np.uint8)
    scale = (_TILE_PX - 2) / max(grey.shape)
    size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
    tile = Image.new("RGB", (_TILE_PX, _TILE_PX), "black")
    tile.paste(Image.fromarray(grey).convert("RGB").resize(size))
    draw = ImageDraw.Draw(tile)
    if mined.mask.any() and ndimage.binary_erosion(mined.mask).any():
        line = [(float(x) * scale, float(y) * scale) for x, y in outline(mined.mask)]
        draw.line([*line, line[0]], fill="lime" if mined.reason is None else "red")
    draw.text((2, 2), mined.example.id, fill="yellow")
    if mined.reason is not None:
        draw.text((2, _TILE_PX - 14), mined.reason, fill="red")
    return tile
