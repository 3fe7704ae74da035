"""What a task is made of: steps with their undo, and the kinds that a worker knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hawkfish.db import UnitOfWork
from hawkfish.domain.tasks import Task, TaskError, TaskLane
from hawkfish.errors import ConfigurationError

if TYPE_CHECKING:
    from hawkfish.tasks.context import StepContext

Result = Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a task.

    Ask of each: what if the process dies right after it, what if it runs twice, how is it undone, who may run meanwhile?
    """

    name: str
    run: Callable[[StepContext], Result]
    """Changes the world, outside any transaction. Idempotent: after a crash it runs again from its beginning."""
    record: Callable[[UnitOfWork, StepContext, Result], None] | None = None
    """Writes what the step did, in the fenced transaction that records the step as done."""
    undo: Callable[[StepContext], None] | None = None
    """Takes the change back. Idempotent, and content where there is nothing (or only half of it) to take back."""
    record_undo: Callable[[UnitOfWork, StepContext], None] | None = None
    """Writes the same for the undo, in the fenced transaction that records it as done."""
    since: int = 1
    """Version of the kind in which the step was appended; tasks of an older version do not run it."""
    needed: Callable[[Task], bool] | None = None
    """Whether a task needs the step, as its arguments say, which never change; else it is passed over and records nothing."""

    def is_of(self, task: Task) -> bool:
        """Whether the task has this step."""
        return self.needed is None or self.needed(task)


@dataclass(frozen=True, kw_only=True)
class TaskKind:
    """A kind of task.

    Steps are only ever appended, each time with a new `version`: so a newer worker can go on with a task of an older one, and an
    older worker leaves newer tasks alone.
    """

    name: str
    steps: tuple[Step, ...]
    version: int = 1
    lane: TaskLane = TaskLane.NORMAL
    on_success: Callable[[UnitOfWork, Task], None] | None = None
    """In the transaction that ends the task as Completed."""
    on_failure: Callable[[UnitOfWork, Task, TaskError], None] | None = None
    """In the transaction that ends the task as Failed or Cancelled, after everything was undone; may run in any process."""

    def __post_init__(self) -> None:
        names = [step.name for step in self.steps]
        since = [step.since for step in self.steps]
        if not names or len(set(names)) != len(names):
            raise ConfigurationError(f"Task kind {self.name}: it needs steps with different names.", setting=self.name)
        if since != sorted(since) or since[-1] > self.version or since[0] < 1:
            raise ConfigurationError(
                f"Task kind {self.name}: steps are appended, each `since` a version up to {self.version}.",
                setting=self.name,
            )

    def steps_of(self, version: int) -> tuple[Step, ...]:
        """The steps of a task that was accepted with `version`."""
        return tuple(step for step in self.steps if step.since <= version)


@dataclass
class TaskRegistry:
    """The kinds that this process knows."""

    _kinds: dict[str, TaskKind] = field(default_factory=dict)

    @classmethod
    def of(cls, kinds: Iterable[TaskKind]) -> TaskRegistry:
        """A registry with some kinds."""
        registry = cls()
        for kind in kinds:
            registry.register(kind)
        return registry

    def register(self, kind: TaskKind) -> TaskKind:
        """Adds a kind."""
        if kind.name in self._kinds:
            raise ConfigurationError(f"Task kind {kind.name} is registered twice.", setting=kind.name)
        self._kinds[kind.name] = kind
        return kind

    def get(self, name: str) -> TaskKind:
        """The kind of that name."""
        kind = self._kinds.get(name)
        if kind is None:
            raise ConfigurationError(f"Task kind {name} is not known to this version of HawkFish.", setting=name)
        return kind

    def __contains__(self, name: str) -> bool:
        return name in self._kinds

    def __iter__(self) -> Iterator[TaskKind]:
        return iter(self._kinds.values())

    def versions(self) -> dict[str, int]:
        """Newest known version of each kind."""
        return {kind.name: kind.version for kind in self}
