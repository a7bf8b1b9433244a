"""The tables: studies, instances, arrivals, jobs, reports, documents, deliveries, events, and so on.

Every table class ends in ``Row`` and stays inside this room; the other rooms see the frozen dataclasses
of the other files. A change here needs a migration beside it.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Enum,
    ForeignKey,
    Index,
    MetaData,
    String,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from boneage_node.traffic.document import DocumentForm
from boneage_node.traffic.result import Result

UID_LENGTH = 64
"""Longest UID, in characters (PS3.5, 9.1)."""

DESTINATION_LENGTH = 300
"""Longest destination, in characters: ``AE@host:port`` has 16 + 253 + 5 and what is between them."""

AE_TITLE_LENGTH = 16
"""Longest AE title, in characters (PS3.5, 6.2)."""

ACCESSION_NUMBER_LENGTH = 64
"""Longest accession number that is kept, in characters: four times what is allowed (PS3.5, 6.2: SH)."""

WHERE_TODO = "status = 'todo'"
_WHERE_DOING = "status = 'doing'"


class StudyState(StrEnum):
    """State of a study on its way through the node."""

    RECEIVING = "receiving"
    QUEUED = "queued"
    READING = "reading"
    REPORTED = "reported"
    REFUSED = "refused"
    SET_ASIDE = "set_aside"


class Status(StrEnum):
    """Status of a leased task. ``DEAD`` is the dead letter: given up until an operator retries it."""

    TODO = "todo"
    DOING = "doing"
    DONE = "done"
    DEAD = "dead"


class ReportKind(StrEnum):
    """Kind of a report: a bone age, or why there is none."""

    ASSESSMENT = "assessment"
    REFUSAL = "refusal"


class DeliveryOutcome(StrEnum):
    """End of a delivery. ``WARNED``: the destination has it, and had something to say about it.

    ``SUPERSEDED``: it was not sent any more, for the study had a newer report.
    """

    DELIVERED = "delivered"
    WARNED = "warned"
    SUPERSEDED = "superseded"


class CommitmentOutcome(StrEnum):
    """Answer of a destination on an object that was delivered to it.

    ``REFUSED``: that it does not keep the object, which is delivered again. ``UNSUPPORTED``: that it does not
    take requests for storage commitment.
    """

    COMMITTED = "committed"
    REFUSED = "refused"
    UNSUPPORTED = "unsupported"


class EventKind(StrEnum):
    """Kind of an entry in a study's history."""

    INSTANCE_RECEIVED = "instance-received"
    INSTANCE_CONFLICT = "instance-conflict"
    INSTANCE_RESTORED = "instance-restored"
    INSTANCE_MOVED = "instance-moved"
    INSTANCE_LEFT_OUT = "instance-left-out"
    OWN_OUTPUT_RECEIVED = "own-output-received"
    STUDY_QUEUED = "study-queued"
    STUDY_REPORTED = "study-reported"
    STUDY_REFUSED = "study-refused"
    STUDY_SET_ASIDE = "study-set-aside"
    STUDY_RETRIED = "study-retried"
    COURSE_OUTDATED = "course-outdated"
    JOB_FAILED = "job-failed"
    JOB_TAKEN_OVER = "job-taken-over"
    JOB_PUT_OFF = "job-put-off"
    DELIVERY_DONE = "delivery-done"
    DELIVERY_WARNED = "delivery-warned"
    DELIVERY_SUPERSEDED = "delivery-superseded"
    DELIVERY_FAILED = "delivery-failed"
    DELIVERY_DEAD = "delivery-dead"
    DELIVERY_RETRIED = "delivery-retried"
    COMMITMENT_ASKED = "commitment-asked"
    COMMITMENT_GIVEN = "commitment-given"
    COMMITMENT_REFUSED = "commitment-refused"
    COMMITMENT_UNANSWERED = "commitment-unanswered"
    COMMITMENT_UNSUPPORTED = "commitment-unsupported"
    COMMITMENT_RETRIED = "commitment-retried"
    COMMITMENT_ANSWERED = "commitment-answered"


class UtcDateTime(TypeDecorator[datetime]):
    """A time, always aware and in UTC in Python; SQLite, which keeps no time zones, stores it in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database; refuses a time without a time zone with ValueError."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a time zone cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class ResultColumn(TypeDecorator[Result]):
    """The result of a reading, stored as a JSON object."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Result | None, dialect: Dialect) -> dict[str, Any] | None:
        """To the database."""
        return None if value is None else value.to_json()

    def process_result_value(self, value: dict[str, Any] | None, dialect: Dialect) -> Result | None:
        """From the database; rows of older versions lack newer keys."""
        return None if value is None else Result.from_json(value)


