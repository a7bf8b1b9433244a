"""Databases as release 0.1.0 made them: its schema, and rows written by SQL alone."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import inspect

from boneage_node.store import database, open_engine

REVISION = "0003"

RESULT = (
    '{"file": "image.dcm", "sop_instance_uid": "1.2.3.4", "status": "assessed", "reason": null, "sex": "F", '
    '"chronological_age_months": 99.0, "bone_age_months": 120.5, "bone_age_months_by_sex": {"F": 120.5}, '
    '"interval_months": [100.0, 140.0], "z_score": 1.5, "determination": "normal", "agreement": "usual", '
    '"earlier": null, "laterality": "L", "model": "hand-regions 0.3.0 (0123abcd)", "elapsed_ms": null}'
)
"""A result as 0.1.0 stored it."""


def make_database(url: str, statements: str) -> None:
    """Make a database with the schema of 0.1.0 and execute statements, whose times are in UTC."""
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    engine = open_engine(url)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL TIME ZONE 'UTC'")
        config.attributes["connection"] = connection
        command.upgrade(config, REVISION)
        for statement in statements.split(";"):
            if statement.strip():
                connection.exec_driver_sql(statement)
        if engine.dialect.name == "postgresql":  # The rows have numbers of their own.
            for table in inspect(connection).get_table_names():
                if table != "alembic_version":
                    connection.exec_driver_sql(
                        f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), "
                        f"(SELECT COALESCE(MAX(id), 0) + 1 FROM {table}), false)"
                    )
    engine.dispose()
