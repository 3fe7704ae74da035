"""What a task shows."""

from __future__ import annotations

from typing import Any

from hawkfish.api.documents import Document
from hawkfish.api.errors import entries, shown
from hawkfish.api.links import TASK_MONITORS, TASKS
from hawkfish.api.messages import render
from hawkfish.api.resources.base import not_none, timestamp
from hawkfish.domain.messages import TASK_EVENT
from hawkfish.domain.tasks import Task, TaskState

_STATES = {
    TaskState.WAITING: "Pending",
    TaskState.RUNNING: "Running",
    TaskState.PAUSED: "Suspended",
    TaskState.CHILDREN: "Running",
    TaskState.COMPLETED: "Completed",
    TaskState.FAILED: "Exception",
    TaskState.CANCELLED: "Cancelled",
}


def task_document(task: Task) -> Document:
    """A Task."""
    address = f"{TASKS}/{task.id}"
    body: dict[str, Any] = {
        "@odata.id": address,
        "@odata.type": "#Task.v1_7_4.Task",
        "Id": task.id,
        "Name": shown(task.title) or task.kind,
        "TaskState": _state(task),
        "TaskStatus": _health(task),
        "PercentComplete": 100 if task.state is TaskState.COMPLETED else min(task.percent, 99),
        "StartTime": timestamp(task.created_at),
        "HidePayload": True,
        # `Severity` is for old clients' eyes on errors; here it is deprecated.
        "Messages": [{name: message[name] for name in message if name != "Severity"} for message in _messages(task)],
        "Oem": {
            "HawkFish": not_none(
                **{"@odata.type": "#HawkFishTask.v1_0_0.Task"},
                Kind=task.kind,
                Subject=task.subject,
                RequestedBy=task.actor,
                Progress=task.message or None,
                WaitsFor=_awaited(task),
                StartedAt=timestamp(task.started_at),
            )
        },
    }
    if task.ended:
        body["EndTime"] = timestamp(task.ended_at)
    else:
        body["TaskMonitor"] = f"{TASK_MONITORS}/{task.id}"
        cancel = {"target": f"{address}/Actions/Oem/HawkFishTask.Cancel"}
        body["Actions"] = {"Oem": {"#HawkFishTask.Cancel": cancel}}
    return Document(body, task.version)


def _awaited(task: Task) -> dict[str, str] | None:
    """The task that has to end before this one begins; it is there at least as long as this one waits."""
    waits = task.after_id is not None and task.state is TaskState.WAITING and task.epoch == 0
    return {"@odata.id": f"{TASKS}/{task.after_id}"} if waits else None


def _state(task: Task) -> str:
    if task.state in {TaskState.UNDOING, TaskState.UNDO_WAITING}:
        return "Cancelling" if task.abort_requested else "Stopping"
    return _STATES[task.state]


def _health(task: Task) -> str:
    if task.state is TaskState.FAILED:
        return "Critical"
    return "Warning" if task.error is not None or task.state is TaskState.CANCELLED else "OK"


def _messages(task: Task) -> list[dict[str, Any]]:
    if task.state is TaskState.COMPLETED:
        return [render("TaskCompletedOK", (task.id,), registry=TASK_EVENT)]
    if task.state is TaskState.CANCELLED:
        return [render("TaskCancelled", (task.id,), registry=TASK_EVENT, text=task.abort_reason)]
    if task.error is not None:
        return entries(task.error.revive())
    return [render("TaskProgressChanged", (task.id, str(task.percent)), registry=TASK_EVENT)]
