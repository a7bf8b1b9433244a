"""Writing a study's history, and the clock by which it is written."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy.orm import Session

from .tables import EventKind, EventRow


def utc_now() -> datetime:
    """The time now, aware, in UTC."""
    return datetime.now(UTC)


def record(session: Session, kind: EventKind, at: datetime, study_id: int | None, detail: str = "") -> None:
    """Add a line to a study's history.

    Args:
        session: The transaction that the event belongs to.
        kind: What happened.
        at: When.
        study_id: To which study, or None.
        detail: More, naming rows by id; never patient data.
    """
    session.add(EventRow(at=at, study_id=study_id, kind=kind.value, detail=detail))
