"""The side of those who want work done: accept, join, abort, pause, wait."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from hawkfish.db import Database, UnitOfWork
from hawkfish.db.repositories.tasks import WORKER_CHANNEL, task_channel
from hawkfish.domain.messages import TASK_PAUSED, TASK_RESUMED
from hawkfish.domain.tasks import Limit, Task, TaskError, TaskState
from hawkfish.errors import Aborted, BackendTimeout, Conflict
from hawkfish.tasks.kinds import TaskKind, TaskRegistry

POLL_SECONDS, LONGEST_POLL_SECONDS, POLL_GROWTH = 0.05, 0.5, 1.5
"""Between two looks at a task whose end is waited for, where no wake-up comes; what lasts long is looked at more seldom."""
DEADLINE_REASON = "Not done by its deadline,"


class TaskQueue:
    """Accepts tasks and answers for them; shared by all threads of a process."""

    def __init__(self, database: Database, registry: TaskRegistry) -> None:
        self._database = database
        self._registry = registry

    def submit(
        self,
        uow: UnitOfWork,
        kind: str | TaskKind,
        *,
        title: str,
        actor: str,
        subject: str,
        arguments: Mapping[str, Any] | None = None,
        locks: Sequence[str] = (),
        limits: Sequence[Limit] = (),
        project: str | None = None,
        idempotency_key: str | None = None,
        parent: Task | None = None,
        cancels: Sequence[str] = (),
        deadline: datetime | None = None,
        deadline_reason: str | None = None,
        after: Task | None = None,
    ) -> Task:
        """Accepts a task in the caller's transaction; a worker is woken at its commit.

        Args:
            uow: The caller's transaction: what belongs to the task (a row, a reservation, an event) is written in it too.
            kind: The kind or its name.
            title: What the task does, for people.
            actor: Who asked for it.
            subject: What it is about, such as `system:<id>`.
            arguments: What the steps need, fit for JSON, without secrets; ids of new things are chosen here.
            locks: It runs when it is first in line for all of these, in the order of acceptance.
            limits: It runs when fewer than `count` tasks with that key run.
            project: The project that sees it.
            idempotency_key: Names the request: the same actor's task of this kind with this key is joined, ended or not.
            parent: Makes it a child; it stands in line at its parent's place.
            cancels: Kinds whose tasks on the same locks are aborted (for the urgent lane).
            deadline: It is aborted, and fails, if it has not ended by then.
            deadline_reason: What is said then, for people; at most 200 characters.
            after: It begins when this task has ended, well or badly, and finds it by `task.after_id`. Meanwhile it keeps its place
                in line and occupies no worker. It is an earlier task, so no two ever wait for each other.

        Returns:
            The new task, or the one that was joined. Without a key, a task is joined while it waits or runs if kind, subject and
            arguments are equal and nothing was accepted after it for one of its locks: A, B, A does A again.
        """
        known = kind if isinstance(kind, TaskKind) else self._registry.get(kind)
        given = json.loads(
            json.dumps(dict(arguments or {}))
        )  # fails here, not in the worker, if it is not fit for JSON
        keys = tuple(dict.fromkeys(locks))
        join_key = _join_key(known.name, subject, given, actor, idempotency_key, parent)
        # Whoever submits for one of these keys waits here for our commit and draws a larger number.
        uow.serialize_on([f"join:{join_key}", *(f"lock:{key}" for key in keys)])
        existing = uow.tasks.find_joinable(join_key)
        if existing is not None and self._joins(uow, existing, named=idempotency_key is not None):
            return existing
        cancelled = [task for task in uow.tasks.ahead(keys, cancels) if not task.undoing and not task.abort_requested]
        task = uow.tasks.add(
            kind=known.name,
            kind_version=known.version,
            lane=known.lane,
            title=title,
            actor=actor,
            subject=subject,
            project=project,
            arguments=given,
            locks=keys,
            limits=limits,
            join_key=join_key,
            parent=parent,
            cancelled_ids=[each.id for each in cancelled],
            deadline=deadline,
            deadline_reason=deadline_reason,
            after_id=None if after is None else after.id,
        )
        for each in cancelled:
            self.request_abort(uow, each.id, reason=f"Overtaken by: {title}")
        uow.publish(WORKER_CHANNEL)
        return task

    def find_named(self, uow: UnitOfWork, kind: str, actor: str, idempotency_key: str) -> Task | None:
        """The task that a request with this key was accepted as, ended or not; a caller looks before it judges anew."""
        return uow.tasks.find_joinable(_join_key(kind, "", {}, actor, idempotency_key, None))

    def _joins(self, uow: UnitOfWork, existing: Task, *, named: bool) -> bool:
        if named:
            return True
        doomed = existing.ended or existing.abort_requested or existing.undoing
        if doomed or uow.tasks.has_followers(existing):
            uow.tasks.forget_join(existing.id)
            return False
        return True

    def request_abort(self, uow: UnitOfWork, task_id: str, *, reason: str = "Cancelled by request.") -> Task:
        """Asks for a task to be stopped and undone; one that has not begun ends at once. Its children are aborted too.

        What was ended or is being undone already stays as it is.
        """
        task = uow.tasks.get(task_id)
        if task.ended or task.undoing or task.abort_requested:
            return task
        values = {"abort_requested": True, "abort_reason": reason[:255]}
        never_begun = (
            task.epoch == 0
            and task.kind in self._registry
            and uow.tasks.change_unclaimed(task_id, at_epoch=0, **values)
        )
        # The flag comes first: who spawns a child locks the same row, so each child is either seen here or not made at all.
        if not never_begun:
            uow.tasks.change(task_id, **values)
        for child in uow.tasks.children(task_id):
            self.request_abort(uow, child.id, reason=reason)
        uow.tasks.note(task_id, "abort-requested", reason, epoch=task.epoch)
        if never_begun:
            end_unsuccessfully(uow, self._registry.get(task.kind), task, TaskError.of(Aborted(reason)))
        else:
            uow.tasks.change_unclaimed(task_id, not_before=None)
            self.resume(uow, task_id)
            uow.publish(WORKER_CHANNEL)
        return uow.tasks.get(task_id)

    def give_up(self, uow: UnitOfWork, task_id: str, *, reason: str) -> None:
        """Ends a task and its children at once, undone or not, and shuts out the workers that have them.

        For when what it works on is gone for good, so that nothing could ever be undone. The caller cleans up its records:
        `on_failure`, which believes that all was undone, is not called.
        """
        for child in uow.tasks.children(task_id):
            self.give_up(uow, child.id, reason=reason)
        if uow.tasks.get(task_id).ended:
            return
        uow.tasks.shut_out(task_id)
        uow.tasks.end(uow.tasks.get(task_id), TaskState.CANCELLED, message=reason, error=TaskError.of(Aborted(reason)))

    def pause(self, uow: UnitOfWork, task_id: str) -> Task:
        """Holds a task, which keeps its place in line: at once if no worker has it, else between two steps.

        Children that have not begun are held too.

        Raises:
            Conflict: It has ended, or is being undone, which is not held.
        """
        task = uow.tasks.get(task_id)
        if task.ended or task.undoing or task.abort_requested:
            raise Conflict(f"Task {task_id} is {task.state.value} and cannot be paused.", task=task_id)
        uow.tasks.change(task_id, pause_requested=True)
        if task.state is TaskState.WAITING and uow.tasks.change_unclaimed(task_id, state=TaskState.PAUSED):
            uow.tasks.tell(TASK_PAUSED, task)
        for child in uow.tasks.children(task_id):
            if child.state is TaskState.WAITING and child.epoch == 0:
                self.pause(uow, child.id)
        uow.tasks.note(task_id, "pause-requested", "Paused by request.", epoch=task.epoch)
        uow.publish(WORKER_CHANNEL)
        return uow.tasks.get(task_id)

    def resume(self, uow: UnitOfWork, task_id: str) -> Task:
        """Lets a paused task, and its children, go on."""
        task = uow.tasks.get(task_id)
        if not task.pause_requested:
            return task
        uow.tasks.change(task_id, pause_requested=False)
        if task.state is TaskState.PAUSED and uow.tasks.change_unclaimed(task_id, state=TaskState.WAITING):
            uow.tasks.tell(TASK_RESUMED, task)
        for child in uow.tasks.children(task_id):
            self.resume(uow, child.id)
        uow.tasks.note(task_id, "resumed", "Resumed by request.", epoch=task.epoch)
        uow.publish(WORKER_CHANNEL)
        return uow.tasks.get(task_id)

    def wait(self, task_id: str, timeout: float) -> Task:
        """Waits for the end of a task, in a native thread or a greenlet.

        Returns:
            The task as it is at its end, or after `timeout` seconds.
        """
        end, pause = time.monotonic() + timeout, POLL_SECONDS
        with self._database.subscribe(task_channel(task_id)) as subscription:
            while True:
                left = end - time.monotonic()
                if left <= 0 or not self._database.quick.task_runs(task_id):
                    task = self._find(task_id)
                    if task.ended or left <= 0:
                        return task
                subscription.wait(min(pause, left))
                pause = min(pause * POLL_GROWTH, LONGEST_POLL_SECONDS)

    def _find(self, task_id: str) -> Task:
        task = self._database.quick.task(task_id)
        if task is not None:
            return task
        with self._database.read() as uow:
            return uow.tasks.get(task_id)

    def sweep(self) -> None:
        """Aborts what is past its deadline; for the worker."""
        with self._database.read() as uow:
            overdue = uow.tasks.overdue()
        for task in overdue:
            reason = f"{DEADLINE_REASON} {task.deadline:%Y-%m-%d %H:%M:%S} UTC. {task.deadline_reason or ''}".rstrip()
            self._database.run(partial(self.request_abort, task_id=task.id, reason=reason))


def end_unsuccessfully(uow: UnitOfWork, kind: TaskKind, task: Task, error: TaskError) -> None:
    """Ends a task of which nothing is left in the world, as Cancelled if that was asked for and else as Failed."""
    if error.name == Aborted.__name__ and error.message.startswith(DEADLINE_REASON):
        error = TaskError.of(BackendTimeout(error.message))
    state = TaskState.CANCELLED if error.name == Aborted.__name__ else TaskState.FAILED
    uow.tasks.end(task, state, message=error.message, error=error)
    if kind.on_failure is not None:
        kind.on_failure(uow, uow.tasks.get(task.id), error)


def _join_key(  # noqa: PLR0917  what a request is known by
    kind: str, subject: str, arguments: Mapping[str, Any], actor: str, given: str | None, parent: Task | None
) -> str:
    family = None if parent is None else parent.id
    named = [kind, family, actor, given] if given is not None else [kind, family, subject, arguments]
    return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()
