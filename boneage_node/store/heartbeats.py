"""Heartbeats: signs of life of processes, for whoever looks from outside."""

from __future__ import annotations

from sqlalchemy import update

from .database import insert_if_new
from .part import Part
from .tables import HeartbeatRow


class Heartbeats(Part):
    """The heartbeats."""

    def beat(self, process: str) -> None:
        """Note that a process is at work."""
        with self._transactions.writing() as session:
            if not insert_if_new(session, HeartbeatRow, ["process"], process=process, at=session.now):
                session.execute(
                    update(HeartbeatRow).where(HeartbeatRow.process == process).values(at=session.now)
                )

    def seconds_since(self, process: str) -> float | None:
        """Seconds since a process was last at work, negative where the clock was set back; None for never."""
        with self._transactions.reading() as session:
            row = session.get(HeartbeatRow, process)
            return None if row is None else (session.now - row.at).total_seconds()
