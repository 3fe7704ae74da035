"""Changing the medium of a drive.

A CD drive stays while its medium changes. A USB stick is a device of its own: it is plugged in with its medium and pulled out with it.
"""

from __future__ import annotations

from dataclasses import replace

from hawkfish.domain.storage import ConnectionInfo
from hawkfish.errors import BackendError, NotFound
from hawkfish_libvirt.boot import set_order
from hawkfish_libvirt.guest import Guest
from hawkfish_libvirt.machine_xml import DiskXml, MachineXml
from hawkfish_libvirt.source_xml import Source, source_of


def change_medium(guest: Guest, drive_id: str, medium: ConnectionInfo | None) -> None:
    """Inserts or ejects, in the definition and in the running machine; what is so already is left alone.

    Raises:
        NotFound: The machine has no such drive.
    """
    source = source_of(medium) if medium else None
    definition = guest.definition()
    place = _find_drive(definition, drive_id)
    if guest.is_active:  # first, because QEMU opens the medium and may refuse it
        with guest.while_running():
            _change_in_run(guest, place, source)
    _change(guest, place, source, live=False)


def _change_in_run(guest: Guest, place: DiskXml, source: Source | None) -> None:
    live = guest.live()
    # A machine that was started before its definition got the place of a stick takes one all the same.
    drive = _place_of_stick(live, place) if place.removable else _find_drive(live, place.id or place.target)
    _change(guest, drive, source, live=True)
    if place.removable:
        _restore_order(guest, live)


def _place_of_stick(machine: MachineXml, place: DiskXml) -> DiskXml:
    found = next((item for item in machine.disks if item.removable and item.id == place.id), None)
    return found or replace(place, source=None)


def _change(guest: Guest, drive: DiskXml, source: Source | None, *, live: bool) -> None:
    if drive.source == source:
        guest.close_tray(drive)
        return
    if not drive.removable:
        guest.update_drive(replace(drive, source=source), live=live)
        return
    if drive.source is not None:
        _pull_out(guest, drive, live=live)
    if source is not None:
        # Of a running machine libvirt knows the numbers that it was started with, not those that hold now.
        order = None if live else drive.boot_order
        guest.attach(replace(drive, source=source, boot_order=order, address=()), live=live)


def _pull_out(guest: Guest, stick: DiskXml, *, live: bool) -> None:
    guest.detach(stick, live=live)
    machine = guest.live() if live else guest.definition()
    if any(item.removable and item.id == stick.id and item.source is not None for item in machine.disks):
        raise BackendError(
            f"The stick {stick.id} of machine {guest.name} is still plugged in after it was pulled out; try again.",
            operation="change medium",
            reason="not released",
        )


def _restore_order(guest: Guest, before: MachineXml) -> None:
    """A stick that is plugged in gets its place among what the next reset of this run tries, also where a change died before that."""
    if before.run is not None and before.run.boot_devices:
        set_order(guest, before.run.boot_devices)


def _find_drive(machine: MachineXml, drive_id: str) -> DiskXml:
    drives = [item for item in machine.disks if item.takes_media]
    for item in drives:
        if drive_id in {item.id, item.target}:
            return item
    names = ", ".join(item.id or item.target for item in drives) or "none"
    raise NotFound(f"Machine {machine.name} has no drive {drive_id}; it has: {names}.", kind="drive", id=drive_id)
