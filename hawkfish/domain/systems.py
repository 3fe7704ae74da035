"""Systems: machines as their users see them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from uuid import UUID

from hawkfish.domain.boot import BOOT_TARGETS, MODE_OF, BootOption, in_order
from hawkfish.domain.hosts import ComputeCapability
from hawkfish.domain.machines import (
    BootDevice,
    DiskBus,
    DriveKind,
    DriveSpec,
    Firmware,
    FirmwareSetup,
    MachineFacts,
    NetworkAttachment,
    NetworkInterfaceModel,
    PowerState,
    UserMode,
    drives_of_kinds,
)
from hawkfish.domain.placement import PlacementRule
from hawkfish.domain.storage import VolumeFormat

DEFAULT_PROJECT = "default"


class SystemState(StrEnum):
    """The life of a system's record."""

    CREATING = "creating"
    READY = "ready"
    DELETING = "deleting"
    FAILED = "failed"


class ResetType(StrEnum):
    """What Redfish's Reset action may ask for (Resource.ResetType)."""

    ON = "On"
    FORCE_OFF = "ForceOff"
    GRACEFUL_SHUTDOWN = "GracefulShutdown"
    GRACEFUL_RESTART = "GracefulRestart"
    FORCE_RESTART = "ForceRestart"
    FORCE_ON = "ForceOn"
    PUSH_POWER_BUTTON = "PushPowerButton"
    NMI = "Nmi"
    POWER_CYCLE = "PowerCycle"
    PAUSE = "Pause"
    RESUME = "Resume"


RESET_CAPABILITIES: Mapping[ResetType, ComputeCapability | None] = MappingProxyType(
    {
        ResetType.ON: None,
        ResetType.FORCE_OFF: None,
        ResetType.GRACEFUL_SHUTDOWN: ComputeCapability.GRACEFUL_SHUTDOWN,
        ResetType.GRACEFUL_RESTART: ComputeCapability.GRACEFUL_SHUTDOWN,
        ResetType.FORCE_RESTART: None,
        ResetType.FORCE_ON: None,
        ResetType.PUSH_POWER_BUTTON: ComputeCapability.GRACEFUL_SHUTDOWN,
        ResetType.POWER_CYCLE: None,
        ResetType.NMI: ComputeCapability.NMI,
        ResetType.PAUSE: ComputeCapability.PAUSE,
        ResetType.RESUME: ComputeCapability.PAUSE,
    }
)
"""What a host must offer for a reset type; None for what every driver does."""


class BootOverrideEnabled(StrEnum):
    """How long a boot override holds."""

    DISABLED = "Disabled"
    ONCE = "Once"
    CONTINUOUS = "Continuous"


@dataclass(frozen=True, kw_only=True)
class BootOverride:
    """A boot override as it was accepted; `device` None means the normal order.

    Attributes:
        number: Rises with each override that a system is given: what a start has used up is told by it from what was asked for
            since, though that may read the same.
    """

    enabled: BootOverrideEnabled = BootOverrideEnabled.DISABLED
    device: BootDevice | None = None
    number: int = field(default=0, compare=False)


@dataclass(frozen=True, kw_only=True)
class AppliedSetup:
    """What a machine had after a start that brought another set-up or firmware."""

    firmware: Firmware
    setup: FirmwareSetup

    @classmethod
    def of(cls, values: Mapping[str, Any] | None) -> AppliedSetup | None:
        """From what `dataclasses.asdict` gives, as it was stored."""
        if values is None:
            return None
        return cls(firmware=Firmware(values["firmware"]), setup=FirmwareSetup.of(values["setup"]))


@dataclass(frozen=True, kw_only=True)
class SystemDisk:
    """A disk of a system: a volume of a pool from the first day.

    Attributes:
        id: Serial number of the disk in the guest, unique within the system.
        volume_name: Name of the volume in its pool.
        image: Path of the local image file that it was made from; None for an empty disk or one of an image of the catalogue.
        image_digest: SHA-256 of the image of the catalogue that it was made from.
    """

    id: str
    pool_id: UUID
    volume_name: str
    capacity_bytes: int
    format: VolumeFormat = VolumeFormat.QCOW2
    bus: DiskBus = DiskBus.VIRTIO
    image: str | None = None
    image_digest: str | None = None


@dataclass(frozen=True, kw_only=True)
class SystemNetworkInterface:
    """A network interface of a system."""

    id: str
    mac_address: str
    attachment: NetworkAttachment = field(default_factory=UserMode)
    model: NetworkInterfaceModel = NetworkInterfaceModel.VIRTIO


@dataclass(frozen=True, kw_only=True)
class ProfileUse:
    """The revision of a profile that a system was made after."""

    profile_id: UUID
    profile_name: str
    revision: int


