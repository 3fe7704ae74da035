"""What a server's set-up menu decides, when it was last applied, and when the manager was last reset."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hawkfish.db import base

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

COLUMNS = ("setup", "setup_applied_at", "setup_failure", "manager_reset_at")


def upgrade() -> None:
    op.add_column("hf_systems", sa.Column("setup", base.JsonType, nullable=True))
    op.add_column("hf_systems", sa.Column("setup_applied_at", base.UtcDateTime(), nullable=True))
    op.add_column("hf_systems", sa.Column("setup_failure", sa.Text(), nullable=False, server_default=""))
    op.add_column("hf_systems", sa.Column("manager_reset_at", base.UtcDateTime(), nullable=True))


def downgrade() -> None:
    # Not as a batch: that makes the table anew on SQLite, and takes what refers to its rows along.
    for column in COLUMNS:
        op.drop_column("hf_systems", column)
