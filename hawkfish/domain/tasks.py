"""Durable tasks as everyone sees them."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import hawkfish.errors
from hawkfish.errors import HawkFishError


class TaskState(enum.StrEnum):
    """Where a task stands."""

    WAITING = "Waiting"
    """In line: not begun, or handed on by a worker that died or stopped."""
    RUNNING = "Running"
    PAUSED = "Paused"
    """Held by request; it keeps its place in line."""
    CHILDREN = "WaitingForChildren"
    """It occupies no worker until its children have ended."""
    UNDOING = "Undoing"
    """A worker takes back what was done."""
    UNDO_WAITING = "UndoWaiting"
    """What was done is still to be taken back: waiting for a worker, or to try again what failed."""
    COMPLETED = "Completed"
    FAILED = "Failed"
    """It failed, and what had been done was undone."""
    CANCELLED = "Cancelled"
    """It was aborted by request, and what had been done was undone."""

    @property
    def ended(self) -> bool:
        """Whether the task will not change any more."""
        return self in ENDED


ENDED = frozenset({TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELLED})


class TaskLane(enum.StrEnum):
    """How a task stands in line."""

    NORMAL = "normal"
    URGENT = "urgent"
    """Runs at once, whoever is ahead; those accepted after it still wait for it."""


@dataclass(frozen=True)
class Limit:
    """No more than `count` tasks that bear `key` run at once."""

    key: str
    count: int


@dataclass(frozen=True)
class TaskError:
    """Why a task failed: an error of `hawkfish.errors`, as it is stored."""

    name: str
    message: str
    data: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, error: BaseException) -> TaskError:
        """Describes an exception; what was not raised on purpose tells its text to the log only."""
        if isinstance(error, HawkFishError):
            return cls(type(error).__name__, error.message, error.data)
        return cls("HawkFishError", "The task met an error inside the service; the log of the worker has the details.")

    def revive(self) -> HawkFishError:
        """The error as an exception of the class it was raised with."""
        kind = getattr(hawkfish.errors, self.name, HawkFishError)
        error: HawkFishError = kind.__new__(kind)
        HawkFishError.__init__(error, self.message, **self.data)
        return error


@dataclass(frozen=True)
class TaskMessage:
    """One line of a task's history."""

    at: datetime
    event: str
    """`accepted`, `started`, `step`, `message`, `undo`, `undo-failed`, `taken-over`, `ended`, ..."""
    message: str
    step: str | None = None
    epoch: int = 0


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task at one moment."""

    id: str
    number: int
    """Place in the order of acceptance."""
    kind: str
    kind_version: int
    state: TaskState
    lane: TaskLane
    title: str
    actor: str
    subject: str
    project: str | None
    arguments: Mapping[str, Any]
    results: Mapping[str, Any]
    """What each finished step returned, by the step's name."""
    locks: tuple[str, ...]
    parent_id: str | None
    children_left: int
    cancelled_ids: tuple[str, ...]
    """The tasks that this one cancelled when it was accepted."""
    position: int
    """Index of the step to do, or to undo, next."""
    step_begun: bool
    """Whether the step at `position` may have begun."""
    undoing: bool
    undo_failures: int
    epoch: int
    """The fence: raised whenever the task gets or loses a worker."""
    worker_id: int | None
    percent: int
    message: str
    error: TaskError | None
    abort_requested: bool
    abort_reason: str | None
    pause_requested: bool
    deadline: datetime | None
    deadline_reason: str | None
    """What is said if it has not ended by then."""
    after_id: str | None
    """The task that it waits for, wherever that stands in line."""
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    updated_at: datetime
    version: int

    @property
    def ended(self) -> bool:
        """Whether the task will not change any more."""
        return self.state.ended