@dataclass(frozen=True, kw_only=True)
class System:
    """A system as it is recorded: what was asked for, and what was last observed.

    Attributes:
        power_state: Last observed, or on its way (PoweringOn, PoweringOff) while an accepted task is to change it; None
            before the machine was first seen.
        stale: The host has not been heard of; what was observed may no longer be so.
        firmware: What its next start is to use; a machine that runs keeps what it was started with.
        setup: What its next start is to read beside the devices; a machine that runs keeps what it was started with.
        setup_applied_at: When a start last made a change of `setup` or `firmware` real, or tried to.
        setup_applied: What its machine had right after that; None where it could not.
        setup_failure: Why it could not; empty if it could.
        boot_order: References of `boot_options` in the order that was asked for; () for the usual one.
        capabilities: What its driver and host really offer.
        firmwares: What its host can start machines with; so `cpu_models`, `nests`, `secures_boot`, `enters_setup` and
            `drive_kinds`, see `HostFacts`.
        failure: What is wrong with it: why the state is FAILED, or that its machine is gone from the host.
        run_id: Changes with each start; None while off.
        observed: What the hypervisor says of its machine; None before it was first seen, and where there is none.
    """

    id: UUID
    name: str
    host_id: UUID
    host_name: str
    vcpus: int
    memory_mib: int
    firmware: Firmware
    state: SystemState = SystemState.CREATING
    project: str = DEFAULT_PROJECT
    description: str = ""
    asset_tag: str = ""
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    disks: tuple[SystemDisk, ...] = ()
    network_interfaces: tuple[SystemNetworkInterface, ...] = ()
    boot: BootOverride = field(default_factory=BootOverride)
    boot_order: tuple[str, ...] = ()
    setup: FirmwareSetup = field(default_factory=FirmwareSetup)
    setup_applied_at: datetime | None = None
    setup_applied: AppliedSetup | None = None
    setup_failure: str = ""
    power_state: PowerState | None = None
    run_id: str | None = None
    observed: MachineFacts | None = None
    observed_at: datetime | None = None
    stale: bool = False
    profile: ProfileUse | None = None
    capabilities: frozenset[ComputeCapability] = frozenset()
    firmwares: frozenset[Firmware] = frozenset()
    cpu_models: tuple[str, ...] = ()
    nests: bool = False
    secures_boot: bool = False
    enters_setup: bool = False
    drive_kinds: frozenset[DriveKind] = frozenset({DriveKind.CD})
    driver: str = ""
    hypervisor: str = ""
    architecture: str = ""
    failure: str = ""
    manager_reset_at: datetime | None = None
    created_at: datetime | None = None
    version: int = 1

    @property
    def present_setup(self) -> FirmwareSetup:
        """What its machine has now, as far as is known."""
        return self.setup if self.observed is None or self.observed.setup is None else self.observed.setup

    @property
    def present_firmware(self) -> Firmware:
        """What its machine starts with, or was started with, as far as is known."""
        return self.firmware if self.observed is None else self.observed.firmware or self.firmware

    @property
    def has_secure_boot(self) -> bool:
        """Whether secure boot can be switched: the next start is one with UEFI, and its host's firmware has it."""
        return self.secures_boot and self.firmware is Firmware.UEFI

    @property
    def awaits_start(self) -> bool:
        """Whether its next start brings another set-up, or other firmware."""
        return (self.setup, self.firmware) != (self.present_setup, self.present_firmware)

    @property
    def reset_types(self) -> tuple[ResetType, ...]:
        """The reset types that the driver and the host really offer."""
        return tuple(
            reset_type
            for reset_type, needed in RESET_CAPABILITIES.items()
            if needed is None or needed in self.capabilities
        )

    @property
    def drives(self) -> tuple[DriveSpec, ...]:
        """What of it takes media, whatever is in there."""
        return drives_of_kinds(self.drive_kinds)

    @property
    def boot_options(self) -> tuple[BootOption, ...]:
        """What it can start from, in the order in which firmware tries it."""
        usual = (
            *(BootOption(reference=disk.id, device=BootDevice.DISK) for disk in self.disks),
            *(BootOption(reference=drive.id, device=BootDevice(drive.kind.value)) for drive in self.drives),
            *(BootOption(reference=item.id, device=BootDevice.NETWORK) for item in self.network_interfaces),
        )
        return in_order(usual, self.boot_order)

    @property
    def boot_devices(self) -> frozenset[BootDevice]:
        """The groups of devices of which it has one or more, and the set-up menu where its next start can enter one."""
        menu = {BootDevice.SETUP} if self.enters_setup and self.firmware is Firmware.UEFI else set()
        return frozenset(option.device for option in self.boot_options) | menu

    @property
    def boot_targets(self) -> tuple[str, ...]:
        """Redfish's words for what it can be told to begin a start with: what it has."""
        present = self.boot_devices
        return tuple(name for name, device in BOOT_TARGETS.items() if device is None or device in present)

    @property
    def boot_modes(self) -> tuple[str, ...]:
        """Redfish's words for what can start it on its host."""
        return tuple(MODE_OF[firmware] for firmware in Firmware if firmware in self.firmwares | {self.firmware})

    @property
    def is_running(self) -> bool:
        """Whether its machine is not off, as far as is known."""
        return self.power_state not in {None, PowerState.OFF}

    @property
    def differences(self) -> tuple[str, ...]:
        """In what the machine is not as it is recorded: changed by others, or by a change that its next start brings."""
        found = self.observed
        if found is None:
            return ()
        pairs: tuple[tuple[str, object, object], ...] = (
            ("name", self.name, found.name),
            ("processors", self.vcpus, found.vcpus),
            ("memory in MiB", self.memory_mib, found.memory_mib),
            ("firmware", self.firmware, found.firmware or self.firmware),
            ("disks", _words(disk.id for disk in self.disks), _words(found.disk_ids)),
            (
                "network interfaces",
                _words(interface.mac_address for interface in self.network_interfaces),
                _words(found.mac_addresses),
            ),
        )
        return tuple(f"{what}: {there} instead of {wanted}" for what, wanted, there in pairs if wanted != there)

    @property
    def disk_bytes(self) -> int:
        """Sum of the capacities of the disks."""
        return sum(disk.capacity_bytes for disk in self.disks)


