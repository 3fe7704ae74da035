"""What simulated machines write to their serial port."""

from __future__ import annotations

from hawkfish.domain.machines import BootDevice, Firmware, MachineSpec, SecureBootKeys
from hawkfish.domain.storage import ConnectionInfo, NetworkDisk

CPU_MODELS = ("simulated", "simulated-small", "simulated-large")
"""What the processors of simulated machines can be called."""

Candidate = tuple[BootDevice, str | None]
"""A kind of device, and what of it would be booted from; None where there is nothing."""


def boot_devices(spec: MachineSpec, first: BootDevice | None) -> tuple[str, ...]:
    """Ids of all devices in the order in which a boot tries them."""
    return tuple(device_id for _, device_id, _ in _in_order(spec, first) if device_id is not None)


def boot_candidates(spec: MachineSpec, first: BootDevice | None) -> list[Candidate]:
    """What a boot tries, in its order; a kind of which there is no device is tried in vain, at its place."""
    return [(kind, bootable) for kind, _, bootable in _in_order(spec, first)]


def _in_order(spec: MachineSpec, first: BootDevice | None) -> list[tuple[BootDevice, str | None, str | None]]:
    """Kind and id of each device, and what of it is booted from."""
    groups = [kind for kind in spec.boot_order if spec.setup.network_boot or kind is not BootDevice.NETWORK]
    if first is not None and first not in groups:
        groups = [first, *groups]
    by_group = [device for kind in groups for device in _devices(spec, kind) or [(kind, None, None)]]
    named = {device_id: position for position, device_id in enumerate(spec.boot_devices)}
    # Each sort keeps the order of what it does not tell apart.
    in_order = sorted(by_group, key=lambda device: named.get(device[1] or "", len(named)))
    return sorted(in_order, key=lambda device: device[0] is not first) if first is not None else in_order


def _devices(spec: MachineSpec, kind: BootDevice) -> list[tuple[BootDevice, str | None, str | None]]:
    if kind is BootDevice.DISK:
        return [(kind, disk.id, disk.id) for disk in spec.disks]
    if kind is BootDevice.NETWORK:
        return [(kind, item.id, f"{item.id} {item.mac_address}") for item in spec.network_interfaces]
    drives = [drive for drive in spec.drives if drive.kind.value == kind.value]
    return [(kind, drive.id, None if drive.medium is None else drive.id) for drive in drives]


def setup_text(spec: MachineSpec) -> str:
    """What firmware prints that enters its set-up menu."""
    return _text([*_greeting(spec), "Entering the set-up menu; nothing is booted before a reset."])


def power_on_text(spec: MachineSpec, candidates: list[Candidate]) -> str:
    """What firmware prints that boots."""
    lines = _greeting(spec)
    for kind, name in candidates:
        if name is not None:
            lines.append(f"Booting from {kind.value}: {name}")
            break
        lines.append(f"Trying {kind.value}: nothing to boot from")
    else:
        lines.append("No bootable device.")
    return _text(lines)


def _greeting(spec: MachineSpec) -> list[str]:
    lines = [
        "SIMULATED machine: no instruction is executed, no disk is read.",
        f"HawkFish simulated {spec.firmware.value} firmware, machine {spec.name} ({spec.id})",
        f"Processors: {spec.vcpus}  Memory: {spec.memory_mib} MiB",
        f"Processor model: {spec.setup.cpu_model or CPU_MODELS[0]}",
        f"Nested virtualisation: {spec.setup.nested_virtualisation.value}",
        f"Secure boot: {'enabled' if is_secured(spec) else 'disabled'}",
    ]
    return lines + [f"Drive {drive.id}: {address_of(drive.medium) or 'empty'}" for drive in spec.drives]


def is_secured(spec: MachineSpec) -> bool:
    """Whether firmware refuses what is not signed; without keys it trusts everything, as UEFI does."""
    keys = spec.setup.secure_boot_keys is SecureBootKeys.FACTORY
    return spec.firmware is Firmware.UEFI and spec.setup.secure_boot and keys


def address_of(connection: ConnectionInfo | None) -> str | None:
    """Path or address of a medium."""
    if isinstance(connection, NetworkDisk):
        return f"{connection.protocol}://{connection.host}:{connection.port}/{connection.name}"
    return None if connection is None else str(connection.path)


def ready_text(spec: MachineSpec, seconds: float) -> str:
    """What the guest prints when it is up."""
    return _text(
        [
            "[    0.000000] SIMULATED guest kernel, command line: console=ttyS0",
            f"[    0.010000] smp: {spec.vcpus} simulated processors",
            *(f"[    0.020000] disk {disk.id}: {disk.bus.value}, {disk.format.value}" for disk in spec.disks),
            *(f"[    0.030000] net {nic.id}: {nic.model.value}, {nic.mac_address}" for nic in spec.network_interfaces),
            f"[{seconds:12.6f}] {spec.name}: all services started",
            "GUEST-READY",
        ]
    )


def line(text: str) -> str:
    """One line of a simulated guest's console."""
    return _text([f"SIMULATED: {text}"])


def _text(lines: list[str]) -> str:
    return "".join(f"{item}\r\n" for item in lines)
