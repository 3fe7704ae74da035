"""The table that says from where on each log of a system is shown."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from hawkfish.db.base import Base, BigInt, Instant, Version, enum_by_value
from hawkfish.domain.logs import SystemLog


class LogClearingRow(Base):
    """A log that was cleared; what it showed is still recorded, and read by others."""

    __tablename__ = "hf_log_clearings"
    __table_args__ = (CheckConstraint("last >= 0", "last"),)

    system_id: Mapped[str] = mapped_column(ForeignKey("hf_systems.id", ondelete="CASCADE"), primary_key=True)
    log: Mapped[SystemLog] = mapped_column(enum_by_value(SystemLog, "log"), primary_key=True)
    last: Mapped[int] = mapped_column(BigInt)
    cleared_at: Mapped[Instant]
    version: Mapped[Version]
