"""What systems start from: firmware and boot order, asked for at any time and brought about by the next start."""

from __future__ import annotations

import pytest

from hawkfish.builtin.simulated.control import FaultKind
from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.bios import BOOT_MODE
from hawkfish.domain.machines import BootDevice, Firmware, PowerState
from hawkfish.domain.systems import (
    BootOverride,
    BootOverrideEnabled,
    NewDisk,
    NewNetworkInterface,
    ResetType,
    SystemChanges,
)
from hawkfish.errors import PropertyConflict, PropertyNotInList
from tests.support.installation import MIB

BIOS, UEFI = Firmware.BIOS, Firmware.UEFI
TWO_NICS = (NewNetworkInterface(), NewNetworkInterface())


def change(installation, system, **changes):
    accepted = installation.application.systems.update(SYSTEM_ACTOR, system.id, SystemChanges(**changes))
    assert accepted.task is None, "it is a record until the next start"
    return installation.get(system)


def reset(installation, system, reset_type):
    installation.done(installation.reset(system, reset_type))
    return installation.get(system)


def firmwares(installation, system):
    """The firmware of each boot."""
    lines = installation.serial(system).splitlines()
    return [Firmware(line.split()[2]) for line in lines if line.startswith("HawkFish simulated ")]


def enters_setup(installation, system, enabled=BootOverrideEnabled.ONCE):
    return change(installation, system, boot_enabled=enabled, boot_device=BootDevice.SETUP, boot_device_given=True)


def order(installation, system):
    return list(installation.machine(system).boot_devices)


@pytest.mark.parametrize(
    ("reset_type", "boots"),
    [
        (ResetType.ON, [UEFI]),
        (ResetType.POWER_CYCLE, [UEFI, BIOS]),
        (ResetType.FORCE_RESTART, [UEFI, BIOS]),
        (ResetType.GRACEFUL_RESTART, [UEFI, BIOS]),
    ],
)
def test_a_running_system_keeps_its_firmware_until_it_starts_anew(installation, reset_type, boots):
    system = installation.start(installation.create(firmware=UEFI))
    run_id = system.run_id
    changed = change(installation, system, firmware=BIOS)
    assert changed.firmware is BIOS
    assert (installation.machine(system).firmware, installation.machine(system).run_id) == (UEFI, run_id)
    now = reset(installation, system, reset_type)
    assert firmwares(installation, system) == boots
    assert (now.run_id == run_id) is (reset_type is ResetType.ON)


def test_firmware_goes_there_and_back_and_the_machine_stays_what_it_is(installation):
    system = installation.create(firmware=UEFI, network_interfaces=TWO_NICS)
    first = installation.machine(system)
    for firmware in (BIOS, UEFI, BIOS):
        change(installation, system, firmware=firmware)
        reset(installation, system, ResetType.POWER_CYCLE)
        reset(installation, system, ResetType.FORCE_OFF)
        machine = installation.machine(system)
        assert machine.firmware is firmware
        assert (machine.id, machine.disk_ids, machine.mac_addresses) == (first.id, first.disk_ids, first.mac_addresses)
    assert firmwares(installation, system) == [BIOS, UEFI, BIOS]


def test_a_start_has_the_firmware_and_the_order_that_were_accepted_before_it(installation):
    system = installation.create(firmware=UEFI)
    usual = [option.reference for option in system.boot_options]
    installation.control.fail("start_machine", kind=FaultKind.HANG)
    start = installation.reset(system, ResetType.ON)
    change(installation, system, firmware=BIOS, boot_order=tuple(reversed(usual)))
    installation.control.clear_faults()
    installation.done(start)
    assert (firmwares(installation, system), order(installation, system)) == ([UEFI], usual)
    reset(installation, system, ResetType.POWER_CYCLE)
    assert (firmwares(installation, system), order(installation, system)) == ([UEFI, BIOS], usual[::-1])


