"""The tables of the audit trail. Triggers of its migration refuse every change of it, and every deletion before retention ends."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Identity, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from hawkfish.db.base import Base, BigInt, Instant, Json, Uuid36, enum_by_value
from hawkfish.domain.accounts import AuditOutcome


class AuditRow(Base):
    """Who did what to what. No foreign keys: the row outlives everything it speaks of."""

    __tablename__ = "hf_audit"
    __table_args__ = (
        Index("ix_hf_audit_at", "at"),
        Index("ix_hf_audit_subject_id", "subject", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigInt, Identity(), primary_key=True)
    at: Mapped[Instant]
    user_name: Mapped[str] = mapped_column(String(64))
    verb: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(255))
    outcome: Mapped[AuditOutcome] = mapped_column(enum_by_value(AuditOutcome, "outcome"))
    address: Mapped[str | None] = mapped_column(String(64))
    session_id: Mapped[Uuid36 | None]
    request_id: Mapped[str | None] = mapped_column(String(128))
    project: Mapped[Uuid36 | None]
    details: Mapped[Json]


class StrangerRefusalsRow(Base):
    """Refusals of callers whom nobody knows, of one source and kind since `began_at`; a record of the trail, once they are closed."""

    __tablename__ = "hf_stranger_refusals"
    __table_args__ = (
        CheckConstraint("refusals > 0", "refusals"),
        CheckConstraint("ended_at >= began_at", "times"),
    )

    source: Mapped[str] = mapped_column(String(64), primary_key=True)
    verb: Mapped[str] = mapped_column(String(64), primary_key=True)
    subject: Mapped[str] = mapped_column(String(64), primary_key=True)
    """The account that was asked for; empty where it is none."""
    refusals: Mapped[int]
    began_at: Mapped[Instant]
    ended_at: Mapped[Instant]
