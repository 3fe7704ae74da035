"""One task under one lease: its steps forward, or their undo backwards."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any

import structlog

from hawkfish.db import Database, UnitOfWork
from hawkfish.domain.tasks import Task, TaskError, TaskState
from hawkfish.errors import Aborted, HawkFishError, LeaseLost
from hawkfish.tasks.context import CANCELLED, ChildrenRunning, StepContext, Wishes, persist
from hawkfish.tasks.kinds import Result, Step, TaskKind
from hawkfish.tasks.queue import TaskQueue, end_unsuccessfully

log = structlog.get_logger(__name__)

FIRST_BACKOFF_SECONDS = 1.0
LONGEST_BACKOFF_SECONDS = 300.0


class Execution:
    """Runs a claimed task until it ends, or is given back to the line, or is lost."""

    def __init__(self, database: Database, queue: TaskQueue, kind: TaskKind, task: Task, wishes: Wishes) -> None:
        self._database = database
        self._queue = queue
        self._kind = kind
        self._task = task
        self._wishes = wishes
        self._steps = kind.steps_of(task.kind_version)
        self._results: dict[str, Any] = dict(task.results)
        self._error = task.error
        self.first_backoff = FIRST_BACKOFF_SECONDS

    def run(self) -> None:
        """Goes on where the task stands."""
        try:
            if self._task.undoing:
                self._undo(self._task.position)
            else:
                self._forward(self._task.position, begun=self._task.step_begun)
        except LeaseLost as error:
            log.warning("tasks.lease_lost", task=self._task.id, epoch=self._task.epoch, error=error.message)

    # --- forward -------------------------------------------------------------------------------------------------

    def _forward(self, position: int, *, begun: bool) -> None:
        while (position := self._next(position)) < len(self._steps):
            if self._wishes.abort:
                self._fail(position, Aborted(self._wishes.reason or CANCELLED), begun=begun)
                return
            if self._wishes.pause or self._wishes.stopping:
                self._give_back(TaskState.PAUSED if self._wishes.pause else TaskState.WAITING, step_begun=begun)
                return
            context = self._context(self._steps[position])
            try:
                result = self._steps[position].run(context)
                if self._record(position, context, result):
                    return
            except ChildrenRunning:
                self._give_back(TaskState.CHILDREN, step_begun=True, **context.pending_progress())
                return
            except LeaseLost:
                raise
            except Exception as error:  # noqa: BLE001  whatever a step raises, what was done is undone
                self._log(context, error, "tasks.step_failed")
                self._fail(position, error, begun=True)
                return
            position += 1
            begun = False
        self._end_after_children()

    def _next(self, position: int) -> int:
        """The first step from there on that this task needs."""
        while position < len(self._steps) and not self._steps[position].is_of(self._task):
            position += 1
        return position

    def _record(self, position: int, context: StepContext, result: Result) -> bool:
        """Records a step as done, with all that it has to write; the last one ends the task in the same transaction.

        Returns:
            Whether the task has ended.
        """
        step = self._steps[position]
        results = self._results if result is None else {**self._results, step.name: dict(result)}
        again = False

        def write(uow: UnitOfWork) -> bool:
            nonlocal again
            if again and self._is_recorded(uow, position + 1):
                return uow.tasks.get(self._task.id).ended
            again = True
            children_left = uow.tasks.write_fenced(
                self._task.id, self._task.epoch, position=position + 1, results=results, **context.pending_progress()
            )
            uow.tasks.note(self._task.id, "step", f"{step.name}: done.", step=step.name, epoch=self._task.epoch)
            if step.record is not None:
                step.record(uow, context, result)
            if self._next(position + 1) < len(self._steps) or children_left:
                return False  # `_end_after_children` waits for those that the step has left running
            self._succeed(uow)
            return True

        ended = persist(self._database, self._wishes, self._task, write)
        self._results = results
        return ended

    def _is_recorded(self, uow: UnitOfWork, position: int) -> bool:
        """Whether this very write was done already: a lost connection may hide that a commit has succeeded."""
        now = uow.tasks.get(self._task.id)
        return now.epoch == self._task.epoch and (now.ended or now.position == position)

    def _succeed(self, uow: UnitOfWork) -> None:
        uow.tasks.end(self._task, TaskState.COMPLETED, message="", percent=100)
        if self._kind.on_success is not None:
            self._kind.on_success(uow, uow.tasks.get(self._task.id))

    def _end_after_children(self) -> None:
        """Ends a task whose steps are all done, at once or when the last child that it has not waited for has ended."""

        def write(uow: UnitOfWork) -> None:
            task = uow.tasks.get(self._task.id)
            if task.ended or task.epoch != self._task.epoch:
                return
            if task.children_left:
                uow.tasks.release(task.id, self._task.epoch, TaskState.CHILDREN, step_begun=False)
            else:
                self._succeed(uow)

        persist(self._database, self._wishes, self._task, write)

    # --- backward ------------------------------------------------------------------------------------------------

    def _fail(self, position: int, error: BaseException, *, begun: bool) -> None:
        """Turns round; a step that may have begun is undone too.

        A step that breaks off because an abort has taken away what it worked on is not what ended the task: the abort is.
        """
        first = position if begun else position - 1
        waits = False

        def write(uow: UnitOfWork) -> None:
            nonlocal waits
            uow.tasks.write_fenced(
                self._task.id, self._task.epoch
            )  # no abort is asked for between our look and our write
            task = uow.tasks.get(self._task.id)
            reason = Aborted(task.abort_reason or CANCELLED) if task.abort_requested else error
            self._error = TaskError.of(reason)
            values: dict[str, Any] = {
                "undoing": True,
                "position": first,
                "error": asdict(self._error),
                "message": str(reason)[:2000] if isinstance(reason, HawkFishError) else "Undoing after an error.",
                "undo_failures": 0,
            }
            for child in uow.tasks.children(task.id) if task.children_left else ():
                self._queue.request_abort(uow, child.id, reason="The task that it is part of is being undone.")
            waits = uow.tasks.get(task.id).children_left > 0
            if waits:
                uow.tasks.release(task.id, self._task.epoch, TaskState.CHILDREN, **values)
            else:
                uow.tasks.write_fenced(task.id, self._task.epoch, state=TaskState.UNDOING, **values)
            uow.tasks.note(task.id, "undo", values["message"], epoch=self._task.epoch)

        persist(self._database, self._wishes, self._task, write)
        if not waits:
            self._undo(first)

    def _undo(self, position: int) -> None:
        failures = self._task.undo_failures
        while True:
            if self._wishes.stopping:
                self._give_back(TaskState.UNDO_WAITING)
                return
            step = self._steps[position] if position >= 0 else None
            context = self._context(step)
            try:
                context.check()
                if step is not None and step.undo is not None and step.is_of(self._task):
                    step.undo(context)
                self._record_undo(position, context, step)
            except LeaseLost:
                raise
            except Exception as error:  # noqa: BLE001  an undo is tried until it succeeds
                self._log(context, error, "tasks.undo_failed")
                self._try_undo_later(context, error, failures)
                return
            if position <= 0:
                return
            position -= 1
            failures = 0

    def _record_undo(self, position: int, context: StepContext, step: Step | None) -> None:
        again = False

        def write(uow: UnitOfWork) -> None:
            nonlocal again
            if again and step is not None and self._is_recorded(uow, position - 1):
                return
            again = True
            uow.tasks.write_fenced(self._task.id, self._task.epoch, position=max(position, 0) - 1, undo_failures=0)
            if step is not None:
                uow.tasks.note(self._task.id, "undo", f"{step.name}: undone.", step=step.name, epoch=self._task.epoch)
                if step.record_undo is not None:
                    step.record_undo(uow, context)
            if position <= 0:
                end_unsuccessfully(uow, self._kind, self._task, self._error or TaskError.of(Aborted("Cancelled.")))

        persist(self._database, self._wishes, self._task, write)

    def _try_undo_later(self, context: StepContext, error: Exception, failures: int) -> None:
        seconds = min(self.first_backoff * 2**failures, LONGEST_BACKOFF_SECONDS)
        told = TaskError.of(error).message
        message = f"{context.step}: undo failed ({told}); it is tried again in {seconds:.0f} s."

        def write(uow: UnitOfWork) -> None:
            uow.tasks.release(
                self._task.id,
                self._task.epoch,
                TaskState.UNDO_WAITING,
                undo_failures=failures + 1,
                not_before=uow.now() + timedelta(seconds=seconds),
                message=message[:2000],
            )
            uow.tasks.note(self._task.id, "undo-failed", message, step=context.step, epoch=self._task.epoch)

        persist(self._database, self._wishes, self._task, write)

    # --- both ----------------------------------------------------------------------------------------------------

    def _give_back(self, state: TaskState, **values: Any) -> None:
        persist(
            self._database,
            self._wishes,
            self._task,
            lambda uow: uow.tasks.release(self._task.id, self._task.epoch, state, **values),
        )

    def _context(self, step: Step | None) -> StepContext:
        return StepContext(
            self._database,
            self._queue,
            self._task,
            self._wishes,
            step="end" if step is None else step.name,
            results=self._results,
            error=self._error,
        )

    def _log(self, context: StepContext, error: Exception, event: str) -> None:
        if isinstance(error, HawkFishError):
            context.log.info(event, error=error.message, error_class=type(error).__name__)
        else:
            context.log.error(event, error_class=type(error).__name__, exc_info=error)
