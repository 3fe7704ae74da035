"""The kinds of task that bring images into drives, and how power waits for them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from hawkfish.db import UnitOfWork
from hawkfish.domain.media import drives_of
from hawkfish.domain.systems import BootOverrideEnabled, System
from hawkfish.domain.tasks import Task, TaskState
from hawkfish.errors import Conflict

FETCH, COPY, INSERT, EJECT, CLEAN = "media.fetch", "media.copy", "media.insert", "media.eject", "media.clean"
CHANGES = (INSERT, EJECT)
"""The kinds of task that change what is in a drive."""
MEDIA_KINDS = (FETCH, COPY, *CHANGES)
POWER_ON, RESTART = "system.power-on", "system.restart"
RAISES_POWER = (POWER_ON, RESTART)
"""The kinds of task that start a machine, which finds in its drives what was accepted before."""


def line_of_media(system_id: UUID) -> str:
    """What is held (`UnitOfWork.serialize_on`) by whoever accepts a change of a system's media, or a start that is to find them."""
    return f"virtual-media:{system_id}"


def media_ahead(uow: UnitOfWork, system_id: UUID) -> list[Task]:
    """The changes of media that are accepted for a system and not done: the last one of each drive."""
    last = {task.arguments["drive_id"]: task for task in uow.tasks.ahead([f"system:{system_id}"], CHANGES)}
    return list(last.values())


def media_missed(uow: UnitOfWork, system: System) -> list[Task]:
    """The changes of media that have failed, that were the last of a drive to boot from, and that no start has told of yet.

    Clients that take the acceptance of an insertion for done never hear of its failure: they would have the machine boot from
    something else, such as the disk that they were about to write anew.
    """
    device = None if system.boot.enabled is BootOverrideEnabled.DISABLED else system.boot.device
    drives = {drive.id for drive in drives_of(system) if device is not None and drive.kind.value == device.value}
    if not drives:
        return []
    subject = f"system:{system.id}"
    # Not those of a system that had this UUID before.
    own = [task for task in uow.tasks.of_kinds(subject, CHANGES) if _is_younger(task, system)]
    last = {task.arguments["drive_id"]: task for task in own}
    failed = [last[drive] for drive in sorted(drives & last.keys()) if last[drive].state is TaskState.FAILED]
    return [change for change in failed if not _is_told(uow, subject, change)]


def _is_younger(task: Task, system: System) -> bool:
    return system.created_at is None or task.created_at >= system.created_at


def _is_told(uow: UnitOfWork, subject: str, change: Task) -> bool:
    starts = uow.tasks.of_kinds(subject, RAISES_POWER, after=change.number)
    return any(start.state is TaskState.FAILED and change.id in start.arguments.get("media", ()) for start in starts)


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
