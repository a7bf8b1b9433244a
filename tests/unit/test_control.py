"""Deliveries: one association for what is due, destinations apart, and a clean stop between two reports."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from dimse_help import write_radiograph
from store_help import (
    DX,
    Clock,
    claim_one,
    clock,
    database_url,
    postgresql,
    postgresql_url,
    queue_study,
    store,
)

from boneage_node.control import Deliveries
from boneage_node.dimse.pacs import SmallPacs
from boneage_node.outage import Outage
from boneage_node.settings import load_settings
from boneage_node.store import DocumentForm, NewDocument, NewReport, ReportKind, Store

__all__ = ["clock", "database_url", "postgresql", "postgresql_url", "store"]

NOBODY = "NOBODY@127.0.0.1:1"


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
        report = NewReport(job.instances[0].id, ReportKind.ASSESSMENT, uid, {}, [document])
        store.queue.complete(job, "worker-1", [report])


def make_deliveries(store: Store, stop: threading.Event | None = None) -> Deliveries:
    return Deliveries(load_settings(), store, stop or threading.Event(), Outage())


def test_a_destination_that_is_down_keeps_none_from_the_other(
    store: Store, tmp_path: Path, pacs: SmallPacs, clock: Clock
) -> None:
    report_studies(store, tmp_path, 3, [NOBODY, str(pacs.destination)])
    deliveries = make_deliveries(store)
    deliveries.tick()
    deliveries.join()
    assert len(list((tmp_path / "pacs").iterdir())) == 3
    assert store.outbox.counts() == {"todo": 3, "doing": 0, "done": 3, "dead": 0}
    assert store.outbox.destinations() == []  # the wait before the next attempt has begun
    clock.go_on(10)
    assert store.outbox.destinations() == [NOBODY]


def test_a_stop_between_two_reports_gives_the_rest_back(
    store: Store, tmp_path: Path, pacs: SmallPacs, monkeypatch: pytest.MonkeyPatch
) -> None:
    report_studies(store, tmp_path, 3, [str(pacs.destination)])
    stop = threading.Event()
    delivered = store.outbox.delivered

    def stop_after_the_first(delivery_ids: list[int]) -> None:
        delivered(delivery_ids)
        stop.set()

    monkeypatch.setattr(store.outbox, "delivered", stop_after_the_first)
    make_deliveries(store, stop).deliver(str(pacs.destination))
    assert store.outbox.counts() == {"todo": 2, "doing": 0, "done": 1, "dead": 0}
    assert len(list((tmp_path / "pacs").iterdir())) == 1
    monkeypatch.undo()
    make_deliveries(store).deliver(str(pacs.destination))
    assert store.outbox.counts()["done"] == 3
    assert len(list((tmp_path / "pacs").iterdir())) == 3
