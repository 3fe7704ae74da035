"""Kills a worker at one point after the other, and looks at what the next worker makes of it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.machines import PowerState
from hawkfish.domain.systems import SystemState
from hawkfish.domain.tasks import Task, TaskState
from hawkfish.services.accepted import Accepted
from hawkfish.testing.waiting import wait_until
from tests.support.service import Service, new_system

STEP_PLACES = ("before-run", "after-run", "record")
END_PLACES = ("record", "committed")


def step_points(service: Service, kind: str, *, without: str = "") -> set[str]:
    """The points between the steps of a kind, taken from the registry: a new step cannot be forgotten here."""
    steps = [step for step in service.application.registry.get(kind).steps if step.name != without]
    points = {f"{kind}/{step.name}/{place}" for step in steps for place in STEP_PLACES}
    return points | {f"{kind}/end/{place}" for place in END_PLACES}


def undo_points(service: Service, kind: str, failing: str) -> set[str]:
    """The points of undoing a task that failed in the step `failing`."""
    steps = service.application.registry.get(kind).steps
    begun = steps[: [step.name for step in steps].index(failing) + 1]
    points = {f"{kind}/{step.name}/record-undo" for step in begun}
    points |= {f"{kind}/{step.name}/{place}-undo" for step in begun if step.undo for place in ("before", "after")}
    return points | {f"{kind}/{failing}/failed-run"} | {f"{kind}/end/{place}" for place in END_PLACES}


def trace(service: Service, submit: Callable[[], Accepted]) -> list[str]:
    """All points that a task reaches when nobody is killed."""
    service.kill_worker()
    trail = service.folder / f"trail-{time.monotonic_ns()}"
    accepted = submit()
    service.start_worker(trail=str(trail))
    task = service.wait(accepted.task)
    wait_until(lambda: f"{task.kind}/end/committed" in trail.read_text(), "the end of the task")
    service.kill_worker()
    return [point for point in trail.read_text().split() if point.startswith(f"{task.kind}/")]


def kill_at(
    service: Service, points: Iterable[str], submit: Callable[[], Accepted], check: Callable[[Task], list[str]]
) -> None:
    """Kills a worker at each point; `check` names what is wrong after the next worker has done its work."""
    wrong = []
    takeover = 15.0  # of a worker that was seen to fall; by its lease it would be twice as long
    for point in points:
        service.kill_worker()
        accepted = submit()
        assert accepted.task is not None
        victim = service.start_worker(point=point)
        status = service.crew.wait_end(victim, meant=f"to die at {point}")
        assert status == -signal.SIGKILL, f"{point} was never reached: the worker ended with {status}"
        left_behind = service.application.tasks.get(SYSTEM_ACTOR, accepted.task.id)
        service.start_ready_worker()
        ready_at = datetime.now(UTC)
        task = service.wait(accepted.task)
        faults = [*check(task), *service.remains()]
        # One that waits for its children is nobody's: what died a moment after the middle of a call may have left it so.
        if not left_behind.ended and left_behind.state is not TaskState.CHILDREN:
            history = service.application.tasks.history(SYSTEM_ACTOR, task.id)
            taken = [line.at for line in history if line.event == "taken-over"]
            if len(taken) != 1:
                faults.append(f"it was taken over {len(taken)} times")
            elif (taken[0] - ready_at).total_seconds() > takeover:
                faults.append(f"it was taken over only at {taken[0]}, and the worker was ready at {ready_at}")
        wrong += [f"killed at {point}, then {task.state}: {fault}" for fault in faults]
    assert not wrong, "\n".join(wrong)


class Creation:
    """Creates systems, each with a new name."""

    def __init__(self, service: Service, *, prefix: str, **system: Any) -> None:
        self.service = service
        self.prefix = prefix
        self.system = system
        self.number = 0

    def submit(self) -> Accepted:
        """Asks for one."""
        self.number += 1
        system = new_system(f"{self.prefix}{self.number}", **self.system)
        return self.service.application.systems.create(SYSTEM_ACTOR, system)

    def check_made(self, task: Task) -> list[str]:
        """What is wrong with a system that was to be made."""
        found = [] if task.state is TaskState.COMPLETED else [f"{task.state}: {task.error}"]
        system = self.service.find(task.arguments["system_id"])
        if system is None:
            return [*found, "there is no system"]
        machine = self.service.machines().get(system.id)
        wanted = PowerState.ON if self.system.get("power_on") else PowerState.OFF
        if system.state is not SystemState.READY or system.power_state is not wanted or system.stale:
            found.append(f"it reads {system.state}, {system.power_state}, stale: {system.stale}")
        if machine is None or machine.power_state is not wanted:
            found.append(f"its machine is {machine}")
        elif machine.run_id != system.run_id:
            found.append(f"it reads run {system.run_id} and its machine has {machine.run_id}")
        # Emulated guests take the processor from the tests that follow.
        self.service.application.drivers.driver(system.host_id).power_off_machine(system.id)
        return found

    def check_undone(self, task: Task) -> list[str]:
        """What is wrong after a system could not be made."""
        found = [] if task.state is TaskState.FAILED else [f"{task.state}: {task.error}"]
        if self.service.find(task.arguments["system_id"]) is not None:
            found.append("the system is there")
        return found


class BatchCreation:
    """Creates batches of three systems, each with new names."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.number = 0

    def submit(self) -> Accepted:
        """Asks for one."""
        self.number += 1
        pattern = replace(new_system("batch"), host=str(self.service.host_id))
        names = [f"batch{self.number}-{member}" for member in range(3)]
        return self.service.application.systems.create_batch(SYSTEM_ACTOR, pattern, names)

    def check(self, task: Task) -> list[str]:
        """What is wrong with a batch that was to be made; that none is half made is seen by what remains."""
        found = [] if task.state is TaskState.COMPLETED else [f"{task.state}: {task.error}"]
        systems = [self.service.find(item) for item in task.arguments["system_ids"]]
        return found + ["a system is missing"] * systems.count(None)


class Deletion:
    """Deletes systems that were made before."""

    def __init__(self, service: Service, creation: Creation, count: int) -> None:
        self.service = service
        service.kill_worker()
        service.start_ready_worker()
        made = [creation.submit() for _ in range(count)]
        for accepted in made:
            task = service.wait(accepted.task)
            assert task.state is TaskState.COMPLETED, task.error
        self.systems = [accepted.subject_id for accepted in made]

    def submit(self) -> Accepted:
        """Asks for the end of one."""
        return self.service.application.systems.delete(SYSTEM_ACTOR, self.systems.pop())

    def check(self, task: Task) -> list[str]:
        """What is wrong after a system was to be deleted."""
        found = [] if task.state is TaskState.COMPLETED else [f"{task.state}: {task.error}"]
        if self.service.find(task.arguments["system_id"]) is not None:
            found.append("the system is there")
        return found
