"""Which radiographs are in which split, and what tells two data sets apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from boneage_node.bone_age import Sex
from boneage_node.training.data import (
    DataError,
    Example,
    Marked,
    Outline,
    data_digest,
    held_out_digest,
)
from boneage_node.training.provenance import begin


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


def test_the_digest_of_data_tells_all_that_training_takes_from_it(tmp_path: Path) -> None:
    examples = [replace(e, path=tmp_path / e.path) for e in some("ttcv")]
    for example in examples:
        example.path.write_bytes(b"pixels")
    corners = np.array([[1, 1], [8, 1], [4, 9]], dtype=np.float32)
    outline = Outline("0", (corners,), (10, 10))
    marked = Marked(examples[1], corners / 10, manual=True)
    digests = [data_digest(examples, [outline], [marked])]

    first, *rest = examples
    for other in (
        replace(first, id="9"),
        replace(first, split="validation"),
        replace(first, bone_age_months=101.0),
        replace(first, sex=Sex.FEMALE),
        replace(first, native_size_px=(20, 20)),
    ):
        digests.append(data_digest([other, *rest], [outline], [marked]))
    digests.append(data_digest([*rest, first], [outline], [marked]))
    digests.append(data_digest(examples, [replace(outline, polygons=(corners + 1,))], [marked]))
    digests.append(data_digest(examples, [outline], [replace(marked, manual=False)]))
    digests.append(data_digest(examples, [outline], [replace(marked, points=corners / 11)]))
    first.path.write_bytes(b"more pixels")
    digests.append(data_digest(examples, [outline], [marked]))
    assert len(set(digests)) == len(digests)


def test_a_folder_of_a_run_is_gone_on_with_only_by_what_it_was_begun_with(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    begin(folder, {"recipe": {"steps": 3, "widths": (1, 2)}, "data": "a"})
    (folder / "checkpoint.pt").touch()
    begin(folder, {"recipe": {"steps": 3, "widths": (1, 2)}, "data": "a"})
    with pytest.raises(DataError, match="changed: data"):
        begin(folder, {"recipe": {"steps": 3, "widths": (1, 2)}, "data": "b"})
    (folder / "made.json").unlink()
    with pytest.raises(DataError, match="delete"):
        begin(folder, {"recipe": {"steps": 3, "widths": (1, 2)}, "data": "a"})
