"""Clients insert, eject, start, stop, repeat and change their minds, from slow servers and under workers that are killed.

Whatever the schedule: a machine is started with the very medium that was accepted before its power-on, and ends with the last one.
"""

from __future__ import annotations

import contextlib
import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.media import MediaRequest
from hawkfish.domain.systems import ResetType
from hawkfish.domain.tasks import Task, TaskState
from hawkfish.errors import Conflict, InUse
from tests.support.file_server import FileServer, Plan
from tests.support.iso import iso
from tests.support.service import Service, new_system

pytestmark = pytest.mark.slow

IMAGES = "abc"
SYSTEMS = 2
CHANGES = {"media.insert", "media.eject"}
STARTS = (ResetType.ON, ResetType.FORCE_RESTART, ResetType.POWER_CYCLE)
number = iter(range(10_000))


class Order(RuleBasedStateMachine):
    """Only asks; what became of it all is judged at the end, when everything has ended."""

    def __init__(self, service: Service, server: FileServer) -> None:
        super().__init__()
        self.service = service
        self.server = server
        self.starts = service.folder / f"starts-{next(number)}"
        self.starts.touch()
        self.accepted: dict[str, Task] = {}
        self.gates: list[threading.Event] = []

    @initialize()
    def make(self) -> None:
        self.service.kill_worker()
        self.work()
        names = [f"order{next(number)}" for _ in range(SYSTEMS)]
        pattern = replace(new_system("order"), host=str(self.service.host_id), disks=())
        task = self.service.wait(self.service.application.systems.create_batch(SYSTEM_ACTOR, pattern, names).task)
        self.systems = [UUID(item) for item in task.arguments["system_ids"]]
        self.addresses = {}
        for name in IMAGES:
            path = f"/{name}-{next(number)}.iso"
            self.server.plans[path] = Plan(iso(name), etag=f'"{name}"')
            self.addresses[name] = path

    def work(self) -> None:
        self.service.worker = self.service.start_worker(starts=str(self.starts))

    def take(self, task: Task | None) -> None:
        if task is not None:
            self.accepted[task.id] = task

    @rule(system=st.integers(0, SYSTEMS - 1), image=st.sampled_from(IMAGES), repeated=st.booleans())
    def insert(self, system: int, image: str, repeated: bool) -> None:
        media, system_id = self.service.application.media, self.systems[system]
        request = MediaRequest(image=self.server.url(self.addresses[image]))
        for _ in range(1 + repeated):
            try:
                self.take(media.insert(SYSTEM_ACTOR, system_id, "Cd", request).task)
            except InUse:  # another one is inserted
                return
        shown = media.get(SYSTEM_ACTOR, system_id, "Cd")
        assert shown.source is not None
        assert shown.source.url == request.image, "it reads back at once"

    @rule(system=st.integers(0, SYSTEMS - 1))
    def eject(self, system: int) -> None:
        media = self.service.application.media
        self.take(media.eject(SYSTEM_ACTOR, self.systems[system], "Cd").task)
        assert media.get(SYSTEM_ACTOR, self.systems[system], "Cd").source is None

    @rule(system=st.integers(0, SYSTEMS - 1), reset_type=st.sampled_from(STARTS))
    def start(self, system: int, reset_type: ResetType) -> None:
        self.take(self.service.application.systems.reset(SYSTEM_ACTOR, self.systems[system], reset_type).task)

    @rule(system=st.integers(0, SYSTEMS - 1))
    def cut(self, system: int) -> None:
        self.take(self.service.application.systems.reset(SYSTEM_ACTOR, self.systems[system], ResetType.FORCE_OFF).task)

    @rule(pick=st.randoms(use_true_random=False))
    def abort(self, pick: Any) -> None:
        waiting = sorted(task for task in self.accepted if self.accepted[task].kind in CHANGES)
        if waiting:
            with contextlib.suppress(Conflict):  # it has ended
                self.service.application.tasks.cancel(SYSTEM_ACTOR, pick.choice(waiting))

    @rule(image=st.sampled_from(IMAGES))
    def slow_down(self, image: str) -> None:
        """From now on this image comes by half, until the gate is opened."""
        gate = threading.Event()
        self.gates.append(gate)
        self.server.plans[self.addresses[image]] = Plan(iso(image), gate=gate)

    @rule()
    def open_gates(self) -> None:
        for gate in self.gates:
            gate.set()

    @rule()
    def kill(self) -> None:
        self.service.kill_worker()
        self.work()

    def teardown(self) -> None:
        if not hasattr(self, "systems"):
            return
        self.open_gates()
        ended = {task_id: self.service.wait(task, 60) for task_id, task in self.accepted.items()}
        noted = [json.loads(line) for line in self.starts.read_text().splitlines()]
        for system_id in self.systems:
            mine = sorted((task for task in ended.values() if _is_of(task, system_id)), key=lambda task: task.number)
            for note in noted:
                started = ended.get(note["task"])
                if started in mine:
                    expected = self.content(mine, before=started.number)
                    found = None if note["medium"] is None else Path(note["medium"]).read_bytes()
                    assert found == expected, f"{started.title} began with another medium than was accepted before it"
            medium = dict(self.service.machines()[system_id].media)["Cd"]
            found = None if medium is None else Path(medium).read_bytes()
            assert found == self.content(mine, before=1 << 62), "the last that was accepted is in the drive"
            for task in mine:
                if task.kind not in CHANGES:
                    assert task.state in {TaskState.COMPLETED, TaskState.CANCELLED}, task.error

    def content(self, tasks: list[Task], *, before: int) -> bytes | None:
        """What is in the drive once all changes that were accepted before that number have been done or cancelled."""
        found = None
        for task in tasks:
            if task.number < before and task.kind in CHANGES and task.state is TaskState.COMPLETED:
                inserted = [name for name in IMAGES if f"{self.addresses[name][1:]} " in f"{task.title} "]
                found = iso(inserted[0]) if inserted else None
        return found


def _is_of(task: Task, system_id: UUID) -> bool:
    return bool(task.arguments["system_id"] == str(system_id))


def test_no_machine_starts_without_the_medium_that_was_accepted_before(service_on_either: Service) -> None:
    with FileServer() as server:
        run_state_machine_as_test(
            lambda: Order(service_on_either, server),
            settings=settings(
                max_examples=12,
                stateful_step_count=16,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            ),
        )
