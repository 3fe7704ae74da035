"""The verbs of tasks: see, wait, cancel."""

from __future__ import annotations

from hawkfish.db import UnitOfWork
from hawkfish.domain.accounts import Actor
from hawkfish.domain.pages import EVERYTHING, Page, PageRequest
from hawkfish.domain.tasks import Task, TaskMessage
from hawkfish.errors import Aborted, Conflict, HawkFishError
from hawkfish.services.access import Access


class TaskService:
    """Tasks as their users see them."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._database = access.database

    def page(self, actor: Actor, wanted: PageRequest = EVERYTHING) -> Page[Task]:
        """Tasks, newest first."""
        self._access.authorize(actor, "tasks.read")
        with self._database.read() as uow:
            return uow.tasks.newest(wanted)

    def get(self, actor: Actor, task_id: str) -> Task:
        """One task.

        Raises:
            NotFound: There is none (any more).
        """
        self._access.authorize(actor, "tasks.read", f"task:{task_id}")
        with self._database.read() as uow:
            return uow.tasks.get(task_id)

    def history(self, actor: Actor, task_id: str) -> list[TaskMessage]:
        """What happened to a task, oldest first."""
        self._access.authorize(actor, "tasks.read", f"task:{task_id}")
        with self._database.read() as uow:
            uow.tasks.get(task_id)
            return uow.tasks.history(task_id)

    def wait(self, actor: Actor, task_id: str, seconds: float) -> Task:
        """Waits at most that long for a task to end, and gives it as it is then."""
        self._access.authorize(actor, "tasks.read", f"task:{task_id}")
        return self._access.queue.wait(task_id, seconds)

    def cancel(self, actor: Actor, task_id: str) -> Task:
        """Asks for a task to be stopped and undone.

        Raises:
            NotFound: There is none.
            Conflict: It has ended.
        """
        self._access.authorize(actor, "tasks.cancel", f"task:{task_id}")

        def write(uow: UnitOfWork) -> Task:
            task = uow.tasks.get(task_id)
            if task.ended:
                raise Conflict(
                    f"Task {task_id} has ended ({task.state}) and cannot be cancelled.", kind="Task", id=task_id
                )
            cancelled = self._access.queue.request_abort(uow, task_id, reason=f"Cancelled by {actor.user_name}.")
            self._access.audit.record(uow, actor, "tasks.cancel", f"task:{task_id}", name=task.title)
            return cancelled

        return self._database.run(write)

    def error_of(self, task: Task) -> HawkFishError:
        """Why a task did not succeed, as the error it was."""
        if task.error is None:
            return Aborted(f"{task.title}: {task.state}.")
        return task.error.revive()
