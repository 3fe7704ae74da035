"""Machines as compute drivers see them: what is asked for, what is observed, what happens."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from hawkfish.domain.storage import ConnectionInfo, VolumeFormat


class PowerState(StrEnum):
    """The power states of Redfish."""

    ON = "On"
    OFF = "Off"
    POWERING_ON = "PoweringOn"
    POWERING_OFF = "PoweringOff"
    PAUSED = "Paused"


class Firmware(StrEnum):
    """What starts the machine."""

    UEFI = "UEFI"
    BIOS = "BIOS"


class DiskBus(StrEnum):
    """How a disk is attached to the machine."""

    VIRTIO = "virtio"
    SCSI = "scsi"
    SATA = "sata"


class DriveKind(StrEnum):
    """Kinds of drives whose medium can be changed."""

    CD = "cd"
    FLOPPY = "floppy"
    USB = "usb"


class BootDevice(StrEnum):
    """What firmware can be told to begin with: a group of devices, or its own set-up menu."""

    DISK = "disk"
    CD = "cd"
    NETWORK = "network"
    USB = "usb"
    FLOPPY = "floppy"
    SETUP = "setup"


class NetworkInterfaceModel(StrEnum):
    """Models of network interfaces that drivers may offer."""

    VIRTIO = "virtio"
    E1000E = "e1000e"


@dataclass(frozen=True, kw_only=True)
class DiskSpec:
    """A disk of a machine.

    Attributes:
        id: Stable name of the disk within the machine and its serial number in the guest (at most 20 characters).
        connection: Where its bytes are, as the pool plugin answered.
        format: How they are to be read; never guessed by the hypervisor.
        bus: How it is attached.
        read_only: The guest may not write to it.
        shareable: The pool says that it is reached by several hosts at once.
    """

    id: str
    connection: ConnectionInfo
    format: VolumeFormat = VolumeFormat.QCOW2
    bus: DiskBus = DiskBus.VIRTIO
    read_only: bool = False
    shareable: bool = False


@dataclass(frozen=True, kw_only=True)
class DriveSpec:
    """A drive whose medium can be changed; `medium` is None while it is empty."""

    id: str = "Cd"
    kind: DriveKind = DriveKind.CD
    medium: ConnectionInfo | None = None


DRIVES = (DriveSpec(), DriveSpec(id="Usb", kind=DriveKind.USB))
"""What machines have where their host can make it (`HostFacts.drives`): a CD drive, and a place for a USB stick.

