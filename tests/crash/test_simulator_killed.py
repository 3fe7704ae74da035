"""The hypervisor's process killed and started again, and orders of power that cross each other."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.hosts import HostState
from hawkfish.domain.machines import BootDevice, PowerState
from hawkfish.domain.systems import BootOverrideEnabled, ResetType, System, SystemChanges
from hawkfish.domain.tasks import TaskState
from hawkfish.errors import HawkFishError, HostUnavailable
from hawkfish.plugins.compute import SupportsSerialLog
from hawkfish.services.accepted import Accepted
from hawkfish.testing.waiting import wait_until
from tests.crash.conftest import URI
from tests.support.service import Service, SimulatorProcess, new_system

pytestmark = pytest.mark.slow

NUMBERS = itertools.count(1)
DRIVER_TIMEOUT = 15.0


@pytest.fixture(scope="module")
def service(open_service: Callable[..., Service]) -> Service:
    service = open_service(sweep_seconds=1.0, driver_timeout=DRIVER_TIMEOUT, host_down_seconds=3.0)
    service.start_ready_worker()
    service.add_host("simulated", URI)
    return service


@pytest.fixture
def simulator(service: Service) -> SimulatorProcess:
    assert service.simulator is not None
    # What is asked of a host that is Down is refused at once, and the test before may have left it so.
    wait_until(lambda: host_state(service) is HostState.UP, "the host Up")
    return service.simulator


def make(service: Service, *, power_on: bool = False) -> UUID:
    accepted = service.application.systems.create(SYSTEM_ACTOR, new_system(f"m{next(NUMBERS)}", power_on=power_on))
    assert service.wait(accepted.task).state is TaskState.COMPLETED
    return accepted.subject_id


def reset(service: Service, system_id: UUID, reset_type: ResetType) -> Accepted:
    return service.application.systems.reset(SYSTEM_ACTOR, system_id, reset_type)


def is_reached(service: Service) -> bool:
    """Whether the test's own connection to the host is there again."""
    try:
        service.machines()
    except HawkFishError:
        return False
    return True


def wait_state(service: Service, accepted: Accepted, *states: TaskState) -> None:
    task = accepted.task
    assert task is not None
    wait_until(lambda: service.application.tasks.get(SYSTEM_ACTOR, task.id).state in states, f"{states}")


def read(service: Service, system_id: UUID) -> System:
    return service.application.systems.get(SYSTEM_ACTOR, system_id)


def host_state(service: Service) -> HostState:
    return service.application.hosts.get(SYSTEM_ACTOR, service.host_id).state


def is_right(service: Service, system_id: UUID, power: PowerState) -> bool:
    """Whether it is shown as it is to be, and our own connection is back too, by which the tests look at what remains."""
    try:
        service.machines()
    except HostUnavailable:
        return False
    system = read(service, system_id)
    return host_state(service) is HostState.UP and not system.stale and system.power_state is power


def test_a_dead_hypervisor_marks_its_systems_stale_and_comes_back(
    service: Service, simulator: SimulatorProcess
) -> None:
    on, off = make(service, power_on=True), make(service)
    before = read(service, on).run_id
    simulator.kill()
    try:
        wait_until(lambda: read(service, on).stale and read(service, off).stale, "stale systems")
        assert host_state(service) in {HostState.SUSPECT, HostState.DOWN}
        assert read(service, on).power_state is PowerState.ON  # never Off because nobody answers
        wait_until(lambda: host_state(service) is HostState.DOWN, "the host Down")
        failed = service.wait(reset(service, off, ResetType.ON).task)
        assert failed.state is TaskState.FAILED
        assert failed.error is not None
        assert failed.error.name in {"HostUnavailable", "BackendTimeout"}
    finally:
        simulator.start()
    wait_until(lambda: is_right(service, on, PowerState.ON) and is_right(service, off, PowerState.OFF), "the truth")
    assert read(service, on).run_id == before
    assert service.wait(reset(service, off, ResetType.ON).task).state is TaskState.COMPLETED
    assert service.remains() == []


