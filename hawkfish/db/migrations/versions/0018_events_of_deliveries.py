"""A delivery says which events were in it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hawkfish.db import base

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("hf_deliveries", sa.Column("event_ids", base.JsonType, nullable=False, server_default="[]"))


def downgrade() -> None:
    op.drop_column("hf_deliveries", "event_ids")
