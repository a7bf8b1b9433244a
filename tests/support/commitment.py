"""For tests of storage commitment: a node without workers, in this process, and reports for it to deliver."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from boneage_node.dimse.store_scp import Receiver, serve
from boneage_node.dimse.wire.bounds import Limits
from boneage_node.exchange.commitment import CommitmentReceiver, Commitments
from boneage_node.exchange.deliveries import Deliveries
from boneage_node.exchange.threads import NamedThreads
from boneage_node.settings import Settings, load_settings
from boneage_node.spool import FolderSpool
from boneage_node.store import DatabaseAvailability, NewDocument, NewReport, ReportKind, Store, StudyDetail
from boneage_node.traffic.document import DocumentForm
from boneage_node.traffic.result import Result, ResultStatus

from .dimse import Watched, write_radiograph
from .store import DX, Clock, claim_one, open_migrated, queue_study

PUSH_MODEL = "1.2.840.10008.1.20.1"
WELL_KNOWN = "1.2.840.10008.1.20.1.1"
STUDY = "1.2.3.4"


@dataclass
class SmallNode:
    """Receiver and control process of a node, the latter by hand; time stands still until it is told to."""

    settings: Settings
    store: Store
    receiver: Receiver
    clock: Clock
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        settings, store = self.settings, self.store
        self.threads = NamedThreads(self.stop, DatabaseAvailability())
        self.commitments = Commitments(
            settings.commitment, settings.delivery, settings.caller, store, self.threads
        )
        self.deliveries = Deliveries(
            settings.delivery,
            settings.caller,
            store,
            self.threads,
            lease_seconds=60.0,
            request_commitment=settings.commitment.request,
        )

    def tick(self, seconds: float = 0.0) -> None:
        """Let time go on, and do all that is due then, as the control process does it."""
        self.clock.go_on(seconds)
        for work in (self.deliveries, self.commitments):
            work.tick()
            self.threads.join()

    def report(self, folder: Path, *destinations: str) -> Dataset:
        """A study with a report that is due."""
        image = write_radiograph(folder / "report.dcm", SOPClassUID=DX)
        queue_study(self.store, STUDY, data=image.SOPInstanceUID.encode())
        job = claim_one(self.store)
        document = NewDocument(
            form=DocumentForm.SR,
            file_name=self.store.spool.write((folder / "report.dcm").read_bytes()),
            destinations=destinations,
            sop_class_uid=DX,
            sop_instance_uid=str(image.SOPInstanceUID),
        )
        report = NewReport(
            instance_id=job.instances[0].id,
            kind=ReportKind.ASSESSMENT,
            sop_instance_uid=str(image.SOPInstanceUID),
            result=Result("image.dcm", str(image.SOPInstanceUID), ResultStatus.ASSESSED),
            documents=[document],
        )
        self.store.queue.complete(job, "worker-1", [report])
        return image

    def study(self) -> StudyDetail:
        return self.store.studies.show(STUDY)

    def state(self) -> str | None:
        """The state of the first delivery's commitment."""
        commitment = self.study().deliveries[0].commitment
        return commitment.state.value if commitment else None


@contextmanager
def small_node(folder: Path, *, port: int = 0, **settings: Any) -> Iterator[SmallNode]:
    """A small node; its folder outlives it. ``settings`` by section."""
    storage = {"data_dir": folder, "reserve_mib": 0}
    loaded = load_settings(storage=storage, listening={"port": port}, **settings)
    engine = open_migrated(loaded.storage.database)
    clock = Clock()
    with Store(engine, FolderSpool(loaded.storage.spool_dir, reserve_bytes=0), clock) as store:
        receiver = serve(
            loaded.listening,
            loaded.listening.bind(),
            Watched(store),
            store.spool.incoming_dir,
            CommitmentReceiver(loaded.commitment, loaded.delivery, store),
            limits=Limits(reserve_bytes=0),
        )
        try:
            yield SmallNode(loaded, store, receiver, clock)
        finally:
            receiver.shutdown(grace_seconds=2.0)


def reference(sop_class: str, instance: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class
    item.ReferencedSOPInstanceUID = instance
    return item


def action_information(*instances: tuple[str, str], transaction: str = "2.25.900") -> Dataset:
    information = Dataset()
    information.TransactionUID = transaction
    information.ReferencedSOPSequence = [reference(*instance) for instance in instances]
    return information


def event_information(
    transaction: str, kept: list[Dataset], failed: list[Dataset], reason: int = 0x0112
) -> tuple[int, Dataset]:
    """Event type and data set of a report."""
    information = Dataset()
    information.TransactionUID = transaction
    information.ReferencedSOPSequence = kept
    if not failed:
        return 1, information
    for item in failed:
        item.FailureReason = reason
    information.FailedSOPSequence = failed
    return 2, information
