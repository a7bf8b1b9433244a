"""The checks that the doctor, or a page, shows."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from boneage_node.errors import ExitCode, NodeError
from boneage_node.net.listening import Listening
from boneage_node.node import checks
from boneage_node.settings import load_settings
from boneage_node.spool.storage import Storage


def test_a_port_that_is_taken_is_no_fault(tmp_path: Path) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as other:
        taken = Listening(host="::1", port=other.getsockname()[1])
        assert "is not free (Address already in use): the node may be running" in checks.check_port(taken)
    assert checks.check_port(taken).endswith("is free")


def test_a_disk_with_less_than_the_reserve_is_to_be_mended(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match=r"images are refused\. Make room") as caught:
        checks.check_disk(Storage(data_dir=tmp_path, reserve_mib=2**40))
    assert caught.value.code is ExitCode.DATA_DIR


def test_findings_say_what_is_well_and_what_is_not(tmp_path: Path) -> None:
    settings = load_settings(
        storage={"data_dir": tmp_path},
        reading={"model": "no-such-model"},
        delivery={"send_to": ["PACS@127.0.0.1:1"], "fhir_to": [str(tmp_path)]},
    )
    found = {finding.check: finding for finding in checks.examine(settings)}
    assert [one.check for one in found.values() if not one.ok] == ["model", "destination PACS@127.0.0.1:1"]
    assert found[f"FHIR {tmp_path}"].text == "can be written"
