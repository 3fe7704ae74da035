"""BIOS attributes: asked for at any time, read by the next start, and never by a machine that runs."""

from __future__ import annotations

import threading

import pytest

from hawkfish.builtin.simulated.control import FaultKind
from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.bios import future_attributes, present_attributes
from hawkfish.domain.machines import BootDevice, Firmware, PowerState
from hawkfish.domain.systems import AppliedSetup, BootOverrideEnabled, ResetType, SystemChanges
from hawkfish.errors import PreconditionFailed, PropertyNotInList, PropertyUnknown, SeveralErrors
from hawkfish.services.bios import refuse_unready

USUAL = {"BootMode": "Uefi", "CpuModel": "simulated", "NestedVirtualization": "Auto", "NetworkBoot": "Enabled"}
OTHER = {
    "BootMode": "LegacyBios",
    "CpuModel": "simulated-small",
    "NestedVirtualization": "Disabled",
    "NetworkBoot": "Disabled",
}


def change(installation, system, **attributes):
    installation.application.bios.update(SYSTEM_ACTOR, system.id, attributes)
    return installation.get(system)


def reset(installation, system, reset_type):
    installation.done(installation.reset(system, reset_type))
    return installation.get(system)


def shown(system):
    return present_attributes(system), future_attributes(system)


@pytest.fixture
def system(installation):
    return installation.create(firmware=Firmware.UEFI)


def test_what_is_asked_for_reads_back_at_once_and_is_there_with_the_next_start(installation, system):
    assert shown(system) == (USUAL, USUAL)
    changed = change(installation, system, **OTHER)
    assert shown(changed) == (USUAL, OTHER)
    assert installation.machine(system).firmware is Firmware.UEFI, "nothing is defined before the start"
    started = reset(installation, system, ResetType.ON)
    assert shown(started) == (OTHER, OTHER)
    assert (started.setup_failure, started.setup_applied_at is None) == ("", False)
    said = installation.serial(system)
    assert "BIOS firmware" in said
    assert "Processor model: simulated-small" in said
    assert "Nested virtualisation: Disabled" in said
    assert "Trying network" not in said


def test_a_machine_that_runs_keeps_what_it_was_started_with(installation, system):
    running = installation.start(system)
    changed = change(installation, system, CpuModel="simulated-large")
    assert installation.machine(system).run_id == running.run_id
    assert shown(changed) == (USUAL, USUAL | {"CpuModel": "simulated-large"})
    # A reset that would not read the definition anew is a stop and a start, and says so by its run.
    now = reset(installation, system, ResetType.FORCE_RESTART)
    assert now.run_id != running.run_id
    assert present_attributes(now)["CpuModel"] == "simulated-large"
    assert reset(installation, system, ResetType.FORCE_RESTART).run_id == now.run_id


def test_a_start_has_what_was_accepted_before_it(installation, system):
    change(installation, system, CpuModel="simulated-small")
    installation.control.fail("start_machine", kind=FaultKind.HANG)
    start = installation.reset(system, ResetType.ON)
    change(installation, system, CpuModel="simulated-large")
    installation.control.clear_faults()
    installation.done(start)
    now = installation.get(system)
    assert (present_attributes(now)["CpuModel"], future_attributes(now)["CpuModel"]) == (
        "simulated-small",
        "simulated-large",
    )


def test_a_start_that_fails_tells_why_and_the_next_one_ends_that(installation, system):
    change(installation, system, CpuModel="simulated-small")
    installation.control.fail("define_machine")
    installation.failed(installation.reset(system, ResetType.ON))
    failed = installation.get(system)
    assert failed.setup_failure
    assert (failed.setup_applied_at is None, failed.setup_applied) == (False, None)
    assert shown(failed) == (USUAL, USUAL | {"CpuModel": "simulated-small"})
    assert installation.machine(system).power_state is PowerState.OFF
    now = reset(installation, system, ResetType.ON)
    assert (now.setup_failure, present_attributes(now)["CpuModel"]) == ("", "simulated-small")
    assert now.setup_applied == AppliedSetup(firmware=now.firmware, setup=now.setup)


def test_a_machine_that_runs_already_is_not_said_to_have_what_waits_for_its_start(installation, system):
    installation.start(system)
    change(installation, system, CpuModel="simulated-small")
    now = reset(installation, system, ResetType.ON)
    assert shown(now) == (USUAL, USUAL | {"CpuModel": "simulated-small"})
    assert (now.setup_applied_at, now.setup_applied) == (None, None)
    assert reset(installation, system, ResetType.POWER_CYCLE).setup_applied_at is not None


def test_a_change_of_the_definition_brings_nothing_else_that_waits_for_a_start(installation, system):
    change(installation, system, **OTHER)
    installation.done(installation.application.systems.update(SYSTEM_ACTOR, system.id, SystemChanges(memory_mib=256)))
    machine = installation.machine(system)
    assert (machine.memory_mib, machine.firmware, machine.setup) == (256, Firmware.UEFI, system.setup)
    started = reset(installation, system, ResetType.ON)
    assert shown(started) == (OTHER, OTHER)
    assert started.setup_applied_at is not None


