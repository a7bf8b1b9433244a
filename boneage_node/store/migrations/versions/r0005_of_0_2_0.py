"""What 0.2.0 keeps beside 0.1.0.

Of a delivery, its document's form and how it ended; of a task, when its times were set, and how often the
node's own trouble has put it off; of a process, its heartbeat; of a study, its accession number; of an
instance, its arrivals, in order.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables up to date."""
    _renew_deliveries()
    for table in ("jobs", "commitment_requests"):
        for column in _wait_columns():
            op.add_column(table, column)
    op.create_table(
        "heartbeats",
        sa.Column("process", sa.String(length=32), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("process", name=op.f("pk_heartbeats")),
    )
    op.add_column("studies", sa.Column("accession_number", sa.String(length=64), nullable=True))
    op.create_index(op.f("ix_studies_accession_number"), "studies", ["accession_number"])
    _create_arrivals()


def _create_arrivals() -> None:
    """So far every instance came once, in the order of its number."""
    op.create_table(
        "arrivals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("instance_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"], ["instances.id"], name=op.f("fk_arrivals_instance_id_instances")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_arrivals")),
    )
    op.create_index(op.f("ix_arrivals_instance_id"), "arrivals", ["instance_id"])
    op.execute("INSERT INTO arrivals (instance_id) SELECT id FROM instances ORDER BY id")


def _renew_deliveries() -> None:
    """Make deliveries anew, and commitments, which refer to them, and bring their rows over.

    One delivery at a time for a study, a destination and a form, no longer for a study and a destination.
    """
    for table in ("commitments", "deliveries"):
        op.execute(f"CREATE TABLE old_{table} AS SELECT * FROM {table}")  # noqa: S608
        op.drop_table(table)
    _create_deliveries()
    _create_commitments()
    leased = "status, attempts, created_at, scheduled_at, finished_at, leased_until, last_error"
    op.execute(
        f"INSERT INTO deliveries (id, document_id, study_id, destination, form, outcome, {leased}) "  # noqa: S608
        "SELECT id, document_id, study_id, destination, "
        "(SELECT form FROM documents WHERE documents.id = document_id), "
        f"CASE status WHEN 'done' THEN 'delivered' END, {leased} FROM old_deliveries"
    )
    kept = f"id, delivery_id, study_id, destination, outcome, transaction_uid, {leased}"
    op.execute(f"INSERT INTO commitments ({kept}) SELECT {kept} FROM old_commitments")  # noqa: S608
    for table in ("deliveries", "commitments"):
        op.drop_table(f"old_{table}")
        if op.get_bind().dialect.name == "postgresql":
            op.execute(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), "  # noqa: S608
                f"(SELECT COALESCE(MAX(id), 0) + 1 FROM {table}), false)"
            )


def _create_deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("document_id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("destination", sa.String(length=300), nullable=False),
        sa.Column("form", _words("form", "sr", "picture", "fhir"), nullable=False),
        sa.Column("outcome", _words("outcome", "delivered", "warned", "superseded"), nullable=True),
        *_lease_columns(),
        sa.ForeignKeyConstraint(
            ["document_id"], ["documents.id"], name=op.f("fk_deliveries_document_id_documents")
        ),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_deliveries_study_id_studies")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("document_id", "destination", name=op.f("uq_deliveries_document_id_destination")),
    )
    for columns in (["status", "scheduled_at"], ["study_id", "destination"]):
        op.create_index(op.f(f"ix_deliveries_{'_'.join(columns)}"), "deliveries", columns)
    op.create_index(
        "uq_deliveries_study_id_destination_form_doing",
        "deliveries",
        ["study_id", "destination", "form"],
        unique=True,
        sqlite_where=sa.text("status = 'doing'"),
        postgresql_where=sa.text("status = 'doing'"),
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


def _lease_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("status", _words("status", "todo", "doing", "done", "dead"), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("scheduled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.String(2000), nullable=True),
        *_wait_columns(),
    ]


def _wait_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("put_off", sa.Integer(), server_default="0", nullable=False),
    ]


def _words(name: str, *words: str) -> sa.Enum:
    return sa.Enum(*words, name=name, native_enum=False, create_constraint=True, length=16)
