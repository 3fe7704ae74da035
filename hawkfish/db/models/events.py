"""Tables of events: the outbox, which is also the record of what happened, and how far each receiver is."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Identity, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from hawkfish.db.base import Base, BigInt, Instant, Json, Name, Uuid36, enum_by_value
from hawkfish.domain.events import Severity


class EventRow(Base):
    """One event. No foreign keys: the row outlives what it speaks of."""

    __tablename__ = "hf_events"
    __table_args__ = (
        UniqueConstraint("sequence"),
        Index("ix_hf_events_subject_id", "subject", "id"),
        {"sqlite_autoincrement": True},  # an id is never given twice, not even after all were deleted
    )

    id: Mapped[int] = mapped_column(BigInt, Identity(), primary_key=True)
    sequence: Mapped[int | None] = mapped_column(BigInt)
    """Place in the order of telling. PostgreSQL only, see `EventRepository`: on SQLite that is the id."""
    at: Mapped[Instant]
    message_id: Mapped[str] = mapped_column(String(128))
    arguments: Mapped[Json]
    severity: Mapped[Severity] = mapped_column(enum_by_value(Severity, "severity"))
    subject: Mapped[Name]
    resource_type: Mapped[str] = mapped_column(String(64))
    actor: Mapped[Name | None]
    task_id: Mapped[Uuid36 | None]
    project: Mapped[Uuid36 | None]
    data: Mapped[Json | None]


class EventSinkRow(Base):
    """How far one receiver of events is."""

    __tablename__ = "hf_event_sinks"
    __table_args__ = (CheckConstraint("sequence >= 0", "sequence"),)

    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInt)
    delivered: Mapped[int] = mapped_column(BigInt, default=0)
    failed: Mapped[int] = mapped_column(BigInt, default=0)
    dropped: Mapped[int] = mapped_column(BigInt, default=0)
    untold: Mapped[int] = mapped_column(BigInt, default=0, server_default="0")
    updated_at: Mapped[Instant]
