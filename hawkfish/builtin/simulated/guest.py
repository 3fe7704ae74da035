"""What simulated machines write to their serial port."""

from __future__ import annotations

from hawkfish.domain.machines import BootDevice, MachineSpec


def boot_candidates(spec: MachineSpec, first: BootDevice | None) -> list[tuple[BootDevice, str | None]]:
    """Each kind of device in the order of this boot, with the device that would be booted from, None where there is none."""
    order = list(spec.boot_order)
    if first is not None:
        order = [first, *(kind for kind in order if kind is not first)]
    return [(kind, _bootable(spec, kind)) for kind in order]


def _bootable(spec: MachineSpec, kind: BootDevice) -> str | None:
    if kind is BootDevice.DISK:
        names = [disk.id for disk in spec.disks]
    elif kind is BootDevice.NETWORK:
        names = [f"{interface.id} {interface.mac_address}" for interface in spec.network_interfaces]
    else:
        names = [drive.id for drive in spec.drives if drive.kind.value == kind.value and drive.medium is not None]
    return names[0] if names else None


def power_on_text(spec: MachineSpec, candidates: list[tuple[BootDevice, str | None]]) -> str:
    """What firmware prints."""
    lines = [
        "SIMULATED machine: no instruction is executed, no disk is read.",
        f"HawkFish simulated {spec.firmware.value} firmware, machine {spec.name} ({spec.id})",
        f"Processors: {spec.vcpus}  Memory: {spec.memory_mib} MiB",
    ]
    for kind, name in candidates:
        if name is not None:
            lines.append(f"Booting from {kind.value}: {name}")
            break
        lines.append(f"Trying {kind.value}: nothing to boot from")
    else:
        lines.append("No bootable device.")
    return _text(lines)


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
