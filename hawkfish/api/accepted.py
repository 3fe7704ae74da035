"""Waits a little for a task that a request began, so that plain clients see plain answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import falcon

from hawkfish.api.documents import dump
from hawkfish.api.errors import ProtocolError
from hawkfish.api.links import TASK_MONITORS
from hawkfish.api.offload import offload_wait
from hawkfish.api.resources.tasks_body import task_document
from hawkfish.bootstrap import Application
from hawkfish.domain.tasks import Task, TaskState
from hawkfish.services.accepted import Accepted

LONGEST_KEY = 200


@dataclass(frozen=True)
class Outcome:
    """What became of the work while the request waited.

    Attributes:
        done: It ended well, and the plain answer is to be written; else 202 is written already.
        task: The task that did it; None where there was nothing to do.
    """

    done: bool
    task: Task | None = None

    def result(self, name: str) -> Any:
        """A value that a step of the finished task gave back."""
        steps = self.task.results.values() if self.task is not None else ()
        return next(step[name] for step in steps if isinstance(step, Mapping) and name in step)


def settle(req: falcon.Request, resp: falcon.Response, application: Application, accepted: Accepted) -> Outcome:
    """Waits for the end of the work, for as long as the settings say.

    Raises:
        HawkFishError: The task failed; this is why.
    """
    task = accepted.task
    if task is None:
        return Outcome(done=True)
    req.context.task = task.id  # its line in the log leads to those that the worker writes
    asynchronous = _wants_async(req)
    if not task.ended and not asynchronous:
        seconds = application.settings.sync_wait_ms / 1000
        task = offload_wait(application.tasks.wait, req.context.actor, task.id, seconds)
    if asynchronous or not task.ended:
        send_running(resp, task)
        if asynchronous:
            resp.set_header("Preference-Applied", "respond-async")
        return Outcome(done=False, task=task)
    raise_if_failed(application, task)
    return Outcome(done=True, task=task)


def raise_if_failed(application: Application, task: Task) -> None:
    """Raises why an ended task failed, if it did."""
    if task.state is not TaskState.COMPLETED:
        raise application.tasks.error_of(task)


def send_running(resp: falcon.Response, task: Task) -> None:
    """Answers 202 with the task, and with the address that gives the final answer.

    There is no Retry-After: the most used client fails over one in digits.
    """
    resp.status = 202
    resp.set_header("Location", f"{TASK_MONITORS}/{task.id}")
    resp.data = dump(task_document(task).body)


def idempotency_key(req: falcon.Request) -> str | None:
    """The caller's own name for this request."""
    key = req.get_header("Idempotency-Key")
    if key is not None and not (0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
        text = f"Idempotency-Key takes 1 to {LONGEST_KEY} printable ASCII characters."
        raise ProtocolError(400, "HeaderInvalid", "Idempotency-Key", text=text)
    return key


def _wants_async(req: falcon.Request) -> bool:
    preferences = (part.partition(";")[0].strip().lower() for part in (req.get_header("Prefer") or "").split(","))
    return "respond-async" in preferences
