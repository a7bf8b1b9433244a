"""Storage commitment with Orthanc, which requests and commits, and reports on an association of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from support.commitment import SmallNode, small_node
from support.dimse import CR, write_radiograph
from support.node_process import NodeProcess, run
from support.orthanc_peer import Orthanc
from support.ports import free_port
from support.waiting import eventually

from boneage_node.exchange.commitment import RESULT_HERE_SECONDS

Send = Callable[..., subprocess.CompletedProcess[str]]
PROMPT = {"delivery_base_seconds": "0.5", "delivery_cap_seconds": "1", "commitment_wait_seconds": "2"}


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


@contextmanager
def both(
    program: str, folder: Path, *, known: bool = True, request: bool = False
) -> Iterator[tuple[Orthanc, SmallNode]]:
    """An Orthanc and a small node that know where the other listens."""
    port = free_port()
    with pacs_for(program, folder / "orthanc", port) as pacs:
        commitment = {"known_peers": [pacs.destination] if known else [], "request": request}
        with small_node(folder / "node", port=port, commitment=commitment) as node:
            yield pacs, node


def outcome(pacs: Orthanc, resources: list[str], *unknown: str) -> str:
    """Let Orthanc request commitment of its own objects and of others; where it says the outcome."""
    requested = {"Resources": resources, "DicomInstances": [[CR, instance] for instance in unknown]}
    path: str = pacs.post("/modalities/node/storage-commitment", requested)["Path"]
    return path


def test_orthanc_is_told_what_the_node_keeps(tmp_path: Path, orthanc_program: str) -> None:
    image = write_radiograph(tmp_path / "image.dcm")
    with both(orthanc_program, tmp_path) as (pacs, node):
        identifier = pacs.upload(tmp_path / "image.dcm")
        before = outcome(pacs, [identifier])
        node.tick()
        pacs.store("node", [identifier])
        after, strange = outcome(pacs, [identifier]), outcome(pacs, [identifier], "1.2.3")
        node.tick()
        results = [pacs.get(path) for path in (before, after, strange)]
        assert [result["Status"] for result in results] == ["Failure", "Success", "Failure"]
        assert results[1]["Success"] == [{"SOPClassUID": CR, "SOPInstanceUID": image.SOPInstanceUID}]
        (failure,) = results[2]["Failures"]
        assert (failure["SOPInstanceUID"], failure["FailureReason"]) == ("1.2.3", 0x0112)
        assert node.store.commitment_requests.counts() == {"todo": 0, "doing": 0, "done": 3, "dead": 0}


def test_orthanc_is_asked_and_sent_again_what_it_has_lost(tmp_path: Path, orthanc_program: str) -> None:
    with both(orthanc_program, tmp_path, request=True) as (pacs, node):
        image = node.report(tmp_path, pacs.destination)
        node.deliveries.tick()
        node.threads.join()
        pacs.delete_all()
        node.tick()
        eventually(lambda: node.state() == "refused")
        node.tick(seconds=3600)
        eventually(lambda: node.state() == "committed")
        assert pacs.find(image.SOPInstanceUID)


def test_orthanc_that_does_not_know_the_node_says_nothing_and_is_asked_again(
    tmp_path: Path, orthanc_program: str
) -> None:
    with (
        Orthanc(orthanc_program, tmp_path / "orthanc") as pacs,
        small_node(tmp_path / "node", commitment={"request": True}) as node,
    ):
        node.report(tmp_path, pacs.destination)
        node.tick()
        (delivery,) = node.study().deliveries
        assert delivery.status == "done"
        assert delivery.commitment is not None
        assert delivery.commitment.state == "to_ask"
        assert delivery.commitment.last_error is not None
        assert "enter this node's AE title, address and port there" in delivery.commitment.last_error


def test_orthanc_releases_before_the_result_and_gets_it_once_its_address_is_known(
    tmp_path: Path, orthanc_program: str
) -> None:
    write_radiograph(tmp_path / "image.dcm")
    with both(orthanc_program, tmp_path, known=False) as (pacs, node):
        identifier = pacs.upload(tmp_path / "image.dcm")
        pacs.store("node", [identifier])
        path = outcome(pacs, [identifier])
        eventually(lambda: node.receiver.open_association_count == 0)
        assert pacs.get(path)["Status"] == "Pending"
        with small_node(tmp_path / "node", commitment={"known_peers": [pacs.destination]}) as informed:
            informed.tick(seconds=RESULT_HERE_SECONDS)
        assert pacs.get(path)["Status"] == "Success"
