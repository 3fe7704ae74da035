"""Work that was accepted for a system and could not be done is told in the system's log."""

from __future__ import annotations

from uuid import UUID

from hawkfish.db import UnitOfWork
from hawkfish.domain.messages import WORK_FAILED
from hawkfish.domain.systems import SystemState
from hawkfish.domain.tasks import Task, TaskError
from hawkfish.errors import Aborted


def tell_failure(uow: UnitOfWork, task: Task, error: TaskError) -> None:
    """Tells that a task failed, unless it was cancelled, or its system is not shown yet or any more."""
    system = uow.systems.find(UUID(task.arguments["system_id"]))
    if system is None or system.state is SystemState.CREATING or error.name == Aborted.__name__:
        return
    uow.systems.tell(WORK_FAILED, system.id, task.title, error.message, actor=task.actor, task_id=task.id)