A stick without a medium is not there at all, as on any server. Floppy drives are left out: the machines of today (QEMU's q35) have
no controller for them, and UEFI starts nothing from one.
"""

USUAL_DRIVES = DRIVES[:1]
"""What every machine has unless it is asked for something else."""


def drives_of_kinds(kinds: Collection[DriveKind]) -> tuple[DriveSpec, ...]:
    """The drives of machines on a host that can make these kinds."""
    return tuple(drive for drive in DRIVES if drive.kind in kinds)


@dataclass(frozen=True, kw_only=True)
class NamedNetwork:
    """A network that the hypervisor's manager keeps, by name."""

    name: str


@dataclass(frozen=True, kw_only=True)
class Bridge:
    """A bridge of the host, by name, with an optional VLAN tag."""

    name: str
    vlan: int | None = None


@dataclass(frozen=True, kw_only=True)
class UserMode:
    """User-mode networking: outgoing connections only; works where there is neither network nor bridge."""


NetworkAttachment = NamedNetwork | Bridge | UserMode


@dataclass(frozen=True, kw_only=True)
class NetworkInterfaceSpec:
    """A network interface of a machine; `mac_address` in lower case with colons."""

    id: str
    mac_address: str
    attachment: NetworkAttachment = field(default_factory=UserMode)
    model: NetworkInterfaceModel = NetworkInterfaceModel.VIRTIO


@dataclass(frozen=True, kw_only=True)
class MachineStamp:
    """Who made a machine: written into its metadata by the driver and read back by `find_machine`.

    Attributes:
        installation_id: The HawkFish installation; a machine with another stamp or none is foreign.
        task_id: The task that wrote the definition last.
        epoch: The number of that task's lease then.
    """

    installation_id: str
    task_id: str
    epoch: int


class NestedVirtualisation(StrEnum):
    """Whether the processors of a machine can run machines of the guest's own; AUTO leaves that to their model."""

    AUTO = "Auto"
    ENABLED = "Enabled"
    DISABLED = "Disabled"


class SecureBootKeys(StrEnum):
    """The keys that UEFI's secure boot trusts: those that the host's firmware comes with, or none."""

    FACTORY = "factory"
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class FirmwareSetup:
    """What a server's set-up menu decides: settings of a machine that only a start reads.

    Attributes:
        cpu_model: One of `HostFacts.cpu_models`; empty for the first of them, whatever it is on the host.
        nested_virtualisation: Other than AUTO only where `HostFacts.nested_virtualisation` says so.
        network_boot: Whether firmware tries network interfaces at all; an override of one start may ask for it all the same.
        secure_boot: Whether UEFI refuses what is not signed by a key that it trusts; only where `HostFacts.secure_boot` says so.
            Without meaning for BIOS, and kept all the same.
        secure_boot_keys: What it trusts.
        keys_reset: How often the keys were asked to be made anew; each time makes all of UEFI's variables anew.
    """

    cpu_model: str = ""
    nested_virtualisation: NestedVirtualisation = NestedVirtualisation.AUTO
    network_boot: bool = True
    secure_boot: bool = False
    secure_boot_keys: SecureBootKeys = SecureBootKeys.FACTORY
    keys_reset: int = 0

    @classmethod
    def of(cls, values: Mapping[str, Any] | None) -> FirmwareSetup:
        """From what `dataclasses.asdict` gives, as it was stored; what an older version did not know is as usual."""
        given = dict(values or {})
        if "nested_virtualisation" in given:
            given["nested_virtualisation"] = NestedVirtualisation(given["nested_virtualisation"])
        if "secure_boot_keys" in given:
            given["secure_boot_keys"] = SecureBootKeys(given["secure_boot_keys"])
        return cls(**given)


@dataclass(frozen=True, kw_only=True)
class MachineSpec:
    """Everything a driver needs to define a machine.

    Attributes:
        id: The machine's UUID, also its SMBIOS UUID.
        name: Unique on the host; at most 64 characters, letters, digits, `.`, `_`, `-`.
        vcpus: Number of virtual processors: the cores of one socket, with one thread each.
        memory_mib: Memory in MiB.
        boot_order: Groups of devices in the order in which firmware tries them.
        boot_devices: Ids of disks, drives and network interfaces that firmware tries before all others, in this order; the
            others follow as `boot_order` says.
        setup: What a start reads beside the devices.
        graphics: A VNC screen on a local socket, never on a network.
        serial: A serial port whose output is kept by the hypervisor.
        random: A random number generator fed by the host.
    """

    id: UUID
    name: str
    vcpus: int
    memory_mib: int
    stamp: MachineStamp
    firmware: Firmware = Firmware.UEFI
    disks: tuple[DiskSpec, ...] = ()
    drives: tuple[DriveSpec, ...] = USUAL_DRIVES
    network_interfaces: tuple[NetworkInterfaceSpec, ...] = ()
    boot_order: tuple[BootDevice, ...] = (BootDevice.DISK, BootDevice.CD, BootDevice.USB, BootDevice.NETWORK)
    boot_devices: tuple[str, ...] = ()
    setup: FirmwareSetup = field(default_factory=FirmwareSetup)
    graphics: bool = True
    serial: bool = True
    random: bool = True


@dataclass(frozen=True, kw_only=True)
class StartOptions:
    """How one start differs from the machine's definition, which stays as it is.

    Attributes:
        boot_first: Devices that this start tries before all others; `BootDevice.SETUP`, only for UEFI and where
            `HostFacts.setup_menu` says so, enters the set-up menu of firmware.
        once: The override holds for exactly one boot, also when the guest reboots itself. That of SETUP always does: the next
            reset leaves the menu.
    """

    boot_first: BootDevice | None = None
    once: bool = True


@dataclass(frozen=True, kw_only=True)
class MachineObservation:
    """What a hypervisor says of one machine now.

    Attributes:
        run_id: Changes with every start; None while off.
        stamp: None where HawkFish did not make the machine.
        disk_ids: The ids of the disks it has (serial numbers where given, else target names).
        media: Drive id to the path or address of the inserted medium, None while empty.
        boot_devices: Ids of devices in the order in which firmware tries them at the next boot: of this run while it runs,
            else of the definition; () where the hypervisor does not say.
        setup: Of this run while it runs, else of the definition; None where the hypervisor does not say.
    """

    id: UUID
    name: str
    power_state: PowerState
    vcpus: int
    memory_mib: int
    firmware: Firmware = Firmware.BIOS
    run_id: str | None = None
    stamp: MachineStamp | None = None
    disk_ids: tuple[str, ...] = ()
    mac_addresses: tuple[str, ...] = ()
    media: tuple[tuple[str, str | None], ...] = ()
    boot_devices: tuple[str, ...] = ()
    setup: FirmwareSetup | None = None

    @property
    def facts(self) -> MachineFacts:
        """What of it is recorded beside its power."""
        return MachineFacts(
            name=self.name,
            vcpus=self.vcpus,
            memory_mib=self.memory_mib,
            disk_ids=self.disk_ids,
            mac_addresses=self.mac_addresses,
            media=self.media,
            firmware=self.firmware,
            setup=self.setup,
        )


@dataclass(frozen=True, kw_only=True)
class MachineFacts:
    """What a hypervisor says of a machine beside its power: of the running one while it runs, else of its definition.

    Attributes:
        disk_ids: The ids of the disks it has (serial numbers where given, else target names).
        media: Drive id to the path or address of the inserted medium, None while empty.
        firmware: None where it was not looked at; so is `setup`.
    """

    name: str
    vcpus: int
    memory_mib: int
    disk_ids: tuple[str, ...] = ()
    mac_addresses: tuple[str, ...] = ()
    media: tuple[tuple[str, str | None], ...] = ()
    firmware: Firmware | None = None
    setup: FirmwareSetup | None = None


class MachineEventKind(StrEnum):
    """What a hypervisor can report."""

    STARTED = "started"
    STOPPED = "stopped"
    CRASHED = "crashed"
    PAUSED = "paused"
    RESUMED = "resumed"
    REBOOTED = "rebooted"
    DEFINED = "defined"
    UNDEFINED = "undefined"
    DEVICE_ADDED = "device_added"
    DEVICE_REMOVED = "device_removed"
    DEVICE_REMOVAL_FAILED = "device_removal_failed"
    MEDIUM_CHANGED = "medium_changed"
    CONNECTION_LOST = "connection_lost"
    CONNECTION_RESTORED = "connection_restored"


@dataclass(frozen=True, kw_only=True)
class MachineEvent:
    """Something that happened on a host; `machine_id` is None for events of the connection itself."""

    kind: MachineEventKind
    at: datetime
    machine_id: UUID | None = None
    device: str | None = None
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Screenshot:
    """A picture of a machine's screen; `media_type` such as `image/png` or `image/x-portable-pixmap`."""

    media_type: str
    data: bytes
