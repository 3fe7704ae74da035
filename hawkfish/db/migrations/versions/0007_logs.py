"""From where on each log of a system is shown, and an index for the audit records of one subject."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hawkfish.db import base

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_hf_audit_subject_id", "hf_audit", ["subject", "id"])
    op.create_table(
        "hf_log_clearings",
        sa.Column("system_id", sa.String(length=36), nullable=False),
        sa.Column(
            "log",
            sa.Enum("Events", "Audit", name="log", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("last", base.BigInt, nullable=False),
        sa.Column("cleared_at", base.UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("last >= 0", name=op.f("ck_hf_log_clearings_last")),
        sa.ForeignKeyConstraint(
            ["system_id"],
            ["hf_systems.id"],
            name=op.f("fk_hf_log_clearings_system_id_hf_systems"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("system_id", "log", name=op.f("pk_hf_log_clearings")),
    )


def downgrade() -> None:
    op.drop_table("hf_log_clearings")
    op.drop_index("ix_hf_audit_subject_id", "hf_audit")
