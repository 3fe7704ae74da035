"""The verbs of the logs of systems: read them, clear them."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from hawkfish.db import UnitOfWork
from hawkfish.domain.accounts import Actor
from hawkfish.domain.logs import LogClearing, LogEntry, SystemLog
from hawkfish.errors import NotFound
from hawkfish.services.access import Access
from hawkfish.services.authorization import may

PAGE_LIMIT = 1000

READING = {SystemLog.EVENTS: "logs.read", SystemLog.AUDIT: "audit.read"}
"""The verb that reading each log asks for."""


class LogService:
    """The logs of systems."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._database = access.database

    def may_read(self, actor: Actor, log: SystemLog) -> bool:
        """Whether `page` would let the actor read a log; for what is shown or offered."""
        return may(actor, READING[log])

    def page(
        self,
        actor: Actor,
        system_id: UUID,
        log: SystemLog,
        *,
        limit: int = 100,
        before_id: int | None = None,
        skip: int = 0,
    ) -> tuple[Sequence[LogEntry], int]:
        """Entries, newest first, and how many there are in all.

        Args:
            actor: Who asks.
            system_id: The system.
            log: Which of its logs.
            limit: Length of the page, at most 1000.
            before_id: Id of the last entry of the page before.
            skip: How many are left out, the newest first.

        Raises:
            NotFound: There is no such system.
        """
        self._access.authorize(actor, READING[log], f"system:{system_id}")
        with self._database.read() as uow:
            uow.systems.get(system_id)
            entries = uow.logs.page(
                system_id, log, limit=max(0, min(limit, PAGE_LIMIT)), before_id=before_id, skip=skip
            )
            return entries, uow.logs.count(system_id, log)

    def get(self, actor: Actor, system_id: UUID, log: SystemLog, entry_id: int) -> LogEntry:
        """One entry.

        Raises:
            NotFound: There is no such system, or it has no such entry (any more).
        """
        self._access.authorize(actor, READING[log], f"system:{system_id}")
        with self._database.read() as uow:
            system = uow.systems.get(system_id)
            entry = uow.logs.find(system_id, log, entry_id)
        if entry is None:
            raise NotFound(
                f"The log {log} of {system.name} has no entry {entry_id} (any more).", kind="LogEntry", id=str(entry_id)
            )
        return entry

    def clearing(self, actor: Actor, system_id: UUID, log: SystemLog) -> LogClearing:
        """From where on a log is shown.

        Raises:
            NotFound: There is no such system.
        """
        self._access.authorize(actor, READING[log], f"system:{system_id}")
        with self._database.read() as uow:
            uow.systems.get(system_id)
            return uow.logs.clearing(system_id, log)

    def clear(self, actor: Actor, system_id: UUID, log: SystemLog) -> None:
        """Hides all that a log shows now. Events and audit records themselves stay, for their other readers.

        Raises:
            NotFound: There is no such system.
        """
        self._access.authorize(actor, READING[log], f"system:{system_id}")
        self._access.authorize(actor, "logs.clear", f"system:{system_id}")

        def write(uow: UnitOfWork) -> None:
            uow.systems.get(system_id)
            uow.logs.clear(system_id, log)
            self._access.audit.record(uow, actor, "logs.clear", f"system:{system_id}", name=log.value)

        self._database.run(write)
