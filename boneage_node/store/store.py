"""The store: the one door to the database and the spool for all other rooms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Self

from sqlalchemy import Engine, select

from boneage_node.spool import FolderSpool, Spool
from boneage_node.spool.seen import Seen

from . import database
from .commitment_requests import CommitmentRequests
from .commitments import Commitments
from .earlier import Earlier
from .heartbeats import Heartbeats
from .intake import Intake
from .outbox import Outbox
from .queue import Queue
from .studies import Studies
from .tables import DocumentRow, InstanceRow

_SWEEP_BATCH = 500


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Store:
    """Database and spool together. Safe to use from many threads; every process opens its own.

    Args:
        engine: A database from ``open_engine``, its schema up to date.
        spool: The files.
        clock: The time now, in UTC; replaced by tests.

    Attributes:
        intake: Takes instances in and settles studies.
        queue: Jobs of reading a study.
        outbox: Deliveries of documents.
        commitments: Storage commitment of destinations for what was delivered.
        commitment_requests: Requests of peers for storage commitment.
        earlier: What the node has said before of a study, and of a patient.
        studies: What an operator sees and tries again.
        heartbeats: Signs of life of processes.
        spool: The files.
    """

    def __init__(self, engine: Engine, spool: Spool, clock: Callable[[], datetime] = _utc_now) -> None:
        self.engine = engine
        self.spool = spool
        self._transactions = database.Transactions(engine, clock)
        self._orphans: Seen[str] = Seen()
        parts = (self._transactions, spool)
        self.intake = Intake(*parts)
        self.queue = Queue(*parts)
        self.outbox = Outbox(*parts)
        self.commitments = Commitments(*parts)
        self.commitment_requests = CommitmentRequests(*parts)
        self.earlier = Earlier(*parts)
        self.studies = Studies(*parts)
        self.heartbeats = Heartbeats(*parts)

    @classmethod
    def open(
        cls,
        database_url: str,
        spool_dir: Path,
        *,
        migrate: bool = True,
        reserve_bytes: int = 512 * 2**20,
        read_only: bool = False,
    ) -> Self:
        """Open the store, making or updating the database first.

        Args:
            database_url: ``sqlite:///path`` or ``postgresql+psycopg://user@host/name``.
            spool_dir: Folder of the spool.
            migrate: False to leave the schema alone, and to refuse one that is not up to date.
            reserve_bytes: What must stay free for an object to be taken in.
            read_only: Make no folder and no file, and change none of SQLite's, for who only looks.

        Raises:
            SchemaMismatch: It was made by a later version, or is not up to date and ``migrate`` is False.
            ValueError: The URL is of an unsupported engine.
        """
        engine = database.open_engine(database_url, read_only=read_only)
        try:
            if migrate:
                database.migrate(engine)
            else:
                database.require_current_schema(engine)
            return cls(engine, FolderSpool(spool_dir, reserve_bytes, make=not read_only))
        except BaseException:
            engine.dispose()
            raise

    def sweep_orphans(self, older_than_seconds: float = 3600.0) -> int:
        """Remove files that no row refers to, left by a process killed before its commit; returns how many.

        An orphan has been one for longer than a file waits for its commit, by the watch of this process; with
        0, for where no other process is running, at once.
        """
        orphans: list[str] = []
        for names in _batches(self.spool.keys(), _SWEEP_BATCH):
            with self._transactions.reading() as session:
                known = {
                    *session.scalars(select(InstanceRow.file_name).where(InstanceRow.file_name.in_(names))),
                    *session.scalars(select(DocumentRow.file_name).where(DocumentRow.file_name.in_(names))),
                }
            orphans += set(names) - known
        old = self._orphans.older_than(older_than_seconds, orphans)
        for name in old:
            self.spool.discard(name)
        return len(old)

    def close(self) -> None:
        """Close the connections to the database."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _batches(items: Iterable[str], size: int) -> Iterator[list[str]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