def test_what_changed_while_nobody_looked_is_seen_after_the_restart(
    service: Service, simulator: SimulatorProcess
) -> None:
    on, off = make(service, power_on=True), make(service)
    service.kill_worker()
    driver = service.application.drivers.driver(service.host_id)
    driver.power_off_machine(on)
    driver.start_machine(off)
    simulator.kill()
    service.start_ready_worker()
    simulator.start()
    wait_until(lambda: is_right(service, on, PowerState.OFF) and is_right(service, off, PowerState.ON), "the truth")


def test_an_override_for_once_survives_a_restart_of_its_host_and_of_the_worker(
    service: Service, simulator: SimulatorProcess
) -> None:
    system_id = make(service)
    changes = SystemChanges(boot_enabled=BootOverrideEnabled.ONCE, boot_device=BootDevice.CD, boot_device_given=True)
    service.application.systems.update(SYSTEM_ACTOR, system_id, changes)
    service.kill_worker()
    simulator.kill()
    service.start_ready_worker()
    simulator.start()
    wait_until(lambda: is_right(service, system_id, PowerState.OFF), "the truth")
    pending = read(service, system_id).boot
    assert (pending.enabled, pending.device) == (BootOverrideEnabled.ONCE, BootDevice.CD)
    driver = service.application.drivers.driver(service.host_id)
    assert isinstance(driver, SupportsSerialLog)
    driver.open()  # its connection went with the host
    tried = []
    for _ in range(2):
        assert service.wait(reset(service, system_id, ResetType.ON).task).state is TaskState.COMPLETED
        assert read(service, system_id).boot.enabled is BootOverrideEnabled.DISABLED
        text = driver.read_serial_log(system_id, 0, 1 << 16).decode()
        tried.append(text.rpartition("HawkFish simulated ")[2].partition("Trying ")[2].partition(":")[0])
        assert service.wait(reset(service, system_id, ResetType.FORCE_OFF).task).state is TaskState.COMPLETED
    assert tried == ["cd", "disk"]


def test_force_off_while_an_on_hangs_ends_off(service: Service, simulator: SimulatorProcess) -> None:
    system = make(service)
    with simulator.control() as control:
        control.fail("start_machine", kind="delay", seconds=1.0)
        on = reset(service, system, ResetType.ON)
        wait_state(service, on, TaskState.RUNNING)
        begun = time.monotonic()
        off = reset(service, system, ResetType.FORCE_OFF)
        assert service.wait(off.task).state is TaskState.COMPLETED
        assert time.monotonic() - begun < DRIVER_TIMEOUT, (
            "it waits for the call that is under way, which takes a second"
        )
    assert service.wait(on.task).state in {TaskState.CANCELLED, TaskState.COMPLETED}
    assert service.machines()[system].power_state is PowerState.OFF
    wait_until(lambda: is_right(service, system, PowerState.OFF), "Off")
    assert service.remains() == []


def test_force_off_never_tells_off_while_a_start_is_under_way(service: Service, simulator: SimulatorProcess) -> None:
    """The start hangs for longer than a ForceOff waits for it: what it says at its end is true a moment later too."""
    system = make(service)
    with simulator.control() as control:
        control.fail("start_machine", kind="hang")
        on = reset(service, system, ResetType.ON)
        wait_state(service, on, TaskState.RUNNING)
        off = reset(service, system, ResetType.FORCE_OFF)
        assert off.task is not None
        assert not service.application.tasks.wait(SYSTEM_ACTOR, off.task.id, 1.0).ended
        control.clear_faults()
        assert service.wait(off.task).state is TaskState.COMPLETED
    assert service.machines()[system].power_state is PowerState.OFF
    wait_until(lambda: is_right(service, system, PowerState.OFF), "Off")


def test_a_worker_killed_under_force_off_and_on_ends_off(service: Service, simulator: SimulatorProcess) -> None:
    system = make(service)
    with simulator.control() as control:
        control.fail("start_machine", kind="delay", seconds=0.5)
        on = reset(service, system, ResetType.ON)
        wait_state(service, on, TaskState.RUNNING)
        off = reset(service, system, ResetType.FORCE_OFF)
        service.kill_worker()
        service.start_ready_worker()
        assert service.wait(off.task).state is TaskState.COMPLETED
    assert service.wait(on.task).ended
    wait_until(lambda: is_right(service, system, PowerState.OFF), "Off")
    assert service.remains() == []