class FreeText(TypeDecorator[str]):
    """Text of any origin, cut to its column.

    PostgreSQL stores no NUL and neither engine stores a lone surrogate, and an error message may hold both.
    An error that cannot be written down must not become a second error.
    """

    impl = String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """To the database: NUL becomes the replacement character, a lone surrogate a question mark."""
        if value is None:
            return None
        storable = value.encode("utf-8", "replace").decode("utf-8")
        return storable.replace("\0", "\N{REPLACEMENT CHARACTER}")[: self.length]


def word_column(words: type[StrEnum], name: str) -> Enum:
    """A column of one of these words: text with a check, because a native enum is hard to migrate."""
    return Enum(
        words,
        name=name,
        native_enum=False,
        length=16,
        create_constraint=True,
        values_callable=lambda members: [member.value for member in members],
    )


def _unique_where(name: str, where: str, *columns: str) -> Index:
    return Index(name, *columns, unique=True, sqlite_where=text(where), postgresql_where=text(where))


class Base(DeclarativeBase):
    """Base of all tables; names every constraint so that migrations can refer to it."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime, Result: ResultColumn}  # noqa: RUF012 - SQLAlchemy's own name


class Leased:
    """Columns of a task, which is done under a lease; see ``leases``.

    It is to do from ``scheduled_at`` on, being done until ``leased_until``, and done or dead since
    ``finished_at``. ``set_at`` is when the first or the second of these was set: a clock that shows an
    earlier time has been set back. ``put_off`` counts how often the task was given back for the node's own
    trouble.
    """

    id: Mapped[int] = mapped_column(primary_key=True, sort_order=-1)
    status: Mapped[Status] = mapped_column(word_column(Status, "status"), sort_order=1)
    attempts: Mapped[int] = mapped_column(default=0, sort_order=1)
    created_at: Mapped[datetime] = mapped_column(sort_order=1)
    scheduled_at: Mapped[datetime] = mapped_column(sort_order=1)
    finished_at: Mapped[datetime | None] = mapped_column(sort_order=1)
    leased_until: Mapped[datetime | None] = mapped_column(sort_order=1)
    last_error: Mapped[str | None] = mapped_column(FreeText(2000), sort_order=3)
    set_at: Mapped[datetime | None] = mapped_column(sort_order=4)
    put_off: Mapped[int] = mapped_column(default=0, server_default="0", sort_order=4)


class StudyRow(Base):
    """A study. ``settle_at`` is set exactly while ``state`` is receiving.

    ``accession_number`` is that of the newest instance that has one; None for a study of 0.1.0.
    """

    __tablename__ = "studies"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_instance_uid: Mapped[str] = mapped_column(String(UID_LENGTH), unique=True)
    state: Mapped[StudyState] = mapped_column(word_column(StudyState, "state"), index=True)
    received_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    settle_at: Mapped[datetime | None] = mapped_column(index=True)
    accession_number: Mapped[str | None] = mapped_column(FreeText(ACCESSION_NUMBER_LENGTH), index=True)


class InstanceRow(Base):
    """A received object. Other bytes under a UID already known make a second row."""

    __tablename__ = "instances"
    __table_args__ = (UniqueConstraint("sop_instance_uid", "sha256"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    sop_instance_uid: Mapped[str] = mapped_column(String(UID_LENGTH))
    sop_class_uid: Mapped[str] = mapped_column(String(UID_LENGTH))
    series_instance_uid: Mapped[str] = mapped_column(String(UID_LENGTH))
    transfer_syntax_uid: Mapped[str] = mapped_column(String(UID_LENGTH))
    sha256: Mapped[str] = mapped_column(String(64))
    file_name: Mapped[str] = mapped_column(String(36), unique=True)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    calling_ae_title: Mapped[str] = mapped_column(String(AE_TITLE_LENGTH))
    received_at: Mapped[datetime]


class ArrivalRow(Base):
    """One arrival of an instance. The same bytes that come again after others make another one."""

    __tablename__ = "arrivals"

    id: Mapped[int] = mapped_column(primary_key=True)
    instance_id: Mapped[int] = mapped_column(ForeignKey("instances.id"), index=True)


class JobRow(Leased, Base):
    """The task of reading a study. The two partial indexes hold what the queue promises."""

    __tablename__ = "jobs"
    __table_args__ = (
        # Deduplicated while to do, and never two workers on one study.
        _unique_where("uq_jobs_study_id_todo", WHERE_TODO, "study_id"),
        _unique_where("uq_jobs_study_id_doing", _WHERE_DOING, "study_id"),
        Index(None, "status", "scheduled_at"),
    )

    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    worker: Mapped[str | None] = mapped_column(FreeText(128), sort_order=2)


class ReportRow(Base):
    """Report on a study. Its SOP Instance UID derives from what was read, hence unique.

    ``patient`` is a digest of PatientID and its issuer: enough to find the same patient again. It, the dates
    and the result are what later studies of the patient are compared with.
    """

    __tablename__ = "reports"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    instance_id: Mapped[int | None] = mapped_column(ForeignKey("instances.id"), index=True)
    kind: Mapped[ReportKind] = mapped_column(word_column(ReportKind, "kind"))
    sop_instance_uid: Mapped[str] = mapped_column(String(UID_LENGTH), unique=True)
    result: Mapped[Result]
    patient: Mapped[str | None] = mapped_column(String(64), index=True)
    birth_date: Mapped[date | None]
    study_date: Mapped[date | None]
    created_at: Mapped[datetime]


class DocumentRow(Base):
    """An object made of a report, to be sent. Its UIDs are those of DICOM; a FHIR Bundle has none."""

    __tablename__ = "documents"
    __table_args__ = (UniqueConstraint("report_id", "form"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    report_id: Mapped[int] = mapped_column(ForeignKey("reports.id"))
    form: Mapped[DocumentForm] = mapped_column(word_column(DocumentForm, "form"))
    sop_class_uid: Mapped[str | None] = mapped_column(String(UID_LENGTH))
    sop_instance_uid: Mapped[str | None] = mapped_column(String(UID_LENGTH), index=True)
    file_name: Mapped[str] = mapped_column(String(40), unique=True)


class DeliveryRow(Leased, Base):
    """The task of sending one document to one destination.

    ``form`` is the document's. ``outcome`` is set exactly while the task is done.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("document_id", "destination"),
        # One at a time of a form: no older report of a study arrives after a newer one.
        _unique_where(
            "uq_deliveries_study_id_destination_form_doing", _WHERE_DOING, "study_id", "destination", "form"
        ),
        Index(None, "status", "scheduled_at"),
        Index(None, "study_id", "destination"),
    )

    document_id: Mapped[int] = mapped_column(ForeignKey("documents.id"))
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    destination: Mapped[str] = mapped_column(String(DESTINATION_LENGTH))
    form: Mapped[DocumentForm] = mapped_column(word_column(DocumentForm, "form"))
    outcome: Mapped[DeliveryOutcome | None] = mapped_column(word_column(DeliveryOutcome, "outcome"))


