"""Storage commitment with Orthanc, which asks and is asked, and reports on an association of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from node_process import NodeProcess, eventually, run
from orthanc_peer import Orthanc, free_port
from pydicom import dcmread

Send = Callable[..., subprocess.CompletedProcess[str]]
PROMPT = {"backoff_base_seconds": "0.5", "backoff_cap_seconds": "1", "commitment_wait_seconds": "2"}


@pytest.fixture
def hand(sample_dicom: Path) -> Path:
    return sample_dicom / "girl-08y-dx.dcm"


def pacs_for(program: str, folder: Path, port: int, **configuration: Any) -> Orthanc:
    """An Orthanc that knows where the node listens: it reports there."""
    return Orthanc(program, folder, modalities={"node": ("BONEAGE", "127.0.0.1", port)}, **configuration)


def start(tmp_path: Path, port: int, pacs: Orthanc, *arguments: object, **settings: str) -> NodeProcess:
    # "--port 0" of NodeProcess is overruled by the flag that comes later
    return NodeProcess(tmp_path / "node", "--port", port, *arguments, **PROMPT, **settings)


def shown(node: NodeProcess) -> dict[str, Any]:
    """What ``boneage-node studies show --json`` prints of the first study."""
    answer = run("studies", "show", 1, "--json", "--data-dir", node.folder)
    assert answer.returncode == 0, answer.stderr
    study: dict[str, Any] = json.loads(answer.stdout)
    return study


def commitments(node: NodeProcess) -> list[str]:
    """The state of the commitment of each delivery."""
    return [
        delivery["commitment"]["state"] for delivery in shown(node)["deliveries"] if delivery["commitment"]
    ]


def test_the_pacs_says_that_it_keeps_the_report(
    hand: Path, tmp_path: Path, orthanc_program: str, storescu: Send
) -> None:
    port = free_port()
    with (
        pacs_for(orthanc_program, tmp_path / "orthanc", port) as pacs,
        start(tmp_path, port, pacs, "--send-to", pacs.destination, request_commitment="true") as node,
    ):
        assert storescu(node.port, hand).returncode == 0
        eventually(lambda: set(commitments(node)) == {"committed"})
        text = run("studies", "show", 1, "--data-dir", node.folder).stdout
        assert "committed: the destination has said that it keeps it" in text
        kinds = [event["kind"] for event in shown(node)["events"]]
        assert (
            kinds.index("delivery-done") < kinds.index("commitment-asked") < kinds.index("commitment-given")
        )
        node.terminate()
        log = node.log_file.read_text()
    secrets = [str(dcmread(hand, stop_before_pixels=True).StudyInstanceUID), "2.25."]
    assert not [line for line in log.splitlines() if any(secret in line for secret in secrets)]
