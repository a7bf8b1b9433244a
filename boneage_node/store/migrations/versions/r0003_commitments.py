"""Storage commitment: commitments, commitment_transactions, commitment_requests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the three tables."""
    _make_commitments()
    op.create_table(
        "commitment_transactions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("transaction_uid", sa.String(length=64), nullable=False),
        sa.Column("destination", sa.String(length=300), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commitment_transactions")),
        sa.UniqueConstraint("transaction_uid", name=op.f("uq_commitment_transactions_transaction_uid")),
    )
    op.create_index(op.f("ix_commitment_transactions_asked_at"), "commitment_transactions", ["asked_at"])
    op.create_table(
        "commitment_requests",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("calling_ae_title", sa.String(length=16), nullable=False),
        sa.Column("transaction_uid", sa.String(length=64), nullable=False),
        sa.Column("instances", sa.JSON(), nullable=False),
        sa.Column("status", _words("status", "todo", "doing", "done", "dead"), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("scheduled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.String(2000), nullable=True),
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


def _make_commitments() -> None:
    states = _words("state", "to_ask", "asked", "committed", "refused", "unanswered", "unsupported")
    op.create_table(
        "commitments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("delivery_id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("destination", sa.String(length=300), nullable=False),
        sa.Column("state", states, nullable=False),
        sa.Column("transaction_uid", sa.String(length=64), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.String(2000), nullable=True),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["deliveries.id"], name=op.f("fk_commitments_delivery_id_deliveries")
        ),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_commitments_study_id_studies")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commitments")),
        sa.UniqueConstraint("delivery_id", name=op.f("uq_commitments_delivery_id")),
    )
    op.create_index(op.f("ix_commitments_destination_due_at"), "commitments", ["destination", "due_at"])
    op.create_index(op.f("ix_commitments_study_id"), "commitments", ["study_id"])
    op.create_index(op.f("ix_commitments_transaction_uid"), "commitments", ["transaction_uid"])


def _words(name: str, *words: str) -> sa.Enum:
    return sa.Enum(*words, name=name, native_enum=False, create_constraint=True, length=16)
