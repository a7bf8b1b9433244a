"""Commitments and requests of peers get the columns of a leased task, as jobs and deliveries have them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make both tables anew and bring their rows over.

    A commitment asked for is being done until its answer is overdue; one to ask for is to do from then on.
    """
    for table in ("commitments", "commitment_requests"):
        op.execute(f"CREATE TABLE old_{table} AS SELECT * FROM {table}")  # noqa: S608
        op.drop_table(table)
    _create_commitments()
    _create_requests()
    op.execute(
        "INSERT INTO commitments (id, delivery_id, study_id, destination, outcome, transaction_uid, status, "
        "attempts, created_at, scheduled_at, finished_at, leased_until, last_error) "
        "SELECT id, delivery_id, study_id, destination, "
        "CASE WHEN state IN ('committed', 'refused', 'unsupported') THEN state END, transaction_uid, "
        "CASE state WHEN 'to_ask' THEN 'todo' WHEN 'asked' THEN 'doing' WHEN 'unanswered' THEN 'dead' "
        "ELSE 'done' END, attempts, created_at, COALESCE(due_at, created_at), finished_at, "
        "CASE state WHEN 'asked' THEN due_at END, last_error FROM old_commitments"
    )
    op.execute(
        "INSERT INTO commitment_requests (id, calling_ae_title, transaction_uid, instances, status, "
        "attempts, created_at, scheduled_at, finished_at, last_error) "
        "SELECT id, calling_ae_title, transaction_uid, instances, status, "
        "attempts, received_at, scheduled_at, finished_at, last_error FROM old_commitment_requests"
    )
    for table in ("commitments", "commitment_requests"):
        op.drop_table(f"old_{table}")
        if op.get_bind().dialect.name == "postgresql":
            op.execute(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), "  # noqa: S608
                f"(SELECT COALESCE(MAX(id), 0) + 1 FROM {table}), false)"
            )


def _create_commitments() -> None:
    op.create_table(
        "commitments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("delivery_id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("destination", sa.String(length=300), nullable=False),
        sa.Column("outcome", _words("outcome", "committed", "refused", "unsupported"), nullable=True),
        sa.Column("transaction_uid", sa.String(length=64), nullable=True),
        *_lease_columns(),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["deliveries.id"], name=op.f("fk_commitments_delivery_id_deliveries")
        ),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_commitments_study_id_studies")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commitments")),
        sa.UniqueConstraint("delivery_id", name=op.f("uq_commitments_delivery_id")),
    )
    for columns in (["status", "scheduled_at"], ["study_id"], ["transaction_uid"]):
        op.create_index(op.f(f"ix_commitments_{'_'.join(columns)}"), "commitments", columns)


def _create_requests() -> None:
    op.create_table(
        "commitment_requests",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("calling_ae_title", sa.String(length=16), nullable=False),
        sa.Column("transaction_uid", sa.String(length=64), nullable=False),
        sa.Column("instances", sa.JSON(), nullable=False),
        *_lease_columns(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commitment_requests")),
        sa.UniqueConstraint(
            "calling_ae_title",
            "transaction_uid",
            name=op.f("uq_commitment_requests_calling_ae_title_transaction_uid"),
        ),
    )
    op.create_index(
        op.f("ix_commitment_requests_status_scheduled_at"), "commitment_requests", ["status", "scheduled_at"]
    )


def _lease_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("status", _words("status", "todo", "doing", "done", "dead"), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("scheduled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.String(2000), nullable=True),
    ]


def _words(name: str, *words: str) -> sa.Enum:
    return sa.Enum(*words, name=name, native_enum=False, create_constraint=True, length=16)
