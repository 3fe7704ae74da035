"""Hosts: the machines that run machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from uuid import UUID

from hawkfish.domain.machines import DriveKind, Firmware


class HostState(StrEnum):
    """Whether a host answers; Suspect and Down bear a reason."""

    UNKNOWN = "Unknown"
    UP = "Up"
    SUSPECT = "Suspect"
    DOWN = "Down"


class ComputeCapability(StrEnum):
    """What a compute driver may be able to do beyond defining, starting and stopping machines."""

    GRACEFUL_SHUTDOWN = "graceful-shutdown"
    RESET = "reset"
    NMI = "nmi"
    PAUSE = "pause"
    SCREENSHOT = "screenshot"
    EVENTS = "events"
    SERIAL_LOG = "serial-log"
    CONSOLE = "console"
    BOOT_OVERRIDE = "boot-override"
    MEDIA = "media"
    DISK_HOTPLUG = "disk-hotplug"
    LIVE_MIGRATION = "live-migration"
    HOST_STORAGE = "host-storage"
    HOST_COMMANDS = "host-commands"
    BULK_DEFINE = "bulk-define"
    BULK_VOLUMES = "bulk-volumes"


class Virtualisation(StrEnum):
    """How a host executes its guests' instructions."""

    KVM = "kvm"
    QEMU = "qemu"
    SIMULATED = "simulated"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class HostFacts:
    """What one host really offers, as its driver found out by asking or trying.

    Attributes:
        hostname: The host's own name.
        hypervisor: Name and version, for people.
        architecture: Such as `x86_64`.
        cpus: Logical processors.
        memory_mib: Memory in MiB.
        capabilities: What this host can do; a driver never lists what it has not seen.
        virtualisation_reason: Why that virtualisation is used (for `auto`: what was tried).
        cpu_models: What the processors of machines can be like, the one that they get unless told otherwise first; empty where
            there is no choice.
        nested_virtualisation: Whether processors of machines can be told to run machines themselves, or not to.
        secure_boot: Whether UEFI of its machines can refuse what is not signed.
        setup_menu: Whether a start can have UEFI of its machines enter its set-up menu (`BootDevice.SETUP`).
        drives: Kinds of drives that its machines can have, where media can be changed at all.
        data_dir: Folder on the host for what HawkFish keeps there, where the driver has one of its own; else empty.
        warnings: What an administrator should know, one sentence each.
    """

    hostname: str
    hypervisor: str
    architecture: str
    cpus: int
    memory_mib: int
    virtualisation: Virtualisation
    virtualisation_reason: str = ""
    cpu_model: str = ""
    host_uuid: str = ""
    capabilities: frozenset[ComputeCapability] = frozenset()
    firmwares: frozenset[Firmware] = frozenset({Firmware.BIOS})
    cpu_models: tuple[str, ...] = ()
    nested_virtualisation: bool = False
    secure_boot: bool = False
    setup_menu: bool = False
    drives: frozenset[DriveKind] = frozenset({DriveKind.CD})
    networks: tuple[str, ...] = ()
    bridges: tuple[str, ...] = ()
    data_dir: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class HostLimits:
    """How much of a host may be given to machines.

    Attributes:
        vcpu_overcommit: vCPUs given for each processor; None sets no limit to their sum. One machine never gets more vCPUs
            than the host has processors.
        memory_overcommit: MiB given for each MiB of memory.
        reserved_vcpus: Processors kept for the host itself.
        reserved_memory_mib: Memory in MiB kept for the host itself.
    """

    vcpu_overcommit: float | None = None
    memory_overcommit: float = 1.0
    reserved_vcpus: int = 0
    reserved_memory_mib: int = 0


@dataclass(frozen=True, kw_only=True)
class HostChanges:
    """Changes of a host; what is None stays.

    Attributes:
        limits: Fields of `HostLimits` that are to change.
    """

    schedulable: bool | None = None
    labels: Mapping[str, str] | None = None
    limits: Mapping[str, float | None] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, kw_only=True)
class Host:
    """A host as it is recorded.

    Attributes:
        driver: Name of the compute driver plugin.
        uri: Address in the driver's own form.
        settings: The driver's settings for this host, validated by its `config_fields`.
        state_reason: Why it is Suspect or Down; empty while Up.
        facts: What the last probe found; None before the first.
        schedulable: Whether it takes new systems.
        limits: How much of it may be given to machines.
    """

    id: UUID
    name: str
    driver: str
    uri: str
    state: HostState = HostState.UNKNOWN
    state_reason: str = ""
    state_changed_at: datetime | None = None
    seen_at: datetime | None = None
    settings: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    facts: HostFacts | None = None
    schedulable: bool = True
    limits: HostLimits = field(default_factory=HostLimits)
    version: int = 1


@dataclass(frozen=True, kw_only=True)
class HostWatch:
    """That a worker watches a host.

    Attributes:
        number: The fence: what is seen is recorded only while this watch holds.
    """

    number: int
    host_id: UUID
    worker_id: int
