from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from hawkfish.db import Database
from hawkfish.tasks import Runner, RunnerSettings, Step, TaskKind, TaskQueue, TaskRegistry

# The lease is long: a worker whose beat is late gives up, and on a loaded machine a beat may be seconds late.
QUICK = RunnerSettings(threads=8, lease=60.0, poll=0.1, sweep=0.2, grace=5.0, undo_backoff=0.1)


class Lab:
    """A registry, a queue, and workers that run in this process."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.registry = TaskRegistry()
        self.queue = TaskQueue(database, self.registry)
        self.lost = threading.Event()

    def kind(self, name: str, *runs: Callable, **options) -> TaskKind:
        """Registers a kind from bare step functions."""
        steps = tuple(
            run if isinstance(run, Step) else Step(name=f"step{index}", run=run) for index, run in enumerate(runs)
        )
        return self.registry.register(TaskKind(name=name, steps=steps, **options))

    def submit(self, kind: str, **options):
        with self.database.write() as uow:
            defaults = {"title": kind, "actor": "tester", "subject": "thing:1"}
            return self.queue.submit(uow, kind, **{**defaults, **options})

    def get(self, task):
        with self.database.read() as uow:
            return uow.tasks.get(task.id)

    def wait(self, task, timeout: float = 60):
        ended = self.queue.wait(task.id, timeout)
        assert ended.ended, ended
        return ended

    def events(self, task) -> list[str]:
        with self.database.read() as uow:
            return [line.event for line in uow.tasks.history(task.id)]

    def call(self, method: str, task, **options):
        with self.database.write() as uow:
            return getattr(self.queue, method)(uow, task.id, **options)

    @contextmanager
    def worker(self, settings: RunnerSettings = QUICK, registry: TaskRegistry | None = None) -> Iterator[Runner]:
        stop = threading.Event()
        runner = Runner(self.database, registry or self.registry, settings, on_lost=self.lost.set)
        thread = threading.Thread(target=runner.run, args=(stop,))
        thread.start()
        try:
            yield runner
        finally:
            stop.set()
            thread.join(30)
            assert not thread.is_alive()


@pytest.fixture
def lab(database: Database) -> Lab:
    return Lab(database)