def test_a_start_that_fails_after_the_definition_leaves_a_machine_that_starts_as_asked(installation):
    system = change(installation, installation.create(firmware=UEFI), firmware=BIOS)
    installation.control.fail("start_machine")
    installation.failed(installation.reset(system, ResetType.ON))
    assert installation.machine(system).power_state is PowerState.OFF
    assert installation.get(system).firmware is BIOS
    reset(installation, system, ResetType.ON)
    assert firmwares(installation, system) == [BIOS]


def test_the_order_is_used_by_the_next_start_and_stays(installation):
    system = installation.create(network_interfaces=TWO_NICS, disks=(NewDisk(capacity_bytes=MIB),) * 2)
    disk1, disk2, cd, usb, nic1, nic2 = usual = [option.reference for option in system.boot_options]
    assert order(installation, system) == usual
    assert (cd, usb, nic1, nic2) == ("Cd", "Usb", "NIC1", "NIC2")
    wanted = [nic2, disk2, cd, nic1, usb, disk1]
    system = installation.start(system)
    changed = change(installation, system, boot_order=tuple(wanted))
    assert [option.reference for option in changed.boot_options] == wanted
    assert order(installation, system) == usual, "a running machine is not touched"
    for reset_type in (ResetType.FORCE_RESTART, ResetType.POWER_CYCLE, ResetType.FORCE_RESTART):
        reset(installation, system, reset_type)
        assert order(installation, system) == wanted
    assert installation.boots(system) == ["disk", "network", "network", "network"]


def test_the_default_order_is_used_by_the_next_start_and_leaves_the_override(installation):
    systems = installation.application.systems
    system = installation.create(network_interfaces=TWO_NICS)
    usual = [option.reference for option in system.boot_options]
    reversed_order, once = tuple(usual[::-1]), BootOverrideEnabled.ONCE
    changed = change(
        installation,
        system,
        boot_order=reversed_order,
        boot_enabled=once,
        boot_device=BootDevice.CD,
        boot_device_given=True,
    )
    systems.default_boot_order(SYSTEM_ACTOR, system.id)
    now = installation.get(system)
    assert ([option.reference for option in now.boot_options], now.boot) == (usual, changed.boot)
    systems.default_boot_order(SYSTEM_ACTOR, system.id)
    assert installation.get(system).version == now.version, "it has that order already"
    reset(installation, system, ResetType.ON)
    change(installation, system, boot_order=reversed_order)
    reset(installation, system, ResetType.POWER_CYCLE)
    assert order(installation, system) == list(reversed_order)
    systems.default_boot_order(SYSTEM_ACTOR, system.id)
    assert order(installation, system) == list(reversed_order), "a running machine is not touched"
    reset(installation, system, ResetType.FORCE_RESTART)
    assert order(installation, system) == usual


def test_an_override_tries_its_group_first_in_the_order_of_the_system(installation):
    system = installation.create(network_interfaces=TWO_NICS)
    disk, cd, usb, nic1, nic2 = (option.reference for option in system.boot_options)
    change(
        installation,
        system,
        boot_order=(disk, nic2, cd, usb, nic1),
        boot_enabled=BootOverrideEnabled.ONCE,
        boot_device=BootDevice.NETWORK,
        boot_device_given=True,
    )
    system = installation.start(system)
    assert f"Booting from network: {nic2}" in installation.serial(system)
    assert order(installation, system) == [disk, nic2, cd, usb, nic1]


def test_an_override_that_was_taken_away_is_gone_after_a_forced_restart(installation):
    system = installation.create()
    change(
        installation,
        system,
        boot_enabled=BootOverrideEnabled.CONTINUOUS,
        boot_device=BootDevice.NETWORK,
        boot_device_given=True,
    )
    system = installation.start(system)
    change(installation, system, boot_enabled=BootOverrideEnabled.DISABLED)
    reset(installation, system, ResetType.FORCE_RESTART)
    assert installation.boots(system) == ["network", "disk"]


