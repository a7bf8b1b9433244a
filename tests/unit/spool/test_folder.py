"""The spool: durable, under names of its own, full before the disk is."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest

from boneage_node.spool import FolderSpool, SpoolFull


@pytest.fixture
def spool(tmp_path: Path) -> FolderSpool:
    return FolderSpool(tmp_path / "spool", reserve_bytes=0)


def incoming(spool: FolderSpool, data: bytes = b"bytes as they came", name: str = "from a peer") -> Path:
    path = spool.incoming_dir / name
    path.write_bytes(data)
    return path


def test_keeps_the_bytes_after_the_incoming_file_is_gone(spool: FolderSpool) -> None:
    path = incoming(spool)
    name = spool.keep(path)
    path.unlink()
    assert spool.path(name).read_bytes() == b"bytes as they came"
    assert spool.path(name).parent.name == name[:2]


def test_copies_where_a_hard_link_is_impossible(spool: FolderSpool) -> None:
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == spool.root.stat().st_dev:
        pytest.skip("no second file system here")
    path = other / f"boneage-test-{os.getpid()}"
    path.write_bytes(b"from elsewhere")
    try:
        name = spool.keep(path)
    finally:
        path.unlink()
    assert spool.path(name).read_bytes() == b"from elsewhere"


@pytest.mark.parametrize("way", ["keep", "write"])
def test_file_and_folder_are_synced_before_it_returns(
    spool: FolderSpool, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    real_fsync = os.fsync

    def fsync(descriptor: int) -> None:
        real_fsync(descriptor)
        synced.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", fsync)
    name = spool.keep(incoming(spool)) if way == "keep" else spool.write(b"report")
    path = spool.path(name)
    # The root too: the subfolder was new.
    assert synced == [spool.root.stat().st_ino, path.stat().st_ino, path.parent.stat().st_ino]


def test_refuses_to_dip_into_the_reserve_and_keeps_it_for_reports(tmp_path: Path) -> None:
    spool = FolderSpool(tmp_path / "spool", reserve_bytes=2**62)
    with pytest.raises(SpoolFull, match="in reserve") as full:
        spool.keep(incoming(spool))
    assert isinstance(full.value, OSError)
    assert full.value.errno == errno.ENOSPC
    assert list(spool.keys()) == []
    name = spool.write(b"report")
    assert list(spool.keys()) == [name]


def test_a_full_file_system_leaves_no_half_file(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system is not allowed here")
    try:
        spool = FolderSpool(disk / "spool", reserve_bytes=0)
        with pytest.raises(SpoolFull, match="file system is full"):
            spool.write(bytes(512 * 1024))
        assert list(spool.keys()) == []
        spool.write(b"small enough")
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a/b", "", "A" * 32 + ".dcm", "0" * 32 + ".dcm\n", "\0"]
)
def test_no_path_is_built_from_anything_but_its_own_names(spool: FolderSpool, name: str) -> None:
    with pytest.raises(ValueError, match="not a key of the spool"):
        spool.path(name)


def test_is_closed_to_other_users(spool: FolderSpool) -> None:
    assert spool.root.stat().st_mode & 0o077 == 0
    assert spool.path(spool.write(b"report")).parent.stat().st_mode & 0o077 == 0


def test_discarding_twice_is_harmless(spool: FolderSpool) -> None:
    name = spool.write(b"report")
    spool.discard(name)
    spool.discard(name)
    assert not spool.path(name).exists()


def test_sweeps_what_dead_senders_left_and_spares_what_is_still_coming(
    spool: FolderSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = [0.0]
    monkeypatch.setattr("boneage_node.spool.seen.time.monotonic", lambda: watch[0])
    still, coming = incoming(spool), incoming(spool, name="coming")
    os.utime(still, (0, 0))  # whatever the clock says
    for watch[0] in (0.0, 599.0):
        assert spool.sweep_incoming(older_than_seconds=600) == 0
    coming.write_bytes(b"more of it has come")
    watch[0] = 601.0
    assert spool.sweep_incoming(older_than_seconds=600) == 1
    assert list(spool.incoming_dir.iterdir()) == [coming]
    assert spool.sweep_incoming(older_than_seconds=0) == 1


def test_lists_only_files_that_are_its_own(spool: FolderSpool) -> None:
    name = spool.keep(incoming(spool))
    (spool.root / "note.txt").write_text("an administrator's")
    (spool.path(name).parent / "note.txt").write_text("an administrator's")
    assert list(spool.keys()) == [name]
