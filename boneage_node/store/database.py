"""The database: opening it so that a commit is durable, and bringing its schema up to date."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    InternalError,
    OperationalError,
    SQLAlchemyError,
    TimeoutError,
)
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

from boneage_node.errors import BoneAgeError

from .tables import Base, EventKind, EventRow

_BUSY_SECONDS = 60.0
"""Longest wait of a writer for another one on SQLite."""

_LOOK_SECONDS = 5.0
"""Longest wait of who only looks; a writer holds nobody up, but a program that locks the file does."""

_PATIENCE = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""Parameters of libpq (seconds, the last in ms): a server gone without a word is noticed in a minute."""

_READ_ONLY = "boneage_read_only"

_REVISION = "0005"
"""The newest revision of the schema. Told here, so that only a process that migrates has to load alembic."""

_WAL = "PRAGMA journal_mode=WAL"

_MIGRATION_LOCK = 0x626F6E65
"""Key of PostgreSQL's advisory lock under which the schema is changed (the bytes of "bone")."""


DatabaseError = SQLAlchemyError
"""The database does not answer, or not as it should: what other rooms may catch."""


def is_database_away(error: BaseException) -> bool:
    """Whether an error is the database's own: away, full, locked, read-only; not a wrong question."""
    return isinstance(error, OperationalError | InterfaceError | InternalError | TimeoutError)


class SchemaMismatch(BoneAgeError):  # noqa: N818 - reads as the sentence it is
    """The database does not fit this program; the message says what to do."""


def open_engine(url: str, *, read_only: bool = False) -> Engine:
    """Open a database.

    SQLite runs in WAL mode with ``synchronous=FULL``, so that a commit survives a power cut, and a writing
    transaction begins with ``BEGIN IMMEDIATE``, so that two processes never read the same row in order to
    change it. On PostgreSQL ``synchronous_commit`` is raised from ``off`` for the same reason.

    Args:
        url: ``sqlite:///path`` or ``postgresql+psycopg://user@host/name``.
        read_only: Make no file and change none of SQLite's, for who only looks.

    Raises:
        ValueError: The URL is none, or of another engine, or of an SQLite database in memory.
        OSError: The folder of an SQLite database cannot be made.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ValueError("that is no URL of a database, such as sqlite:///path/to/file") from error
    options: dict[str, Any] = {
        # NaN is no JSON, and PostgreSQL would say so later.
        "json_serializer": partial(json.dumps, allow_nan=False),
        # An error message of SQLAlchemy quotes the row: it would carry a patient's result into the log.
        "hide_parameters": True,
    }
    engine_name = parsed.get_backend_name()
    if engine_name == "sqlite":
        if not parsed.database or parsed.database == ":memory:" or parsed.database.startswith("file:"):
            raise ValueError("the processes of a node meet in the database: it must be the path of a file")
        if read_only:
            options["creator"] = partial(_look_at, Path(parsed.database).absolute())
        else:
            _make_private_file(Path(parsed.database))
            options["connect_args"] = {"timeout": _BUSY_SECONDS}
        engine = create_engine(parsed, **options)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    elif engine_name == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
        given = {name: value for name, value in _PATIENCE.items() if name not in parsed.query}
        engine = create_engine(parsed, pool_pre_ping=True, connect_args=given, **options)
        # Before SQLAlchemy's own first look at the server, which stumbles over bytes for text.
        event.listen(engine, "connect", _prepare_postgresql, insert=True)
    else:
        raise ValueError(f"{engine_name} is not supported: SQLite or PostgreSQL")
    return engine


def _make_private_file(path: Path) -> None:
    """Make what is missing of a path, for this user alone: the results in it are a patient's."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        path.touch(mode=0o600)  # SQLite gives its journal the same permissions.


def _look_at(path: Path) -> sqlite3.Connection:
    """Connect to an SQLite database so that no file is made, not even those of its journal.

    They are there while a node is running, and after one was killed. Without them everything is in the
    database itself, and nobody is writing.
    """
    running = path.with_name(f"{path.name}-wal").exists()
    uri = f"file:{quote(str(path))}?mode=ro{'' if running else '&immutable=1'}"
    # As SQLAlchemy's own: a connection goes to whichever thread takes it from the pool.
    return sqlite3.connect(uri, uri=True, timeout=_LOOK_SECONDS, check_same_thread=False)


