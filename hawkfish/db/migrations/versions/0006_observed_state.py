"""Who watches which host, and what a hypervisor says of a machine beyond its power."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hawkfish.db import base

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.create_table(
        "hf_host_watches",
        sa.Column("number", base.BigInt, sa.Identity(always=False), nullable=False),
        sa.Column("host_id", sa.String(length=36), nullable=False),
        sa.Column("worker_id", base.BigInt, nullable=False),
        sa.Column("since", base.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["host_id"], ["hf_hosts.id"], name=op.f("fk_hf_host_watches_host_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["worker_id"], ["hf_task_workers.id"], name=op.f("fk_hf_host_watches_worker_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_hf_host_watches")),
        sa.UniqueConstraint("host_id", name=op.f("uq_hf_host_watches_host_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_hf_host_watches_worker_id", "hf_host_watches", ["worker_id"])
    op.add_column("hf_systems", sa.Column("observed", base.JsonType, nullable=True))


def downgrade() -> None:

    with op.batch_alter_table("hf_systems") as batch:
        batch.drop_column("observed")
    op.drop_table("hf_host_watches")