class EventRow(Base):
    """One line of history. ``detail`` names rows by their id and never holds patient data."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    study_id: Mapped[int | None] = mapped_column(ForeignKey("studies.id"), index=True)
    kind: Mapped[str] = mapped_column(String(32))
    detail: Mapped[str] = mapped_column(FreeText(500))


class HeartbeatRow(Base):
    """Last sign of life of a process."""

    __tablename__ = "heartbeats"

    process: Mapped[str] = mapped_column(String(32), primary_key=True)
    at: Mapped[datetime]


class CommitmentRow(Leased, Base):
    """The task of requesting commitment of one delivery; being done while the result is waited for.

    ``outcome`` is what the destination said last, and is set exactly while the task is done.
    """

    __tablename__ = "commitments"
    __table_args__ = (Index(None, "status", "scheduled_at"),)

    delivery_id: Mapped[int] = mapped_column(ForeignKey("deliveries.id"), unique=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    destination: Mapped[str] = mapped_column(String(DESTINATION_LENGTH))
    outcome: Mapped[CommitmentOutcome | None] = mapped_column(word_column(CommitmentOutcome, "outcome"))
    transaction_uid: Mapped[str | None] = mapped_column(String(UID_LENGTH), index=True)


class CommitmentTransactionRow(Base):
    """One request to one destination. Kept after the next one: a late answer to it is still an answer."""

    __tablename__ = "commitment_transactions"

    id: Mapped[int] = mapped_column(primary_key=True)
    transaction_uid: Mapped[str] = mapped_column(String(UID_LENGTH), unique=True)
    destination: Mapped[str] = mapped_column(String(DESTINATION_LENGTH))
    asked_at: Mapped[datetime] = mapped_column(index=True)


class CommitmentRequestRow(Leased, Base):
    """Request of a peer for storage commitment. ``instances`` is emptied once it is answered."""

    __tablename__ = "commitment_requests"
    __table_args__ = (
        UniqueConstraint("calling_ae_title", "transaction_uid"),
        Index(None, "status", "scheduled_at"),
    )

    calling_ae_title: Mapped[str] = mapped_column(String(AE_TITLE_LENGTH))
    transaction_uid: Mapped[str] = mapped_column(String(UID_LENGTH))
    instances: Mapped[list[list[str]]] = mapped_column(JSON)
