"""What is looked at before a process is started, and what is held meanwhile."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from support.ports import free_port, listens

from boneage_node.bone_age import model_zoo
from boneage_node.errors import ExitCode, NodeError
from boneage_node.net.listening import Listening
from boneage_node.node.lock import Role
from boneage_node.node.preparation import is_listening, listen, prepared
from boneage_node.settings import Settings, load_settings


def settings(folder: Path, **listening: object) -> Settings:
    return load_settings(listening={"port": 0, **listening}, storage={"data_dir": folder / "data"})


def refused(of: Settings, role: Role = Role.ALL) -> ExitCode:
    with pytest.raises(NodeError) as caught, prepared(of, role):
        pass
    return caught.value.code


def test_nobody_is_taken_until_it_is_said_and_then_callers_wait(tmp_path: Path) -> None:
    of = settings(tmp_path)
    with prepared(of, Role.RECEIVER) as listener:
        assert listener is not None
        address = listener.getsockname()
        assert not is_listening(listener)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
        listen(listener, of.listening)
        assert is_listening(listener)
        socket.create_connection(address).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


def test_a_port_taken_in_between_is_told(tmp_path: Path) -> None:
    with prepared(settings(tmp_path), Role.RECEIVER) as listener:
        assert listener is not None
        with socket.create_server(listener.getsockname()), pytest.raises(NodeError) as caught:
            listen(listener, Listening())
    assert caught.value.code is ExitCode.PORT


def shipped_model(folder: Path) -> Path:
    shutil.copytree(model_zoo.model_dir(), folder)
    return folder


def no_folder(data: Path) -> dict[str, object]:
    data.write_text("a file")
    return {}


def garbage_database(data: Path) -> dict[str, object]:
    data.mkdir()
    (data / "boneage.sqlite3").write_bytes(os.urandom(10_000))
    return {}


def truncated_database(data: Path) -> dict[str, object]:
    with prepared(settings(data.parent), Role.WORKER):
        pass
    file = data / "boneage.sqlite3"
    os.truncate(file, file.stat().st_size // 2)
    return {}


def folder_for_a_database(data: Path) -> dict[str, object]:
    (data / "boneage.sqlite3").mkdir(parents=True)
    return {}


def later_database(data: Path) -> dict[str, object]:
    with prepared(settings(data.parent), Role.WORKER):
        pass
    with closing(sqlite3.connect(data / "boneage.sqlite3")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    return {}


def file_for_a_spool(data: Path) -> dict[str, object]:
    data.mkdir()
    (data / "spool").write_text("a file")
    return {}


def no_model(data: Path) -> dict[str, object]:
    return {"reading": {"model": "no-such-model"}}


def truncated_weights(data: Path) -> dict[str, object]:
    model = shipped_model(data.parent / "model")
    os.truncate(model / "weights.safetensors", 1000)
    return {"reading": {"model": str(model)}}


def broken_manifest(data: Path) -> dict[str, object]:
    model = shipped_model(data.parent / "model")
    (model / "manifest.json").write_bytes(b"\xff{")
    return {"reading": {"model": str(model)}}


def garbage_key(data: Path) -> dict[str, object]:
    for name in ("node.pem", "node.key"):
        (data.parent / name).write_bytes(os.urandom(500))
    return {"tls": {"certificate": data.parent / "node.pem", "key": data.parent / "node.key"}}


@pytest.mark.parametrize(
    ("spoil", "code", "sentence"),
    [
        (no_folder, ExitCode.DATA_DIR, "a file is there, and a folder is needed"),
        (file_for_a_spool, ExitCode.DATA_DIR, "a file is there, and a folder is needed"),
        (garbage_database, ExitCode.DATABASE, "is no SQLite database. Restore a backup"),
        (truncated_database, ExitCode.DATABASE, "is damaged or cut short. Restore a backup"),
        (folder_for_a_database, ExitCode.DATABASE, "it is a folder, or this user may not"),
        (later_database, ExitCode.DATABASE, "last used by a later version"),
        (no_model, ExitCode.MODEL, "no model 'no-such-model'"),
        (truncated_weights, ExitCode.MODEL, "Install the model again"),
        (broken_manifest, ExitCode.MODEL, "is not a model manifest"),
        (garbage_key, ExitCode.TLS, "holds no certificate in PEM form"),
    ],
)
def test_what_will_not_do_is_told_before_anyone_is_listened_to(
    tmp_path: Path, spoil: Callable[[Path], dict[str, object]], code: ExitCode, sentence: str
) -> None:
    others = spoil(tmp_path / "data")
    port = free_port()
    of = load_settings(listening={"port": port}, storage={"data_dir": tmp_path / "data"}, **others)
    with pytest.raises(NodeError, match=re.escape(sentence)) as caught, prepared(of, Role.ALL):
        pass
    assert caught.value.code is code
    assert not listens(port)


def test_a_spool_on_a_disk_that_is_read_only_is_told(tmp_path: Path) -> None:
    of = settings(tmp_path)
    with prepared(of, Role.ALL):
        pass
    spool = of.storage.spool_dir
    mounted = subprocess.run(["mount", "--bind", "-o", "ro", spool, spool], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        with pytest.raises(NodeError, match="Read-only file system") as caught, prepared(of, Role.ALL):
            pass
    finally:
        subprocess.run(["umount", spool], check=True)
    assert caught.value.code is ExitCode.DATA_DIR


@pytest.mark.parametrize("role", [Role.WORKER, Role.CONTROL])
def test_the_other_roles_listen_nowhere(tmp_path: Path, role: Role) -> None:
    with prepared(settings(tmp_path, host="0.0.0.0"), role) as listener:
        assert listener is None


def test_a_port_in_use_is_told_before_anything_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert refused(settings(tmp_path, port=other.getsockname()[1])) is ExitCode.PORT


def test_listening_to_everyone_is_refused(tmp_path: Path) -> None:
    assert refused(settings(tmp_path, host="0.0.0.0")) is ExitCode.UNSAFE


def test_one_receiver_and_one_control_share_a_folder_and_no_more(tmp_path: Path) -> None:
    shared = settings(tmp_path)
    with prepared(shared, Role.RECEIVER), prepared(shared, Role.CONTROL), prepared(shared, Role.WORKER):
        assert refused(shared, Role.RECEIVER) is ExitCode.DATA_DIR
        assert refused(shared, Role.CONTROL) is ExitCode.DATA_DIR


def test_partial_files_are_swept_at_once_where_no_receiver_can_be_writing_them(tmp_path: Path) -> None:
    with prepared(settings(tmp_path), Role.RECEIVER):
        partial = next((tmp_path / "data" / "spool").rglob("incoming*")) / "partial"
        partial.write_bytes(b"half an image")
        with prepared(settings(tmp_path), Role.CONTROL):
            assert partial.exists()
    with prepared(settings(tmp_path), Role.ALL):
        assert not partial.exists()
