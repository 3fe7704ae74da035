"""Group commit for SQLite: what waits for the write lock at the same moment is committed together.

A commit waits for the disk, and that takes longer than most of what is committed. PostgreSQL gathers commits by itself.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError

from hawkfish.db.base import translated
from hawkfish.db.signals import Signals
from hawkfish.db.unit_of_work import UnitOfWork, unit_of_work
from hawkfish.errors import DatabaseUnavailable
from hawkfish.locks import acquire, native_lock

Result = TypeVar("Result")

MOST = 32  # works in one transaction, so that the first does not wait long for the last

_inside: contextvars.ContextVar[bool] = contextvars.ContextVar("inside_a_transaction", default=False)


class GroupCommit:
    """Runs works in transactions, of which several that come together share one.

    Who comes first leads: takes the write lock, and does all works that wait by then, each in a savepoint of its own, so that
    one that fails takes nothing of the others with it. Works that come meanwhile wait for the next leader, one of them.

    Args:
        engine: Its connections begin with the write lock.
        alone: Takes the lock that this process's writers line up for.
        signals: Where those are woken whom the works name.
    """

    def __init__(self, engine: Engine, alone: Callable[[], AbstractContextManager[None]], signals: Signals) -> None:
        self._engine = engine
        self._alone = alone
        self._signals = signals
        self._mutex = native_lock()
        self._waiting: list[_Job[Any]] = []
        self._led = False

    def run(self, work: Callable[[UnitOfWork], Result]) -> Result:
        """Does `work`, perhaps in another thread, and comes back when it is committed; see `Database.run`."""
        if _inside.get():
            raise RuntimeError("A transaction cannot be begun inside another.")
        job = _Job(work)
        with self._mutex:
            self._waiting.append(job)
            job.leads = not self._led
            self._led = True
        if not job.leads:
            acquire(job.woken)
        if job.leads:
            self._lead()
        return job.outcome()

    def _lead(self) -> None:
        jobs: list[_Job[Any]] = []
        try:
            with self._alone():
                jobs = self._take(MOST)
                self._do(jobs)
        except DatabaseUnavailable as error:
            # Who came later has not waited as long, but would wait as long for the same again.
            jobs = jobs or self._take(len(self._waiting))
            _fail(jobs, error.message)
        except BaseException:
            jobs = jobs or self._take(1)  # its own, for which nobody waits any more
            _fail(jobs, "The database was not written: the process is ending.")
            raise
        finally:
            channels = set().union(*(job.uow.take_channels() for job in jobs if job.uow is not None))
            self._wake(jobs)
            if channels:
                self._signals.send(channels)

    def _wake(self, jobs: Sequence[_Job[Any]]) -> None:
        """Has the next one lead, and those go on whose work is done."""
        with self._mutex:
            next_one = self._waiting[0] if self._waiting else None
            self._led = next_one is not None
        if next_one is not None:
            next_one.leads = True
            next_one.woken.release()
        for job in jobs:
            if not job.leads:
                job.woken.release()

    def _take(self, most: int) -> list[_Job[Any]]:
        with self._mutex:
            jobs, self._waiting = self._waiting[:most], self._waiting[most:]
        return jobs

    def _do(self, jobs: Sequence[_Job[Any]]) -> None:
        if len(jobs) > 1 and self._do_together(jobs):
            return
        for job in jobs:
            self._do_alone(job)

    def _do_together(self, jobs: Sequence[_Job[Any]]) -> bool:
        """False if nothing was done, and each is to be tried alone."""
        with translated(), self._engine.connect() as connection:
            transaction = connection.begin()
            try:
                done = all(job.attempt(connection, self._signals) for job in jobs)
            except BaseException:
                transaction.rollback()
                raise
            if not done:
                transaction.rollback()
                return False
            transaction.commit()
        return True

    def _do_alone(self, job: _Job[Any]) -> None:
        try:
            with translated(), self._engine.connect() as connection, connection.begin():
                job.do(connection, self._signals)
        except Exception as error:  # noqa: BLE001  whatever it is, it is raised where the work came from
            job.error, job.uow = error, None


class _Job(Generic[Result]):
    """A work that waits for its transaction, and what came of it."""

    def __init__(self, work: Callable[[UnitOfWork], Result]) -> None:
        self.leads = False
        self.woken = native_lock()
        self.woken.acquire()
        self.uow: UnitOfWork | None = None
        self.error: BaseException | None = None
        self._work = work
        self._result: Result | None = None
        self._context = contextvars.copy_context()  # what is logged names the task or request that the work belongs to
        self._context.run(_inside.set, True)

    def do(self, connection: Connection, signals: Signals) -> None:
        """Does it in a transaction that the caller ends."""
        with unit_of_work(connection, signals) as uow:
            self._result = self._context.run(self._work, uow)
            uow.finish()
        self.uow = uow

    def attempt(self, connection: Connection, signals: Signals) -> bool:
        """Does it in a savepoint; False if the transaction may be broken.

        After some errors (a full disk) SQLite has undone the whole transaction, not only the statement.
        """
        self.uow = self.error = None
        try:
            with connection.begin_nested():
                self.do(connection, signals)
        except IntegrityError as error:
            self.error, self.uow = error, None
        except DBAPIError:
            self.uow = None
            return False
        except Exception as error:  # noqa: BLE001  as above
            self.error, self.uow = error, None
        return True

    def outcome(self) -> Result:
        """What the work gave, or its error."""
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        assert self.uow is not None  # noqa: S101  it was done, else there is an error
        self.uow.committed()
        return self._result  # type: ignore[return-value]  # None only where the work gave None


def _fail(jobs: Sequence[_Job[Any]], message: str) -> None:
    for job in jobs:
        job.uow, job.error = None, DatabaseUnavailable(message, retry_after=5)
