"""What a start made of a machine's set-up, so that clients can tell whether it was changed since."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hawkfish.db import base

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("hf_systems", sa.Column("setup_applied", base.JsonType, nullable=True))


def downgrade() -> None:
    op.drop_column("hf_systems", "setup_applied")
