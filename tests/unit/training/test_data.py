"""Which radiographs are in which split, and what tells two data sets apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from boneage_node.bone_age import Sex
from boneage_node.training.data import Example, held_out_digest


def some(splits: str) -> list[Example]:
    """Radiographs 0, 1, 2, … in the splits of these initials."""
    names = {"t": "train", "c": "calibration", "v": "validation"}
    return [
        Example(str(number), Path(f"{number}.png"), 100.0, Sex.MALE, names[split], None)
        for number, split in enumerate(splits)
    ]


def test_the_digest_of_what_is_held_out_tells_which_radiographs_and_for_what() -> None:
    examples = some("tttccvv")
    known = held_out_digest(examples)

    assert held_out_digest(examples[::-1]) == known
    assert held_out_digest(examples[1:]) == known
    assert held_out_digest(replace(example, bone_age_months=9) for example in examples) == known
    for others in ("tttcvvv", "tttvvcc", "ttcccvv", "tttccvt"):
        assert held_out_digest(some(others)) != known