def _words(items: Iterable[str]) -> str:
    return ", ".join(sorted(item.lower() for item in items)) or "none"


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What is recorded of a system as it was last seen: a part of `System`, under the same names."""

    id: UUID
    version: int
    failure: str
    power_state: PowerState | None
    run_id: str | None
    observed: MachineFacts | None
    stale: bool


@dataclass(frozen=True, kw_only=True)
class NewDisk:
    """A disk that is asked for.

    Attributes:
        capacity_bytes: None means the size of the image.
        image: Path of a local image file in one of the allowed folders; None for an empty disk.
        image_id: Id or name of an image of the catalogue, in place of `image`.
        image_digest: The content of that image; found by the service, not asked for.
        image_bytes: The length of its file, of which the disk's pool needs one copy; found by the service, too.
        format: None means the image's own, else qcow2.
    """

    capacity_bytes: int | None = None
    image: str | None = None
    image_id: str | None = None
    image_digest: str | None = None
    image_bytes: int = 0
    format: VolumeFormat | None = None
    bus: DiskBus = DiskBus.VIRTIO
    pool: str | None = None


@dataclass(frozen=True, kw_only=True)
class NewNetworkInterface:
    """A network interface that is asked for; `attachment` None means what the host offers first."""

    attachment: NetworkAttachment | None = None
    mac_address: str | None = None
    model: NetworkInterfaceModel = NetworkInterfaceModel.VIRTIO


@dataclass(frozen=True, kw_only=True)
class NewSystem:
    """A system that is asked for. `network_interfaces` None means one of the default kind, () means none.

    Attributes:
        host: Name or id of the host; None for one that has room.
        placement: What is asked of the host.
        vcpus: 0 means what the profile says; so for `memory_mib`.
        profile: Id or name of the profile that gives what is left open.
        profile_revision: None means its last one.
    """

    name: str
    vcpus: int = 0
    memory_mib: int = 0
    profile: str | None = None
    profile_revision: int | None = None
    id: UUID | None = None
    firmware: Firmware | None = None
    disks: tuple[NewDisk, ...] = ()
    network_interfaces: tuple[NewNetworkInterface, ...] | None = None
    host: str | None = None
    placement: PlacementRule = field(default_factory=PlacementRule)
    description: str = ""
    asset_tag: str = ""
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    power_on: bool = False


@dataclass(frozen=True, kw_only=True)
class SystemChanges:
    """Changes of a system; None means unchanged.

    Attributes:
        vcpus: Changes the definition, seen at the next start; so does `memory_mib`.
        firmware: Brought about by the next start itself; so is `boot_order`.
    """

    description: str | None = None
    asset_tag: str | None = None
    labels: Mapping[str, str] | None = None
    vcpus: int | None = None
    memory_mib: int | None = None
    boot_enabled: BootOverrideEnabled | None = None
    boot_device: BootDevice | None = None
    boot_device_given: bool = False
    firmware: Firmware | None = None
    boot_order: tuple[str, ...] | None = None
