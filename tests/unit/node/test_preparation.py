"""What is looked at before a process is started, and what is held meanwhile."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from boneage_node.errors import ExitCode, NodeError
from boneage_node.node.preparation import Role, prepared
from boneage_node.settings import Settings, load_settings


def settings(folder: Path, **listening: object) -> Settings:
    return load_settings(listening={"port": 0, **listening}, storage={"data_dir": folder / "data"})


def refused(of: Settings, role: Role = Role.ALL) -> ExitCode:
    with pytest.raises(NodeError) as caught, prepared(of, role):
        pass
    return caught.value.code


def test_a_receiver_gets_a_socket_that_takes_callers_already(tmp_path: Path) -> None:
    with prepared(settings(tmp_path), Role.RECEIVER) as listener:
        assert listener is not None
        address = listener.getsockname()
        socket.create_connection(address).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


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
