"""Tasks that wait for the end of another, wherever that stands in line, and what is said when one is late."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("hf_tasks", sa.Column("after_id", sa.String(length=36), nullable=True))
    op.add_column("hf_tasks", sa.Column("deadline_reason", sa.String(length=255), nullable=True))


def downgrade() -> None:
    op.drop_column("hf_tasks", "deadline_reason")
    op.drop_column("hf_tasks", "after_id")
