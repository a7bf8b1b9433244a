"""Rasters that the age networks learn from: hands found, registered and cut once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from boneage_node.bone_age import Refusal, Sex
from boneage_node.bone_age.cropping import member_raster
from boneage_node.bone_age.finding import HandFinder
from boneage_node.bone_age.framing import Grey
from boneage_node.bone_age.manifest import AgeMember
from boneage_node.bone_age.shape import registered_mask
from boneage_node.datasets.annotations import data_digest
from boneage_node.datasets.rsna import Example, is_high_resolution, read_image

from .provenance import begin_folder, digest, replacing

MARGIN = 0.2
"""Share by which rasters are cut larger than the networks read them, so that they can be moved about."""

_PART = 500


@dataclass(frozen=True)
class Rasters:
    """One member's rasters.

    Attributes:
        examples: Those in whose radiograph a hand was found, n of them.
        pixels: Shape (n, height_px, width_px), uint8, ``MARGIN`` larger than the member reads.
        sharp: Whether each came from a high-resolution image, shape (n,).
    """

    examples: list[Example]
    pixels: npt.NDArray[np.uint8]
    sharp: npt.NDArray[np.bool_]

    def split(self, name: str) -> Rasters:
        """The rasters of one split."""
        chosen = np.flatnonzero([example.split == name for example in self.examples])
        return Rasters([self.examples[i] for i in chosen], self.pixels[chosen], self.sharp[chosen])

    @property
    def ages_months(self) -> npt.NDArray[np.float32]:
        """Labels, shape (n,)."""
        return np.array([example.bone_age_months for example in self.examples], dtype=np.float32)

    @property
    def male(self) -> npt.NDArray[np.float32]:
        """1 for boys, 0 for girls, shape (n,)."""
        return np.array([example.sex is Sex.MALE for example in self.examples], dtype=np.float32)


def _cut(
    example: Example, finder: HandFinder, members: Sequence[AgeMember]
) -> dict[str, npt.NDArray[Any]] | None:
    """The example's raster for each member, its registered mask and sharpness; None where it is refused."""
    torch.set_num_threads(1)
    pixels = read_image(example.path)
    try:
        hand = finder.find(pixels)
    except Refusal:
        return None
    cut = {
        name: _eight_bits(member_raster(member, hand, MARGIN)) for name, member in _by_name(members).items()
    }
    return cut | {
        "mask": _eight_bits(registered_mask(hand)),
        "sharp": np.array(is_high_resolution(pixels)),
    }


def raster_name(member: AgeMember) -> str:
    """Name of a member's rasters in their files; members that read the whole radiograph share one."""
    return member.name if member.region else f"radiograph {member.height_px}x{member.width_px}"


def _by_name(members: Sequence[AgeMember]) -> dict[str, AgeMember]:
    return {raster_name(member): member for member in members}


def raster_inputs(
    examples: list[Example], finder: HandFinder, members: Sequence[AgeMember]
) -> dict[str, Any]:
    """All that rasters depend on: the radiographs, the finder's networks, and what the members read."""
    read = {
        name: member.model_dump(include={"region", "height_px", "width_px"})
        for name, member in _by_name(members).items()
    }
    return {
        "data": data_digest(examples),
        "hand mask": digest(finder.segmentation),
        "key points": digest(finder.registration),
        "rasters": read,
        "margin": MARGIN,
    }


def _eight_bits(image: Grey) -> npt.NDArray[np.uint8]:
    return (image * 255).round().clip(0, 255).astype(np.uint8)


def cut_rasters(
    examples: list[Example],
    finder: HandFinder,
    members: Sequence[AgeMember],
    folder: Path,
    *,
    processes: int,
    progress: Callable[[int], None],
) -> None:
    """Find and cut every hand into ``folder``, in parts; those already there are left alone.

    Radiographs in which no hand is found are left out. ``progress(done)`` counts them all.

    Raises:
        DataError: Where those already there were cut from other data, with another finder or for other
            members.
    """
    begin_folder(folder, raster_inputs(examples, finder, members))
    work = partial(_cut, finder=finder, members=members)
    with ProcessPoolExecutor(processes) as pool:
        for start in range(0, len(examples), _PART):
            part = examples[start : start + _PART]
            file = folder / f"part-{start // _PART:03d}.npz"
            if not file.is_file():
                cut = list(pool.map(work, part, chunksize=8))
                found = [(example.id, c) for example, c in zip(part, cut, strict=True) if c is not None]
                arrays = {
                    name: np.stack([c[name] for _, c in found]) for name in (found[0][1] if found else {})
                }
                arrays["ids"] = np.array([identity for identity, _ in found])
                with replacing(file) as partial_file:
                    np.savez(partial_file, **arrays)  # type: ignore[arg-type]
            progress(start + len(part))


def read_rasters(folder: Path, member: AgeMember, examples: list[Example]) -> Rasters:
    """One member's rasters of all parts in a folder."""
    by_id = {example.id: example for example in examples}
    kept = [by_id[str(identity)] for identity in read_array(folder, "ids")]
    return Rasters(kept, read_array(folder, raster_name(member)), read_array(folder, "sharp"))


def read_array(folder: Path, name: str) -> npt.NDArray[Any]:
    """All parts of one array in a folder: ``ids``, ``sharp``, ``mask`` or a ``raster_name``."""
    arrays = []
    for file in sorted(folder.glob("part-*.npz")):
        with np.load(file) as part:
            if name in part:
                arrays.append(part[name])
    return np.concatenate(arrays)
