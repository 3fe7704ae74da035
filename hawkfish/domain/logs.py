"""Logs of systems: views of what is recorded anyway, each from where it was last cleared."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from hawkfish.domain.accounts import AuditRecord
from hawkfish.domain.events import Event


class SystemLog(StrEnum):
    """The logs that a system has.

    Attributes:
        EVENTS: What happened to the system.
        AUDIT: Who did what to it, and what was refused.
    """

    EVENTS = "Events"
    AUDIT = "Audit"


LogEntry = Event | AuditRecord


@dataclass(frozen=True, kw_only=True)
class LogClearing:
    """From where on a log is shown.

    Attributes:
        last: Place of the last event, or id of the last audit record, that is not shown any more.
    """

    last: int = 0
    cleared_at: datetime | None = None
    version: int = 0
