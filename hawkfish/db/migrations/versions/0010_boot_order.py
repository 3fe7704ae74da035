"""The order in which a system tries its devices, where one was asked for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hawkfish.db import base

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("hf_systems", sa.Column("boot_order", base.JsonType, nullable=True))


def downgrade() -> None:
    # Not as a batch: that makes the table anew on SQLite, and takes what refers to its rows along.
    op.drop_column("hf_systems", "boot_order")
