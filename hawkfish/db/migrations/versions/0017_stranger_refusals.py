"""Refusals of callers whom nobody knows are counted, and told to the audit trail together."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hawkfish.db import base

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "hf_stranger_refusals",
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("verb", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("refusals", sa.Integer(), nullable=False),
        sa.Column("began_at", base.UtcDateTime(), nullable=False),
        sa.Column("ended_at", base.UtcDateTime(), nullable=False),
        sa.CheckConstraint("refusals > 0", name=op.f("ck_hf_stranger_refusals_refusals")),
        sa.CheckConstraint("ended_at >= began_at", name=op.f("ck_hf_stranger_refusals_times")),
        sa.PrimaryKeyConstraint("source", "verb", "subject", name=op.f("pk_hf_stranger_refusals")),
    )


def downgrade() -> None:
    op.drop_table("hf_stranger_refusals")
