"""The kinds of task that bring images into drives, and how power waits for them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from hawkfish.db import UnitOfWork
from hawkfish.domain.systems import System
from hawkfish.domain.tasks import Task, TaskState
from hawkfish.errors import Conflict

FETCH, COPY, INSERT, EJECT, CLEAN = "media.fetch", "media.copy", "media.insert", "media.eject", "media.clean"
CHANGES = (INSERT, EJECT)
"""The kinds of task that change what is in a drive."""
MEDIA_KINDS = (FETCH, COPY, *CHANGES)
POWER_ON, RESTART = "system.power-on", "system.restart"
RAISES_POWER = (POWER_ON, RESTART)
"""The kinds of task that start a machine, which finds in its drives what was accepted before."""


def media_ahead(uow: UnitOfWork, system_id: UUID) -> list[Task]:
    """The changes of media that are accepted for a system and not done: the last one of each drive."""
    last = {task.arguments["drive_id"]: task for task in uow.tasks.ahead([f"system:{system_id}"], CHANGES)}
    return list(last.values())


def insertions_nobody_sees(uow: UnitOfWork, system_id: UUID, drive_id: str) -> list[Task]:
    """The insertions into a drive that have not begun and after which no start was accepted: an ejection makes them void."""
    line = [f"system:{system_id}"]
    last_start = max((task.number for task in uow.tasks.ahead(line, RAISES_POWER)), default=0)
    return [
        task
        for task in uow.tasks.ahead(line, (INSERT,))
        if task.arguments["drive_id"] == drive_id and task.epoch == 0 and task.number > last_start
    ]


def wait_for_media(uow: UnitOfWork, seconds: int) -> dict[str, Any]:
    """Until when a power-on waits for changes of media that are ahead of it, as `TaskQueue.submit` takes it."""
    return {
        "deadline": uow.now() + timedelta(seconds=seconds),
        "deadline_reason": f"It waited {seconds} s for images that are being fetched for the system's drives (HF_MEDIA_WAIT).",
    }


def refuse_without_media(uow: UnitOfWork, system: System, task_ids: Iterable[str]) -> None:
    """Refuses to start a system whose media, accepted before the start, could not be changed.

    Who asked for both took the acceptance for done and would find the machine started from something else. A change that was
    cancelled was taken back, and is not missed.

    Raises:
        Conflict: A change has failed.
    """
    for task_id in task_ids:
        task = uow.tasks.find(task_id)
        if task is not None and task.state is TaskState.FAILED:
            reason = "" if task.error is None else f": {task.error.message}"
            raise Conflict(
                f"The system {system.name} was not started, since what was asked for before that did not come about. {task.title} "
                f"failed{reason} Insert an image that can be had, or reset the system again to start it with what is in its drive.",
                kind="ComputerSystem",
                id=str(system.id),
            )
