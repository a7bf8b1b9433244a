"""What the tests of the store share: both engines, a clock that is set by hand, and objects to receive."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import pytest
from sqlalchemy import Engine

from boneage_node.retry import RetryPolicy
from boneage_node.spool import FolderSpool
from boneage_node.store import (
    DeliveryTask,
    Job,
    NewDocument,
    NewReport,
    ReportKind,
    Store,
    migrate,
    open_engine,
)
from boneage_node.traffic.document import DocumentForm
from boneage_node.traffic.file import StoredFile
from boneage_node.traffic.received import Accepted, Received
from boneage_node.traffic.result import Result, ResultStatus

STUDY = "1.2.826.0.1.3680043.10.1.1"
DX = "1.2.840.10008.5.1.4.1.1.1.1"
SR = "1.2.840.10008.5.1.4.1.1.88.33"


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 29, 0, 59, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def go_on(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database; the test runs once on each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/boneage.sqlite3"
    url: str = request.getfixturevalue("postgresql_url")
    request.getfixturevalue("postgresql").empty(url)
    return url


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(database_url: str, tmp_path: Path, clock: Clock) -> Iterator[Store]:
    with Store(open_migrated(database_url), FolderSpool(tmp_path / "spool", reserve_bytes=0), clock) as store:
        yield store


@cache
def _migrated() -> bytes:
    path = Path(mkdtemp()) / "migrated.sqlite3"
    engine = open_engine(f"sqlite:///{path}")
    migrate(engine)
    engine.dispose()
    content = path.read_bytes()
    rmtree(path.parent)
    return content


def open_migrated(url: str) -> Engine:
    """Open a database of the schema of today. SQLite's is migrated once and copied."""
    engine = open_engine(url)
    file = Path(engine.url.database or "")
    if engine.dialect.name == "sqlite" and file.stat().st_size == 0:
        file.write_bytes(_migrated())
    else:
        migrate(engine)
    return engine


def receive(
    store: Store,
    *,
    study: str = STUDY,
    instance: str = f"{STUDY}.1.1",
    data: bytes = b"pixels",
    quiet_seconds: float = 10.0,
    calling_ae_title: str = "MODALITY",
    accession_number: str = "",
) -> Accepted:
    """Receive an instance as the receiver does: a file of its own, gone when it is accepted."""
    incoming = store.spool.incoming_dir / uuid.uuid4().hex
    incoming.write_bytes(data)
    received = Received(
        sop_class_uid=DX,
        sop_instance_uid=instance,
        study_instance_uid=study,
        series_instance_uid=f"{study[:60]}.1",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        calling_ae_title=calling_ae_title,
        accession_number=accession_number,
    )
    try:
        return store.intake.accept(incoming, received, quiet_seconds)
    finally:
        incoming.unlink()


def content(file: StoredFile) -> bytes:
    """The bytes of a file that the store handed out."""
    with file.open() as opened:
        return opened.read()


def queue_study(store: Store, study: str = STUDY, data: bytes = b"pixels") -> int:
    """Receive a study of one instance and queue it; returns the id of the study."""
    accepted = receive(store, study=study, instance=f"{study}.1.1", data=data)
    store.intake.settle_in([accepted.study_id], 0)
    assert store.intake.settle() == 1
    return accepted.study_id


def claim_one(store: Store, worker: str = "worker-1", lease_seconds: float = 60.0) -> Job:
    """Claim the one job that there is."""
    (job,) = store.queue.claim(worker, 10, lease_seconds, attempts())
    return job


def claim_deliveries(store: Store) -> list[DeliveryTask]:
    """Claim all deliveries that are due, wherever they go, oldest first."""
    tasks = [
        task
        for destination, form in store.outbox.routes()
        for task in store.outbox.claim(destination, form, 10, 600, attempts())
    ]
    return sorted(tasks, key=lambda task: task.id)


def new_report(
    store: Store,
    job: Job,
    uid: str = "2.25.1",
    kind: str = "assessment",
    to: Sequence[str] = (),
    forms: Sequence[DocumentForm] = (DocumentForm.SR,),
) -> NewReport:
    """A report of a job's first instance, and its documents in the spool; the structured one has its UID."""
    documents = [
        NewDocument(
            form=form,
            file_name=store.spool.write(b"report " + uid.encode()),
            destinations=to,
            sop_class_uid=SR,
            sop_instance_uid=uid if form is DocumentForm.SR else f"{uid}.1",
        )
        for form in forms
    ]
    return NewReport(
        instance_id=job.instances[0].id,
        kind=ReportKind(kind),
        sop_instance_uid=uid,
        result=Result("image.dcm", "1.2.3.4", ResultStatus.ASSESSED, bone_age_months=120.5),
        documents=documents,
    )


class EvenPolicy(RetryPolicy):
    """A policy whose waits are always the longest."""

    def wait(self, attempt: int) -> timedelta:
        return self.longest_wait(attempt)


def attempts(max_attempts: int = 5, wait_seconds: float = 0.0) -> RetryPolicy:
    """A policy of this many attempts, with the same wait after each."""
    return EvenPolicy(max_attempts, wait_seconds, wait_seconds)