def test_firmware_without_a_set_up_menu_and_a_start_into_it_are_not_both_accepted(installation, system, monkeypatch):
    to_menu = SystemChanges(boot_enabled=BootOverrideEnabled.ONCE, boot_device=BootDevice.SETUP, boot_device_given=True)
    update = installation.application.systems.update
    refused = []

    def enter_menu():
        try:
            update(SYSTEM_ACTOR, system.id, to_menu)
        except PropertyNotInList as error:
            refused.append(error)

    other = threading.Thread(target=enter_menu)

    def look_while_another_changes(found):
        refuse_unready(found)
        other.start()
        other.join(1)

    monkeypatch.setattr("hawkfish.services.bios.refuse_unready", look_while_another_changes)
    change(installation, system, BootMode="LegacyBios")
    other.join(30)
    now = installation.get(system)
    assert (now.firmware, now.boot.device, len(refused)) == (Firmware.BIOS, None, 1)


def test_the_boot_mode_is_that_of_the_boot_of_the_system(installation, system):
    changed = change(installation, system, BootMode="LegacyBios")
    assert changed.firmware is Firmware.BIOS
    installation.application.systems.update(SYSTEM_ACTOR, system.id, SystemChanges(firmware=Firmware.UEFI))
    assert future_attributes(installation.get(system))["BootMode"] == "Uefi"


def test_a_reset_gives_the_usual_values_and_leaves_the_boot_mode(installation, system):
    change(installation, system, **OTHER)
    reset(installation, system, ResetType.ON)
    installation.application.bios.reset(SYSTEM_ACTOR, system.id)
    wanted = USUAL | {"BootMode": "LegacyBios"}
    assert shown(installation.get(system)) == (OTHER, wanted)
    assert shown(reset(installation, system, ResetType.POWER_CYCLE)) == (wanted, wanted)


def test_other_changes_of_the_definition_keep_what_was_set(installation, system):
    change(installation, system, CpuModel="simulated-small")
    reset(installation, system, ResetType.ON)
    installation.done(installation.application.systems.update(SYSTEM_ACTOR, system.id, SystemChanges(memory_mib=256)))
    assert present_attributes(reset(installation, system, ResetType.POWER_CYCLE))["CpuModel"] == "simulated-small"


@pytest.mark.parametrize(
    ("attributes", "error"),
    [
        ({"CpuModel": "EPYC-of-nowhere"}, PropertyNotInList),
        ({"NetworkBoot": "enabled"}, PropertyNotInList),
        ({"TurboMode": "Enabled"}, PropertyUnknown),
        ({"TurboMode": "Enabled", "NetworkBoot": "x", "CpuModel": "simulated-small"}, SeveralErrors),
    ],
)
def test_what_cannot_be_is_refused_as_a_whole(installation, system, attributes, error):
    with pytest.raises(error):
        change(installation, system, **attributes)
    assert shown(installation.get(system)) == (USUAL, USUAL)


def test_a_system_without_network_interfaces_has_no_network_boot(installation):
    system = installation.create(network_interfaces=())
    assert "NetworkBoot" not in future_attributes(system)
    with pytest.raises(PropertyUnknown):
        change(installation, system, NetworkBoot="Disabled")


def test_a_lost_update_is_refused(installation, system):
    bios = installation.application.bios
    bios.update(SYSTEM_ACTOR, system.id, {"CpuModel": "simulated-small"}, system.version)
    with pytest.raises(PreconditionFailed):
        bios.update(SYSTEM_ACTOR, system.id, {"CpuModel": "simulated-large"}, system.version)


def test_what_is_there_already_is_no_change_whatever_version_is_demanded(installation, system):
    application = installation.application
    change(installation, system, NetworkBoot="Disabled")
    application.secure_boot.update(SYSTEM_ACTOR, system.id, enabled=True)
    before = installation.get(system)

    def traces():
        with application.database.read() as uow:
            return uow.events.count(f"system:{system.id}"), uow.audit.count(f"system:{system.id}"), uow.tasks.count()

    left = traces()
    for version in (None, before.version):
        application.bios.update(SYSTEM_ACTOR, system.id, future_attributes(before), version)
        application.secure_boot.update(SYSTEM_ACTOR, system.id, enabled=True, expected_version=version)
    assert (installation.get(system).version, traces()) == (before.version, left)
    with pytest.raises(PreconditionFailed):
        application.bios.update(SYSTEM_ACTOR, system.id, {"NetworkBoot": "Disabled"}, before.version - 1)
    with pytest.raises(PreconditionFailed):
        application.secure_boot.update(SYSTEM_ACTOR, system.id, enabled=True, expected_version=before.version - 1)
