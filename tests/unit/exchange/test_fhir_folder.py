"""Bundles as files in a folder: whole, once, and named by nothing of the patient."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from boneage_node.exchange.fhir_folder import FhirFolder
from boneage_node.net.calling import Caller
from boneage_node.traffic.file import LocalFile
from boneage_node.traffic.outcome import Sent, Unreachable

UUID = "6f0e4d6c-3c1b-4c53-9d0b-6a1d3b0f7c52"
CALLER = Caller("BONEAGE")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def bundle(path: Path, uri: object = f"urn:uuid:{UUID}", note: str = "") -> LocalFile:
    path.write_text(json.dumps({"identifier": {"value": uri}, "note": note}), encoding="utf-8")
    return LocalFile(path)


def test_a_bundle_is_a_file_named_by_its_identifier(folder: Path, tmp_path: Path) -> None:
    file = bundle(tmp_path / "a.json")
    assert list(FhirFolder(folder).send([file], CALLER)) == [Sent(file, None)]
    assert names(folder) == [f"{UUID}.json"]
    assert (folder / f"{UUID}.json").read_bytes() == file.path.read_bytes()


def test_the_same_result_is_the_same_file(folder: Path, tmp_path: Path) -> None:
    files = [bundle(tmp_path / "a.json", note="first"), bundle(tmp_path / "b.json", note="later")]
    assert all(sent.delivered for sent in FhirFolder(folder).send(files, CALLER))
    assert names(folder) == [f"{UUID}.json"]
    assert "later" in (folder / f"{UUID}.json").read_text()


@pytest.mark.parametrize("uri", ["../../etc/passwd", "", None, 3, "urn:oid:1.2.3"])
def test_what_has_no_uuid_gets_no_file(folder: Path, tmp_path: Path, uri: object) -> None:
    (sent,) = FhirFolder(folder).send([bundle(tmp_path / "a.json", uri)], CALLER)
    assert sent.permanent
    assert names(folder) == []


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"{}"])
def test_what_is_no_bundle_gets_no_file(folder: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    (sent,) = FhirFolder(folder).send([LocalFile(tmp_path / "a.json")], CALLER)
    assert sent.permanent
    assert names(folder) == []


def test_a_file_that_is_gone_is_not_put(folder: Path, tmp_path: Path) -> None:
    files = [LocalFile(tmp_path / "gone.json"), bundle(tmp_path / "a.json")]
    sent = list(FhirFolder(folder).send(files, CALLER))
    assert [(one.delivered, one.permanent) for one in sent] == [(False, False), (True, False)]
    assert names(folder) == [f"{UUID}.json"]


def test_a_folder_that_is_not_there_is_not_made_up(tmp_path: Path) -> None:
    files = [bundle(tmp_path / "a.json"), bundle(tmp_path / "b.json")]
    sent = list(FhirFolder(tmp_path / "share").send(files, CALLER))
    assert [one.file for one in sent] == files
    assert all(one.error and "make it, mount it" in one.error and not one.permanent for one in sent)
    assert not (tmp_path / "share").exists()
    with pytest.raises(Unreachable, match="make it, mount it"):
        FhirFolder(tmp_path / "share").probe(CALLER)


def test_a_disk_that_is_full_leaves_nothing_behind(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    (sent,) = FhirFolder(folder).send([bundle(tmp_path / "a.json")], CALLER)
    assert sent.error is not None
    assert "No space left on device" in sent.error
    assert not sent.permanent
    assert names(folder) == []


def test_a_folder_that_can_be_written_is_well_and_left_alone(folder: Path) -> None:
    os.utime(folder, (0, 0))
    assert FhirFolder(folder).probe(CALLER) == "can be written"
    assert folder.stat().st_mtime == 0


@pytest.mark.parametrize("name", ["gone", "file"])
def test_what_is_no_folder_is_not_well(folder: Path, name: str) -> None:
    (folder / "file").touch()
    with pytest.raises(Unreachable, match=r"cannot be written \((No such file|Not a directory)"):
        FhirFolder(folder / name).probe(CALLER)
