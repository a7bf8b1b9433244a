"""The images that a split holds out of training, and whether a model was trained without them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from boneage_node.bone_age.manifest import Manifest

from .rsna import HELD_OUT_SPLITS, Example

HELD_OUT = "held_out_sha256"
"""Key of ``Manifest.training``: ``held_out_digest`` of the data that a model was trained on."""

BORROWED = "borrowed"
"""Key of ``Manifest.training``: parts taken from another model, which, and its ``HELD_OUT``."""


def held_out_digest(examples: Iterable[Example]) -> str:
    """Digest (sha256, hex) of the ids in each split that is held out of training.

    Two folders have the same one where what was trained on one of them can be measured on the other.
    """
    held_out = sorted(f"{e.split} {e.id}\n" for e in examples if e.split in HELD_OUT_SPLITS)
    return hashlib.sha256("".join(held_out).encode()).hexdigest()


def split_differs(manifest: Manifest, examples: list[Example]) -> bool:
    """Tell whether the model was trained with other images held out; false where it does not say."""
    own = held_out_digest(examples)
    return bool(manifest.training.get(HELD_OUT, own) != own)


def reason_to_doubt(manifest: Manifest, examples: list[Example]) -> str:
    """Give the reason why figures on held-out images may be too good, and what to do; empty where none.

    Args:
        manifest: The model's.
        examples: All radiographs of the data that it is measured on.
    """
    if HELD_OUT not in manifest.training:
        return (
            f"The model's manifest does not say which images were held out of its training ({HELD_OUT}): the "
            "figures are those of images it did not see only if the data is split as it was then."
        )
    if split_differs(manifest, examples):
        return (
            "The data is split otherwise than that on which the model was trained: it may have learned from "
            "images that are held out here, and the figures may be too good. Put the splits.csv that it was "
            "trained with into the data folder."
        )
    borrowed = manifest.training.get(BORROWED)
    if borrowed and borrowed[HELD_OUT] != held_out_digest(examples):
        return (
            f"The networks for {' and '.join(borrowed['parts'])} are those of {borrowed['model']}, which may "
            "have learned from these images: how well hands are found, and how many are refused, may be told "
            "too well."
        )
    return ""