def test_power_ends_as_the_last_request_wants(service: Service) -> None:
    """Whatever is asked in whatever order and pace, the last accepted request decides, and nothing is left."""
    system = make(service)

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.lists(
            st.tuples(
                st.sampled_from([ResetType.ON, ResetType.FORCE_OFF, ResetType.FORCE_RESTART, ResetType.POWER_CYCLE]),
                st.sampled_from(["at once", "a moment later", "when it has ended"]),
            ),
            min_size=1,
            max_size=6,
        )
    )
    def check(requests: list[tuple[ResetType, str]]) -> None:
        tasks = []
        for reset_type, pace in requests:
            task = reset(service, system, reset_type).task
            assert task is not None
            tasks.append(task)
            shown = read(service, system).power_state
            if task.kind == "system.force-off":
                assert shown in {PowerState.OFF, PowerState.POWERING_OFF}, shown
            if pace != "at once":
                service.application.tasks.wait(SYSTEM_ACTOR, task.id, 0.01 if pace == "a moment later" else 20)
        states = [service.wait(task).state for task in tasks]
        assert set(states) <= {TaskState.COMPLETED, TaskState.CANCELLED}
        assert states[-1] is TaskState.COMPLETED
        wanted = PowerState.OFF if requests[-1][0] is ResetType.FORCE_OFF else PowerState.ON
        assert service.machines()[system].power_state is wanted
        wait_until(lambda: is_right(service, system, wanted), f"{wanted}")
        assert service.remains() == []

    check()


def test_no_system_is_placed_on_a_host_that_is_away(service: Service, simulator: SimulatorProcess) -> None:
    system = make(service, power_on=True)
    simulator.kill()
    try:
        wait_until(lambda: read(service, system).stale, "stale systems")
        with pytest.raises(HawkFishError):
            service.application.systems.create(SYSTEM_ACTOR, new_system("nowhere"))
    finally:
        simulator.start()
    wait_until(lambda: is_right(service, system, PowerState.ON), "the truth")
    wait_until(lambda: service.remains() == [], "an end without remains")


def test_a_creation_that_loses_its_host_is_undone_when_the_host_is_back(
    service: Service, simulator: SimulatorProcess
) -> None:
    with simulator.control() as control:
        control.fail("start_machine", kind="hang")
        accepted = service.application.systems.create(SYSTEM_ACTOR, new_system("cut-off", power_on=True))
        wait_until(lambda: accepted.subject_id in service.machines(), "the machine")
    simulator.kill()
    try:
        wait_state(service, accepted, TaskState.UNDOING, TaskState.UNDO_WAITING)
    finally:
        simulator.start()
    task = service.wait(accepted.task)
    assert task.state is TaskState.FAILED
    assert task.error is not None
    assert task.error.name == "HostUnavailable"
    wait_until(lambda: is_reached(service), "a connection of the test's own")
    assert service.remains() == []


def test_a_deletion_behind_a_force_off_waits_for_it(service: Service) -> None:
    system = make(service, power_on=True)
    service.kill_worker()
    off = reset(service, system, ResetType.FORCE_OFF)
    gone = service.application.systems.delete(SYSTEM_ACTOR, system)
    service.start_ready_worker()
    assert service.wait(off.task).state is TaskState.COMPLETED
    assert service.wait(gone.task).state is TaskState.COMPLETED
    assert service.find(system) is None
    assert service.remains() == []


def test_a_deletion_never_stops_a_machine_that_did_not_go_off(service: Service, simulator: SimulatorProcess) -> None:
    system = make(service, power_on=True)
    run_id = read(service, system).run_id
    with simulator.control() as control:
        control.fail("power_off_machine", count=2)
        off = reset(service, system, ResetType.FORCE_OFF)
        gone = service.application.systems.delete(SYSTEM_ACTOR, system)
        assert service.wait(off.task).state is TaskState.FAILED
        assert service.wait(gone.task).state is TaskState.FAILED
        control.clear_faults()
    assert service.machines()[system].run_id == run_id
    wait_until(lambda: is_right(service, system, PowerState.ON), "a system that is as it was")
    assert service.wait(reset(service, system, ResetType.FORCE_OFF).task).state is TaskState.COMPLETED
    assert service.wait(service.application.systems.delete(SYSTEM_ACTOR, system).task).state is TaskState.COMPLETED
    assert service.remains() == []
