"""What an operator sees of a study: its line in the list, and everything about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from boneage_node.traffic.document import DocumentForm
from boneage_node.traffic.file import StoredFile
from boneage_node.traffic.result import Result

from .commitments import CommitmentDetail
from .queue import StoredInstance
from .tables import DeliveryOutcome, ReportKind, Status, StudyState


@dataclass(frozen=True)
class StudySummary:
    """A line of the list of studies.

    Attributes:
        id: Its row.
        study_instance_uid: The study.
        state: Where it is on its way.
        received_at: When its first instance came, UTC.
        updated_at: When its state last changed, UTC.
        instances: How many it has.
        result: What the latest report says; None before there is one.
        deliveries: How many deliveries of each status, where there are any; those superseded by themselves.
        next_delivery_at: When the next of those to do is tried, UTC.
        problem: Why it was set aside; None where it was not.
    """

    id: int
    study_instance_uid: str
    state: StudyState
    received_at: datetime
    updated_at: datetime
    instances: int
    result: Result | None
    deliveries: dict[str, int]
    next_delivery_at: datetime | None
    problem: str | None


@dataclass(frozen=True)
class JobDetail:
    """A job of reading the study; times are UTC.

    ``put_off``: how often it was given back for the node's own trouble, which is its last error then.
    """

    id: int
    status: Status
    attempts: int
    created_at: datetime
    scheduled_at: datetime
    finished_at: datetime | None
    leased_until: datetime | None
    worker: str | None
    last_error: str | None
    put_off: int


@dataclass(frozen=True)
class DocumentDetail:
    """An object made of a report; the UIDs are None where it is no DICOM."""

    id: int
    form: DocumentForm
    sop_class_uid: str | None
    sop_instance_uid: str | None
    file: StoredFile


@dataclass(frozen=True)
class ReportDetail:
    """A report, with what was made of it to be sent."""

    id: int
    instance_id: int | None
    kind: ReportKind
    sop_instance_uid: str
    result: Result
    study_date: date | None
    created_at: datetime
    documents: list[DocumentDetail]

    def document(self, form: DocumentForm) -> DocumentDetail | None:
        """The document of a form; None where none was made."""
        return next((document for document in self.documents if document.form is form), None)


@dataclass(frozen=True)
class DeliveryDetail:
    """A delivery of a document; times are UTC. ``commitment`` is None where none was requested.

    ``last_error`` is what went wrong, or what the destination had to say of what it took.
    """

    id: int
    document_id: int
    destination: str
    form: DocumentForm
    status: Status
    outcome: DeliveryOutcome | None
    attempts: int
    created_at: datetime
    scheduled_at: datetime
    finished_at: datetime | None
    last_error: str | None
    commitment: CommitmentDetail | None


@dataclass(frozen=True)
class Event:
    """A line of the study's history; ``at`` is UTC."""

    at: datetime
    kind: str
    detail: str


@dataclass(frozen=True)
class StudyDetail:
    """Everything about a study, each list in the order in which it came to be."""

    id: int
    study_instance_uid: str
    state: StudyState
    received_at: datetime
    updated_at: datetime
    settle_at: datetime | None
    instances: list[StoredInstance]
    jobs: list[JobDetail]
    reports: list[ReportDetail]
    deliveries: list[DeliveryDetail]
    events: list[Event]


@dataclass(frozen=True)
class Retried:
    """Numbers of tasks that trying again set going.

    Attributes:
        readings: Studies that are read.
        deliveries: Documents that are sent.
        commitments: Documents of which their destination is asked whether it keeps them.
    """

    readings: int = 0
    deliveries: int = 0
    commitments: int = 0
