"""Changing the medium of a drive."""

from __future__ import annotations

from dataclasses import replace

from hawkfish.domain.storage import ConnectionInfo
from hawkfish.errors import NotFound
from hawkfish_libvirt.guest import Guest
from hawkfish_libvirt.machine_xml import DiskXml, MachineXml
from hawkfish_libvirt.source_xml import Source, source_of

_REMOVABLE = {"cdrom", "floppy"}


def change_medium(guest: Guest, drive_id: str, medium: ConnectionInfo | None) -> None:
    """Inserts or ejects, in the definition and in the running machine; what is so already is left alone.

    Raises:
        NotFound: The machine has no such drive.
    """
    source = source_of(medium) if medium else None
    definition = guest.definition()
    _find_drive(definition, drive_id)
    if guest.is_active:  # first, because QEMU opens the medium and may refuse it
        _change(guest, guest.live(), drive_id, source, live=True)
    _change(guest, definition, drive_id, source, live=False)


def _change(guest: Guest, machine: MachineXml, drive_id: str, source: Source | None, *, live: bool) -> None:
    drive = _find_drive(machine, drive_id)
    if drive.source != source:
        guest.update_drive(replace(drive, source=source), live=live)


def _find_drive(machine: MachineXml, drive_id: str) -> DiskXml:
    drives = [item for item in machine.disks if item.device in _REMOVABLE]
    for item in drives:
        if drive_id in {item.id, item.target}:
            return item
    names = ", ".join(item.id or item.target for item in drives) or "none"
    raise NotFound(f"Machine {machine.name} has no drive {drive_id}; it has: {names}.", kind="drive", id=drive_id)
