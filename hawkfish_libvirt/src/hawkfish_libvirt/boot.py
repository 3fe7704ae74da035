"""Starting, with or without a boot override.

A machine is always started from XML built for that start (`virDomainCreateXML` on a defined domain). Of the definition nothing but
our own metadata is ever written: which keys UEFI's variables were made with, and whether they ask for the set-up menu. It starts
paused, with a mark in its metadata that is taken away once its processors run: a start that was interrupted is told by it from a
pause that somebody asked for.

An override for exactly one boot works as follows. When the domain has started paused with the overriding order, QEMU has handed
that order to the firmware in the reset that ends its set-up, and builds it anew only at the next reset. So the normal order is set
by QMP before the processors run: this boot takes the override, a reboot within the guest does not, and nobody needs to watch.

The set-up menu of UEFI is no device, and asked for otherwise: see `hawkfish_libvirt.setup_menu`.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace

import libvirt

from hawkfish.domain.machines import BootDevice, FirmwareSetup, StartOptions
from hawkfish.errors import BackendError
from hawkfish_libvirt.guest import Guest
from hawkfish_libvirt.layout import setup_of, with_boot_first
from hawkfish_libvirt.machine_xml import DiskXml, FirmwareXml, InterfaceXml, MachineXml, Run, edit_for_start

MECHANISM = (
    "The machine starts with the chosen device first; before its processors run, QEMU is given the normal order, "
    "which firmware reads at the next reset."
)

_NONE = -1
"""What QEMU holds of a device that is not booted."""


def start(guest: Guest, options: StartOptions) -> bool:
    """Starts the machine; one that runs is left alone, one that was left paused in the middle of a start is continued.

    Returns:
        False, with nothing done, where UEFI was asked for its set-up menu before and this start is not to enter it.
    """
    guest.end_preparation()
    if guest.is_active:
        _finish_interrupted_start(guest)
        return True
    text = guest.definition_text()
    definition = MachineXml.parse(text)
    if definition.firmware.asks_for_setup and options.boot_first is not BootDevice.SETUP:
        return False
    override = None if options.boot_first is BootDevice.SETUP else options.boot_first
    machine = with_boot_first(definition, override) if override else definition
    run = Run(
        id=secrets.token_hex(8),
        override=override.value if override else None,
        once=override is not None and options.once,
        starting=True,
        boot_devices=(definition if options.once else machine).boot_devices,
        setup=setup_of(definition),
    )
    flags = libvirt.VIR_DOMAIN_START_PAUSED
    if definition.firmware.needs_new_variables:
        flags |= libvirt.VIR_DOMAIN_START_RESET_NVRAM
    try:
        guest.start_from(edit_for_start(text, machine, run), flags)
    except libvirt.libvirtError:
        if not guest.is_active:
            raise
        _finish_interrupted_start(guest)  # somebody else has started it in this moment
        return True
    _let_run(guest, definition, run)
    return True


def _finish_interrupted_start(guest: Guest) -> None:
    run = guest.live().run
    if run is not None and run.starting:
        _let_run(guest, guest.definition(), run)


def _let_run(guest: Guest, definition: MachineXml, run: Run) -> None:
    """Ends a start; doing it again is harmless.

    That UEFI's variables were made anew is noted before the guest can write any: dying in between makes them anew once more.
    """
    firmware = definition.firmware
    if firmware.needs_new_variables and run.setup is not None and _same_keys(firmware, run.setup):
        guest.write_definition_metadata(replace(definition, firmware=replace(firmware, made_with=firmware.wanted_keys)))
    if run.once:
        set_order(guest, definition.boot_devices)
    guest.resume()
    guest.write_run(replace(run, once=False, starting=False))


def _same_keys(firmware: FirmwareXml, setup: FirmwareSetup) -> bool:
    """Whether a run was started with the keys that the definition has now; it may be another one since."""
    started = (setup.secure_boot, setup.secure_boot_keys, setup.keys_reset)
    return (firmware.secure, firmware.keys, firmware.keys_reset) == started


def set_order(guest: Guest, order: Sequence[str]) -> None:
    """Gives QEMU an order of devices, by their ids; firmware reads it at the next reset."""
    wanted = {device_id: number for number, device_id in enumerate(order, start=1)}
    devices = [item for item in guest.live().present_devices if item.boot_order is not None or item.id in wanted]
    nameless = [item.id or "" for item in devices if not item.alias]
    if nameless:
        raise BackendError(
            f"The boot order of machine {guest.name} cannot be restored: {', '.join(nameless)} cannot be named to QEMU. "
            "Power it off and start it again.",
            operation="boot override",
            reason="device without alias",
        )
    # What is right already is left alone, since whoever dies in between leaves the guest without it. Two devices may not hold one
    # number, so the wrong ones are cleared first.
    wrong = {}
    for item in devices:
        number, held = wanted.get(item.id or "", _NONE), guest.monitor("qom-get", **_boot_index(item))
        if held != number:
            wrong[item.alias] = (item, number)
            if held != _NONE:
                guest.monitor("qom-set", **_boot_index(item), value=_NONE)
    for item, number in wrong.values():
        if number != _NONE:
            guest.monitor("qom-set", **_boot_index(item), value=number)


def _boot_index(item: DiskXml | InterfaceXml) -> dict[str, str]:
    return {"path": f"/machine/peripheral/{item.alias}", "property": "bootindex"}
