"""What the files of a run were made of is checked before they are used again."""

from __future__ import annotations

from pathlib import Path

import pytest

from boneage_node.datasets.rsna import DataError
from boneage_node.training.provenance import begin_folder


def test_a_folder_of_a_run_is_gone_on_with_only_by_what_it_was_begun_with(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    begin_folder(folder, {"recipe": {"steps": 3, "widths": (1, 2)}, "data": "a"})
    (folder / "checkpoint.pt").touch()
    begin_folder(folder, {"recipe": {"steps": 3, "widths": (1, 2)}, "data": "a"})
    with pytest.raises(DataError, match="changed: data"):
        begin_folder(folder, {"recipe": {"steps": 3, "widths": (1, 2)}, "data": "b"})
    (folder / "made.json").unlink()
    with pytest.raises(DataError, match="delete"):
        begin_folder(folder, {"recipe": {"steps": 3, "widths": (1, 2)}, "data": "a"})
