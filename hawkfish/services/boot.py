"""What systems start from: what may be asked for, what a start was accepted with, and how its machine is made to follow.

Firmware and boot order belong to the definition of a machine. A change of either is only a record until the next start, whose
task defines the machine anew first where it is not as wanted: never while it runs. Dying between that and the start leaves a
machine that is off and defined as was accepted; running twice finds nothing left to define.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from hawkfish.domain.boot import BOOT_TARGETS, MODE_OF, TARGET_OF, same_order
from hawkfish.domain.hosts import ComputeCapability
from hawkfish.domain.machines import BootDevice, Firmware, FirmwareSetup, MachineObservation, MachineStamp
from hawkfish.domain.systems import BootOverride, BootOverrideEnabled, System, SystemChanges
from hawkfish.errors import NotSupported, PropertyConflict, PropertyNotInList
from hawkfish.plugins.compute import ComputeDriver
from hawkfish.services.drivers import DriverPool
from hawkfish.services.machines import machine_spec

# --- what may be asked for ------------------------------------------------------------------------------------------


def changed_boot(system: System, changes: SystemChanges, *, promised: bool = False) -> dict[str, Any]:
    """The columns of a system that a change of its boot writes.

    Args:
        system: The system.
        changes: What is asked for.
        promised: Whether a start that was accepted is to use up the override that is set: one that is asked for now is another,
            for the start after it, though it may read the same.

    Raises:
        NotSupported: Its host cannot override the boot order.
        PropertyNotInList: It has no such device, or its host no such firmware.
        PropertyConflict: The order is none of all its boot options, or the firmware has no set-up menu to enter.
    """
    values: dict[str, Any] = {}
    boot = _changed_override(system.boot, changes)
    if boot.device is None and not changes.boot_device_given and changes.boot_enabled is not None:
        _refuse_override_of_nothing(system, changes.boot_enabled)
    asked_again = changes.boot_device_given or changes.boot_enabled is not None
    if boot != system.boot or (promised and asked_again):
        takes_effect = boot.enabled is not BootOverrideEnabled.DISABLED
        if takes_effect or changes.boot_device_given:
            _refuse_absent_device(replace(system, firmware=changes.firmware or system.firmware), boot.device)
        if takes_effect:
            _demand_boot_override(system)
        values |= {"boot_enabled": boot.enabled, "boot_device": boot.device, "boot_number": system.boot.number + 1}
    if changes.firmware not in {None, system.firmware}:
        _refuse_absent_firmware(system, changes.firmware)
        refuse_menu_of_bios(replace(system, boot=boot), changes.firmware, "Boot/BootSourceOverrideMode")
        values["firmware"] = changes.firmware
    if changes.boot_order is not None:
        present = [option.reference for option in system.boot_options]
        _refuse_other_options(system, present, changes.boot_order)
        if list(changes.boot_order) != present:
            _demand_boot_override(system)
            values["boot_order"] = list(changes.boot_order)
    return values


def default_order(system: System) -> dict[str, Any]:
    """The columns of a system that its usual boot order writes; none where it has that.

    Raises:
        NotSupported: Its host cannot override the boot order.
    """
    _demand_boot_override(system)
    return {"boot_order": []} if system.boot_order else {}


def _changed_override(boot: BootOverride, changes: SystemChanges) -> BootOverride:
    """Redfish: a target without Enabled keeps what is set, and None as target means no override."""
    enabled = changes.boot_enabled or boot.enabled
    device = changes.boot_device if changes.boot_device_given else boot.device
    if changes.boot_device_given and device is not None and changes.boot_enabled is None:
        enabled = BootOverrideEnabled.ONCE if enabled is BootOverrideEnabled.DISABLED else enabled
    if device is None:
        enabled = BootOverrideEnabled.DISABLED
    return BootOverride(enabled=enabled, device=device)


def _refuse_override_of_nothing(system: System, enabled: BootOverrideEnabled) -> None:
    if enabled is not BootOverrideEnabled.DISABLED:
        targets = [
            target for target in system.boot_targets if BOOT_TARGETS[target] is not None
        ]  # None would say nothing
        raise PropertyConflict(
            f"Boot/BootSourceOverrideEnabled of {system.name} cannot be {enabled} while no target is set; send "
            f"BootSourceOverrideTarget too, one of {', '.join(targets)}.",
            property="Boot/BootSourceOverrideEnabled",
            value=enabled,
        )


def _demand_boot_override(system: System) -> None:
    if ComputeCapability.BOOT_OVERRIDE not in system.capabilities:
        raise NotSupported(
            f"The host {system.host_name} of {system.name} cannot override the boot order.",
            operation="boot override",
        )


def _refuse_absent_device(system: System, device: BootDevice | None) -> None:
    if device is None or device in system.boot_devices:
        return
    allowed = list(system.boot_targets)
    raise PropertyNotInList(
        f"Boot/BootSourceOverrideTarget cannot be {TARGET_OF[device]}: {_why_absent(system, device)}. It has: "
        f"{', '.join(allowed)}.",
        property="Boot/BootSourceOverrideTarget",
        value=TARGET_OF[device],
        allowed=allowed,
    )


def _why_absent(system: System, device: BootDevice) -> str:
    if device is not BootDevice.SETUP:
        return f"the system {system.name} has no such device"
    if system.firmware is not Firmware.UEFI:
        return (
            f"the system {system.name} starts by BIOS, which has no set-up menu in virtual machines; change the Attributes of its "
            "Bios instead, or set BootSourceOverrideMode to UEFI where that is allowed"
        )
    return (
        f"the host {system.host_name} cannot have the UEFI of {system.name} enter its set-up menu; change the Attributes of its "
        "Bios instead"
    )


def refuse_menu_of_bios(system: System, firmware: Firmware | None, name: str) -> None:
    """Refuses firmware without a set-up menu while the next start is to enter one.

    Args:
        system: The system, with the override that it will have.
        firmware: What it is to start with.
        name: The property that says so.

    Raises:
        PropertyConflict: It is to enter the menu.
    """
    enters = system.boot.device is BootDevice.SETUP and system.boot.enabled is not BootOverrideEnabled.DISABLED
    if enters and firmware is Firmware.BIOS:
        raise PropertyConflict(
            f"{name} of {system.name} cannot be that while BootSourceOverrideTarget is BiosSetup, since a BIOS has no set-up menu; "
            "set BootSourceOverrideTarget to None first.",
            property=name,
            value=firmware,
        )


def _refuse_absent_firmware(system: System, firmware: Firmware | None) -> None:
    if firmware is None or firmware in system.firmwares:
        return
    allowed = list(system.boot_modes)
    raise PropertyNotInList(
        f"Boot/BootSourceOverrideMode of {system.name} cannot be {MODE_OF[firmware]}: the host {system.host_name} has no such "
        f"firmware. It has: {', '.join(allowed)}.",
        property="Boot/BootSourceOverrideMode",
        value=MODE_OF[firmware],
        allowed=allowed,
    )


def _refuse_other_options(system: System, present: list[str], asked: tuple[str, ...]) -> None:
    for position, reference in enumerate(asked):
        if reference not in present:
            raise PropertyNotInList(
                f"Boot/BootOrder/{position} is {reference!r}, and the system {system.name} has no such boot option. It has: "
                f"{', '.join(present)}.",
                property=f"Boot/BootOrder/{position}",
                value=reference,
                allowed=present,
            )
    if Counter(asked) != Counter(present):
        raise PropertyConflict(
            f"Boot/BootOrder of {system.name} must name each of its boot options once: {', '.join(present)}.",
            property="Boot/BootOrder",
            value=list(asked),
        )


# --- what a start was accepted with ---------------------------------------------------------------------------------


def boot_arguments(system: System) -> dict[str, Any]:
    """What was accepted before a start is what the start will do, whatever is accepted after it."""
    return {
        "boot": boot_to_json(system.boot),
        "firmware": system.firmware,
        "boot_order": list(system.boot_order),
        "setup": asdict(system.setup),
    }


def boot_to_json(boot: BootOverride) -> list[Any]:
    """An override as tasks bear it."""
    return [boot.enabled, boot.device, boot.number]


def boot_from_json(values: Sequence[Any]) -> BootOverride:
    """The reverse; tasks of before overrides were numbered bear no number."""
    enabled, device, number = (*values, 0)[:3]
    return BootOverride(
        enabled=BootOverrideEnabled(enabled), device=None if device is None else BootDevice(device), number=number
    )


def as_accepted(system: System, arguments: Mapping[str, Any]) -> System:
    """The system with the firmware and the boot order that a start was accepted with."""
    if "firmware" not in arguments:  # accepted by a version that knew of neither
        return system
    setup = FirmwareSetup.of(arguments["setup"]) if "setup" in arguments else system.setup
    return replace(
        system, firmware=Firmware(arguments["firmware"]), boot_order=tuple(arguments["boot_order"]), setup=setup
    )


def as_present(system: System) -> System:
    """The system with the firmware and the set-up that its machine has: others come with a start, and not before."""
    return replace(system, firmware=system.present_firmware, setup=system.present_setup)


# --- the machine ----------------------------------------------------------------------------------------------------


def is_defined_as(system: System, machine: MachineObservation) -> bool:
    """Whether the machine, or its run, has the firmware, drives and boot order of the system, as far as its driver says."""
    wanted = [option.reference for option in system.boot_options]
    return (
        machine.firmware is system.firmware
        and machine.setup in {None, system.setup}
        and has_drives_of(system, machine)
        and same_order(wanted, machine.boot_devices)
    )


def has_drives_of(system: System, machine: MachineObservation) -> bool:
    """Whether the machine has all drives of the system: one that was made before its host offered a kind of them lacks it."""
    there = {drive_id for drive_id, _ in machine.media}
    return not there or all(drive.id in there for drive in system.drives)


def define_for_start(
    driver: ComputeDriver, drivers: DriverPool, system: System, machine: MachineObservation, stamp: MachineStamp
) -> None:
    """Gives a machine that is off the firmware and the boot order of the system, where it has others."""
    if not is_defined_as(system, machine):
        driver.define_machine(machine_spec(system, drivers, stamp))
