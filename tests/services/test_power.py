"""Power and boot overrides: every reset type from every state, what is shown meanwhile, and which start does what."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hawkfish.builtin.simulated.control import FaultKind
from hawkfish.builtin.simulated.driver import SimulatedDriver
from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.hosts import ComputeCapability
from hawkfish.domain.machines import BootDevice, PowerState
from hawkfish.domain.systems import BootOverride, BootOverrideEnabled, ResetType, SystemChanges
from hawkfish.domain.tasks import TaskState
from hawkfish.errors import ActionNotSupported, BackendTimeout, Conflict, HostUnavailable, MachineNotFound, NotSupported
from hawkfish.services.media_order import media_missed
from hawkfish.testing.waiting import wait_until
from tests.support.installation import GUEST, open_installation

ON, OFF, PAUSED = PowerState.ON, PowerState.OFF, PowerState.PAUSED
NETWORK_ONCE = SystemChanges(
    boot_enabled=BootOverrideEnabled.ONCE, boot_device=BootDevice.NETWORK, boot_device_given=True
)
ONCE = BootOverride(enabled=BootOverrideEnabled.ONCE, device=BootDevice.NETWORK)
NONE = BootOverride()


def override(installation, system, changes):
    installation.application.systems.update(SYSTEM_ACTOR, system.id, changes)
    return installation.get(system).boot


def in_state(installation, power):
    system = installation.create()
    if power is not OFF:
        system = installation.start(system)
    if power is PAUSED:
        installation.done(installation.reset(system, ResetType.PAUSE))
    return installation.get(system)


# --- the types -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [OFF, ON])
@pytest.mark.parametrize(
    ("reset_type", "after", "new_run"),
    [
        (ResetType.ON, ON, False),
        (ResetType.FORCE_ON, ON, False),
        (ResetType.FORCE_OFF, OFF, True),
        (ResetType.GRACEFUL_SHUTDOWN, OFF, True),
        (ResetType.GRACEFUL_RESTART, ON, True),
        (ResetType.FORCE_RESTART, ON, False),
        (ResetType.POWER_CYCLE, ON, True),
    ],
)
def test_a_reset_type_leads_to_its_state_from_wherever_it_begins(installation, before, reset_type, after, new_run):
    system = in_state(installation, before)
    boots = len(installation.boots(system))
    installation.done(installation.reset(system, reset_type))
    now = installation.get(system)
    assert now.power_state is after
    assert installation.machine(system).power_state is after
    if before is ON:
        assert (now.run_id != system.run_id) is new_run
    restarts = {ResetType.GRACEFUL_RESTART, ResetType.FORCE_RESTART, ResetType.POWER_CYCLE}
    expected = boots + (1 if reset_type in restarts or (before is OFF and after is ON) else 0)
    assert len(installation.boots(system)) == expected


def test_the_power_button_switches_on_and_asks_to_shut_down(installation):
    system = installation.create()
    installation.done(installation.reset(system, ResetType.PUSH_POWER_BUTTON))
    system = installation.get(system)
    assert system.power_state is ON
    installation.done(installation.reset(system, ResetType.PUSH_POWER_BUTTON))
    assert installation.get(system).power_state is OFF
    assert "power button pressed, shutting down" in installation.serial(system)


def test_a_paused_system_says_so_and_goes_on(installation):
    system = in_state(installation, PAUSED)
    assert system.power_state is PAUSED
    installation.done(installation.reset(system, ResetType.PAUSE))
    installation.done(installation.reset(system, ResetType.RESUME))
    installation.done(installation.reset(system, ResetType.RESUME))
    now = installation.get(system)
    assert (now.power_state, now.run_id) == (ON, system.run_id)


@pytest.mark.parametrize("reset_type", [ResetType.ON, ResetType.FORCE_ON])
def test_a_paused_system_is_not_called_switched_on(installation, reset_type):
    system = in_state(installation, PAUSED)
    error = installation.failed(installation.reset(system, reset_type))
    assert isinstance(error, Conflict)
    assert "Resume" in error.message
    now = installation.get(system)
    assert (now.power_state, now.run_id) == (PAUSED, system.run_id)


@pytest.mark.parametrize("reset_type", [ResetType.GRACEFUL_SHUTDOWN, ResetType.GRACEFUL_RESTART])
def test_a_paused_guest_cannot_be_asked_and_it_is_said_what_to_do(installation, reset_type):
    system = in_state(installation, PAUSED)
    error = installation.failed(installation.reset(system, reset_type))
    assert isinstance(error, Conflict)
    assert "Resume" in error.message
    now = installation.get(system)
    assert (now.power_state, now.run_id) == (PAUSED, system.run_id)


@pytest.mark.parametrize(
    ("before", "reset_types"),
    [
        (ON, [ResetType.ON, ResetType.FORCE_ON, ResetType.RESUME]),
        (OFF, [ResetType.FORCE_OFF, ResetType.GRACEFUL_SHUTDOWN]),
        (PAUSED, [ResetType.PAUSE]),
    ],
)
def test_a_state_that_is_reached_is_a_success_that_changes_nothing(installation, before, reset_types):
    system = in_state(installation, before)
    for reset_type in reset_types:
        installation.done(installation.reset(system, reset_type))
        assert installation.get(system) == system, f"{reset_type} has changed something, its version at least"


def test_an_on_right_behind_a_cut_of_the_power_starts_anew(installation):
    system = in_state(installation, ON)
    off, on = installation.reset(system, ResetType.FORCE_OFF), installation.reset(system, ResetType.ON)
    installation.done(off)
    installation.done(on)
    now = installation.get(system)
    assert (now.power_state, now.run_id != system.run_id) == (ON, True)


def test_an_nmi_reaches_the_guest(installation):
    system = in_state(installation, ON)
    installation.done(installation.reset(system, ResetType.NMI))
    assert "NMI received" in installation.serial(system)
    assert installation.get(system).power_state is ON


@pytest.mark.parametrize("reset_type", [ResetType.NMI, ResetType.PAUSE, ResetType.RESUME])
def test_what_needs_a_running_machine_says_that_it_is_off(installation, reset_type):
    system = installation.create()
    error = installation.failed(installation.reset(system, reset_type))
    assert isinstance(error, Conflict)
    assert "off" in error.message
    assert installation.get(system).power_state is OFF


def test_only_what_the_host_can_do_is_offered(installation):
    lacking = installation.host(f"{GUEST}&lacks=nmi,pause,graceful-shutdown,boot-override")
    everything = installation.create()
    assert set(everything.reset_types) == set(ResetType)
    system = installation.create(host=lacking.name)
    offered = {ResetType.ON, ResetType.FORCE_ON, ResetType.FORCE_OFF, ResetType.FORCE_RESTART, ResetType.POWER_CYCLE}
    assert set(system.reset_types) == offered
    for reset_type in set(ResetType) - offered:
        with pytest.raises(ActionNotSupported, match=f"does not offer {reset_type}"):
            installation.reset(system, reset_type)
    for reset_type in offered:
        installation.done(installation.reset(system, reset_type))
    with pytest.raises(NotSupported, match="cannot override"):
        override(installation, system, NETWORK_ONCE)
    assert ComputeCapability.BOOT_OVERRIDE not in installation.get(system).capabilities


def test_a_guest_that_ignores_the_button_stays_on_and_the_task_tells(tmp_path, sqlite_url):
    with open_installation(tmp_path, sqlite_url, graceful_timeout=1) as installation:
        stubborn = installation.host(f"{GUEST}&ignores_shutdown=yes")
        system = installation.start(installation.create(host=stubborn.name))
        accepted = installation.reset(system, ResetType.GRACEFUL_SHUTDOWN)
        assert installation.get(system).power_state is PowerState.POWERING_OFF
        error = installation.failed(accepted)
        assert isinstance(error, BackendTimeout)
        assert "ForceOff" in error.message
        now = installation.get(system)
        assert (now.power_state, now.run_id) == (ON, system.run_id)
        assert installation.failed(installation.reset(system, ResetType.GRACEFUL_RESTART)).data["seconds"] == 1
        assert installation.get(system).run_id == system.run_id
        installation.done(installation.reset(system, ResetType.FORCE_OFF))


def test_a_guest_that_goes_off_while_it_is_asked_has_shut_down(installation):
    system = installation.start(installation.create())
    installation.control.fail("request_shutdown", kind=FaultKind.HANG)
    accepted = installation.reset(system, ResetType.GRACEFUL_SHUTDOWN)
    installation.control.guest_shuts_down("rack", system.id)
    installation.control.clear_faults()
    installation.done(accepted)
    assert installation.get(system).power_state is OFF


# --- a guest that goes off by itself ---------------------------------------------------------------------------------


def halt(system, monkeypatch, looks=2):
    """Has the guest have halted: so many looks still find the machine, on its way out."""
    find, left = SimulatedDriver.find_machine, [PowerState.POWERING_OFF] * looks

    def look(driver, machine_id):
        if machine_id != system.id:
            return find(driver, machine_id)
        if left:
            return replace(find(driver, machine_id), power_state=left.pop())
        monkeypatch.setattr(SimulatedDriver, "find_machine", find)
        driver.power_off_machine(system.id)
        return find(driver, machine_id)

    monkeypatch.setattr(SimulatedDriver, "find_machine", look)
    return left


def test_force_restart_ends_a_machine_that_stays_on_its_way_out(installation, monkeypatch):
    system = in_state(installation, ON)
    left, power_off = halt(system, monkeypatch, looks=100_000), SimulatedDriver.power_off_machine

    def cut(driver, machine_id):
        left.clear()
        power_off(driver, machine_id)

    monkeypatch.setattr(SimulatedDriver, "power_off_machine", cut)
    installation.done(installation.reset(system, ResetType.FORCE_RESTART))
    now = installation.get(system)
    assert (now.power_state, now.run_id != system.run_id) == (ON, True)


@pytest.mark.parametrize("reset_type", [ResetType.ON, ResetType.FORCE_RESTART])
def test_a_machine_on_its_way_out_is_started_once_it_is_off(installation, monkeypatch, reset_type):
    system = in_state(installation, ON)
    halt(system, monkeypatch, looks=3)
    installation.done(installation.reset(system, reset_type))
    now = installation.get(system)
    assert (now.power_state, installation.machine(system).power_state) == (ON, ON)
    assert now.run_id != system.run_id


def test_a_machine_that_stays_on_its_way_out_is_not_called_started(tmp_path, sqlite_url, monkeypatch):
    with open_installation(tmp_path, sqlite_url, graceful_timeout=1) as installation:
        host = installation.host()
        system = installation.start(installation.create(host=host.name))
        halt(system, monkeypatch, looks=100)
        error = installation.failed(installation.reset(system, ResetType.ON))
        assert isinstance(error, BackendTimeout)
        assert "ForceOff" in error.message


@pytest.mark.parametrize("before", [True, False])
def test_a_machine_that_goes_off_as_it_is_reset_is_started(installation, monkeypatch, before):
    """Before the reset, which is refused then; or right behind, so that it is lost."""
    system = in_state(installation, ON)
    reset = SimulatedDriver.reset_machine

    def go_off(driver, machine_id):
        monkeypatch.setattr(SimulatedDriver, "reset_machine", reset)
        halt(system, monkeypatch)
        if before:
            raise Conflict("It is off.")
        reset(driver, machine_id)

    monkeypatch.setattr(SimulatedDriver, "reset_machine", go_off)
    installation.done(installation.reset(system, ResetType.FORCE_RESTART))
    now = installation.get(system)
    assert (now.power_state, now.run_id != system.run_id) == (ON, True)


def test_a_guest_that_has_halted_before_it_is_asked_has_shut_down(installation, monkeypatch):
    system = in_state(installation, ON)

    def refuse(_driver, _machine_id):
        halt(system, monkeypatch)
        raise Conflict("It is not running.")

    monkeypatch.setattr(SimulatedDriver, "request_shutdown", refuse)
    installation.done(installation.reset(system, ResetType.GRACEFUL_SHUTDOWN))
    assert installation.get(system).power_state is OFF


# --- what is shown meanwhile -----------------------------------------------------------------------------------------


STARTING = (OFF, ResetType.ON, "start_machine", PowerState.POWERING_ON, ON)
CUTTING = (ON, ResetType.FORCE_OFF, "power_off_machine", PowerState.POWERING_OFF, OFF)
ASKING = (ON, ResetType.GRACEFUL_SHUTDOWN, "request_shutdown", PowerState.POWERING_OFF, OFF)


@pytest.mark.parametrize("change", [STARTING, CUTTING, ASKING])
def test_power_on_its_way_is_shown_until_the_task_ends(installation, change):
    before, reset_type, operation, shown, after = change
    system = in_state(installation, before)
    installation.control.fail(operation, kind=FaultKind.HANG)
    accepted = installation.reset(system, reset_type)
    assert installation.get(system).power_state is shown
    assert installation.get(system).version > system.version
    installation.control.clear_faults()
    installation.done(accepted)
    assert installation.get(system).power_state is after


@pytest.mark.parametrize("change", [STARTING, ASKING])
def test_power_on_its_way_in_line_is_shown_until_it_is_cancelled(installation, change):
    before, reset_type, _, shown, _ = change
    system = in_state(installation, before)
    installation.control.fail("define_machine", kind=FaultKind.HANG)
    ahead = installation.application.systems.update(SYSTEM_ACTOR, system.id, SystemChanges(vcpus=2))
    accepted = installation.reset(system, reset_type)
    assert installation.get(system).power_state is shown
    installation.application.tasks.cancel(SYSTEM_ACTOR, accepted.task.id)
    assert installation.get(system).power_state is before
    installation.control.clear_faults()
    installation.done(ahead)
    assert installation.ended(accepted).state is TaskState.CANCELLED
    assert installation.get(system).power_state is before


def test_a_shutdown_that_is_cancelled_while_it_waits_for_the_guest_ends_at_once(installation):
    stubborn = installation.host(f"{GUEST}&ignores_shutdown=yes")
    system = installation.start(installation.create(host=stubborn.name))
    accepted = installation.reset(system, ResetType.GRACEFUL_SHUTDOWN)
    installation.application.tasks.cancel(SYSTEM_ACTOR, accepted.task.id)
    assert installation.ended(accepted).state is TaskState.CANCELLED
    assert installation.get(system).power_state is ON


def test_a_shutdown_that_is_cut_short_is_not_shown_any_longer(installation):
    system = installation.start(installation.create())
    installation.control.fail("request_shutdown", kind=FaultKind.HANG)
    shutdown = installation.reset(system, ResetType.GRACEFUL_SHUTDOWN)
    installation.done(installation.reset(system, ResetType.FORCE_OFF))
    assert installation.get(system).power_state is OFF, "though the shutdown has not noticed yet"
    installation.control.clear_faults()
    installation.done(shutdown)
    assert installation.get(system).power_state is OFF


@pytest.mark.parametrize(
    ("before", "reset_type", "operation"),
    [(OFF, ResetType.ON, "start_machine"), (ON, ResetType.FORCE_OFF, "power_off_machine")],
)
def test_after_a_failure_the_state_is_what_it_was_and_the_task_tells_why(installation, before, reset_type, operation):
    system = in_state(installation, before)
    installation.control.fail(operation, message="The rack is on fire.")
    assert "The rack is on fire." in installation.failed(installation.reset(system, reset_type)).message
    now = installation.get(system)
    assert (now.power_state, now.run_id) == (before, system.run_id)
    installation.done(installation.reset(system, reset_type))
    assert installation.get(system).power_state is not before


def test_a_host_that_does_not_answer_fails_the_task_and_not_the_state(installation):
    system = installation.start(installation.create())
    installation.control.fail("power_off_machine", error="HostUnavailable", message="No answer.")
    assert isinstance(installation.failed(installation.reset(system, ResetType.FORCE_OFF)), HostUnavailable)
    assert installation.get(system).power_state is ON


def test_equal_requests_are_one_task(installation):
    system = installation.create()
    installation.control.fail("start_machine", kind=FaultKind.HANG)
    first = installation.reset(system, ResetType.ON)
    assert installation.reset(system, ResetType.ON).task.id == first.task.id
    installation.control.clear_faults()
    installation.done(first)
    assert len(installation.boots(system)) == 1


def test_force_off_overtakes_a_start_and_wins(installation):
    system = installation.create()
    installation.control.fail("start_machine", kind=FaultKind.HANG)
    start = installation.reset(system, ResetType.ON)
    off = installation.reset(system, ResetType.FORCE_OFF)
    again = installation.reset(system, ResetType.ON)
    assert installation.get(system).power_state is PowerState.POWERING_ON
    installation.control.clear_faults()
    assert installation.ended(start).ended
    installation.done(off)
    installation.done(again)
    assert installation.get(system).power_state is ON
    assert installation.machine(system).power_state is ON


def test_a_restart_that_was_overtaken_is_never_shown_as_on(installation):
    system = installation.create()
    installation.control.fail("start_machine", kind=FaultKind.DELAY, seconds=0.5)
    restart = installation.reset(system, ResetType.FORCE_RESTART)
    task = installation.application.tasks.get
    wait_until(lambda: task(SYSTEM_ACTOR, restart.task.id).epoch > 0, "the restart has begun")
    off = installation.reset(system, ResetType.FORCE_OFF)
    shown = set()

    def ended() -> bool:
        power = installation.get(system).power_state
        shown.add(power)
        has_ended = task(SYSTEM_ACTOR, off.task.id).ended
        assert has_ended or power is PowerState.POWERING_OFF, "though it is recorded as off"
        return has_ended

    wait_until(ended, "the power is cut")
    assert shown <= {PowerState.POWERING_OFF, PowerState.OFF}
    assert installation.get(system).power_state is PowerState.OFF
    assert installation.machine(system).power_state is PowerState.OFF


def test_a_machine_that_is_gone_cannot_be_started_and_it_is_said_what_to_do(installation):
    system = installation.create()
    installation.application.drivers.driver(system.host_id).remove_machine(system.id)
    error = installation.failed(installation.reset(system, ResetType.ON))
    assert isinstance(error, MachineNotFound)
    assert "delete the system" in error.message
    assert system.name not in installation.machines()
    installation.done(installation.reset(system, ResetType.FORCE_OFF))


def test_a_system_that_is_being_deleted_is_not_reset(installation):
    system = installation.create()
    installation.control.fail("remove_machine", kind=FaultKind.HANG)
    deleting = installation.application.systems.delete(SYSTEM_ACTOR, system.id)
    for reset_type in ResetType:
        with pytest.raises(Conflict, match="cannot be reset while it is deleting"):
            installation.reset(system, reset_type)
    installation.control.clear_faults()
    installation.done(deleting)


# --- boot overrides --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reset_type", [ResetType.ON, ResetType.FORCE_RESTART, ResetType.GRACEFUL_RESTART])
def test_an_override_once_is_used_by_one_start(installation, reset_type):
    before = OFF if reset_type is ResetType.ON else ON
    system = in_state(installation, before)
    assert override(installation, system, NETWORK_ONCE) == ONCE
    installation.done(installation.reset(system, reset_type))
    assert installation.get(system).boot == NONE
    assert installation.boots(system)[-1] == "network"
    installation.done(installation.reset(system, ResetType.POWER_CYCLE))
    assert installation.boots(system)[-2:] == ["network", "disk"]


def test_an_override_once_does_not_survive_a_reboot_of_the_guest(installation):
    system = installation.create()
    override(installation, system, NETWORK_ONCE)
    installation.start(system)
    installation.control.guest_reboots("rack", system.id)
    assert installation.boots(system) == ["network", "disk"]


def test_a_continuous_override_stays_until_it_is_taken_away(installation):
    system = installation.create()
    continuous = BootOverride(enabled=BootOverrideEnabled.CONTINUOUS, device=BootDevice.NETWORK)
    changes = SystemChanges(
        boot_enabled=BootOverrideEnabled.CONTINUOUS, boot_device=BootDevice.NETWORK, boot_device_given=True
    )
    assert override(installation, system, changes) == continuous
    installation.done(installation.reset(system, ResetType.ON))
    installation.done(installation.reset(system, ResetType.POWER_CYCLE))
    assert installation.boots(system) == ["network", "network"]
    assert installation.get(system).boot == continuous
    disabled = override(installation, system, SystemChanges(boot_enabled=BootOverrideEnabled.DISABLED))
    assert disabled.enabled is BootOverrideEnabled.DISABLED
    installation.done(installation.reset(system, ResetType.POWER_CYCLE))
    assert installation.boots(system)[-1] == "disk"


def test_what_is_asked_for_after_a_start_was_accepted_is_for_the_next(installation):
    system = installation.create()
    override(installation, system, NETWORK_ONCE)
    installation.control.fail("start_machine", kind=FaultKind.HANG)
    start = installation.reset(system, ResetType.ON)
    cd_once = SystemChanges(boot_enabled=BootOverrideEnabled.ONCE, boot_device=BootDevice.CD, boot_device_given=True)
    override(installation, system, cd_once)
    installation.control.clear_faults()
    installation.done(start)
    assert installation.boots(system) == ["network"]
    assert installation.get(system).boot.device is BootDevice.CD, "that one is still to be used"
    installation.done(installation.reset(system, ResetType.POWER_CYCLE))
    assert installation.boots(system) == ["network", "cd"]
    assert installation.get(system).boot == NONE


def test_of_two_starts_in_line_the_first_uses_the_override(installation):
    system = installation.create()
    override(installation, system, NETWORK_ONCE)
    installation.control.fail("start_machine", kind=FaultKind.HANG)
    start = installation.reset(system, ResetType.ON)
    cycle = installation.reset(system, ResetType.POWER_CYCLE)
    installation.control.clear_faults()
    installation.done(start)
    installation.done(cycle)
    assert installation.boots(system) == ["network", "disk"]


def test_an_override_that_reads_as_one_of_before_is_another(installation):
    system = installation.create()
    cd_once = SystemChanges(boot_enabled=BootOverrideEnabled.ONCE, boot_device=BootDevice.CD, boot_device_given=True)
    override(installation, system, NETWORK_ONCE)
    installation.control.fail("start_machine", kind=FaultKind.HANG)
    first = installation.reset(system, ResetType.ON)
    override(installation, system, cd_once)
    override(installation, system, NETWORK_ONCE)
    second = installation.reset(system, ResetType.POWER_CYCLE)
    installation.control.clear_faults()
    installation.done(first)
    installation.done(second)
    assert installation.boots(system) == ["network", "network"]
    assert installation.get(system).boot == NONE


@pytest.mark.parametrize(
    "again",
    [NETWORK_ONCE, SystemChanges(boot_device=BootDevice.NETWORK, boot_device_given=True)],
    ids=["whole", "target"],
)
def test_the_same_override_asked_for_after_a_start_was_accepted_is_for_the_next(installation, again):
    system = installation.create()
    override(installation, system, NETWORK_ONCE)
    installation.control.fail("start_machine", kind=FaultKind.HANG)
    start = installation.reset(system, ResetType.ON)
    override(installation, system, again)
    installation.control.clear_faults()
    installation.done(start)
    assert installation.get(system).boot == ONCE, "it was accepted after the start, and reads back"
    installation.done(installation.reset(system, ResetType.POWER_CYCLE))
    assert installation.boots(system) == ["network", "network"]
    assert installation.get(system).boot == NONE


def test_an_override_is_not_used_again_by_a_start_accepted_as_the_one_before_ends(installation, monkeypatch):
    system = installation.create()
    override(installation, system, NETWORK_ONCE)
    installation.control.fail("start_machine", kind=FaultKind.HANG)
    first = installation.reset(system, ResetType.ON)

    def look_while_the_first_ends(uow, found):
        if uow.is_postgresql:  # on SQLite nothing ends while a request is accepted
            installation.control.clear_faults()
            installation.done(first)
        return media_missed(uow, found)

    monkeypatch.setattr("hawkfish.services.power.media_missed", look_while_the_first_ends)
    second = installation.reset(system, ResetType.POWER_CYCLE)
    installation.control.clear_faults()
    installation.done(first)
    installation.done(second)
    assert installation.boots(system) == ["network", "disk"]


def test_an_override_is_not_taken_for_that_of_a_deleted_system_with_the_same_uuid(installation):
    system = installation.create()
    override(installation, system, NETWORK_ONCE)
    installation.start(system)
    installation.done(installation.reset(system, ResetType.FORCE_OFF))
    installation.done(installation.application.systems.delete(SYSTEM_ACTOR, system.id))
    again = installation.create(id=system.id)
    override(installation, again, NETWORK_ONCE)
    installation.start(again)
    assert installation.boots(again) == ["network"]


def test_a_start_that_fails_or_is_not_needed_uses_nothing(installation):
    system = installation.create()
    override(installation, system, NETWORK_ONCE)
    installation.control.fail("start_machine")
    installation.failed(installation.reset(system, ResetType.ON))
    assert installation.get(system).boot == ONCE
    installation.start(system)
    override(installation, system, NETWORK_ONCE)
    installation.done(installation.reset(system, ResetType.ON))
    assert installation.get(system).boot == ONCE
    assert installation.boots(system) == ["network"]


def test_a_start_whose_answer_is_lost_has_used_its_override(installation):
    system = installation.create()
    override(installation, system, NETWORK_ONCE)
    installation.control.fail("start_machine", error="BackendTimeout", after=True)
    installation.done(installation.reset(system, ResetType.ON))
    now = installation.get(system)
    assert (now.power_state, now.boot) == (ON, NONE)


def test_a_target_alone_means_once_and_no_target_means_none(installation):
    system = installation.create()
    alone = SystemChanges(boot_device=BootDevice.CD, boot_device_given=True)
    assert override(installation, system, alone) == BootOverride(enabled=BootOverrideEnabled.ONCE, device=BootDevice.CD)
    assert override(installation, system, SystemChanges(asset_tag="other")).device is BootDevice.CD
    assert override(installation, system, SystemChanges(boot_device=None, boot_device_given=True)) == NONE
