"""The database: schema and migrations agree, and what does not fit is refused in words."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError, OperationalError, StatementError
from sqlalchemy.orm import Session
from support.postgresql import PostgreSQL
from support.store import claim_one, queue_study, receive

from boneage_node.store import (
    NewReport,
    ReportKind,
    SchemaMismatch,
    Store,
    check_schema,
    database,
    migrate,
    open_engine,
    trouble,
)
from boneage_node.store.tables import Base, DeliveryRow, DocumentRow, EventKind, EventRow, ReportRow
from boneage_node.traffic.document import DocumentForm
from boneage_node.traffic.result import Result, ResultStatus


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = open_engine(database_url)
    yield engine
    engine.dispose()


def sqlite_schema(path: Path) -> list[list[str]]:
    """Every statement that made the schema, its parts sorted: a column that was added stands at the end."""
    connection = sqlite3.connect(path)
    query = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'alembic%'"
    statements = [re.sub(r"\s+", " ", sql) for (sql,) in connection.execute(query)]
    connection.close()
    return sorted(sorted(parts(statement)) for statement in statements)


def parts(statement: str) -> list[str]:
    """A statement split at the commas of its outermost parentheses."""
    found, depth = [""], 0
    for letter in statement:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth == 1 and letter in "(,":
            found.append("")
        else:
            found[-1] += letter
    if depth == 0 and len(found) > 1:
        found[-1] = found[-1].rstrip().removesuffix(")")
    return [part.strip() for part in found]


def test_the_models_and_the_migrations_agree(engine: Engine) -> None:
    migrate(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_the_migrations_make_exactly_the_schema_of_the_models(tmp_path: Path, postgresql: PostgreSQL) -> None:
    def both(new_url: Callable[[str], str]) -> tuple[str, str]:
        migrated, created = new_url("migrated"), new_url("created")
        for url, make in [(migrated, migrate), (created, Base.metadata.create_all)]:
            engine = open_engine(url)
            make(engine)
            engine.dispose()
        return migrated, created

    both(lambda name: f"sqlite:///{tmp_path}/{name}.sqlite3")
    assert sqlite_schema(tmp_path / "migrated.sqlite3") == sqlite_schema(tmp_path / "created.sqlite3")
    migrated, created = both(lambda _: postgresql.new_database())
    # The dump begins with a random key in newer releases.
    dumps = [re.sub(r"\\(un)?restrict .*", "", postgresql.dump_schema(url)) for url in (migrated, created)]
    assert dumps[0] == dumps[1]
    assert "CREATE TABLE public.studies" in dumps[0]


def test_migrating_twice_is_harmless_and_keeps_what_is_there(engine: Engine) -> None:
    assert check_schema(engine) is None
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO events (at, kind, detail) VALUES ('2026-01-01', 'kept', '')"))
    migrate(engine)
    with engine.begin() as connection:
        assert connection.execute(text("SELECT kind FROM events")).scalar_one() == "kept"
    assert check_schema(engine) == "0005"


FIRST_ROWS = """
INSERT INTO studies (id, study_instance_uid, state, received_at, updated_at)
    VALUES (3, '1.2.3', 'reported', '2026-01-01', '2026-01-01');
INSERT INTO reports (id, study_id, kind, sop_class_uid, sop_instance_uid, file_name, result, created_at)
    VALUES (5, 3, 'assessment', '1.2.840', '2.25.5', 'sent.dcm',
            '{"file": "a", "status": "assessed", "sex": "F"}', '2026-01-01'),
           (7, 3, 'refusal', NULL, '2.25.7', NULL, '{"file": "b", "status": "refused"}', '2026-01-02');
INSERT INTO deliveries (id, report_id, study_id, destination, status, attempts, created_at, scheduled_at)
    VALUES (9, 5, 3, 'PACS@host:104', 'todo', 2, '2026-01-01', '2026-01-01');
