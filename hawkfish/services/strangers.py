"""Refusals of callers whom nobody knows: counted, so that no stranger fills the database.

The first of a source and kind leave a record each in the audit trail; those that follow within the hour are told by one record. The
count is kept in the database, for all processes together and over their ends. A process writes a first refusal at once, and gathers
those that follow for a second, so that asking without end does not have the database write without end either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import structlog

from hawkfish.db import Database, UnitOfWork
from hawkfish.domain.accounts import StrangerRefusals
from hawkfish.errors import DatabaseUnavailable
from hawkfish.locks import acquire, native_lock, pause, start_native_thread

log = structlog.get_logger("hawkfish.services.audit")

TOLD = 10
"""Refusals of a source and kind that leave a record of their own in each span."""
SPAN = timedelta(hours=1)
"""After which those that followed are told together."""
APART = 250
"""Sources and kinds that are counted apart; all further ones are one."""
OTHERS = "(others)"
GATHER_SECONDS = 1.0
REMEMBERED = 4096

Key = tuple[str, str, str]
Later = Callable[[Callable[[], None]], None]


def in_a_moment(work: Callable[[], None]) -> None:
    """Runs it after `GATHER_SECONDS`, in a thread of the operating system: it waits for the database."""

    def run() -> None:
        pause(GATHER_SECONDS)
        work()

    start_native_thread(run)


@dataclass(slots=True)
class _Gathered:
    """Refusals of one source and kind that are not written yet, with the records of the first."""

    refusals: StrangerRefusals
    records: list[Mapping[str, Any]] = field(default_factory=list)


class Strangers:
    """Writes the refusals of strangers that this process has seen.

    Args:
        database: Where they are counted and told.
        later: Runs what is to be done in a moment.
    """

    def __init__(self, database: Database, later: Later = in_a_moment) -> None:
        self._database = database
        self._later = later
        self._lock = native_lock()
        self._counted: dict[Key, int] = {}
        self._gathered: dict[Key, _Gathered] = {}
        self._closed = False

    def refused(self, refusals: StrangerRefusals, record: Mapping[str, Any]) -> None:
        """Counts a refusal, and writes its record if it is one of the first."""
        key = _key(refusals)
        acquire(self._lock)
        try:
            is_first = self._counted.get(key, 0) < TOLD
            if not is_first:
                begins = not self._gathered
                self._gather(key, refusals, record)
        finally:
            self._lock.release()
        if is_first:
            self._write([_Gathered(refusals, [record])])
        elif begins:
            self._later(self.write_gathered)

    def _gather(self, key: Key, refusals: StrangerRefusals, record: Mapping[str, Any]) -> None:
        gathered = self._gathered.get(key)
        if gathered is None:
            self._gathered[key] = _Gathered(refusals, [record])
            return
        before = gathered.refusals
        gathered.refusals = replace(
            before, count=before.count + refusals.count, ended_at=max(before.ended_at, refusals.ended_at)
        )
        if len(gathered.records) < TOLD:
            gathered.records.append(record)

    def write_gathered(self) -> None:
        """Writes what was gathered."""
        acquire(self._lock)
        try:
            # Always in one order, lest two processes wait for each other's rows.
            found = [self._gathered[key] for key in sorted(self._gathered)]
            self._gathered = {}
        finally:
            self._lock.release()
        if found and not self._closed:
            self._write(found)

    def close(self) -> None:
        """Writes what was gathered; nothing is written after that."""
        self.write_gathered()
        self._closed = True

    def _write(self, found: list[_Gathered]) -> None:
        try:
            counts = self._database.run(lambda uow: [_count(uow, gathered) for gathered in found])
        except DatabaseUnavailable as error:
            refusals = sum(gathered.refusals.count for gathered in found)
            log.error("audit.refusal_not_written", refusals=refusals, error=error.message)  # noqa: TRY400  no trace is needed
            return
        for gathered, count in zip(found, counts, strict=True):
            if count - gathered.refusals.count <= TOLD < count:
                log.warning("audit.refusals_counted_only", source=gathered.refusals.source)
        acquire(self._lock)
        try:
            if len(self._counted) > REMEMBERED:
                self._counted.clear()  # what is forgotten is asked of the database
            self._counted.update(
                {_key(gathered.refusals): count for gathered, count in zip(found, counts, strict=True)}
            )
        finally:
            self._lock.release()


def _count(uow: UnitOfWork, gathered: _Gathered) -> int:
    count = uow.audit.count_refusals(gathered.refusals, others=OTHERS, most=APART)
    before = count - gathered.refusals.count
    uow.audit.add_many(gathered.records[: max(0, TOLD - before)])
    return count


def _key(refusals: StrangerRefusals) -> Key:
    return refusals.source, refusals.verb, refusals.subject