def _prepare_sqlite(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    # Without this, the driver begins transactions itself, and later than we want.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    read_only = connection.get_execution_options().get(_READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _prepare_postgresql(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    encoding = connection.pgconn.parameter_status(b"server_encoding")
    if encoding != b"UTF8":
        connection.close()
        found = encoding.decode() if encoding else "unknown"
        raise SchemaMismatch(f"The database's encoding is {found}; create it with ENCODING 'UTF8'.")
    cursor = connection.cursor()
    cursor.execute(
        "SELECT set_config('synchronous_commit', 'on', false)"
        " WHERE current_setting('synchronous_commit') = 'off'"
    )
    cursor.close()
    connection.commit()


class Transaction(Session):
    """A session that is committed, durably, when its block ends, and rolled back when that raises.

    Attributes:
        now: When it began, in UTC: the time of all that is done in it.
    """

    now: datetime

    def record(self, kind: EventKind, study_id: int | None, detail: str = "") -> None:
        """Add a line to a study's history; the detail names rows by id and never holds patient data."""
        self.add(EventRow(at=self.now, study_id=study_id, kind=kind.value, detail=detail))


class Transactions:
    """The two kinds of transaction: one that only reads and holds nobody up, and one that writes.

    Args:
        engine: The database.
        clock: The time now, in UTC; the machines of a node must agree on it to well under a lease.
    """

    def __init__(self, engine: Engine, clock: Callable[[], datetime]) -> None:
        reader = engine.execution_options(**{_READ_ONLY: True})
        self._write = sessionmaker(engine, class_=Transaction, expire_on_commit=False)
        self._read = sessionmaker(reader, class_=Transaction, expire_on_commit=False)
        self._clock = clock

    def reading(self) -> AbstractContextManager[Transaction]:
        """A transaction that must not write."""
        return self._begin(self._read)

    def writing(self) -> AbstractContextManager[Transaction]:
        """A transaction that may write."""
        return self._begin(self._write)

    @contextmanager
    def _begin(self, sessions: sessionmaker[Transaction]) -> Iterator[Transaction]:
        with sessions.begin() as session:
            session.connection()  # May wait for another writer: the time is taken afterwards.
            session.now = self._clock()
            yield session


def insert_if_new(
    session: Session, table: type[Base], unique: Sequence[str], *, where: str | None = None, **values: Any
) -> bool:
    """Insert a row unless one with the same unique columns is there already; race free.

    Args:
        session: A writing session.
        table: The table.
        unique: The columns of the unique constraint.
        where: The condition of a partial unique index.
        **values: The row.

    Returns:
        True when the row was inserted.
    """
    engine = session.get_bind().dialect.name
    insert: Callable[..., Any] = postgresql.insert if engine == "postgresql" else sqlite.insert
    condition = text(where) if where else None
    result: Any = session.execute(
        insert(table).values(**values).on_conflict_do_nothing(index_elements=unique, index_where=condition),
        execution_options={"preserve_rowcount": True},  # Else unknown (-1) where SQLAlchemy asks for the key.
    )
    assert result.rowcount in (0, 1)
    return bool(result.rowcount)


def database_exists(url: str) -> bool:
    """Whether the file of an embedded database is there; True of a server, which has to be asked.

    Raises:
        OSError: The folder cannot be looked into.
    """
    parsed = make_url(url)
    return parsed.get_backend_name() != "sqlite" or Path(parsed.database or "").exists()


def masked(url: str) -> str:
    """Return a database URL without its password."""
    return make_url(url).render_as_string(hide_password=True)


def migrate(engine: Engine) -> None:
    """Bring the schema up to date; harmless when it is, and when several processes do it at once.

    Raises:
        SchemaMismatch: The database was made by a later version of the program, or cannot hold Unicode.
    """
    if engine.dialect.name == "sqlite":
        _switch_to_wal(engine)
    with engine.begin() as connection:
        # SQLite: BEGIN IMMEDIATE keeps the other processes out. Both engines roll back a half migration.
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
        if _known_revision(connection) != _REVISION:
            _upgrade(connection)


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    folder = Path(__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, _REVISION)


def check_schema(engine: Engine) -> str | None:
    """Revision of the database's schema; None when nothing has been created yet.

    Raises:
        SchemaMismatch: The database was made by a later version of the program, or cannot hold Unicode.
    """
    with engine.connect().execution_options(**{_READ_ONLY: True}) as connection:
        return _known_revision(connection)


def require_current_schema(engine: Engine) -> None:
    """Check that the schema is the one this program works with.

    Raises:
        SchemaMismatch: It is older, newer or missing; the message says what to do.
    """
    revision = check_schema(engine)
    if revision != _REVISION:
        found = f"at revision {revision}" if revision else "empty"
        raise SchemaMismatch(f"The database is {found}; `boneage-node start` brings it up to date.")


def _known_revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision = connection.scalar(text("SELECT version_num FROM alembic_version"))
    if revision is not None and not "0001" <= revision <= _REVISION:
        raise SchemaMismatch(
            f"The database is at revision {revision}, which this version of boneage-node does not know: "
            "it was last used by a later version. Install that version, or restore a backup made before it."
        )
    return None if revision is None else str(revision)


def _switch_to_wal(engine: Engine) -> None:
    """Switch a database file to WAL once and for all; retried, for SQLite does not wait for a lock here."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            # SQLAlchemy's own connection would begin a transaction.
            with closing(engine.raw_connection()) as connection:
                connection.cursor().execute(_WAL)
            return
        except sqlite3.Error as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise DBAPIError.instance(_WAL, None, error, sqlite3.Error) from error
            time.sleep(0.05)
