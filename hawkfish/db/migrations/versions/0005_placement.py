"""Placement: limits of hosts, over-commit of pools, reservations."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from hawkfish.db import base

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

RATIO = "BETWEEN 0.1 AND 1000"
HOST_COLUMNS: tuple[tuple[str, sa.types.TypeEngine[Any], str, str], ...] = (
    ("vcpu_overcommit", sa.Double(), "", RATIO),
    ("memory_overcommit", sa.Double(), "DEFAULT '1' NOT NULL", RATIO),
    ("reserved_vcpus", sa.Integer(), "DEFAULT '0' NOT NULL", ">= 0"),
    ("reserved_memory_mib", sa.Integer(), "DEFAULT '0' NOT NULL", ">= 0"),
)


def _add_column(table: str, column: str, kind: sa.types.TypeEngine[Any], rest: str, check: str) -> None:
    type_ = kind.compile(dialect=op.get_bind().dialect)
    # Written out, since a column that brings its CHECK is the one way in which SQLite gets both without a copy of the table.
    op.execute(
        f"ALTER TABLE {table} ADD COLUMN {column} {type_} {rest} CONSTRAINT ck_{table}_{column} CHECK ({column} {check})"
    )


def upgrade() -> None:
    for column, kind, rest, check in HOST_COLUMNS:
        _add_column("hf_hosts", column, kind, rest, check)
    _add_column("hf_storage_pools", "overcommit", sa.Double(), "DEFAULT '1' NOT NULL", RATIO)
    # There were only pools of thin files until now.
    op.execute("UPDATE hf_storage_pools SET overcommit = 10")
    op.drop_index("ix_hf_storage_volumes_host_id", table_name="hf_storage_volumes")
    op.create_index("ix_hf_storage_volumes_room", "hf_storage_volumes", ["host_id", "pool_id", "capacity_bytes"])
    op.drop_index("ix_hf_systems_host_id", table_name="hf_systems")
    op.create_index("ix_hf_systems_room", "hf_systems", ["host_id", "vcpus", "memory_mib"])
    op.create_table(
        "hf_host_reservations",
        sa.Column("task_id", sa.String(length=36), nullable=False),
        sa.Column("host_id", sa.String(length=36), nullable=False),
        sa.Column("system_id", sa.String(length=36), nullable=False),
        sa.Column("vcpus", sa.Integer(), nullable=False),
        sa.Column("memory_mib", sa.Integer(), nullable=False),
        sa.Column("created_at", base.UtcDateTime(), nullable=False),
        sa.CheckConstraint("memory_mib > 0", name=op.f("ck_hf_host_reservations_memory")),
        sa.CheckConstraint("vcpus > 0", name=op.f("ck_hf_host_reservations_vcpus")),
        sa.ForeignKeyConstraint(["host_id"], ["hf_hosts.id"], name=op.f("fk_hf_host_reservations_host_id")),
        sa.ForeignKeyConstraint(
            ["system_id"], ["hf_systems.id"], name=op.f("fk_hf_host_reservations_system_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["task_id"], ["hf_tasks.id"], name=op.f("fk_hf_host_reservations_task_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_hf_host_reservations")),
    )
    op.create_index("ix_hf_host_reservations_host_id", "hf_host_reservations", ["host_id"])
    op.create_index("ix_hf_host_reservations_system_id", "hf_host_reservations", ["system_id"])


def downgrade() -> None:
    op.drop_table("hf_host_reservations")
    op.drop_index("ix_hf_systems_room", table_name="hf_systems")
    op.create_index("ix_hf_systems_host_id", "hf_systems", ["host_id"])
    op.drop_index("ix_hf_storage_volumes_room", table_name="hf_storage_volumes")
    op.create_index("ix_hf_storage_volumes_host_id", "hf_storage_volumes", ["host_id"])
    op.drop_column("hf_storage_pools", "overcommit")
    for column, *_ in reversed(HOST_COLUMNS):
        op.drop_column("hf_hosts", column)
