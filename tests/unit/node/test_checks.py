"""The checks that the doctor, or a page, shows."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest
from support.ports import free_port
from support.store import attempts, claim_one, queue_study

from boneage_node.errors import ExitCode, NodeError
from boneage_node.net.listening import Listening
from boneage_node.node import checks
from boneage_node.node.lock import Role
from boneage_node.node.opening import open_store
from boneage_node.node.preparation import listen, prepared
from boneage_node.settings import ENVIRONMENT_PREFIX, load_settings
from boneage_node.spool.storage import Storage


def test_a_port_that_another_program_has_is_to_be_mended(tmp_path: Path) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as other:
        taken = Listening(host="::1", port=other.getsockname()[1])
        with pytest.raises(NodeError, match="another program listens there") as caught:
            checks.check_port(taken, tmp_path)
        assert caught.value.code is ExitCode.PORT
    assert checks.check_port(taken, tmp_path).endswith("is free")


def test_a_port_that_this_node_has_is_well(tmp_path: Path) -> None:
    settings = load_settings(listening={"port": free_port()}, storage={"data_dir": tmp_path / "data"})
    with prepared(settings, Role.RECEIVER) as listener:
        assert listener is not None
        listen(listener, settings.listening)
        address = f"127.0.0.1:{settings.listening.port}"
        ours = checks.check_port(settings.listening, tmp_path / "data")
        assert ours == f"this node listens on {address}, as process {os.getpid()}"
        with pytest.raises(NodeError, match="another program listens there"):
            checks.check_port(settings.listening, tmp_path / "another node's")
        elsewhere = checks.check_port(Listening(port=free_port()), tmp_path / "data")
        assert f"listens on port {settings.listening.port}" in elsewhere
    assert checks.check_port(settings.listening, tmp_path / "data") == f"{address} is free"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (errno.EACCES, "CAP_NET_BIND_SERVICE"),
        (errno.EADDRINUSE, "ss -ltnp 'sport = :104' names it"),
        (errno.EADDRNOTAVAIL, "this machine does not have the address"),
    ],
)
def test_what_is_wrong_with_a_port_is_told_with_what_mends_it(error: int, sentence: str) -> None:
    assert sentence in Listening(port=104).problem(OSError(error, os.strerror(error)))


def test_an_address_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="Name an address of this machine"):
        checks.check_port(Listening(host="no.such.host.invalid"), tmp_path)


def test_a_disk_with_less_than_the_reserve_is_to_be_mended(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match=r"images are refused\. Make room") as caught:
        checks.check_disk(Storage(data_dir=tmp_path, reserve_mib=2**40))
    assert caught.value.code is ExitCode.DATA_DIR


def test_findings_say_what_is_well_and_what_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in os.environ:
        if variable.startswith(ENVIRONMENT_PREFIX):
            monkeypatch.delenv(variable)
    settings = load_settings(
        storage={"data_dir": tmp_path},
        reading={"model": "no-such-model"},
        delivery={"send_to": ["PACS@127.0.0.1:1"], "fhir_to": [str(tmp_path)]},
    )
    found = {finding.check: finding for finding in checks.examine(settings)}
    assert [one.check for one in found.values() if not one.ok] == ["model", "destination PACS@127.0.0.1:1"]
    assert found[f"FHIR {tmp_path}"].text == "can be written"


def test_work_that_does_not_come_round_is_told(tmp_path: Path) -> None:
    settings = load_settings(storage={"data_dir": tmp_path})
    assert checks.check_work(settings.storage) == "nothing has been started yet"
    with prepared(settings, Role.CONTROL), open_store(settings.storage) as store:
        with pytest.raises(NodeError, match="has not come round"):
            checks.check_work(settings.storage)
        store.heartbeats.beat("control")
        assert checks.check_work(settings.storage).startswith("the control process came round 0 seconds ago")
    assert checks.check_work(settings.storage) == "no node runs on this data folder here"


def test_studies_that_wait_for_the_node_itself_are_told(tmp_path: Path) -> None:
    settings = load_settings(storage={"data_dir": tmp_path})
    with prepared(settings, Role.CONTROL), open_store(settings.storage) as store:
        queue_study(store)
        store.queue.put_off(claim_one(store), "worker-1", "files cannot be read", attempts())
        with pytest.raises(NodeError, match="1 studies wait for the node itself: files cannot be read"):
            checks.check_work(settings.storage)
