"""Deliveries: one association for what is due, destinations apart, and a clean stop between two reports."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.dimse import write_radiograph
from support.http_peer import Reply, http_peer
from support.store import DX, Clock, claim_one, queue_study

from boneage_node.exchange.deliveries import Deliveries
from boneage_node.exchange.settings import DeliverySettings
from boneage_node.exchange.threads import NamedThreads
from boneage_node.net.calling import Caller
from boneage_node.replay.pacs import SmallPacs
from boneage_node.store import DatabaseAvailability, NewDocument, NewReport, ReportKind, Status, Store
from boneage_node.traffic.document import DocumentForm
from boneage_node.traffic.result import Result, ResultStatus

NOBODY = "NOBODY@127.0.0.1:1"
RESULT = Result("image.dcm", None, ResultStatus.ASSESSED)


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[SmallPacs]:
    (tmp_path / "pacs").mkdir()
    with SmallPacs(tmp_path / "pacs") as pacs:
        yield pacs


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


def make_deliveries(store: Store, threads: NamedThreads | None = None) -> Deliveries:
    return Deliveries(
        DeliverySettings(),
        Caller("BONEAGE"),
        store,
        threads or NamedThreads(threading.Event(), DatabaseAvailability()),
        lease_seconds=60.0,
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


def test_a_destination_that_no_protocol_knows_fails_in_a_sentence(store: Store, tmp_path: Path) -> None:
    report_studies(store, tmp_path, 1, ["pigeon:loft"])
    make_deliveries(store).deliver("pigeon:loft", DocumentForm.SR)
    (delivery,) = store.studies.show("1.2.3.0").deliveries
    assert delivery.status is Status.TODO
    assert delivery.last_error.startswith("'pigeon:loft' is not a destination such as PACS@10.0.0.5:104")
