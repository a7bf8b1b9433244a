"""Documents: what is made of a report to be sent; whose report it is, and of what date."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move the files of reports to documents, one each so far, and their deliveries with them.

    The two tables are made anew: SQLite changes no constraint of a table that is there.
    """
    for table in ("deliveries", "reports"):
        op.execute(f"CREATE TABLE old_{table} AS SELECT * FROM {table}")  # noqa: S608
        op.drop_table(table)
    _create_reports()
    _create_documents()
    _create_deliveries()
    op.execute(
        "INSERT INTO reports (id, study_id, instance_id, kind, sop_instance_uid, result, created_at) "
        "SELECT id, study_id, instance_id, kind, sop_instance_uid, result, created_at FROM old_reports"
    )
    # A report had one document at most, which takes its number: the deliveries keep theirs.
    op.execute(
        "INSERT INTO documents (id, report_id, form, sop_class_uid, sop_instance_uid, file_name) "
        "SELECT id, id, 'sr', sop_class_uid, sop_instance_uid, file_name FROM old_reports "
        "WHERE file_name IS NOT NULL"
    )
    kept = (
        "study_id, destination, status, attempts, created_at, scheduled_at, finished_at, leased_until, "
        "last_error"
    )
    op.execute(
        f"INSERT INTO deliveries (id, document_id, {kept}) SELECT id, report_id, {kept} FROM old_deliveries"  # noqa: S608
    )
    for table in ("reports", "documents", "deliveries"):
        if table != "documents":
            op.drop_table(f"old_{table}")
        if op.get_bind().dialect.name == "postgresql":
            op.execute(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), "  # noqa: S608
                f"(SELECT COALESCE(MAX(id), 0) + 1 FROM {table}), false)"
            )


def _create_reports() -> None:
    kind = sa.Enum("assessment", "refusal", name="kind", native_enum=False, create_constraint=True, length=16)
    op.create_table(
        "reports",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("instance_id", sa.Integer(), nullable=True),
        sa.Column("kind", kind, nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.Column("patient", sa.String(length=64), nullable=True),
        sa.Column("birth_date", sa.Date(), nullable=True),
        sa.Column("study_date", sa.Date(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"], ["instances.id"], name=op.f("fk_reports_instance_id_instances")
        ),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_reports_study_id_studies")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reports")),
        sa.UniqueConstraint("sop_instance_uid", name=op.f("uq_reports_sop_instance_uid")),
    )
    for column in ("instance_id", "patient", "study_id"):
        op.create_index(op.f(f"ix_reports_{column}"), "reports", [column], unique=False)


def _create_documents() -> None:
    form = sa.Enum("sr", "picture", "fhir", name="form", native_enum=False, create_constraint=True, length=16)
    op.create_table(
        "documents",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("report_id", sa.Integer(), nullable=False),
        sa.Column("form", form, nullable=False),
        sa.Column("sop_class_uid", sa.String(length=64), nullable=True),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=True),
        sa.Column("file_name", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(["report_id"], ["reports.id"], name=op.f("fk_documents_report_id_reports")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_documents")),
        sa.UniqueConstraint("file_name", name=op.f("uq_documents_file_name")),
        sa.UniqueConstraint("report_id", "form", name=op.f("uq_documents_report_id_form")),
    )
    op.create_index(op.f("ix_documents_sop_instance_uid"), "documents", ["sop_instance_uid"], unique=False)


def _create_deliveries() -> None:
    status = sa.Enum(
        "todo", "doing", "done", "dead", name="status", native_enum=False, create_constraint=True, length=16
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("document_id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("destination", sa.String(length=300), nullable=False),
        sa.Column("status", status, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("scheduled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.String(2000), nullable=True),
        sa.ForeignKeyConstraint(
            ["document_id"], ["documents.id"], name=op.f("fk_deliveries_document_id_documents")
        ),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_deliveries_study_id_studies")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("document_id", "destination", name=op.f("uq_deliveries_document_id_destination")),
    )
    for columns in (["status", "scheduled_at"], ["study_id", "destination"]):
        op.create_index(op.f(f"ix_deliveries_{'_'.join(columns)}"), "deliveries", columns, unique=False)
    op.create_index(
        "uq_deliveries_study_id_destination_doing",
        "deliveries",
        ["study_id", "destination"],
        unique=True,
        sqlite_where=sa.text("status = 'doing'"),
        postgresql_where=sa.text("status = 'doing'"),
    )
