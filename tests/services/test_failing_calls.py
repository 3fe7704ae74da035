"""Whatever call to a driver fails, before it acted or after, a system is afterwards whole or was never there.

The real task engine does the real work on a simulated host, once for each call that the work makes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest

from hawkfish.bootstrap import Application
from hawkfish.config import load_settings
from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.machines import PowerState
from hawkfish.domain.systems import NewDisk, NewSystem, ResetType, System, SystemChanges, SystemState
from hawkfish.domain.tasks import Task, TaskState
from hawkfish.errors import NotFound
from hawkfish.services.accepted import Accepted
from hawkfish.services.observation import Observer
from hawkfish.tasks import Runner, RunnerSettings
from hawkfish.testing.faults import FailAt, FaultInjector, Moment, broken, every_failure, timed_out
from hawkfish.testing.simulator import running_simulator
from tests.support.installation import PATIENT_LEASE
from tests.support.service import NO_HOST, Inspection

pytestmark = pytest.mark.slow

MIB = 2**20
SECONDS = 60.0


@dataclass
class Bench(Inspection):
    """An installation whose drivers fail on demand; only its tasks call them."""

    application: Application
    injector: FaultInjector
    host_id: UUID = NO_HOST
    foreign: frozenset[UUID] = field(default_factory=frozenset)

    def run(self, fault: FailAt, ask: Callable[[], Accepted]) -> Task:
        """Does work while a call of it fails; afterwards the host is looked at."""
        self.injector.plan = fault
        try:
            ended = self.wait(ask().task, SECONDS)
        finally:
            self.injector.plan = None
        if not fault.fired:
            assert ended.state is TaskState.COMPLETED, ended.error
        assert Observer(self.application.database, self.application.drivers).sweep(self.host_id)
        return ended

    def run_whole(self, fault: FailAt, ask: Callable[[], Accepted]) -> Task:
        """The same for work after which nothing may be half done."""
        ended = self.run(fault, ask)
        assert self.remains() == [], fault
        return ended

    def create(self) -> Accepted:
        disks = (NewDisk(capacity_bytes=MIB), NewDisk(image="raw.img", capacity_bytes=2 * MIB))
        new = NewSystem(name="web", vcpus=1, memory_mib=128, disks=disks, power_on=True)
        return self.application.systems.create(SYSTEM_ACTOR, new)

    def created(self) -> System:
        accepted = self.create()
        assert self.wait(accepted.task).state is TaskState.COMPLETED
        return self.get(accepted.subject_id)

    def get(self, system_id: UUID) -> System:
        return self.application.systems.get(SYSTEM_ACTOR, system_id)

    def reset(self, system: System, reset_type: ResetType) -> Accepted:
        return self.application.systems.reset(SYSTEM_ACTOR, system.id, reset_type)

    def is_honest(self, system: System, fault: FailAt) -> PowerState | None:
        """The system shows what its machine is; gives its power state."""
        shown, machine = self.get(system.id), self.machines()[system.id]
        assert (shown.power_state, shown.state) == (machine.power_state, SystemState.READY), fault
        assert len(machine.disk_ids) == len(shown.disks)
        return shown.power_state


@pytest.fixture
def bench(database_url: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    application = Application.open(load_settings({}, data_dir=tmp_path, database_url=database_url, graceful_timeout=8))
    injector = FaultInjector()
    make = application.plugins.create_compute_driver
    monkeypatch.setattr(application.plugins, "create_compute_driver", lambda *given: injector.wrap(make(*given)))
    folder = application.settings.image_folders[0]
    folder.mkdir(exist_ok=True)
    (folder / "raw.img").write_bytes(b"\0hawkfish" * 1000)
    settings = RunnerSettings(undo_backoff=0.02, poll=0.05, lease=PATIENT_LEASE)
    runner = Runner(application.database, application.registry, settings)
    stop = threading.Event()
    thread = threading.Thread(target=runner.run, args=(stop,))
    with running_simulator(tmp_path):
        thread.start()
        try:
            made = Bench(application, injector)
            made.add_host("simulated", "simulated:///rack1?boot_seconds=0&shutdown_seconds=0")
            yield made
        finally:
            stop.set()
            thread.join(SECONDS)
            application.close()


@pytest.mark.parametrize(
    "database_url", ["sqlite"], indirect=True
)  # what calls leave behind is no matter of the database
def test_a_creation_is_whole_or_leaves_nothing(bench):
    calls = []
    for fault in every_failure(errors=(timed_out, broken)):
        accepted = None

        def ask():
            nonlocal accepted
            accepted = bench.create()
            return accepted

        ended = bench.run_whole(fault, ask)
        calls = fault.calls
        if ended.state is TaskState.COMPLETED:
            assert bench.is_honest(bench.get(accepted.subject_id), fault) is PowerState.ON
            bench.delete_all()
        else:
            with pytest.raises(NotFound):
                bench.get(accepted.subject_id)
        assert (bench.machines(), bench.volumes()) == ({}, set()), fault
    assert {"create_volume", "upload_volume", "resize_volume", "define_machine", "start_machine"} <= set(calls)


def test_a_creation_whose_undo_fails_too_leaves_nothing(bench):
    for fault in every_failure(moments=(Moment.AFTER,), times=4):
        if bench.run_whole(fault, bench.create).state is TaskState.COMPLETED:
            bench.delete_all()
        assert (bench.machines(), bench.volumes()) == ({}, set()), fault


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # what differs is in the driver's calls
@pytest.mark.parametrize(
    ("before", "reset_type", "after"),
    [
        (PowerState.OFF, ResetType.ON, PowerState.ON),
        (PowerState.ON, ResetType.FORCE_OFF, PowerState.OFF),
        (PowerState.ON, ResetType.GRACEFUL_SHUTDOWN, PowerState.OFF),
        (PowerState.ON, ResetType.FORCE_RESTART, PowerState.ON),
        (PowerState.ON, ResetType.POWER_CYCLE, PowerState.ON),
    ],
)
def test_power_is_shown_as_it_is_and_reached_when_asked_again(bench, before, reset_type, after):
    system = bench.created()
    for fault in every_failure():
        if bench.get(system.id).power_state is not before:
            bench.wait(bench.reset(system, ResetType.ON if before is PowerState.ON else ResetType.FORCE_OFF).task)
        ended = bench.run_whole(fault, lambda: bench.reset(system, reset_type))
        shown = bench.is_honest(system, fault)
        if ended.state is TaskState.COMPLETED:
            assert shown is after, fault
        assert bench.wait(bench.reset(system, reset_type).task).state is TaskState.COMPLETED, fault
        assert bench.is_honest(system, fault) is after


def test_a_change_is_made_or_not(bench):
    system = bench.created()
    bench.wait(bench.reset(system, ResetType.FORCE_OFF).task)
    for number, fault in enumerate(every_failure(), start=1):
        before = bench.get(system.id).memory_mib
        wanted = 128 + number
        ended = bench.run_whole(
            fault,
            lambda wanted=wanted: bench.application.systems.update(
                SYSTEM_ACTOR, system.id, SystemChanges(memory_mib=wanted)
            ),
        )
        expected = wanted if ended.state is TaskState.COMPLETED else before
        assert bench.get(system.id).memory_mib == expected, fault
        assert bench.machines()[system.id].memory_mib == expected, fault


def test_a_deletion_is_whole_or_can_be_asked_again(bench):
    for fault in every_failure():
        system = bench.created()
        bench.wait(bench.reset(system, ResetType.FORCE_OFF).task)
        ended = bench.run(fault, lambda system=system: bench.application.systems.delete(SYSTEM_ACTOR, system.id))
        if ended.state is not TaskState.COMPLETED:
            assert bench.get(system.id).state in {SystemState.READY, SystemState.FAILED}, fault
            assert bench.wait(bench.application.systems.delete(SYSTEM_ACTOR, system.id).task).state is (
                TaskState.COMPLETED
            ), fault
        with pytest.raises(NotFound):
            bench.get(system.id)
        assert (bench.machines(), bench.volumes()) == ({}, set()), fault
