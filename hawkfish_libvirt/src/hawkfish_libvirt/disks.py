"""Attaching, detaching and growing disks of machines that may run."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from uuid import UUID

from hawkfish.domain.machines import DiskSpec, MachineEvent, MachineEventKind
from hawkfish.errors import BackendTimeout, Conflict, NotFound
from hawkfish_libvirt.guest import Guest
from hawkfish_libvirt.host import LibvirtHost
from hawkfish_libvirt.layout import build_disk
from hawkfish_libvirt.machine_xml import DiskXml, MachineXml

_ANSWERS = {MachineEventKind.DEVICE_REMOVED, MachineEventKind.DEVICE_REMOVAL_FAILED}
_ENDS = {MachineEventKind.STOPPED, MachineEventKind.CRASHED}

_ASK_AGAIN_SECONDS = 5.0
"""A guest that is still booting never hears of what it was asked."""


def attach_disk(guest: Guest, disk: DiskSpec) -> None:
    """Attaches it to the running machine first, which may refuse, and then to the definition."""
    definition = guest.definition()
    known = _find(definition, disk.id)
    new = known or build_disk(disk, definition)
    if guest.is_active:
        with guest.while_running():
            _attach_in_run(guest, new)
    if known is None:
        guest.attach(new, live=False)


def _attach_in_run(guest: Guest, disk: DiskXml) -> None:
    running = guest.live()
    if _find(running, disk.id or "") is not None:
        return
    if disk.target in {item.target for item in running.disks}:
        raise Conflict(
            f"Disk {disk.id} cannot be attached to running machine {guest.name}: its place {disk.target} is taken by a disk that "
            "is on its way out. Try again once the guest has released that."
        )
    guest.attach(replace(disk, boot_order=None, address=()), live=True)


def detach_disk(host: LibvirtHost, machine_id: UUID, disk_id: str, timeout: float) -> None:
    """Asks the guest to let go until libvirt says that it has; the definition follows only then, or when it runs no more.

    Raises:
        BackendTimeout: The guest did not release it; the machine keeps the disk.
    """
    answered = threading.Event()

    def listen(event: MachineEvent) -> None:
        is_answer = event.kind in _ANSWERS and event.device == disk_id
        if event.machine_id == machine_id and (is_answer or event.kind in _ENDS):
            answered.set()

    def ask(guest: Guest) -> bool:
        host.require_own(guest, "Detaching a disk")
        disk = _find(guest.live(), disk_id) if guest.is_active else None
        if disk is not None:
            with guest.while_running():
                guest.detach(disk, live=True)
        return disk is not None

    unsubscribe = host.events.subscribe(listen)
    try:
        end = time.monotonic() + timeout
        while host.machine("Detaching a disk", machine_id, ask):
            left = max(0.0, end - time.monotonic())
            if answered.wait(min(left, _ASK_AGAIN_SECONDS)) or left <= _ASK_AGAIN_SECONDS:
                break
    finally:
        unsubscribe()
    if not host.machine("Detaching a disk", machine_id, lambda guest: _forget(guest, disk_id)):
        raise BackendTimeout(
            f"Disk {disk_id} of machine {machine_id} was not detached: the guest did not release it within {timeout:g} s, "
            "and the machine keeps it. Unmount it in the guest and try again.",
            operation="detach disk",
            host=host.name,
            reason="not released",
            seconds=timeout,
        )


def _forget(guest: Guest, disk_id: str) -> bool:
    """Takes the disk out of the definition, unless the running machine has it still."""
    if guest.is_active and _find(guest.live(), disk_id) is not None:
        return False
    disk = _find(guest.definition(), disk_id)
    if disk is not None:
        guest.detach(disk, live=False)
    return True


def resize_disk(guest: Guest, disk_id: str, capacity_bytes: int) -> None:
    """Tells the running machine that a disk has grown.

    Raises:
        NotFound: The machine has no such disk.
        Conflict: It is off, or the disk is larger already.
    """
    with guest.running("Growing a disk"):
        disk = _find(guest.live(), disk_id)
        if disk is None:
            raise NotFound(f"Machine {guest.name} has no disk {disk_id}.", kind="disk", id=disk_id)
        now = guest.disk_capacity(disk)
        if capacity_bytes < now:
            raise Conflict(
                f"Disk {disk_id} of machine {guest.name} has {now} bytes and is not made smaller; ask for more."
            )
        if capacity_bytes > now:
            guest.resize_disk(disk, capacity_bytes)


def _find(machine: MachineXml, disk_id: str) -> DiskXml | None:
    return next((item for item in machine.disks if item.device == "disk" and item.id == disk_id), None)