def test_an_override_of_nothing_is_refused(installation):
    system = installation.create()
    for enabled in (BootOverrideEnabled.ONCE, BootOverrideEnabled.CONTINUOUS):
        with pytest.raises(PropertyConflict, match="send BootSourceOverrideTarget too"):
            change(installation, system, boot_enabled=enabled)
    assert change(installation, system, boot_enabled=BootOverrideEnabled.DISABLED) == system


def test_a_plain_restart_stays_in_its_run(installation):
    system = installation.start(installation.create())
    assert reset(installation, system, ResetType.FORCE_RESTART).run_id == system.run_id


def test_firmware_that_the_host_lacks_is_refused_with_what_it_has(installation):
    host = installation.host("firmware=BIOS&boot_seconds=0.05")
    system = installation.create(host=host.name)
    assert (system.firmware, system.boot_modes) == (BIOS, ("Legacy",))
    with pytest.raises(PropertyNotInList, match="has no such firmware"):
        change(installation, system, firmware=UEFI)
    assert change(installation, system, firmware=BIOS).version == system.version


@pytest.mark.parametrize(
    ("enabled", "left", "restarted"),
    [
        (BootOverrideEnabled.ONCE, BootOverride(), ["setup", "disk", "disk"]),
        (
            BootOverrideEnabled.CONTINUOUS,
            BootOverride(enabled=BootOverrideEnabled.CONTINUOUS, device=BootDevice.SETUP),
            ["setup", "disk", "setup"],
        ),
    ],
)
def test_a_start_enters_the_set_up_menu_and_a_reset_leaves_it(installation, enabled, left, restarted):
    system = installation.create(firmware=UEFI)
    usual = order(installation, system)
    enters_setup(installation, system, enabled)
    system = reset(installation, system, ResetType.ON)
    assert (system.boot, order(installation, system)) == (left, usual)
    installation.application.drivers.driver(system.host_id).reset_machine(system.id)  # what a key in the menu does
    reset(installation, system, ResetType.FORCE_RESTART)
    lines = installation.serial(system).splitlines()
    boots = [line.split()[2].rstrip(":") for line in lines if line.startswith(("Entering the set-up", "Booting from "))]
    assert ["setup" if boot == "set-up" else boot for boot in boots] == restarted


def test_a_bios_has_no_set_up_menu(installation):
    legacy = installation.create(firmware=BIOS)
    assert "BiosSetup" not in legacy.boot_targets
    with pytest.raises(PropertyNotInList, match="starts by BIOS, which has no set-up menu"):
        enters_setup(installation, legacy)
    both = {"boot_device": BootDevice.SETUP, "boot_device_given": True}
    assert change(installation, legacy, firmware=UEFI, **both).boot.device is BootDevice.SETUP
    for enabled in (BootOverrideEnabled.ONCE, BootOverrideEnabled.CONTINUOUS):
        before = enters_setup(installation, legacy, enabled)
        with pytest.raises(PropertyConflict, match="set BootSourceOverrideTarget to None first"):
            change(installation, legacy, firmware=BIOS)
        with pytest.raises(PropertyConflict, match="while BootSourceOverrideTarget is BiosSetup"):
            installation.application.bios.update(SYSTEM_ACTOR, legacy.id, {BOOT_MODE: "LegacyBios"})
        assert installation.get(legacy) == before
    off = change(installation, legacy, boot_enabled=BootOverrideEnabled.DISABLED, firmware=BIOS)
    assert off.firmware is BIOS
    with pytest.raises(PropertyNotInList):
        change(installation, legacy, boot_enabled=BootOverrideEnabled.ONCE)


def test_a_host_that_cannot_enter_the_set_up_menu_says_so(installation):
    host = installation.host("lacks=boot-override&boot_seconds=0.05")
    system = installation.create(host=host.name, firmware=UEFI)
    assert not host.facts.setup_menu
    with pytest.raises(PropertyNotInList, match=f"the host {host.name} cannot have the UEFI of"):
        enters_setup(installation, system)
