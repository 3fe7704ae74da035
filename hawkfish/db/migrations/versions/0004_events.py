"""Events, and how far each of their receivers is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hawkfish.db import base

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "hf_events",
        sa.Column("id", base.BigInt, sa.Identity(always=False), nullable=False),
        sa.Column("sequence", base.BigInt, nullable=True),
        sa.Column("at", base.UtcDateTime(), nullable=False),
        sa.Column("message_id", sa.String(length=128), nullable=False),
        sa.Column("arguments", base.JsonType, nullable=False),
        sa.Column(
            "severity",
            sa.Enum("OK", "Warning", "Critical", name="severity", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("resource_type", sa.String(length=64), nullable=False),
        sa.Column("actor", sa.String(length=255), nullable=True),
        sa.Column("task_id", sa.String(length=36), nullable=True),
        sa.Column("project", sa.String(length=36), nullable=True),
        sa.Column("data", base.JsonType, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hf_events")),
        sa.UniqueConstraint("sequence", name=op.f("uq_hf_events_sequence")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_hf_events_subject_id", "hf_events", ["subject", "id"])
    op.create_table(
        "hf_event_sinks",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("sequence", base.BigInt, nullable=False),
        sa.Column("delivered", base.BigInt, nullable=False),
        sa.Column("failed", base.BigInt, nullable=False),
        sa.Column("dropped", base.BigInt, nullable=False),
        sa.Column("updated_at", base.UtcDateTime(), nullable=False),
        sa.CheckConstraint("sequence >= 0", name=op.f("ck_hf_event_sinks_sequence")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_hf_event_sinks")),
    )


def downgrade() -> None:
    op.drop_table("hf_event_sinks")
    op.drop_table("hf_events")
