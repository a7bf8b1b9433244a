"""What is wrong with a database that cannot be opened, as a sentence for a person, without what is in it."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from sqlalchemy.exc import OperationalError, SQLAlchemyError

_RESTORE = "Restore a backup; or move the file away, with those beside it, and the next start makes a new one"
_SQLITE = {
    sqlite3.SQLITE_NOTADB: f"the file is no SQLite database. {_RESTORE}",
    sqlite3.SQLITE_CORRUPT: f"the file is damaged or cut short. {_RESTORE}",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened: it is a folder, or this user may not",
    sqlite3.SQLITE_PERM: "this user may not open the file",
    sqlite3.SQLITE_READONLY: "this user may not write the file or its folder, or the disk is read-only",
    sqlite3.SQLITE_FULL: "the disk is full. Make room",
    sqlite3.SQLITE_IOERR: "the disk does not read or write as it should. Look at the log of the system",
}
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


@dataclass(frozen=True)
class Trouble:
    """Cause of a failure to open.

    Attributes:
        cause: What is wrong and how to mend it, without a full stop.
        away: Whether it may pass by itself: a server that does not answer, a lock of another program.
    """

    cause: str
    away: bool


def trouble(error: SQLAlchemyError) -> Trouble:
    """Name the cause of an error of the database."""
    cause = getattr(error, "orig", None)
    if isinstance(cause, sqlite3.Error):
        code = getattr(cause, "sqlite_errorcode", 0) & 0xFF  # an extended code has the primary one in front
        if code in _LOCKED:
            return Trouble("another program keeps it locked. End that program, or wait for it", away=True)
        return Trouble(_SQLITE.get(code, str(cause)), away=False)
    said = (str(cause or "").strip() or type(cause or error).__name__).splitlines()[0].rstrip(".")
    return Trouble(said, away=isinstance(error, OperationalError))
