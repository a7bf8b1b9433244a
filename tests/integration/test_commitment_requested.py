"""Storage commitment requested by the node, with a PACS that responds as each test wants it to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, AllStoragePresentationContexts, build_role, evt
from pynetdicom.association import Association
from support.commitment import PUSH_MODEL, WELL_KNOWN, event_information, small_node
from support.waiting import eventually

WAIT_SECONDS = 3600.0
"""Default of `commitment_wait_seconds`."""


@dataclass
class Pacs:
    """A PACS; ``respond`` is called, with itself and the event, while it responds to an N-ACTION."""

    respond: Callable[[Pacs, evt.Event], int] = lambda _pacs, _event: 0
    stored: list[str] = field(default_factory=list)
    requests: list[Dataset] = field(default_factory=list)
    statuses: list[int | None] = field(default_factory=list)
    node_port: int = 0
    destination: str = ""
    failed: bool = False
    reason: int = 0x0112
    threads: list[threading.Thread] = field(default_factory=list)

    def handle_store(self, event: evt.Event) -> int:
        self.stored.append(event.request.AffectedSOPInstanceUID)
        return 0

    def handle_action(self, event: evt.Event) -> tuple[int, None]:
        self.requests.append(event.action_information)
        assert event.request.RequestedSOPInstanceUID == WELL_KNOWN
        assert event.action_type == 1
        return self.respond(self, event), None

    def report_on(self, association: Association, request: Dataset | None = None) -> None:
        """Report on what was requested."""
        request = request or self.requests[-1]
        references = list(request.ReferencedSOPSequence)
        kept, failed = ([], references) if self.failed else (references, [])
        event_type, information = event_information(request.TransactionUID, kept, failed, self.reason)
        status, _ = association.send_n_event_report(information, event_type, PUSH_MODEL, WELL_KNOWN)
        self.statuses.append(status.get("Status"))

    def call_node(self, request: Dataset | None = None) -> None:
        """Report on an association of its own, as the SCP."""
        ae = AE("PEER")
        ae.add_requested_context(PUSH_MODEL)
        role = build_role(PUSH_MODEL, scp_role=True)
        association = ae.associate("127.0.0.1", self.node_port, ae_title="BONEAGE", ext_neg=[role])
        assert association.is_established
        assert association.accepted_contexts[0].as_scp
        self.report_on(association, request)
        association.release()

    def later(self, work: Callable[[], None]) -> None:
        self.threads.append(threading.Thread(target=work))
        self.threads[-1].start()


@contextmanager
def running(pacs: Pacs, *, supports: bool = True) -> Iterator[Pacs]:
    ae = AE("PEER")
    ae.supported_contexts = AllStoragePresentationContexts
    if supports:
        ae.add_supported_context(PUSH_MODEL)
    server = ae.start_server(
        ("127.0.0.1", 0),
        block=False,
        evt_handlers=[(evt.EVT_C_STORE, pacs.handle_store), (evt.EVT_N_ACTION, pacs.handle_action)],
    )
    pacs.destination = f"PEER@127.0.0.1:{server.server_address[1]}"
    try:
        yield pacs
    finally:
        for thread in pacs.threads:
            thread.join()
        server.shutdown()


def report_after_the_response(pacs: Pacs, event: evt.Event) -> int:
    def report() -> None:
        eventually(lambda: event.assoc._is_paused is False)  # the handler has come to its end
        pacs.report_on(event.assoc)

    pacs.later(report)
    return 0


def report_before_the_response(pacs: Pacs, event: evt.Event) -> int:
    pacs.report_on(event.assoc)
    return 0


def report_on_an_association_of_its_own(pacs: Pacs, _event: evt.Event) -> int:
    pacs.later(pacs.call_node)
    return 0


@pytest.mark.parametrize(
    "respond", [report_after_the_response, report_before_the_response, report_on_an_association_of_its_own]
)
def test_a_result_is_taken_wherever_it_comes(
    tmp_path: Path, respond: Callable[[Pacs, evt.Event], int]
) -> None:
    with (
        running(Pacs(respond)) as pacs,
        small_node(tmp_path / "node", commitment={"request": True}) as node,
    ):
        pacs.node_port = node.receiver.port
        image = node.report(tmp_path, pacs.destination)
        node.tick()
        eventually(lambda: pacs.statuses)
        assert pacs.statuses == [0]
        assert node.state() == "committed"
        (request,) = pacs.requests
        (item,) = request.ReferencedSOPSequence
        assert (item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID) == (
            image.SOPClassUID,
            image.SOPInstanceUID,
        )


def test_nothing_is_asked_by_default(tmp_path: Path) -> None:
    with running(Pacs()) as pacs, small_node(tmp_path / "node") as node:
        node.report(tmp_path, pacs.destination)
        node.tick()
        assert (len(pacs.stored), pacs.requests, node.state()) == (1, [], None)


def test_a_result_is_taken_after_a_restart(tmp_path: Path) -> None:
    with running(Pacs()) as pacs:
        with small_node(tmp_path / "node", commitment={"request": True}) as node:
            node.report(tmp_path, pacs.destination)
            node.deliveries.tick()
            node.threads.join()
            node.commitments.tick()
            eventually(lambda: pacs.requests)
            node.stop.set()  # as SIGTERM does while the result is waited for
            node.threads.join()
            assert node.state() == "asked"
        with small_node(tmp_path / "node", commitment={"request": True}) as node:
            pacs.node_port = node.receiver.port
            pacs.call_node()
            assert (pacs.statuses, node.state()) == ([0], "committed")


def test_without_result_it_is_requested_again_and_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("boneage_node.exchange.commitment.LINGER_SECONDS", 0.0)
    with (
        running(Pacs()) as pacs,
        small_node(tmp_path / "node", commitment={"request": True, "max_attempts": 2}) as node,
    ):
        node.report(tmp_path, pacs.destination)
        for _ in range(3):
            assert node.state() in (None, "asked")
            node.tick(seconds=2 * WAIT_SECONDS)
        assert node.state() == "unanswered"
        assert len({request.TransactionUID for request in pacs.requests}) == 2
        assert len(pacs.stored) == 1
        pacs.node_port = node.receiver.port
        pacs.call_node(pacs.requests[0])
        assert node.state() == "committed", "better late than never"


def test_what_the_pacs_does_not_keep_is_sent_again_until_it_is_a_dead_letter(tmp_path: Path) -> None:
    with (
        running(Pacs(report_after_the_response, failed=True)) as pacs,
        small_node(tmp_path / "node", commitment={"request": True}, delivery={"max_attempts": 2}) as node,
    ):
        image = node.report(tmp_path, pacs.destination)
        node.tick()
        assert node.state() == "refused"
        node.tick(seconds=WAIT_SECONDS)
        assert pacs.stored == [image.SOPInstanceUID] * 2
        (delivery,) = node.study().deliveries
        assert delivery.last_error == (
            f"{pacs.destination} took the object, but says that it does not keep it: "
            "it has no such object (0x0112)."
        )


def test_a_pacs_that_cannot_tell_now_is_asked_again_not_sent_again(tmp_path: Path) -> None:
    with (
        running(Pacs(report_after_the_response, failed=True, reason=0x0213)) as pacs,
        small_node(tmp_path / "node", commitment={"request": True}) as node,
    ):
        node.report(tmp_path, pacs.destination)
        node.tick()
        pacs.failed = False
        node.tick(seconds=WAIT_SECONDS)
        assert node.state() == "committed"
        assert (len(pacs.stored), len(pacs.requests)) == (1, 2)


def test_a_pacs_without_the_service_is_not_fatal_and_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        running(Pacs(), supports=False) as pacs,
        small_node(tmp_path / "node", commitment={"request": True}) as node,
    ):
        for _ in range(2):
            node.report(tmp_path, pacs.destination)
            node.tick()
        deliveries = node.study().deliveries
        assert [
            (delivery.status, delivery.commitment.state) for delivery in deliveries if delivery.commitment
        ] == [("done", "unsupported")] * 2
        kinds = [event.kind for event in node.study().events]
        assert kinds.count("commitment-unsupported") == 2
        assert capsys.readouterr().out.count("storage commitment not supported") == 1


def test_a_pacs_that_does_not_take_the_request_is_asked_again(tmp_path: Path) -> None:
    statuses = iter([0x0110, 0x0000])

    def respond(pacs: Pacs, event: evt.Event) -> int:
        status = next(statuses)
        return report_after_the_response(pacs, event) if status == 0 else status

    with (
        running(Pacs(respond)) as pacs,
        small_node(tmp_path / "node", commitment={"request": True}) as node,
    ):
        node.report(tmp_path, pacs.destination)
        node.tick()
        (delivery,) = node.study().deliveries
        assert delivery.commitment is not None
        assert delivery.commitment.last_error is not None
        assert "status 0x0110" in delivery.commitment.last_error
        node.tick(seconds=WAIT_SECONDS)
        assert node.state() == "committed"


def test_a_pacs_that_went_away_is_asked_again(tmp_path: Path) -> None:
    with small_node(tmp_path / "node", commitment={"request": True}) as node:
        with running(Pacs()) as pacs:
            node.report(tmp_path, pacs.destination)
            node.deliveries.tick()
            node.threads.join()
        node.tick()
        (delivery,) = node.study().deliveries
        assert delivery.commitment is not None
        assert delivery.commitment.state == "to_ask"
        assert str(delivery.commitment.last_error).startswith("Nothing listens on")


def test_a_result_of_nobodys_request_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running(Pacs(report_on_an_association_of_its_own)) as pacs, small_node(tmp_path / "node") as node:
        pacs.node_port = node.receiver.port
        request = Dataset()
        request.TransactionUID = "2.25.31415926"
        request.ReferencedSOPSequence = []
        pacs.call_node(request)
        assert pacs.statuses == [0x0115]
    assert "2.25.31415926" not in capsys.readouterr().out
