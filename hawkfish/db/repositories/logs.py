"""Logs of systems: pages of what is recorded of one, from where each log was last cleared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from hawkfish.db.models.logs import LogClearingRow
from hawkfish.domain.logs import LogClearing, LogEntry, SystemLog

if TYPE_CHECKING:
    from hawkfish.db.unit_of_work import UnitOfWork


class LogRepository:
    """Logs of one unit of work."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._session = uow.session

    def clearing(self, system_id: UUID, log: SystemLog) -> LogClearing:
        """From where on a log is shown."""
        row = self._session.scalar(
            select(LogClearingRow).where(LogClearingRow.system_id == str(system_id), LogClearingRow.log == log)
        )
        return (
            LogClearing() if row is None else LogClearing(last=row.last, cleared_at=row.cleared_at, version=row.version)
        )

    def page(
        self, system_id: UUID, log: SystemLog, *, limit: int, before_id: int | None = None, skip: int = 0
    ) -> Sequence[LogEntry]:
        """Entries, newest first.

        Args:
            system_id: The system.
            log: Which of its logs.
            limit: Length of the page.
            before_id: Id of the last entry of the page before.
            skip: How many are left out, the newest first.
        """
        last = self.clearing(system_id, log).last
        if log is SystemLog.EVENTS:
            return self._uow.events.page(
                limit=limit, before_id=before_id, subject=_subject(system_id), after=last, skip=skip, tests=False
            )
        return self._uow.audit.page(
            limit=limit, before_id=before_id, subject=_subject(system_id), after=last, skip=skip
        )

    def find(self, system_id: UUID, log: SystemLog, entry_id: int) -> LogEntry | None:
        """An entry, unless it is cleared."""
        records = self._uow.events if log is SystemLog.EVENTS else self._uow.audit
        return records.find(entry_id, _subject(system_id), after=self.clearing(system_id, log).last)

    def count(self, system_id: UUID, log: SystemLog) -> int:
        """How many entries it has."""
        records = self._uow.events if log is SystemLog.EVENTS else self._uow.audit
        return records.count(_subject(system_id), after=self.clearing(system_id, log).last)

    def clear(self, system_id: UUID, log: SystemLog) -> None:
        """Hides all that was recorded up to now; what others are just recording stays, whatever its id."""
        # Places are given first, so that an event committed before this has one that is hidden.
        self._uow.events.give_places()
        # The audit trail has no places: a record that others are just writing may have a smaller id than the newest of all.
        is_events = log is SystemLog.EVENTS
        last = self._uow.events.newest() if is_events else self._uow.audit.newest(_subject(system_id))
        values = {"last": last, "cleared_at": self._uow.now()}
        made = postgresql.insert(LogClearingRow) if self._uow.is_postgresql else sqlite.insert(LogClearingRow)
        self._session.execute(
            made.values(system_id=str(system_id), log=log, version=1, **values).on_conflict_do_update(
                index_elements=["system_id", "log"], set_={**values, "version": LogClearingRow.version + 1}
            )
        )


def _subject(system_id: UUID) -> str:
    return f"system:{system_id}"
