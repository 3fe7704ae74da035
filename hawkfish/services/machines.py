"""From a system as it is recorded to the machine that its driver is to define."""

from __future__ import annotations

from collections.abc import Sequence

from hawkfish.domain.machines import (
    DiskSpec,
    DriveSpec,
    MachineSpec,
    MachineStamp,
    NetworkInterfaceSpec,
)
from hawkfish.domain.storage import ConnectionInfo
from hawkfish.domain.systems import System, SystemDisk
from hawkfish.services.drivers import DriverPool


def machine_spec(system: System, drivers: DriverPool, stamp: MachineStamp) -> MachineSpec:
    """The specification of a system's machine, its disks connected on its host, and what its drives hold in them.

    Args:
        system: The system as it is to be.
        drivers: Reach the pools of its disks, and know its drives.
        stamp: Who defines it.
    """
    return machine_spec_with(system, _connect_disks(system, drivers), stamp, drivers.drives(system))


def machine_spec_with(
    system: System, disks: Sequence[DiskSpec], stamp: MachineStamp, drives: Sequence[DriveSpec]
) -> MachineSpec:
    """The same with disks that are connected already."""
    return MachineSpec(
        id=system.id,
        name=system.name,
        vcpus=system.vcpus,
        memory_mib=system.memory_mib,
        firmware=system.firmware,
        setup=system.setup,
        stamp=stamp,
        # The usual order needs no names: it is that of the groups.
        boot_devices=tuple(option.reference for option in system.boot_options) if system.boot_order else (),
        disks=tuple(disks),
        drives=tuple(drives),
        network_interfaces=tuple(
            NetworkInterfaceSpec(id=item.id, mac_address=item.mac_address, attachment=item.attachment, model=item.model)
            for item in system.network_interfaces
        ),
    )


def _connect_disks(system: System, drivers: DriverPool) -> list[DiskSpec]:
    disks = []
    for disk in system.disks:
        with drivers.pool(disk.pool_id, system.host_id) as (pool, host):
            connection = pool.connect(host, disk.volume_name)
        disks.append(disk_spec(disk, connection))
    return disks


def disk_spec(disk: SystemDisk, connection: ConnectionInfo) -> DiskSpec:
    """A disk as the machine gets it."""
    return DiskSpec(id=disk.id, connection=connection, format=disk.format, bus=disk.bus)
