"""What a step may ask and tell."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, TypeVar

import structlog

from hawkfish.db import Database, UnitOfWork
from hawkfish.db.repositories.events import Cause
from hawkfish.domain.messages import TASK_PROGRESS
from hawkfish.domain.tasks import Task, TaskError
from hawkfish.errors import Aborted, DatabaseUnavailable, LeaseLost
from hawkfish.tasks.queue import TaskQueue

Result = TypeVar("Result")

log = structlog.get_logger(__name__)

PROGRESS_SECONDS = 0.25
PROGRESS_STEP = 10  # an event tells of progress each time that so many per cent more are done
RETRY_SECONDS = 0.5
CANCELLED = "Cancelled by request."


class ChildrenRunning(Exception):
    """Raised through a step to return its task to the queue until its children have ended."""


class Wishes:
    """What others want of a running task; written by the dispatcher, read by the step."""

    def __init__(
        self,
        *,
        abort: bool = False,
        reason: str | None = None,
        pause: bool = False,
        is_late: Callable[[], bool] = lambda: False,
    ) -> None:
        self._is_late = is_late
        self._abort = threading.Event()
        self.reason: str | None = None
        self.pause = pause
        self.stopping = False
        """The worker wants to end: the task goes back to the line between two steps."""
        self._lost = threading.Event()
        self.update(abort=abort, reason=reason, pause=pause)

    def update(self, *, abort: bool, reason: str | None, pause: bool) -> None:
        """Takes over what the database says."""
        self.reason = reason
        self.pause = pause
        if abort:
            self._abort.set()

    @property
    def abort(self) -> bool:
        """Whether the task is to be stopped and undone."""
        return self._abort.is_set()

    @property
    def lost(self) -> bool:
        """Whether the lease is lost or about to be: nothing more may be done."""
        return self._lost.is_set() or self._is_late()

    def lose(self) -> None:
        """Has the task touch nothing any more."""
        self._lost.set()

    def wait_lost(self, seconds: float) -> bool:
        """Waits for that."""
        return self._lost.wait(seconds)

    def wait_abort(self, seconds: float) -> bool:
        """Waits for that."""
        return self._abort.wait(seconds)


def persist(database: Database, wishes: Wishes, task: Task, work: Callable[[UnitOfWork], Result]) -> Result:
    """Commits `work` of a task however long the database is away: only the loss of the lease ends the trying."""

    def caused(uow: UnitOfWork) -> Result:
        uow.events.cause = Cause(actor=task.actor, task_id=task.id)
        return work(uow)

    while True:
        try:
            return database.run(caused)
        except DatabaseUnavailable as error:
            log.warning("tasks.database_unavailable", error=error.message)
            wishes.wait_lost(RETRY_SECONDS)
        if wishes.lost:
            raise LeaseLost("The database was away for longer than the lease of this worker.")


class StepContext:
    """One step of one task under one lease.

    Attributes:
        task: The task as it was when this worker took it.
        results: What the finished steps returned, by step name.
        step: Name of the step.
        error: While undoing, why.
        percent: How far the task is, in per cent; written with whatever is written next.
        message: What it does, for people; written with whatever is written next, and at once by `progress`.
    """

    def __init__(
        self,
        database: Database,
        queue: TaskQueue,
        task: Task,
        wishes: Wishes,
        *,
        step: str,
        results: Mapping[str, Any],
        error: TaskError | None = None,
    ) -> None:
        self._database = database
        self._queue = queue
        self._wishes = wishes
        self.task = task
        self.step = step
        self.results = results
        self.error = error
        self.percent: int | None = None
        self.message: str | None = None
        self._written = (0.0, "")
        self._told_percent = task.percent

    @cached_property
    def log(self) -> Any:
        """A logger that bears task and step."""
        return structlog.get_logger("hawkfish.tasks").bind(
            task=self.task.id, kind=self.task.kind, step=self.step, epoch=self.task.epoch
        )

    @property
    def task_id(self) -> str:
        """Id of the task."""
        return self.task.id

    @property
    def epoch(self) -> int:
        """Number of the lease; stamp it, with the task's id, on what outlives the worker."""
        return self.task.epoch

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What the task was submitted with."""
        return self.task.arguments

    @property
    def abort_requested(self) -> bool:
        """Whether the task is to be stopped and undone; a long step looks at it."""
        return self._wishes.abort and self.error is None

    @property
    def pause_requested(self) -> bool:
        """Whether the task is to be held; it will be after the step, which may end early."""
        return self._wishes.pause or self._wishes.stopping

    def check(self) -> None:
        """To be called right before acting on the world.

        Raises:
            Aborted: The task is to be stopped (not while undoing).
            LeaseLost: This worker may have lost the task.
        """
        if self._wishes.lost:
            raise LeaseLost(f"Lease {self.epoch} of task {self.task_id} is lost or late.", task=self.task_id)
        if self.abort_requested:
            raise Aborted(self._wishes.reason or CANCELLED)

    def sleep(self, seconds: float) -> None:
        """Waits between two looks at the world, and ends with `Aborted` as soon as an abort is requested."""
        if self.error is None:
            self._wishes.wait_abort(seconds)
        else:
            self._wishes.wait_lost(seconds)
        self.check()

    def progress(self, percent: int | None = None, message: str | None = None) -> None:
        """Tells how far the task is; written at most four times a second, a new message always.

        Raises:
            LeaseLost: Another worker has the task.
        """
        if percent is not None:
            self.percent = max(0, min(100, percent))
        is_new = message is not None and message != self._written[1]
        if message is not None:
            self.message = message
        if not is_new and time.monotonic() - self._written[0] < PROGRESS_SECONDS:
            return
        self._written = (time.monotonic(), self.message or "")
        tells = self.percent is not None and self.percent >= self._told_percent + PROGRESS_STEP

        def write(uow: UnitOfWork) -> None:
            uow.tasks.write_fenced(self.task_id, self.epoch, **self.pending_progress())
            if tells:
                uow.tasks.tell(TASK_PROGRESS, self.task, self.percent)
            if is_new and message:
                uow.tasks.note(self.task_id, "message", message, step=self.step, epoch=self.epoch)

        persist(self._database, self._wishes, self.task, write)
        if tells and self.percent is not None:
            self._told_percent = self.percent

    def pending_progress(self) -> dict[str, Any]:
        """The columns that say how far the task is."""
        values = {"percent": self.percent, "message": None if self.message is None else self.message[:2000]}
        return {name: value for name, value in values.items() if value is not None}

    def spawn(self, key: str, kind: str, **submission: Any) -> Task:
        """Accepts a child, or finds the one that this task has accepted under `key` before, ended or not.

        Args:
            key: Names the child among its siblings; the same in every run of the step.
            kind: Kind of the child.
            **submission: As for `TaskQueue.submit`; title, actor, subject and project default to the parent's.
        """
        defaults = {name: getattr(self.task, name) for name in ("title", "actor", "subject", "project")}

        def write(uow: UnitOfWork) -> Task:
            # From here on no abort of this task passes us.
            uow.tasks.write_fenced(self.task_id, self.epoch, **self.pending_progress())
            if self.error is None and uow.tasks.get(self.task_id).abort_requested:
                raise Aborted(self._wishes.reason or CANCELLED)
            return self._queue.submit(
                uow, kind, **{**defaults, **submission}, parent=self.task, idempotency_key=f"child:{key}"
            )

        return persist(self._database, self._wishes, self.task, write)

    def children(self) -> list[Task]:
        """The children as they are now."""
        with self._database.read() as uow:
            return uow.tasks.children(self.task_id)

    def wait_for_children(self) -> list[Task]:
        """Leaves the step until all children have ended; then the step runs again and gets them here.

        The task occupies no worker meanwhile.
        """
        children = self.children()
        if any(not child.ended for child in children):
            raise ChildrenRunning
        return children

    def wait_for(self, task_id: str, timeout: float) -> Task:
        """Waits for another task, such as one that this task cancelled (`task.cancelled_ids`)."""
        return self._queue.wait(task_id, timeout)
