"""Tables of the task spine."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from hawkfish.db.base import Base, BigInt, Instant, Json, Name, Uuid36, Version, enum_by_value
from hawkfish.domain.tasks import TaskLane, TaskState

ByteOrder = String(1024).with_variant(String(1024, collation="C"), "postgresql")


class TaskWorkerRow(Base):
    """A worker process that lives, or was seen to live last at `beat_at`."""

    __tablename__ = "hf_task_workers"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(BigInt, Identity(), primary_key=True)
    host: Mapped[Name]
    pid: Mapped[int]
    started_at: Mapped[Instant]
    beat_at: Mapped[Instant]
    expires_at: Mapped[Instant]


class TaskRow(Base):
    """One task."""

    __tablename__ = "hf_tasks"
    __table_args__ = (
        CheckConstraint("percent BETWEEN 0 AND 100", "percent"),
        CheckConstraint("children_left >= 0", "children_left"),
        CheckConstraint("(ended_at IS NOT NULL) = (state IN ('Completed', 'Failed', 'Cancelled'))", "ended"),
        CheckConstraint("(worker_id IS NOT NULL) = (state IN ('Running', 'Undoing'))", "worker"),
        UniqueConstraint("id"),
        Index(
            "ix_hf_tasks_active",
            "lane",
            "number",
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index(
            "uq_hf_tasks_join_key",
            "join_key",
            unique=True,
            sqlite_where=text("join_key IS NOT NULL"),
            postgresql_where=text("join_key IS NOT NULL"),
        ),
        Index("ix_hf_tasks_ended_at", "ended_at"),
        Index("ix_hf_tasks_worker_id", "worker_id"),
        Index("ix_hf_tasks_parent_id", "parent_id"),
        Index("ix_hf_tasks_subject", "subject"),
        Index("ix_hf_tasks_project_number", "project", "number"),
        {"sqlite_autoincrement": True},  # a number is never given twice, not even after a purge
    )

    number: Mapped[int] = mapped_column(BigInt, Identity(), primary_key=True)
    id: Mapped[Uuid36]
    kind: Mapped[Name]
    kind_version: Mapped[int]
    state: Mapped[TaskState] = mapped_column(enum_by_value(TaskState, "state"))
    lane: Mapped[TaskLane] = mapped_column(enum_by_value(TaskLane, "lane"))
    title: Mapped[Name]
    actor: Mapped[Name]
    subject: Mapped[Name]
    project: Mapped[Uuid36 | None]
    arguments: Mapped[Json]
    results: Mapped[Json]
    locks: Mapped[Json]
    join_key: Mapped[str | None] = mapped_column(String(64))
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("hf_tasks.id", ondelete="CASCADE"))
    parent_path: Mapped[str] = mapped_column(ByteOrder, default="")
    children_left: Mapped[int] = mapped_column(default=0)
    cancelled_ids: Mapped[Json]
    position: Mapped[int] = mapped_column(default=0)
    step_begun: Mapped[bool] = mapped_column(default=False)
    undoing: Mapped[bool] = mapped_column(default=False)
    undo_failures: Mapped[int] = mapped_column(default=0)
    epoch: Mapped[int] = mapped_column(default=0)
    worker_id: Mapped[int | None] = mapped_column(ForeignKey("hf_task_workers.id"))
    percent: Mapped[int] = mapped_column(default=0)
    message: Mapped[str] = mapped_column(String(2000), default="")
    error: Mapped[Json | None]
    abort_requested: Mapped[bool] = mapped_column(default=False)
    abort_reason: Mapped[str | None] = mapped_column(String(255))
    pause_requested: Mapped[bool] = mapped_column(default=False)
    not_before: Mapped[Instant | None]
    deadline: Mapped[Instant | None]
    deadline_reason: Mapped[str | None] = mapped_column(String(255))
    # No foreign key: a task that is not there (any more) has ended, and is waited for by nobody.
    after_id: Mapped[Uuid36 | None]
    created_at: Mapped[Instant]
    started_at: Mapped[Instant | None]
    ended_at: Mapped[Instant | None]
    updated_at: Mapped[Instant]
    version: Mapped[Version]


class TaskLockRow(Base):
    """A place in the line for one key; it goes when the task ends."""

    __tablename__ = "hf_task_locks"
    __table_args__ = (
        Index("ix_hf_task_locks_key_path", "key", "path"),
        # The last word on "never two at once": whatever the claims saw, only one row per key can be held.
        Index("uq_hf_task_locks_held", "key", unique=True, sqlite_where=text("held"), postgresql_where=text("held")),
    )

    task_id: Mapped[str] = mapped_column(ForeignKey("hf_tasks.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    path: Mapped[str] = mapped_column(ByteOrder)
    """Numbers of the ancestors and of the task itself: the order in line, in which children stand at the place of their parent."""
    urgent: Mapped[bool]
    held: Mapped[bool] = mapped_column(default=False)


class TaskLimitRow(Base):
    """One key that a task counts towards while it runs; it goes when the task ends."""

    __tablename__ = "hf_task_limits"
    __table_args__ = (
        CheckConstraint("maximum > 0", "maximum"),
        Index("ix_hf_task_limits_running", "key", sqlite_where=text("running"), postgresql_where=text("running")),
    )

    task_id: Mapped[str] = mapped_column(ForeignKey("hf_tasks.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    maximum: Mapped[int]
    running: Mapped[bool] = mapped_column(default=False)


class TaskHistoryRow(Base):
    """One line of a task's history."""

    __tablename__ = "hf_task_history"
    __table_args__ = (Index("ix_hf_task_history_task_id_id", "task_id", "id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(BigInt, Identity(), primary_key=True)
    task_id: Mapped[str] = mapped_column(ForeignKey("hf_tasks.id", ondelete="CASCADE"))
    at: Mapped[Instant]
    event: Mapped[str] = mapped_column(String(32))
    message: Mapped[str] = mapped_column(String(2000))
    step: Mapped[str | None] = mapped_column(String(255))
    epoch: Mapped[int]
