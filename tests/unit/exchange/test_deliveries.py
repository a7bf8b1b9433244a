"""Deliveries: one association for what is due, destinations apart, and a clean stop between two reports."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import ComprehensiveSRStorage, SecondaryCaptureImageStorage
from pynetdicom import AE, evt
from structlog.testing import capture_logs
from support.dimse import write_radiograph
from support.http_peer import Reply, http_peer
from support.store import DX, STUDY, Clock, attempts, claim_one, queue_study
from support.waiting import PATIENCE_SECONDS, eventually

from boneage_node.exchange.c_store import CStore
from boneage_node.exchange.deliveries import Deliveries
from boneage_node.exchange.settings import DeliverySettings
from boneage_node.exchange.threads import NamedThreads
from boneage_node.net.calling import Caller
from boneage_node.replay.pacs import SmallPacs
from boneage_node.store import (
    DatabaseAvailability,
    DeliveryOutcome,
    DeliveryTask,
    NewDocument,
    NewReport,
    ReportKind,
    Status,
    Store,
)
from boneage_node.traffic.document import DocumentForm
from boneage_node.traffic.outcome import Sent
from boneage_node.traffic.result import Result, ResultStatus

NOBODY = "NOBODY@127.0.0.1:1"
RESULT = Result("image.dcm", None, ResultStatus.ASSESSED)


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[SmallPacs]:
    (tmp_path / "pacs").mkdir()
    with SmallPacs(tmp_path / "pacs") as pacs:
        yield pacs


def report_both_forms(store: Store, folder: Path, destination: str) -> None:
    """A study whose structured report and picture are due."""
    queue_study(store)
    job = claim_one(store)
    documents = []
    for form in (DocumentForm.SR, DocumentForm.PICTURE):
        sop_class = ComprehensiveSRStorage if form is DocumentForm.SR else SecondaryCaptureImageStorage
        uid = str(write_radiograph(folder / "document.dcm", SOPClassUID=sop_class).SOPInstanceUID)
        file_name = store.spool.write((folder / "document.dcm").read_bytes())
        documents.append(NewDocument(form, file_name, [destination], sop_class, uid))
    report = NewReport(job.instances[0].id, ReportKind.ASSESSMENT, "2.25.1", RESULT, documents)
    store.queue.complete(job, "worker-1", [report])


def report_studies(store: Store, folder: Path, count: int, destinations: list[str]) -> None:
    """Studies whose reports are due."""
    for number in range(count):
        queue_study(store, f"1.2.3.{number}")
        job = claim_one(store)
        image = write_radiograph(folder / "report.dcm")
        uid = str(image.SOPInstanceUID)
        file_name = store.spool.write((folder / "report.dcm").read_bytes())
        document = NewDocument(DocumentForm.SR, file_name, destinations, DX, uid)
        report = NewReport(job.instances[0].id, ReportKind.ASSESSMENT, uid, RESULT, [document])
        store.queue.complete(job, "worker-1", [report])


@contextmanager
def storage_peer(answer: Callable[[evt.Event], int | Dataset]) -> Iterator[str]:
    """A storage SCP that answers each C-STORE as told."""
    ae = AE(ae_title="PEER")
    for sop_class in (ComprehensiveSRStorage, SecondaryCaptureImageStorage):
        ae.add_supported_context(sop_class)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, answer)])
    try:
        yield f"PEER@127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()


def make_deliveries(
    store: Store, threads: NamedThreads | None = None, lease_seconds: float = 60.0
) -> Deliveries:
    return Deliveries(
        DeliverySettings(),
        Caller("BONEAGE"),
        store,
        threads or NamedThreads(threading.Event(), DatabaseAvailability()),
        lease_seconds=lease_seconds,
        request_commitment=False,
    )


def test_a_destination_that_is_down_keeps_none_from_the_other(
    store: Store, tmp_path: Path, pacs: SmallPacs, clock: Clock
) -> None:
    report_studies(store, tmp_path, 3, [NOBODY, str(pacs.destination)])
    threads = NamedThreads(threading.Event(), DatabaseAvailability())
    make_deliveries(store, threads).tick()
    threads.join()
    assert len(list((tmp_path / "pacs").iterdir())) == 3
    assert store.outbox.counts() == {"todo": 3, "doing": 0, "done": 3, "dead": 0}
    assert store.outbox.routes() == []  # the wait before the next attempt has begun
    clock.go_on(10)
    assert store.outbox.routes() == [(NOBODY, DocumentForm.SR)]


def test_a_picture_arrives_while_the_destination_hangs_over_the_structured_report(
    store: Store, tmp_path: Path
) -> None:
    picture_is_there = threading.Event()

    def answer(event: evt.Event) -> int:
        if event.request.AffectedSOPClassUID == SecondaryCaptureImageStorage:
            picture_is_there.set()
            return 0x0000
        assert picture_is_there.wait(PATIENCE_SECONDS)
        return 0x0110

    with storage_peer(answer) as destination:
        report_both_forms(store, tmp_path, destination)
        threads = NamedThreads(threading.Event(), DatabaseAvailability())
        make_deliveries(store, threads).tick()
        threads.join()
    structured_report, picture = store.studies.show(STUDY).deliveries
    assert (structured_report.status, picture.status) == (Status.TODO, Status.DONE)


def test_nobody_else_sends_what_a_slow_destination_is_still_taking(
    store: Store, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats: list[float] = []
    taken_over: list[DeliveryTask] = []
    extend = store.outbox.extend

    def beat(delivery_ids: Iterable[int], lease_seconds: float) -> None:
        extend(delivery_ids, lease_seconds)
        beats.append(lease_seconds)

    def answer(_: evt.Event) -> int:
        clock.go_on(2)  # of a lease of 3 seconds
        beats.clear()
        eventually(lambda: len(beats) > 1)
        clock.go_on(2)
        taken_over.extend(store.outbox.claim(destination, DocumentForm.SR, 10, 60, attempts()))
        return 0x0000

    monkeypatch.setattr(store.outbox, "extend", beat)
    with storage_peer(answer) as destination:
        report_both_forms(store, tmp_path, destination)
        make_deliveries(store, lease_seconds=3.0).deliver(destination, DocumentForm.SR)
    assert taken_over == []
    assert store.studies.show(STUDY).deliveries[0].outcome is DeliveryOutcome.DELIVERED


def test_a_warning_is_logged_and_kept_with_the_delivery(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(_: evt.Event) -> Dataset:
        said = Dataset()
        said.Status, said.ErrorComment = 0xB000, "Doe^John renamed"
        return said

    with storage_peer(answer) as destination:
        report_both_forms(store, tmp_path, destination)
        make_deliveries(store).deliver(destination, DocumentForm.SR)
    detail = store.studies.show(STUDY)
    delivery = detail.deliveries[0]
    assert (delivery.status, delivery.outcome) == (Status.DONE, DeliveryOutcome.WARNED)
    assert "(coercion) (status 0xB000). Doe^John renamed" in delivery.last_error
    assert [event.kind for event in detail.events if event.kind.startswith("delivery")] == ["delivery-warned"]
    logged = capsys.readouterr()
    assert "report delivered with a warning" in logged.out + logged.err
    assert "0xB000" in logged.out + logged.err
    assert "Doe" not in logged.out + logged.err + "".join(event.detail for event in detail.events)


def test_a_stop_between_two_reports_gives_the_rest_back(
    store: Store, tmp_path: Path, pacs: SmallPacs, monkeypatch: pytest.MonkeyPatch
) -> None:
    report_studies(store, tmp_path, 3, [str(pacs.destination)])
    stop = threading.Event()
    delivered = store.outbox.delivered

    def stop_after_the_first(delivery_id: int, **options: Any) -> None:
        delivered(delivery_id, **options)
        stop.set()

    monkeypatch.setattr(store.outbox, "delivered", stop_after_the_first)
    make_deliveries(store, NamedThreads(stop, DatabaseAvailability())).deliver(
        str(pacs.destination), DocumentForm.SR
    )
    assert store.outbox.counts() == {"todo": 2, "doing": 0, "done": 1, "dead": 0}
    assert len(list((tmp_path / "pacs").iterdir())) == 1
    monkeypatch.undo()
    make_deliveries(store).deliver(str(pacs.destination), DocumentForm.SR)
    assert store.outbox.counts()["done"] == 3
    assert len(list((tmp_path / "pacs").iterdir())) == 3


def test_what_a_fhir_server_says_of_a_bundle_is_kept_with_the_delivery_and_not_logged(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = b'{"resourceType":"OperationOutcome","issue":[{"diagnostics":"Doe^John is unknown"}]}'
    with http_peer(lambda _: Reply(422, said)) as peer:
        queue_study(store)
        job = claim_one(store)
        document = NewDocument(DocumentForm.FHIR, store.spool.write(b"{}", ".json"), [peer.url])
        report = NewReport(job.instances[0].id, ReportKind.ASSESSMENT, "2.25.1", RESULT, [document])
        store.queue.complete(job, "worker-1", [report])
        make_deliveries(store).deliver(peer.url, DocumentForm.FHIR)
    assert [(request.method, request.path) for request in peer.requests] == [("POST", "/")]
    (delivery,) = store.studies.show(job.study_instance_uid).deliveries
    assert delivery.status is Status.DEAD
    assert "HTTP status 422" in delivery.last_error
    assert delivery.last_error.endswith("Doe^John is unknown")
    logged = capsys.readouterr()
    assert "HTTP status 422" in logged.out + logged.err
    assert "Doe" not in logged.out + logged.err


def test_a_bundle_goes_into_a_folder(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    bundle = b'{"identifier":{"value":"urn:uuid:6f0e4d6c-3c1b-4c53-9d0b-6a1d3b0f7c52"}}'
    queue_study(store)
    job = claim_one(store)
    document = NewDocument(DocumentForm.FHIR, store.spool.write(bundle, ".json"), [str(folder)])
    report = NewReport(job.instances[0].id, ReportKind.ASSESSMENT, "2.25.1", RESULT, [document])
    store.queue.complete(job, "worker-1", [report])
    make_deliveries(store).deliver(str(folder), DocumentForm.FHIR)
    assert store.outbox.counts()["done"] == 1
    assert [path.read_bytes() for path in folder.iterdir()] == [bundle]


def test_a_destination_that_the_settings_name_no_more_gets_its_reports(
    store: Store, tmp_path: Path, pacs: SmallPacs
) -> None:
    report_studies(store, tmp_path, 1, [str(pacs.destination)])
    assert DeliverySettings().send_to == ()
    make_deliveries(store).deliver(str(pacs.destination), DocumentForm.SR)
    assert store.outbox.counts()["done"] == 1


def test_a_fault_while_sending_is_a_failure_like_any_other(
    store: Store, tmp_path: Path, pacs: SmallPacs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> Iterator[Sent]:
        raise ValueError("nobody thought of that")

    report_studies(store, tmp_path, 2, [str(pacs.destination)])
    monkeypatch.setattr(CStore, "send", broken)
    make_deliveries(store).deliver(str(pacs.destination), DocumentForm.SR)
    assert store.outbox.counts() == {"todo": 2, "doing": 0, "done": 0, "dead": 0}
    (delivery,) = store.studies.show("1.2.3.0").deliveries
    assert delivery.last_error == "Sending broke off (ValueError): see the node's log."


def test_a_destination_that_no_protocol_knows_fails_in_a_sentence(store: Store, tmp_path: Path) -> None:
    report_studies(store, tmp_path, 1, ["pigeon:loft"])
    make_deliveries(store).deliver("pigeon:loft", DocumentForm.SR)
    (delivery,) = store.studies.show("1.2.3.0").deliveries
    assert delivery.status is Status.TODO
    assert delivery.last_error.startswith("'pigeon:loft' is not a destination such as PACS@10.0.0.5:104")


def test_a_destination_that_is_down_for_long_is_said_once_whatever_waits_for_it(
    store: Store, tmp_path: Path, clock: Clock
) -> None:
    report_studies(store, tmp_path, 5, [NOBODY])
    deliveries = make_deliveries(store)
    with capture_logs() as logged:
        for _ in range(4):
            deliveries.deliver(NOBODY, DocumentForm.SR)
            clock.go_on(3600)
    (said,) = (line for line in logged if line["log_level"] != "debug")
    assert (said["event"], said["destination"]) == ("report not delivered", NOBODY)
