"""The tables of storage commitment: what a PACS was asked to vouch for, and what a peer asked of the node."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import JSON, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from .tables import AE_TITLE_LENGTH, DESTINATION_LENGTH, UID_LENGTH, Base, FreeText, Status, word_column


class CommitmentState(StrEnum):
    """Whether a destination vouches for what was delivered to it.

    ``REFUSED``: it says that it does not keep the object, which is delivered again. ``UNANSWERED``: given up
    until an operator asks again. ``UNSUPPORTED``: it does not take such requests.
    """

    TO_ASK = "to_ask"
    ASKED = "asked"
    COMMITTED = "committed"
    REFUSED = "refused"
    UNANSWERED = "unanswered"
    UNSUPPORTED = "unsupported"


class CommitmentRow(Base):
    """Whether one delivery is committed. ``due_at``: when it is asked (again), None once it is settled."""

    __tablename__ = "commitments"
    __table_args__ = (Index(None, "destination", "due_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    delivery_id: Mapped[int] = mapped_column(ForeignKey("deliveries.id"), unique=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    destination: Mapped[str] = mapped_column(String(DESTINATION_LENGTH))
    state: Mapped[CommitmentState] = mapped_column(word_column(CommitmentState, "state"))
    transaction_uid: Mapped[str | None] = mapped_column(String(UID_LENGTH), index=True)
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    due_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    last_error: Mapped[str | None] = mapped_column(FreeText(2000))


class CommitmentTransactionRow(Base):
    """One request to one destination. Kept after the next one: a late answer to it is still an answer."""

    __tablename__ = "commitment_transactions"

    id: Mapped[int] = mapped_column(primary_key=True)
    transaction_uid: Mapped[str] = mapped_column(String(UID_LENGTH), unique=True)
    destination: Mapped[str] = mapped_column(String(DESTINATION_LENGTH))
    asked_at: Mapped[datetime] = mapped_column(index=True)


class CommitmentRequestRow(Base):
    """What a peer asked of the node. ``instances`` is emptied once it is answered."""

    __tablename__ = "commitment_requests"
    __table_args__ = (
        UniqueConstraint("calling_ae_title", "transaction_uid"),
        Index(None, "status", "scheduled_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    calling_ae_title: Mapped[str] = mapped_column(String(AE_TITLE_LENGTH))
    transaction_uid: Mapped[str] = mapped_column(String(UID_LENGTH))
    instances: Mapped[list[list[str]]] = mapped_column(JSON)
    status: Mapped[Status] = mapped_column(word_column(Status, "status"))
    attempts: Mapped[int] = mapped_column(default=0)
    received_at: Mapped[datetime]
    scheduled_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    last_error: Mapped[str | None] = mapped_column(FreeText(2000))
