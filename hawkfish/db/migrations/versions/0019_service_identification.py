"""What tells one service from others, in the words of its administrators."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    column = sa.Column("service_identification", sa.String(length=255), nullable=False, server_default="")
    op.add_column("hf_installation", column)


def downgrade() -> None:
    op.drop_column("hf_installation", "service_identification")
