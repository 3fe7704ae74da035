"""One domain: thin, blocking, and only ever used inside a call with a deadline. libvirt's errors pass through."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import libvirt
import tenacity

from hawkfish.domain.machines import MachineObservation, MachineStamp, PowerState, Screenshot
from hawkfish.errors import Conflict
from hawkfish_libvirt.layout import observe_machine
from hawkfish_libvirt.machine_xml import NAMESPACE, PREFIX, DiskXml, MachineXml, Run, build_metadata
from hawkfish_libvirt.xml_tools import to_text

_STATES = {
    libvirt.VIR_DOMAIN_RUNNING: PowerState.ON,
    libvirt.VIR_DOMAIN_BLOCKED: PowerState.ON,
    libvirt.VIR_DOMAIN_PAUSED: PowerState.PAUSED,
    libvirt.VIR_DOMAIN_PMSUSPENDED: PowerState.PAUSED,
    # The guest has halted and the process still stands: it is on its way out.
    libvirt.VIR_DOMAIN_SHUTDOWN: PowerState.POWERING_OFF,
    libvirt.VIR_DOMAIN_SHUTOFF: PowerState.OFF,
    libvirt.VIR_DOMAIN_CRASHED: PowerState.OFF,
    libvirt.VIR_DOMAIN_NOSTATE: PowerState.OFF,
}

_TRAY_ATTEMPTS = 10
"""Of a guest that reads its drive without a pause, under emulation, one change in twenty failed, and none twice."""

_TRAY_PAUSE_SECONDS = 0.2

_END_SECONDS = 10.0
"""Of QEMU's end libvirt speaks first in the answers to what was asked last, and up to two seconds later in the domain's state."""

_END_POLL_SECONDS = 0.1


class Guest:
    """A domain that was looked up just now."""

    def __init__(self, raw: libvirt.virConnect, domain: libvirt.virDomain) -> None:
        self._raw = raw
        self._domain = domain

    @property
    def id(self) -> UUID:
        """Its UUID."""
        return UUID(bytes=self._domain.UUID())

    @property
    def name(self) -> str:
        """Its name."""
        return str(self._domain.name())

    @property
    def is_active(self) -> bool:
        """Whether it has a hypervisor process."""
        return bool(self._domain.isActive())

    @property
    def power_state(self) -> PowerState:
        """Its state now."""
        return _STATES.get(self._domain.state()[0], PowerState.OFF)

    def definition(self) -> MachineXml:
        """What the next start would use."""
        return MachineXml.parse(self.definition_text())

    def definition_text(self) -> str:
        """The same as libvirt's XML."""
        return str(self._domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))

    def live(self) -> MachineXml:
        """What runs now; the definition while it is off."""
        return MachineXml.parse(self._domain.XMLDesc(0))

    def observe(self) -> MachineObservation:
        """What core is told."""
        machine, state = self.live(), self.power_state
        # Both are to be of one moment, though it may start or go off in between.
        if machine.number is None or _is_preparation(machine.run, state):
            state = PowerState.OFF
        elif state is PowerState.OFF:
            machine = self.definition()
        run_id = None
        if state is not PowerState.OFF:
            # Started by us it bears an id of its own; started by others libvirt's number has to do.
            run_id = machine.run.id if machine.run else f"domain-{machine.number}"
        return observe_machine(machine, state, run_id)

    def require_active(self, operation: str) -> None:
        """Refuses what only a running machine can do.

        Raises:
            Conflict: It is off.
        """
        if not self.is_active:
            raise self._off(operation)

    def _off(self, operation: str) -> Conflict:
        return Conflict(f"{operation} of machine {self.name} is not possible: it is off. Start it first.")

    @contextmanager
    def running(self, operation: str) -> Iterator[None]:
        """Does what only a running machine can do.

        Raises:
            Conflict: It is off, or went off meanwhile.
        """
        self.require_active(operation)
        try:
            yield
        except libvirt.libvirtError as error:
            if not self._has_ended():
                raise
            raise self._off(operation) from error

    @contextmanager
    def while_running(self) -> Iterator[None]:
        """Does to a running machine what needs not be done any more once it is off: a guest may end, or be ended, at any moment."""
        try:
            yield
        except libvirt.libvirtError:
            if not self._has_ended():
                raise

    def _has_ended(self) -> bool:
        """Whether something failed since the machine has gone off, or is about to: libvirt says that in many words."""
        end = time.monotonic() + _END_SECONDS
        while self.is_active and self.power_state is not PowerState.POWERING_OFF:
            # A process that is told to end may answer once more in that moment.
            time.sleep(_END_POLL_SECONDS)
            if self._answers() or time.monotonic() > end:
                return False
        return True

    def _answers(self) -> bool:
        try:
            self.monitor("query-status")
        except libvirt.libvirtError:
            return False
        return True

    def stamp_running(self, definition: MachineXml) -> None:
        """Writes the stamp of a new definition into the running domain, and which places for sticks it has now."""
        if definition.stamp is not None:
            with self.while_running():
                self._write_metadata(definition.stamp, self.live().run, definition.sticks)

    def write_run(self, run: Run) -> None:
        """Writes what is known of this run into the running domain."""
        live = self.live()
        if live.stamp is not None:
            with self.while_running():
                self._write_metadata(live.stamp, run, live.sticks)

    def _write_metadata(self, stamp: MachineStamp, run: Run | None, sticks: str) -> None:
        self._domain.setMetadata(
            libvirt.VIR_DOMAIN_METADATA_ELEMENT,
            to_text(build_metadata(stamp, run, sticks=sticks, with_namespace=False)),
            PREFIX,
            NAMESPACE,
            libvirt.VIR_DOMAIN_AFFECT_LIVE,
        )

    def write_definition_metadata(self, machine: MachineXml) -> None:
        """Writes what our metadata say of a machine into its definition, and nothing else of it."""
        if machine.stamp is None:
            return
        self._domain.setMetadata(
            libvirt.VIR_DOMAIN_METADATA_ELEMENT,
            to_text(build_metadata(machine.stamp, None, machine.firmware, machine.sticks, with_namespace=False)),
            PREFIX,
            NAMESPACE,
            libvirt.VIR_DOMAIN_AFFECT_CONFIG,
        )

    def define(self, machine: MachineXml) -> None:
        """Changes its definition."""
        self._raw.defineXML(machine.build())

    def undefine(self) -> None:
        """Removes the definition and the firmware's variables."""
        self._domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)

    def end_preparation(self) -> None:
        """Takes away a run that was only to have UEFI's variables made, also one that was left behind; no other."""
        if self.is_active and _is_preparation(self.live().run, self.power_state):
            self.power_off()

    def start_from(self, text: str, flags: int) -> None:
        """Starts it from XML that is made for this start."""
        self._raw.createXML(text, flags)

    def power_off(self) -> None:
        """Cuts the power."""
        if not self.is_active:
            return
        try:
            self._domain.destroy()
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID:
                raise  # OPERATION_INVALID: it went off by itself meanwhile

    def shut_down(self) -> None:
        """Presses the power button."""
        self._domain.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)

    def reset(self) -> None:
        """Presses the reset button."""
        self._domain.reset()

    def send_nmi(self) -> None:
        """Sends a non-maskable interrupt."""
        self._domain.injectNMI()

    def pause(self) -> None:
        """Stops the processors."""
        if self.power_state is not PowerState.PAUSED:
            self._domain.suspend()

    def resume(self) -> None:
        """Continues; a guest that has put itself to sleep is woken."""
        state = self._domain.state()[0]
        if state == libvirt.VIR_DOMAIN_PAUSED:
            self._domain.resume()
        elif state == libvirt.VIR_DOMAIN_PMSUSPENDED:
            self._domain.pMWakeup(0)

    def screenshot(self) -> Screenshot:
        """A picture of the first screen."""
        stream = self._raw.newStream()
        try:
            media_type = str(self._domain.screenshot(stream, 0))
            pieces = []
            while piece := stream.recv(262144):
                pieces.append(piece)
            stream.finish()
        except libvirt.libvirtError:
            stream.abort()
            raise
        return Screenshot(media_type=media_type, data=b"".join(pieces))

    def update_drive(self, drive: DiskXml, *, live: bool) -> None:
        """Puts another medium into a drive, in the running domain or in the definition.

        libvirt opens the tray, changes the medium and closes the tray, by one command to QEMU each; a guest that reads the drive in
        between has the tray closed first, as Linux does, and the change fails. What it left undone is done by doing it again.
        """
        # Forced: the guest may have locked the tray, and a BMC's user decides.
        flags = _affect(live=live) | libvirt.VIR_DOMAIN_DEVICE_MODIFY_FORCE
        for attempt in tenacity.Retrying(
            retry=tenacity.retry_if_exception(_was_closed_by_guest),
            stop=tenacity.stop_after_attempt(_TRAY_ATTEMPTS),
            wait=tenacity.wait_random(0, _TRAY_PAUSE_SECONDS),  # not in step with the guest
            reraise=True,
        ):
            with attempt:
                self._domain.updateDeviceFlags(to_text(drive.build()), flags)

    def close_tray(self, drive: DiskXml) -> None:
        """Closes the tray of a running machine's drive, where its guest has opened it."""
        if drive.tray_open and drive.alias:
            self.monitor("blockdev-close-tray", id=drive.alias)

    def attach(self, disk: DiskXml, *, live: bool) -> None:
        """Adds a disk, to the running domain or to the definition."""
        self._domain.attachDeviceFlags(to_text(disk.build()), _affect(live=live))

    def detach(self, disk: DiskXml, *, live: bool) -> None:
        """Takes a disk away from the definition, or asks the running guest to let go of it."""
        try:
            self._domain.detachDeviceFlags(to_text(disk.build()), _affect(live=live))
        except libvirt.libvirtError as error:
            if "already in the process of unplug" not in (error.get_error_message() or ""):
                raise

    def disk_capacity(self, disk: DiskXml) -> int:
        """Its size as the running machine sees it."""
        return int(self._domain.blockInfo(disk.target)[0])

    def resize_disk(self, disk: DiskXml, capacity_bytes: int) -> None:
        """Grows it in the running machine."""
        self._domain.blockResize(disk.target, capacity_bytes, libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES)

    def monitor(self, command: str, **arguments: object) -> object:
        """Sends a QMP command and gives what it returns."""
        import libvirt_qemu

        request = json.dumps({"execute": command, "arguments": arguments})
        answer = json.loads(libvirt_qemu.qemuMonitorCommand(self._domain, request, 0))
        return answer.get("return")


def _affect(*, live: bool) -> int:
    return int(libvirt.VIR_DOMAIN_AFFECT_LIVE if live else libvirt.VIR_DOMAIN_AFFECT_CONFIG)


def _was_closed_by_guest(error: BaseException) -> bool:
    """Whether a change of a medium failed since the tray was no longer open; the words are QEMU's (`block/qapi-sysemu.c`)."""
    text = (error.get_error_message() or "") if isinstance(error, libvirt.libvirtError) else ""
    return text.rstrip(".").endswith("is not open") and "Tray of " in text


def _is_preparation(run: Run | None, state: PowerState) -> bool:
    """Whether none of a run's processors has run, or will; somebody else may let them, and then it is a run as any other."""
    return run is not None and run.preparing and state is PowerState.PAUSED
