"""The compute driver of one libvirt host."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import PurePosixPath
from uuid import UUID

import libvirt

from hawkfish.domain.hosts import HostFacts
from hawkfish.domain.machines import (
    BootDevice,
    DiskSpec,
    Firmware,
    MachineEvent,
    MachineObservation,
    MachineSpec,
    NestedVirtualisation,
    Screenshot,
    StartOptions,
)
from hawkfish.domain.storage import ConnectionInfo
from hawkfish.errors import AlreadyExists, Conflict, MachineNotFound, NotFound, NotSupported
from hawkfish.plugins.compute import (
    ComputeDriver,
    SupportsBootOverride,
    SupportsDiskHotplug,
    SupportsEvents,
    SupportsGracefulShutdown,
    SupportsMedia,
    SupportsNmi,
    SupportsPause,
    SupportsReset,
    SupportsScreenshot,
    SupportsSerialLog,
)
from hawkfish.plugins.context import HostConfig, PluginContext
from hawkfish_libvirt import boot, disks
from hawkfish_libvirt.guest import Guest
from hawkfish_libvirt.host import LibvirtHost
from hawkfish_libvirt.layout import Platform, build_machine
from hawkfish_libvirt.machine_xml import FirmwareXml, MachineXml
from hawkfish_libvirt.media import change_medium
from hawkfish_libvirt.probe import HostProbe, cpu_models, emulator_capabilities, has_reset_of_variables
from hawkfish_libvirt.serial_log import SerialLogs
from hawkfish_libvirt.setup_menu import SetupMenu
from hawkfish_libvirt.storage import LibvirtStorage


class LibvirtDriver(
    LibvirtStorage,
    ComputeDriver,
    SupportsBootOverride,
    SupportsGracefulShutdown,
    SupportsReset,
    SupportsNmi,
    SupportsPause,
    SupportsScreenshot,
    SupportsEvents,
    SupportsSerialLog,
    SupportsMedia,
    SupportsDiskHotplug,
):
    """Machines, storage and events of one host, over connections of its own."""

    def __init__(self, config: HostConfig, context: PluginContext) -> None:
        self._host = LibvirtHost(config, context)
        self._machine_type = str(config.settings.get("machine_type") or "q35")
        data_dir = PurePosixPath(str(config.settings.get("data_dir") or "/var/lib/hawkfish"))
        self._logs = SerialLogs(self, context.installation_id, data_dir / "serial")
        virt_type = str(config.settings.get("virt_type") or "auto")
        self._probe = HostProbe(self._host, self, virt_type, data_dir)
        self._probe_lock = threading.Lock()
        self._setup_menu = SetupMenu(self._host)

    # --- connection ---------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """See `ComputeDriver`."""
        self._host.open()

    def close(self) -> None:
        """See `ComputeDriver`."""
        self._host.close()

    def probe(self) -> HostFacts:
        """See `ComputeDriver`."""
        with self._probe_lock:
            return self._probe.facts()

    def subscribe(self, listener: Callable[[MachineEvent], None]) -> Callable[[], None]:
        """See `SupportsEvents`."""
        return self._host.events.subscribe(listener)

    # --- machines -----------------------------------------------------------------------------------------------------

    def list_machines(self) -> tuple[MachineObservation, ...]:
        """See `ComputeDriver`."""

        def run(raw: libvirt.virConnect) -> tuple[MachineObservation, ...]:
            found = []
            for domain in raw.listAllDomains(0):
                try:
                    found.append(Guest(raw, domain).observe())
                except libvirt.libvirtError as error:
                    if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                        raise  # NO_DOMAIN: it was removed since it was listed
            return tuple(found)

        return self._host.machines.call("Listing machines", run, self._host.timeout)

    def find_machine(self, machine_id: UUID) -> MachineObservation | None:
        """See `ComputeDriver`."""
        try:
            return self._host.machine("Looking", machine_id, lambda guest: guest.observe())
        except MachineNotFound:
            return None

    def define_machine(self, spec: MachineSpec) -> MachineObservation:
        """See `ComputeDriver`."""
        with self._probe_lock:
            virt_type = self._probe.virtualisation().value
        serial_log = self._logs.prepare(spec.id) if spec.serial else None

        def run(raw: libvirt.virConnect) -> MachineObservation:
            old = self._own_definition(raw, spec)
            machine = build_machine(spec, self._platform(raw, virt_type, spec), serial_log, old)
            guest = Guest(raw, raw.defineXML(machine.build()))
            if guest.is_active:
                guest.stamp_running(machine)
            return guest.observe()

        return self._host.machines.call(
            f"Defining machine {spec.name}", run, self._host.timeout, subject=str(spec.id), owner=str(spec.id)
        )

    def _platform(self, raw: libvirt.virConnect, virt_type: str, spec: MachineSpec) -> Platform:
        """What the guest is to run on; the host is asked only where the machine is not to be as usual.

        Raises:
            NotSupported: The host has no such processors.
        """
        platform = Platform(virt_type=virt_type, machine_type=self._machine_type)
        setup = spec.setup
        secure = setup.secure_boot and spec.firmware is Firmware.UEFI
        if not setup.cpu_model and setup.nested_virtualisation is NestedVirtualisation.AUTO and not secure:
            return platform
        emulator = emulator_capabilities(raw, virt_type)
        if secure and not (emulator.secure_boot and has_reset_of_variables(raw) and "q35" in self._machine_type):
            raise NotSupported(
                f"Host {self._host.name} has no firmware with secure boot for machine {spec.name} (Debian: ovmf; it takes "
                "machines of the type q35, and libvirt 8.1).",
                operation="secure boot",
            )
        known = cpu_models(virt_type, emulator)
        if setup.cpu_model and setup.cpu_model not in known:
            raise NotSupported(
                f"Host {self._host.name} has no processors {setup.cpu_model!r} for machine {spec.name}; it has: "
                f"{', '.join(known)}.",
                operation="define",
            )
        return replace(platform, nested_feature=emulator.nested_feature)

    def remove_machine(self, machine_id: UUID) -> None:
        """See `ComputeDriver`."""

        def run(guest: Guest) -> None:
            self._host.require_own(guest, "Removing")
            guest.end_preparation()
            if guest.is_active:
                raise Conflict(f"Machine {guest.name} runs and is not removed; power it off first.")
            definition = guest.definition()
            if definition.firmware.keeps_variables:
                # libvirt removes the variables of machines with UEFI only.
                guest.define(replace(definition, firmware=FirmwareXml(uefi=True, nvram=definition.firmware.nvram)))
            guest.undefine()

        with suppress(MachineNotFound):  # removed before; its log may still be there
            self._host.machine("Removing", machine_id, run, changes=True)
        self._logs.remove(machine_id)

    def start_machine(self, machine_id: UUID, options: StartOptions | None = None) -> MachineObservation:
        """See `ComputeDriver`."""
        wanted = options or StartOptions()
        if wanted.boot_first is BootDevice.SETUP:
            self._setup_menu.request(machine_id)
        machine = self._start(machine_id, wanted)
        if machine is None:
            self._setup_menu.take_back(machine_id)
            machine = self._start(machine_id, wanted)
        if machine is None:
            raise Conflict(f"Machine {machine_id} was asked for its set-up menu by somebody else; start it again.")
        return machine

    def _start(self, machine_id: UUID, options: StartOptions) -> MachineObservation | None:
        """None where UEFI still asks for a set-up menu that is not wanted."""

        def run(raw: libvirt.virConnect) -> MachineObservation | None:
            guest = Guest(raw, raw.lookupByUUID(machine_id.bytes))
            self._host.require_own(guest, "Starting")
            return guest.observe() if boot.start(guest, options) else None

        return self._host.machines.call(
            f"Starting machine {machine_id}", run, self._host.timeout, subject=str(machine_id), owner=str(machine_id)
        )

    def power_off_machine(self, machine_id: UUID) -> None:
        """See `ComputeDriver`. Has a connection of its own, so that it waits for nothing."""
        try:
            self._host.machine("Powering off", machine_id, self._power_off, connection=self._host.power)
        except MachineNotFound:
            return

    def _power_off(self, guest: Guest) -> None:
        self._host.require_own(guest, "Powering off")
        guest.power_off()

    # --- more than on and off -----------------------------------------------------------------------------------------

    @property
    def boot_override_mechanism(self) -> str:
        """See `SupportsBootOverride`."""
        return boot.MECHANISM

    def request_shutdown(self, machine_id: UUID) -> None:
        """See `SupportsGracefulShutdown`. A machine that is off is success."""

        def run(guest: Guest) -> None:
            if guest.is_active:
                with guest.while_running():
                    guest.shut_down()

        self._on_own("Shutting down", machine_id, run)

    def reset_machine(self, machine_id: UUID) -> None:
        """See `SupportsReset`."""
        self._on_running("Reset", machine_id, lambda guest: guest.reset())

    def send_nmi(self, machine_id: UUID) -> None:
        """See `SupportsNmi`."""
        self._on_running("NMI", machine_id, lambda guest: guest.send_nmi())

    def pause_machine(self, machine_id: UUID) -> None:
        """See `SupportsPause`."""
        self._on_running("Pausing", machine_id, lambda guest: guest.pause())

    def resume_machine(self, machine_id: UUID) -> None:
        """See `SupportsPause`."""
        self._on_running("Resuming", machine_id, lambda guest: guest.resume())

    def take_screenshot(self, machine_id: UUID) -> Screenshot:
        """See `SupportsScreenshot`."""

        def run(guest: Guest) -> Screenshot:
            with guest.running("A screenshot"):
                return guest.screenshot()

        return self._host.machine("Screenshot", machine_id, run)

    def change_medium(self, machine_id: UUID, drive_id: str, medium: ConnectionInfo | None) -> None:
        """See `SupportsMedia`."""
        self._on_own("Changing a medium", machine_id, lambda guest: change_medium(guest, drive_id, medium))

    def attach_disk(self, machine_id: UUID, disk: DiskSpec) -> None:
        """See `SupportsDiskHotplug`."""
        self._on_own("Attaching a disk", machine_id, lambda guest: disks.attach_disk(guest, disk))

    def detach_disk(self, machine_id: UUID, disk_id: str, timeout: float) -> None:
        """See `SupportsDiskHotplug`."""
        disks.detach_disk(self._host, machine_id, disk_id, timeout)

    def resize_attached_disk(self, machine_id: UUID, disk_id: str, capacity_bytes: int) -> None:
        """See `SupportsDiskHotplug`."""
        self._on_own("Growing a disk", machine_id, lambda guest: disks.resize_disk(guest, disk_id, capacity_bytes))

    def read_serial_log(self, machine_id: UUID, offset: int = 0, limit: int = 65536) -> bytes:
        """See `SupportsSerialLog`."""
        try:
            data = self._logs.read(machine_id, offset, limit)
        except NotFound:  # no machine with a serial port was ever defined here
            data = b""
        if not data:
            self._host.machine("Reading the serial log", machine_id, lambda guest: guest.name)  # is there one at all?
        return data

    def _on_own(self, operation: str, machine_id: UUID, function: Callable[[Guest], None]) -> None:
        def run(guest: Guest) -> None:
            self._host.require_own(guest, operation)
            guest.end_preparation()
            function(guest)

        self._host.machine(operation, machine_id, run)

    def _on_running(self, operation: str, machine_id: UUID, function: Callable[[Guest], None]) -> None:
        def run(guest: Guest) -> None:
            with guest.running(operation):
                function(guest)

        self._on_own(operation, machine_id, run)

    def _own_definition(self, raw: libvirt.virConnect, spec: MachineSpec) -> MachineXml | None:
        """The definition to be changed; None if there is none yet.

        Raises:
            ForeignObject: The UUID or the name belongs to a machine that is not ours.
            AlreadyExists: The name belongs to another machine of ours.
        """
        by_id, by_name = _lookup(raw.lookupByUUID, spec.id.bytes), _lookup(raw.lookupByName, spec.name)
        for domain in (by_id, by_name):
            if domain is not None:
                self._host.require_own(Guest(raw, domain), "Defining")
        if by_name is not None and by_name.UUID() != spec.id.bytes:
            raise AlreadyExists(
                f"Host {self._host.name} has another machine named {spec.name}; choose another name.",
                kind="machine",
                property="name",
                value=spec.name,
            )
        if by_id is None:
            return None
        if by_id.name() != spec.name:
            raise Conflict(
                f"Machine {spec.id} is named {by_id.name()} on host {self._host.name} and is not renamed to {spec.name}."
            )
        return Guest(raw, by_id).definition()


def _lookup(function: Callable[[object], libvirt.virDomain], key: object) -> libvirt.virDomain | None:
    try:
        return function(key)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise
