"""From what core asks for (`MachineSpec`) to a domain definition, and from what libvirt says to a `MachineObservation`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from hawkfish.domain.machines import (
    BootDevice,
    Bridge,
    DiskBus,
    DiskSpec,
    DriveKind,
    DriveSpec,
    Firmware,
    FirmwareSetup,
    MachineObservation,
    MachineSpec,
    NamedNetwork,
    NestedVirtualisation,
    NetworkInterfaceSpec,
    PowerState,
)
from hawkfish.errors import InvalidRequest, NotSupported
from hawkfish_libvirt.machine_xml import CpuXml, DiskXml, FirmwareXml, InterfaceXml, MachineXml, own_alias
from hawkfish_libvirt.source_xml import source_of

_ALIAS_FORM = re.compile(r"[A-Za-z0-9_-]+")
_DRIVE_BUSES = {
    DriveKind.CD: ("cdrom", "sata", "sd"),
    DriveKind.FLOPPY: ("floppy", "fdc", "fd"),
    DriveKind.USB: ("disk", "usb", "sd"),
}
_DISK_PREFIXES = {DiskBus.VIRTIO: "vd", DiskBus.SCSI: "sd", DiskBus.SATA: "sd"}


@dataclass(frozen=True, kw_only=True)
class Platform:
    """What a host's guests run on.

    Attributes:
        virt_type: `kvm` or `qemu`.
        machine_type: QEMU's machine type for new machines.
        nested_feature: The feature of processors that lets guests run guests, where the host can give it.
    """

    virt_type: str
    machine_type: str = "q35"
    architecture: str = "x86_64"
    nested_feature: str | None = None

    @property
    def cpu_mode(self) -> str:
        """The host's own processor under KVM; everything that emulation knows otherwise (guests of today need x86-64-v2)."""
        return "host-passthrough" if self.virt_type == "kvm" else "maximum"


def build_machine(spec: MachineSpec, platform: Platform, serial_log: str | None, old: MachineXml | None) -> MachineXml:
    """The definition of a machine. What libvirt assigned to `old` (addresses, NVRAM, machine type) is kept.

    Raises:
        NotSupported: It has a device that this driver cannot make.
        InvalidRequest: Two devices have the same id.
    """
    ids = [disk.id for disk in spec.disks] + [drive.id for drive in spec.drives]
    if len(set(ids)) != len(ids):
        raise InvalidRequest(
            f"Machine {spec.name} has two disks or drives of one id; give each its own: {', '.join(ids)}."
        )
    names = _TargetNames(old)
    disks = tuple(_disk(disk, names) for disk in spec.disks) + tuple(_drive(drive, names) for drive in spec.drives)
    machine = MachineXml(
        id=spec.id,
        name=spec.name,
        vcpus=spec.vcpus,
        memory_kib=spec.memory_mib * 1024,
        virt_type=platform.virt_type,
        architecture=platform.architecture,
        machine_type=old.machine_type if old and old.machine_type else platform.machine_type,
        cpu=_cpu(spec, platform),
        firmware=_firmware(spec, old),
        stamp=spec.stamp,
        disks=disks,
        interfaces=tuple(_interface(item, index) for index, item in enumerate(spec.network_interfaces)),
        graphics=spec.graphics,
        serial=spec.serial,
        serial_log=serial_log if spec.serial else None,
        random=spec.random,
    )
    if old is not None:
        machine = _with_addresses_of(machine, old)
    groups, devices = spec.boot_order, spec.boot_devices
    if not spec.setup.network_boot:
        interfaces = {item.id for item in spec.network_interfaces}
        groups = tuple(group for group in groups if group is not BootDevice.NETWORK)
        devices = tuple(device for device in devices if device not in interfaces)
    return with_boot_order(machine, groups, devices)


def build_disk(spec: DiskSpec, machine: MachineXml) -> DiskXml:
    """A disk to be added to a machine."""
    return _disk(spec, _TargetNames(machine))


def with_boot_order(machine: MachineXml, order: Sequence[BootDevice], devices: Sequence[str] = ()) -> MachineXml:
    """The machine with its devices numbered: those named by id first, then the others in the order of their groups.

    Devices that are not named and belong to no named group are not booted.
    """
    places = {device_id: place for place, device_id in enumerate(devices)}
    named = sorted((item for item in machine.devices if item.id in places), key=lambda item: places[item.id or ""])
    rest = [item for group in order for item in devices_of(machine, group) if item.id not in places]
    return _numbered(machine, [*named, *rest])


def _numbered(machine: MachineXml, ordered: Sequence[DiskXml | InterfaceXml]) -> MachineXml:
    numbers = {id(device): number for number, device in enumerate(ordered, start=1)}
    return replace(
        machine,
        disks=tuple(replace(item, boot_order=numbers.get(id(item))) for item in machine.disks),
        interfaces=tuple(replace(item, boot_order=numbers.get(id(item))) for item in machine.interfaces),
    )


def with_boot_first(machine: MachineXml, group: BootDevice) -> MachineXml:
    """The machine with the devices of `group` before all others; the order of either among each other stays.

    Raises:
        NotSupported: The machine has no such device.
    """
    chosen = devices_of(machine, group)
    if not chosen:
        raise NotSupported(
            f"Machine {machine.name} has no device of the group {group.value!r} to boot from; choose another.",
            operation="boot override",
        )
    usual = sorted(
        (device for device in machine.devices if device.boot_order is not None),
        key=lambda device: device.boot_order or 0,
    )
    first = [device for device in usual if device in chosen]
    unnumbered = [device for device in chosen if device not in first]
    return _numbered(machine, [*first, *unnumbered, *(device for device in usual if device not in first)])


def devices_of(machine: MachineXml, group: BootDevice) -> tuple[DiskXml, ...] | tuple[InterfaceXml, ...]:
    """The devices of a boot group, in the order in which they stand."""
    if group is BootDevice.NETWORK:
        return machine.interfaces
    if group is BootDevice.USB:
        return tuple(item for item in machine.disks if item.bus == "usb")
    kind = {BootDevice.DISK: "disk", BootDevice.CD: "cdrom", BootDevice.FLOPPY: "floppy"}[group]
    return tuple(item for item in machine.disks if item.device == kind and item.bus != "usb")


HOST_MODEL = "host-model"


def _cpu(spec: MachineSpec, platform: Platform) -> CpuXml:
    wanted, nested = spec.setup.cpu_model, spec.setup.nested_virtualisation
    if nested is not NestedVirtualisation.AUTO and platform.nested_feature is None:
        raise NotSupported(
            f"The host cannot let the processors of machine {spec.name} run machines themselves, or keep them from it.",
            operation="nested virtualisation",
        )
    mode, name = wanted or platform.cpu_mode, None
    if mode not in {platform.cpu_mode, HOST_MODEL}:
        mode, name = "custom", wanted
    return CpuXml(
        mode=mode,
        name=name,
        nested=None if nested is NestedVirtualisation.AUTO else platform.nested_feature,
        nested_enabled=nested is NestedVirtualisation.ENABLED,
    )


def setup_of(definition: MachineXml) -> FirmwareSetup:
    """What a definition says beside the devices."""
    cpu = definition.cpu
    model = cpu.name or cpu.mode or ""
    nested = NestedVirtualisation.AUTO
    if cpu.nested is not None:
        nested = NestedVirtualisation.ENABLED if cpu.nested_enabled else NestedVirtualisation.DISABLED
    interfaces = definition.interfaces
    return FirmwareSetup(
        cpu_model="" if model == Platform(virt_type=definition.virt_type).cpu_mode else model,
        nested_virtualisation=nested,
        network_boot=not interfaces or any(item.boot_order is not None for item in interfaces),
        secure_boot=definition.firmware.secure,
        secure_boot_keys=definition.firmware.keys,
        keys_reset=definition.firmware.keys_reset,
    )


def observe_machine(machine: MachineXml, power_state: PowerState, run_id: str | None) -> MachineObservation:
    """What core is told of a domain."""
    # The XML of a running domain has the order that it was started with, which an override may have been.
    run_order = machine.run.boot_devices if run_id is not None and machine.run else ()
    return MachineObservation(
        id=machine.id,
        name=machine.name,
        power_state=power_state,
        vcpus=machine.vcpus,
        memory_mib=machine.memory_kib // 1024,
        firmware=Firmware.UEFI if machine.firmware.uefi else Firmware.BIOS,
        run_id=run_id,
        stamp=machine.stamp,
        disk_ids=tuple(item.id or item.target for item in machine.disks if not item.takes_media),
        mac_addresses=tuple(item.mac_address for item in machine.interfaces),
        media=tuple(
            (item.id or item.target, item.source.text if item.source else None)
            for item in machine.disks
            if item.takes_media
        ),
        boot_devices=run_order or machine.boot_devices,
        setup=(machine.run.setup if run_id is not None and machine.run else None) or setup_of(machine),
    )


class _TargetNames:
    """Hands out target names (`vda`, `sda`, ...), the old ones to devices that had one."""

    def __init__(self, old: MachineXml | None) -> None:
        self._old = {item.id: item for item in old.disks} if old else {}
        self._taken = {item.target for item in self._old.values()}

    def name(self, device_id: str, bus: str, prefix: str) -> str:
        known = self._old.get(device_id)
        if known is not None and known.bus == bus:
            return known.target
        free = next(name for name in _letters(prefix) if name not in self._taken)
        self._taken.add(free)
        return free


def _letters(prefix: str) -> Iterator[str]:
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    yield from (prefix + letter for letter in alphabet)
    yield from (prefix + first + second for first in alphabet for second in alphabet)


def _alias(device_id: str) -> str | None:
    return own_alias(device_id) if _ALIAS_FORM.fullmatch(device_id) else None


def _disk(disk: DiskSpec, names: _TargetNames) -> DiskXml:
    source = source_of(disk.connection)
    # Without the host's page cache between two hosts, and for devices that have none to win; a file of one host alone
    # gets it, which also works where the file system knows no direct access.
    direct = disk.shareable or source.xml_type == "block"
    return DiskXml(
        id=disk.id,
        target=names.name(disk.id, disk.bus.value, _DISK_PREFIXES[disk.bus]),
        bus=disk.bus.value,
        source=source,
        format=disk.format.value,
        cache="none" if direct else "writeback",
        discard="unmap",
        serial=disk.id,
        read_only=disk.read_only,
        alias=_alias(disk.id),
    )


def _drive(drive: DriveSpec, names: _TargetNames) -> DiskXml:
    is_stick, alias = drive.kind is DriveKind.USB, _alias(drive.id)
    if is_stick and alias is None:
        raise InvalidRequest(f"The id {drive.id!r} of a drive must consist of letters, digits, `_` and `-`.")
    device, bus, prefix = _DRIVE_BUSES[drive.kind]
    return DiskXml(
        id=drive.id,
        target=names.name(drive.id, bus, prefix),
        bus=bus,
        device=device,
        source=source_of(drive.medium) if drive.medium else None,
        read_only=is_stick or device == "cdrom",
        removable=is_stick,
        alias=alias,
    )


def _interface(item: NetworkInterfaceSpec, index: int) -> InterfaceXml:
    mac, model, alias = item.mac_address.lower(), item.model.value, _alias(item.id) or own_alias(f"nic{index}")
    match item.attachment:
        case NamedNetwork(name=name):
            return InterfaceXml(mac_address=mac, kind="network", source=name, model=model, alias=alias)
        case Bridge(name=name, vlan=vlan):
            return InterfaceXml(mac_address=mac, kind="bridge", source=name, vlan=vlan, model=model, alias=alias)
        case _:
            return InterfaceXml(mac_address=mac, kind="user", model=model, alias=alias)


def _firmware(spec: MachineSpec, old: MachineXml | None) -> FirmwareXml:
    uefi = spec.firmware is Firmware.UEFI
    had = FirmwareXml(uefi=False) if old is None else old.firmware
    return FirmwareXml(
        uefi=uefi,
        nvram=had.nvram,
        keeps_variables=(had.uefi or had.keeps_variables) and not uefi,
        secure=spec.setup.secure_boot,
        keys=spec.setup.secure_boot_keys,
        keys_reset=spec.setup.keys_reset,
        made_with=had.made_with,
        asks_for_setup=had.asks_for_setup,
    )


def _with_addresses_of(machine: MachineXml, old: MachineXml) -> MachineXml:
    """Devices keep the addresses they had: firmware's boot entries and guests' device names hang on them."""
    disks = {(item.id, item.target, item.bus): item.address for item in old.disks}
    interfaces = {(item.mac_address, item.model): item.address for item in old.interfaces}
    return replace(
        machine,
        disks=tuple(replace(item, address=disks.get((item.id, item.target, item.bus), ())) for item in machine.disks),
        interfaces=tuple(
            replace(item, address=interfaces.get((item.mac_address, item.model), ())) for item in machine.interfaces
        ),
    )
