"""Boot overrides are numbered, so that a start uses up the one that it was accepted with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("hf_systems", sa.Column("boot_number", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("hf_systems", "boot_number")
