"""Durable tasks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hawkfish.db import base

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "hf_task_workers",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(always=False), nullable=False
        ),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("started_at", base.UtcDateTime(), nullable=False),
        sa.Column("beat_at", base.UtcDateTime(), nullable=False),
        sa.Column("expires_at", base.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hf_task_workers")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "hf_tasks",
        sa.Column(
            "number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(always=False), nullable=False
        ),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=255), nullable=False),
        sa.Column("kind_version", sa.Integer(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "Waiting",
                "Running",
                "Paused",
                "WaitingForChildren",
                "Undoing",
                "UndoWaiting",
                "Completed",
                "Failed",
                "Cancelled",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "lane",
            sa.Enum("normal", "urgent", name="lane", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("title", sa.String(length=255), nullable=False),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("project", sa.String(length=36), nullable=True),
        sa.Column("arguments", base.JsonType, nullable=False),
        sa.Column("results", base.JsonType, nullable=False),
        sa.Column("locks", base.JsonType, nullable=False),
        sa.Column("join_key", sa.String(length=64), nullable=True),
        sa.Column("parent_id", sa.String(length=36), nullable=True),
        sa.Column(
            "parent_path",
            sa.String(length=1024).with_variant(sa.String(length=1024, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("children_left", sa.Integer(), nullable=False),
        sa.Column("cancelled_ids", base.JsonType, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("step_begun", sa.Boolean(), nullable=False),
        sa.Column("undoing", sa.Boolean(), nullable=False),
        sa.Column("undo_failures", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("worker_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("percent", sa.Integer(), nullable=False),
        sa.Column("message", sa.String(length=2000), nullable=False),
        sa.Column("error", base.JsonType, nullable=True),
        sa.Column("abort_requested", sa.Boolean(), nullable=False),
        sa.Column("abort_reason", sa.String(length=255), nullable=True),
        sa.Column("pause_requested", sa.Boolean(), nullable=False),
        sa.Column("not_before", base.UtcDateTime(), nullable=True),
        sa.Column("deadline", base.UtcDateTime(), nullable=True),
        sa.Column("created_at", base.UtcDateTime(), nullable=False),
        sa.Column("started_at", base.UtcDateTime(), nullable=True),
        sa.Column("ended_at", base.UtcDateTime(), nullable=True),
        sa.Column("updated_at", base.UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint(
            "(ended_at IS NOT NULL) = (state IN ('Completed', 'Failed', 'Cancelled'))", name=op.f("ck_hf_tasks_ended")
        ),
        sa.CheckConstraint(
            "(worker_id IS NOT NULL) = (state IN ('Running', 'Undoing'))", name=op.f("ck_hf_tasks_worker")
        ),
        sa.CheckConstraint("children_left >= 0", name=op.f("ck_hf_tasks_children_left")),
        sa.CheckConstraint("percent BETWEEN 0 AND 100", name=op.f("ck_hf_tasks_percent")),
        sa.ForeignKeyConstraint(["parent_id"], ["hf_tasks.id"], name=op.f("fk_hf_tasks_parent_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["worker_id"], ["hf_task_workers.id"], name=op.f("fk_hf_tasks_worker_id")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_hf_tasks")),
        sa.UniqueConstraint("id", name=op.f("uq_hf_tasks_id")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("hf_tasks", schema=None) as batch_op:
        batch_op.create_index(
            "ix_hf_tasks_active",
            ["lane", "number"],
            unique=False,
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        )
        batch_op.create_index("ix_hf_tasks_ended_at", ["ended_at"], unique=False)
        batch_op.create_index("ix_hf_tasks_parent_id", ["parent_id"], unique=False)
        batch_op.create_index("ix_hf_tasks_project_number", ["project", "number"], unique=False)
        batch_op.create_index("ix_hf_tasks_subject", ["subject"], unique=False)
        batch_op.create_index("ix_hf_tasks_worker_id", ["worker_id"], unique=False)
        batch_op.create_index(
            "uq_hf_tasks_join_key",
            ["join_key"],
            unique=True,
            sqlite_where=sa.text("join_key IS NOT NULL"),
            postgresql_where=sa.text("join_key IS NOT NULL"),
        )

    op.create_table(
        "hf_task_history",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(always=False), nullable=False
        ),
        sa.Column("task_id", sa.String(length=36), nullable=False),
        sa.Column("at", base.UtcDateTime(), nullable=False),
        sa.Column("event", sa.String(length=32), nullable=False),
        sa.Column("message", sa.String(length=2000), nullable=False),
        sa.Column("step", sa.String(length=255), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["task_id"], ["hf_tasks.id"], name=op.f("fk_hf_task_history_task_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hf_task_history")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("hf_task_history", schema=None) as batch_op:
        batch_op.create_index("ix_hf_task_history_task_id_id", ["task_id", "id"], unique=False)

    op.create_table(
        "hf_task_limits",
        sa.Column("task_id", sa.String(length=36), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("maximum", sa.Integer(), nullable=False),
        sa.Column("running", sa.Boolean(), nullable=False),
        sa.CheckConstraint("maximum > 0", name=op.f("ck_hf_task_limits_maximum")),
        sa.ForeignKeyConstraint(
            ["task_id"], ["hf_tasks.id"], name=op.f("fk_hf_task_limits_task_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("task_id", "key", name=op.f("pk_hf_task_limits")),
    )
    with op.batch_alter_table("hf_task_limits", schema=None) as batch_op:
        batch_op.create_index(
            "ix_hf_task_limits_running",
            ["key"],
            unique=False,
            sqlite_where=sa.text("running"),
            postgresql_where=sa.text("running"),
        )

    op.create_table(
        "hf_task_locks",
        sa.Column("task_id", sa.String(length=36), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column(
            "path",
            sa.String(length=1024).with_variant(sa.String(length=1024, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("urgent", sa.Boolean(), nullable=False),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["task_id"], ["hf_tasks.id"], name=op.f("fk_hf_task_locks_task_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("task_id", "key", name=op.f("pk_hf_task_locks")),
    )
    with op.batch_alter_table("hf_task_locks", schema=None) as batch_op:
        batch_op.create_index("ix_hf_task_locks_key_path", ["key", "path"], unique=False)
        batch_op.create_index(
            "uq_hf_task_locks_held",
            ["key"],
            unique=True,
            sqlite_where=sa.text("held"),
            postgresql_where=sa.text("held"),
        )


def downgrade() -> None:
    with op.batch_alter_table("hf_task_locks", schema=None) as batch_op:
        batch_op.drop_index("uq_hf_task_locks_held", sqlite_where=sa.text("held"), postgresql_where=sa.text("held"))
        batch_op.drop_index("ix_hf_task_locks_key_path")

    op.drop_table("hf_task_locks")
    with op.batch_alter_table("hf_task_limits", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_hf_task_limits_running", sqlite_where=sa.text("running"), postgresql_where=sa.text("running")
        )

    op.drop_table("hf_task_limits")
    with op.batch_alter_table("hf_task_history", schema=None) as batch_op:
        batch_op.drop_index("ix_hf_task_history_task_id_id")

    op.drop_table("hf_task_history")
    with op.batch_alter_table("hf_tasks", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_hf_tasks_join_key",
            sqlite_where=sa.text("join_key IS NOT NULL"),
            postgresql_where=sa.text("join_key IS NOT NULL"),
        )
        batch_op.drop_index("ix_hf_tasks_worker_id")
        batch_op.drop_index("ix_hf_tasks_subject")
        batch_op.drop_index("ix_hf_tasks_project_number")
        batch_op.drop_index("ix_hf_tasks_parent_id")
        batch_op.drop_index("ix_hf_tasks_ended_at")
        batch_op.drop_index(
            "ix_hf_tasks_active", sqlite_where=sa.text("ended_at IS NULL"), postgresql_where=sa.text("ended_at IS NULL")
        )

    op.drop_table("hf_tasks")
    op.drop_table("hf_task_workers")