"""


def test_reports_of_the_first_schema_keep_their_files_and_deliveries(engine: Engine) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for statement in FIRST_ROWS.split(";")[:-1]:
            connection.exec_driver_sql(statement)
    migrate(engine)
    with Session(engine) as session:
        assert [(report.id, report.result, report.patient) for report in session.query(ReportRow)] == [
            (5, Result("a", None, ResultStatus.ASSESSED, sex="F"), None),
            (7, Result("b", None, ResultStatus.REFUSED), None),
        ]
        (document,) = session.query(DocumentRow)
        assert (document.report_id, document.form) == (5, DocumentForm.SR)
        assert (document.sop_instance_uid, document.file_name) == ("2.25.5", "sent.dcm")
        (delivery,) = session.query(DeliveryRow)
        assert (delivery.id, delivery.document_id, delivery.attempts) == (9, document.id, 2)
        session.add(DocumentRow(report_id=7, form=DocumentForm.FHIR, file_name="next.json"))
        session.flush()  # the numbers go on behind those that were taken over


def test_a_database_of_a_later_version_is_refused_and_left_alone(engine: Engine, tmp_path: Path) -> None:
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    url = engine.url.render_as_string(hide_password=False)
    for open_store in (
        lambda: migrate(engine),
        lambda: check_schema(engine),
        lambda: Store.open(url, tmp_path / "spool"),
        lambda: Store.open(url, tmp_path / "spool", migrate=False),
    ):
        with pytest.raises(SchemaMismatch, match=r"9999.*last used by a later version"):
            open_store()


def test_without_migrating_an_empty_database_is_refused(database_url: str, tmp_path: Path) -> None:
    with pytest.raises(SchemaMismatch, match="is empty; `boneage-node start` brings it up to date"):
        Store.open(database_url, tmp_path / "spool", migrate=False)
    Store.open(database_url, tmp_path / "spool").close()
    Store.open(database_url, tmp_path / "spool", migrate=False).close()


def test_a_postgresql_database_without_unicode_is_refused(postgresql: PostgreSQL) -> None:
    engine = open_engine(postgresql.new_database(encoding="SQL_ASCII"))
    with pytest.raises(SchemaMismatch, match="ENCODING 'UTF8'"):
        migrate(engine)
    engine.dispose()


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:x?mode=memory&uri=true",
        "mysql://localhost/boneage",
        "nonsense",
    ],
)
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(ValueError):
        open_engine(url)


def test_a_postgresql_url_needs_no_driver(postgresql: PostgreSQL) -> None:
    engine = open_engine(postgresql.new_database().replace("+psycopg", ""))
    migrate(engine)
    engine.dispose()


def test_sqlite_is_durable(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/b.sqlite3")
    migrate(engine)
    with engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    engine.dispose()
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_sqlite_files_are_closed_to_other_users(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "data"
    with Store.open(f"sqlite:///{folder}/b.sqlite3", tmp_path / "spool") as store:
        receive(store)
        files = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert files == dict.fromkeys(("b.sqlite3", "b.sqlite3-wal", "b.sqlite3-shm"), 0o600)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_postgresql_is_durable_whatever_its_default(postgresql: PostgreSQL) -> None:
    url = postgresql.new_database()
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f"ALTER DATABASE {engine.url.database} SET synchronous_commit = off"))
    engine.dispose()
    with engine.connect() as connection:
        assert connection.execute(text("SHOW synchronous_commit")).scalar_one() == "on"
    engine.dispose()


def test_times_are_aware_and_utc_on_both_engines(store: Store) -> None:
    local = datetime(2026, 3, 29, 3, 30, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    with store._transactions.writing() as session:
        session.add(EventRow(at=local, kind=EventKind.STUDY_QUEUED.value, detail=""))
    with store._transactions.reading() as session:
        (at,) = session.query(EventRow.at).one()
    assert at == local
    assert at.tzinfo is UTC


def test_a_time_without_a_zone_is_refused(store: Store) -> None:
    with store._transactions.writing() as session:
        query = session.query(EventRow).filter(EventRow.at == datetime(2026, 1, 1))
        with pytest.raises(StatementError, match="without a time zone"):
            query.all()


def test_an_error_never_quotes_the_row(store: Store) -> None:
    queue_study(store)
    job = claim_one(store)
    result = Result("DOE^JOHN", None, ResultStatus.REFUSED)
    secret = NewReport(99, ReportKind.REFUSAL, "2.25.1", result)  # There is no instance 99.
    with pytest.raises(IntegrityError) as error:
        store.queue.complete(job, "worker-1", [secret])
    assert "DOE" not in str(error.value)


def test_a_reader_is_not_held_up_by_a_writer(store: Store) -> None:
    with store._transactions.writing(), store._transactions.reading() as session:
        assert session.query(EventRow).count() == 0
        assert check_schema(store.engine) is not None


def test_a_server_that_gives_no_reason_is_away_all_the_same() -> None:
    found = trouble(OperationalError("SELECT 1", {}, psycopg.OperationalError()))
    assert (found.cause, found.away) == ("OperationalError", True)
