"""Storage commitment requested of the node, by peers that are known or not, honest or not."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_ACTION
from sqlalchemy.exc import OperationalError
from support.commitment import PUSH_MODEL, WELL_KNOWN, SmallNode, action_information, small_node
from support.dimse import (
    CR,
    DATA,
    LAST_COMMAND,
    LAST_DATA,
    VERIFICATION,
    RawPeer,
    command,
    echo,
    element,
    encode,
    make_radiograph,
    p_data,
    store_request,
)
from support.store import DX, STUDY, receive
from support.waiting import eventually

from boneage_node.dimse import commitment
from boneage_node.dimse.commitment import MAX_REFERENCES
from boneage_node.dimse.wire.bounds import BoundedBytes
from boneage_node.exchange.commitment import RESULT_HERE_SECONDS

INSTANCE = f"{STUDY}.1.1"
UNCOMPRESSED = [ImplicitVRLittleEndian]
CONTEXTS = [(PUSH_MODEL, UNCOMPRESSED), (VERIFICATION, UNCOMPRESSED), (CR, UNCOMPRESSED)]
SECRET = "1.2.826.31415926"


@dataclass
class Modality:
    """A peer that requests, and that listens for the result."""

    reports: list[tuple[int, Dataset]] = field(default_factory=list)
    status: int = 0x0000
    is_scu: bool | None = None

    def handle_report(self, event: evt.Event) -> tuple[int, None]:
        self.reports.append((event.event_type, event.event_information))
        (context,) = event.assoc.accepted_contexts
        self.is_scu = context.as_scu
        return self.status, None

    @contextmanager
    def calling(self, node: SmallNode) -> Iterator[Association]:
        ae = AE("MODALITY")
        ae.add_requested_context(PUSH_MODEL)
        handlers: list[Any] = [(evt.EVT_N_EVENT_REPORT, self.handle_report)]
        port = node.receiver.port
        association = ae.associate("127.0.0.1", port, ae_title="BONEAGE", evt_handlers=handlers)
        assert association.is_established
        yield association
        association.release()

    @contextmanager
    def listening(self, port: int = 0) -> Iterator[str]:
        ae = AE("MODALITY")
        # As a strict SCU: whoever reports must come as SCP.
        ae.add_supported_context(PUSH_MODEL, scu_role=False, scp_role=True)
        handlers: list[Any] = [(evt.EVT_N_EVENT_REPORT, self.handle_report)]
        server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
        try:
            yield f"MODALITY@127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def send_action(association: Association, information: Dataset, **options: Any) -> int | None:
    options = {"action_type": 1, "class_uid": PUSH_MODEL, "instance_uid": WELL_KNOWN, **options}
    status, _ = association.send_n_action(information, **options)
    response: int | None = status.get("Status")
    return response


def failures(report: Dataset) -> list[tuple[str, int]]:
    return [
        (item.ReferencedSOPInstanceUID, item.FailureReason) for item in report.get("FailedSOPSequence", [])
    ]


def kept(report: Dataset) -> list[str]:
    return [item.ReferencedSOPInstanceUID for item in report.get("ReferencedSOPSequence", [])]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[SmallNode]:
    with small_node(tmp_path / "node") as running:
        yield running


def test_a_stranger_gets_the_result_where_it_requested(node: SmallNode) -> None:
    receive(node.store)
    modality = Modality()
    with modality.calling(node) as association:
        assert send_action(association, action_information((DX, INSTANCE))) == 0
        eventually(lambda: modality.reports)
        wrong = [(DX, INSTANCE), (DX, "1.2.3"), (CR, INSTANCE)]
        assert send_action(association, action_information(*wrong, transaction="2.25.901")) == 0
        eventually(lambda: len(modality.reports) == 2)
        eventually(lambda: node.store.commitment_requests.counts()["done"] == 2)
    (first, all_kept), (second, some_kept) = modality.reports
    assert (first, all_kept.TransactionUID, kept(all_kept)) == (1, "2.25.900", [INSTANCE])
    assert "FailedSOPSequence" not in all_kept
    assert (second, some_kept.TransactionUID, kept(some_kept)) == (2, "2.25.901", [INSTANCE])
    assert failures(some_kept) == [("1.2.3", 0x0112), (INSTANCE, 0x0119)]
    told = [event.detail for event in node.store.studies.show(STUDY).events if "commitment" in event.kind]
    assert told == ["told MODALITY that 1 of its images are kept"] * 2
    node.tick(seconds=RESULT_HERE_SECONDS)
    assert len(modality.reports) == 2


def test_a_known_peer_is_called_back(tmp_path: Path) -> None:
    modality = Modality()
    with (
        modality.listening() as address,
        small_node(tmp_path / "node", commitment={"known_peers": [address]}) as node,
    ):
        receive(node.store)
        with modality.calling(node) as association:
            assert send_action(association, action_information((DX, INSTANCE))) == 0
        assert modality.reports == []
        node.tick()
        ((event_type, report),) = modality.reports
        assert (event_type, kept(report)) == (1, [INSTANCE])
        assert modality.is_scu, "the node called as SCP"
        assert node.store.commitment_requests.counts()["done"] == 1


def test_a_destination_is_a_known_peer(tmp_path: Path) -> None:
    modality = Modality()
    with (
        modality.listening() as address,
        small_node(tmp_path / "node", delivery={"send_to": [address]}) as node,
    ):
        with modality.calling(node) as association:
            send_action(association, action_information((DX, INSTANCE)))
        node.tick()
        assert failures(modality.reports[0][1]) == [(INSTANCE, 0x0112)]


def test_a_result_waits_for_a_peer_that_is_away_and_survives_a_restart(tmp_path: Path) -> None:
    modality = Modality()
    with modality.listening() as address:
        port = int(address.rpartition(":")[2])
    with small_node(tmp_path / "node", commitment={"known_peers": [address]}) as node:
        receive(node.store)
        with modality.calling(node) as association:
            send_action(association, action_information((DX, INSTANCE)))
        node.tick()
        assert node.store.commitment_requests.counts()["todo"] == 1
    with (
        modality.listening(port),
        small_node(tmp_path / "node", commitment={"known_peers": [address]}) as node,
    ):
        node.tick(seconds=3600)
        assert kept(modality.reports[0][1]) == [INSTANCE]


def test_a_stranger_that_went_away_gets_its_result_once_it_is_known(tmp_path: Path) -> None:
    modality = Modality(status=0x0110)  # the result on the association of the request does not get through
    with small_node(tmp_path / "node") as node:
        with modality.calling(node) as association:
            send_action(association, action_information((DX, INSTANCE)))
            eventually(lambda: modality.reports)
        node.tick(seconds=RESULT_HERE_SECONDS)
        assert node.store.commitment_requests.counts()["todo"] == 1
    modality = Modality()
    with (
        modality.listening() as address,
        small_node(tmp_path / "node", commitment={"known_peers": [address]}) as node,
    ):
        node.tick(seconds=2 * RESULT_HERE_SECONDS)
        assert len(modality.reports) == 1


def test_a_result_that_nobody_takes_is_given_up_with_a_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with small_node(tmp_path / "node", delivery={"max_attempts": 1}) as node:
        with Modality(status=0x0110).calling(node) as association:
            send_action(association, action_information((DX, INSTANCE)))
        node.tick()
        assert node.store.commitment_requests.counts()["todo"] == 1, "left to the association of the request"
        node.tick(seconds=RESULT_HERE_SECONDS)
        assert node.store.commitment_requests.counts()["dead"] == 1
        out = capsys.readouterr().out
    assert "storage commitment report given up" in out
    assert "name it in known_peers, as MODALITY@host:port" in out


def test_a_request_is_kept_before_it_is_answered(node: SmallNode, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OperationalError("", None, Exception())

    with Modality().calling(node) as association:
        monkeypatch.setattr(node.store.commitment_requests, "accept", fail)
        assert send_action(association, action_information((DX, INSTANCE))) == 0x0110
        monkeypatch.undo()
        node.store.spool.reserve_bytes = 2**60
        assert send_action(association, action_information((DX, INSTANCE))) == 0x0213
        node.store.spool.reserve_bytes = 0
        assert send_action(association, action_information((DX, INSTANCE))) == 0
    assert sum(node.store.commitment_requests.counts().values()) == 1


# Hostile peers, byte for byte.


def action(**elements: Any) -> bytes:
    """An N-ACTION-RQ command set."""
    wanted = {"sop_class": PUSH_MODEL, "instance": WELL_KNOWN, "action": 1, "has_data_set": True, **elements}
    values = command(0x0130, has_data_set=wanted["has_data_set"]) + element(
        0, 3, wanted["sop_class"].encode()
    )
    if wanted["instance"] is not None:
        values += element(0, 0x1001, wanted["instance"].encode())
    return values + element(0, 0x1008, struct.pack("<H", wanted["action"]))


def event_report(event_type: int = 1, instance: str = WELL_KNOWN) -> bytes:
    """An N-EVENT-REPORT-RQ command set."""
    values = command(0x0100, sop_class_uid=PUSH_MODEL, sop_instance_uid=instance)
    return values + element(0, 0x1002, struct.pack("<H", event_type))


def uid_item(sop_class: str, instance: str) -> bytes:
    """An item with two UIDs, valid or not."""
    return element(8, 0x1150, sop_class.encode()) + element(8, 0x1155, instance.encode())


def sequence(tag: int, *items: bytes) -> bytes:
    body = b"".join(struct.pack("<HHL", 0xFFFE, 0xE000, len(item)) + item for item in items)
    return struct.pack("<HHL", 8, tag, len(body)) + body


TRANSACTION = element(8, 0x1195, SECRET.encode())
GOOD = TRANSACTION + sequence(0x1199, uid_item(DX, SECRET))
DEEP = TRANSACTION + struct.pack("<HHLHHL", 8, 0x1199, 2**32 - 1, 0xFFFE, 0xE000, 2**32 - 1) * 5000


def send(peer: RawPeer, command_set: bytes, data: bytes | None) -> None:
    peer.send(p_data((1, LAST_COMMAND, command_set)))
    if data is not None:
        for start in range(0, len(data), 16000):
            peer.send(p_data((1, DATA, data[start : start + 16000])))
        peer.send(p_data((1, LAST_DATA, b"")))


def read_command(peer: RawPeer) -> Dataset:
    """The next command set; data sets in front of it are passed over."""
    while (pdu := peer.read_pdu()) is not None and not pdu[11] & 1:
        pass
    assert pdu is not None
    return read_dataset(BytesIO(pdu[12:]), is_implicit_VR=True, is_little_endian=True)


def assert_unharmed(node: SmallNode) -> None:
    with RawPeer(node.receiver.port) as peer:
        assert echo(peer.associate([(VERIFICATION, UNCOMPRESSED)])) == 0
    eventually(lambda: node.receiver.open_association_count == 0)
    assert list(node.store.spool.incoming_dir.iterdir()) == []


@pytest.mark.parametrize(
    ("elements", "data", "status"),
    [
        ({"instance": SECRET}, GOOD, 0x0112),
        ({"action": 2}, GOOD, 0x0123),
        ({"sop_class": "1.2.840.10008.1.42"}, GOOD, 0x0118),  # another class with N-ACTION
        ({"has_data_set": False}, None, 0x0115),
        ({}, b"", 0x0115),
        ({}, TRANSACTION, 0x0115),
        ({}, GOOD[len(TRANSACTION) :], 0x0115),
        ({}, TRANSACTION + sequence(0x1199), 0x0115),
        ({}, TRANSACTION + element(8, 0x1199, b"no sequence"), 0x0115),
        ({}, TRANSACTION + sequence(0x1199, uid_item(DX, "../../etc/passwd")), 0x0115),
        ({}, TRANSACTION + sequence(0x1199, uid_item(DX, "1" * 65)), 0x0115),
        ({}, TRANSACTION + sequence(0x1199, element(8, 0x1150, DX.encode())), 0x0115),
        ({}, element(8, 0x1195, b"Zzyzx^Quillon") + GOOD[len(TRANSACTION) :], 0x0115),
        ({}, DEEP, 0x0115),
        ({}, bytes(range(256)) * 40, 0x0115),
        ({}, TRANSACTION + sequence(0x1199, *[uid_item(DX, SECRET)] * (MAX_REFERENCES + 1)), 0x0213),
    ],
)
def test_a_request_that_makes_no_sense_fails_with_a_status(
    node: SmallNode,
    capsys: pytest.CaptureFixture[str],
    elements: dict[str, Any],
    data: bytes | None,
    status: int,
) -> None:
    with RawPeer(node.receiver.port) as peer:
        peer.associate(CONTEXTS)
        send(peer, action(**elements), data)
        answer = peer.read_answer()
        assert (answer.CommandField, answer.Status) == (0x8130, status)
        send(peer, action(), GOOD)
        assert peer.read_answer().Status == 0, "the association goes on"
    assert sum(node.store.commitment_requests.counts().values()) == 1
    assert_unharmed(node)
    out = capsys.readouterr().out
    assert not any(secret in out for secret in (SECRET, "passwd", "Zzyzx", "1" * 65))


def test_a_request_that_is_too_long_is_swallowed_not_kept(
    node: SmallNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_bytes: list[int] = []
    read_request = commitment.read_request

    def watched(request: N_ACTION, *arguments: Any) -> Any:
        assert request.ActionInformation is not None
        kept_bytes.append(len(request.ActionInformation.getvalue()))
        return read_request(request, *arguments)

    monkeypatch.setattr(commitment, "read_request", watched)
    with RawPeer(node.receiver.port) as peer:
        peer.associate(CONTEXTS)
        send(peer, action(), GOOD + bytes(8 * BoundedBytes.MAX_BYTES))
        answer = peer.read_answer()
        assert (answer.Status, answer.ErrorComment) == (0x0213, "The data set is too long")
    assert kept_bytes[0] <= BoundedBytes.MAX_BYTES
    assert_unharmed(node)


@pytest.mark.parametrize(
    ("command_set", "data", "status"),
    [
        (event_report(3), GOOD, 0x0113),
        (event_report(1, instance=SECRET), GOOD, 0x0112),
        (event_report(1), GOOD, 0x0115),  # nobody requested
        (event_report(2), TRANSACTION + sequence(0x1198, uid_item(DX, "..")), 0x0115),
        (event_report(2), b"", 0x0115),
    ],
)
def test_a_report_that_makes_no_sense_fails_with_a_status(
    node: SmallNode,
    capsys: pytest.CaptureFixture[str],
    command_set: bytes,
    data: bytes,
    status: int,
) -> None:
    with RawPeer(node.receiver.port) as peer:
        peer.associate(CONTEXTS)
        send(peer, command_set, data)
        answer = peer.read_answer()
        assert (answer.CommandField, answer.Status) == (0x8100, status)
    assert_unharmed(node)
    assert SECRET not in capsys.readouterr().out


def test_messages_of_one_service_on_the_context_of_another_end_the_association(node: SmallNode) -> None:
    image = make_radiograph()
    for context_id, command_set in (
        (3, action()),
        (5, action()),
        (5, event_report()),
        (1, store_request(image)),
        (1, command(0x0030, has_data_set=False, sop_class_uid=VERIFICATION)),
        (1, action(instance=None, has_data_set=False)),
        (1, command(0x0140, sop_class_uid=PUSH_MODEL)),
    ):
        with RawPeer(node.receiver.port) as peer:
            peer.associate(CONTEXTS)
            peer.send(p_data((context_id, LAST_COMMAND, command_set)))
            answer = peer.read_pdu()
            assert answer is None or answer[0] == 7
    assert_unharmed(node)


def test_a_flood_of_requests_whose_reports_nobody_takes_does_no_harm(node: SmallNode) -> None:
    with RawPeer(node.receiver.port) as peer:
        peer.associate(CONTEXTS)
        reports = 0
        for number in range(40):
            transaction = element(8, 0x1195, f"2.25.{number}".encode())
            send(peer, action(), transaction + sequence(0x1199, uid_item(DX, SECRET)))
            while (answer := read_command(peer)).CommandField != 0x8130:
                reports += answer.CommandField == 0x0100
            assert answer.Status == 0
    assert reports <= 8
    assert node.store.commitment_requests.counts()["todo"] == 40
    assert_unharmed(node)


def test_images_and_requests_share_an_association(node: SmallNode) -> None:
    image = make_radiograph()
    with RawPeer(node.receiver.port) as peer:
        peer.associate([(CR, UNCOMPRESSED), (PUSH_MODEL, UNCOMPRESSED)])
        assert peer.store(image).Status == 0
        information = action_information((CR, str(image.SOPInstanceUID)))
        peer.send(p_data((3, LAST_COMMAND, action())))
        peer.send(p_data((3, LAST_DATA, encode(information))))
        assert peer.read_answer().Status == 0
        report = peer.read_answer()
        assert (report.CommandField, report.EventTypeID) == (0x0100, 1)


def test_a_role_is_accepted_in_either_direction(node: SmallNode) -> None:
    for scu, scp in ((True, False), (False, True), (True, True)):
        ae = AE("MODALITY")
        ae.add_requested_context(PUSH_MODEL)
        role = build_role(PUSH_MODEL, scu_role=scu, scp_role=scp)
        association = ae.associate("127.0.0.1", node.receiver.port, ae_title="BONEAGE", ext_neg=[role])
        (context,) = association.accepted_contexts
        assert (context.as_scu, context.as_scp) == (scu, scp)
        association.release()
