"""A store that cannot be opened is a sentence and a status."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from boneage_node.errors import ExitCode, NodeError
from boneage_node.node.opening import open_store
from boneage_node.spool.storage import Storage
from boneage_node.store import database


def test_a_database_that_another_program_locks_may_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_LOOK_SECONDS", 0.1)
    with closing(sqlite3.connect(tmp_path / "boneage.sqlite3")) as other:
        other.execute("CREATE TABLE held (id)")
        other.execute("BEGIN EXCLUSIVE")
        (tmp_path / "boneage.sqlite3-wal").touch()
        with pytest.raises(NodeError, match="another program keeps it locked") as caught:
            open_store(Storage(data_dir=tmp_path), read_only=True)
    assert caught.value.code is ExitCode.DATABASE_AWAY


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_root_that_looks_leaves_no_file_of_its_own(tmp_path: Path) -> None:
    storage = Storage(data_dir=tmp_path / "data")
    with open_store(storage, migrate=True):
        pass
    for path in (storage.data_dir, *storage.data_dir.rglob("*")):
        os.chown(path, 12345, 12345)
    with open_store(storage, read_only=True) as store:
        assert store.studies.list() == []
    assert {path.stat().st_uid for path in storage.data_dir.rglob("*")} == {12345}
