"""Systems, their disks and network interfaces: rows to domain values and back."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Row, select

from hawkfish.db.models.hosts import HostRow
from hawkfish.db.models.systems import NetworkInterfaceRow, VolumeAttachmentRow, VolumeRow
from hawkfish.domain.hosts import HostFacts
from hawkfish.domain.machines import (
    Bridge,
    Firmware,
    MachineFacts,
    NamedNetwork,
    NetworkAttachment,
    PowerState,
    UserMode,
)
from hawkfish.domain.systems import (
    BootOverride,
    ProfileUse,
    System,
    SystemDisk,
    SystemNetworkInterface,
    SystemState,
)

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

ATTACHMENTS: Mapping[str, type[NetworkAttachment]] = {"network": NamedNetwork, "bridge": Bridge, "user": UserMode}


def disks_of(session: Session, ids: Collection[str]) -> dict[str, list[SystemDisk]]:
    """The disks of each of some systems, in their order."""
    found: dict[str, list[SystemDisk]] = {item: [] for item in ids}
    for row in session.execute(
        select(
            VolumeAttachmentRow.system_id,
            VolumeAttachmentRow.disk_id,
            VolumeAttachmentRow.bus,
            VolumeRow.pool_id,
            VolumeRow.name,
            VolumeRow.capacity_bytes,
            VolumeRow.format,
            VolumeRow.image,
            VolumeRow.image_digest,
        )
        .join(VolumeRow, VolumeRow.id == VolumeAttachmentRow.volume_id)
        .where(VolumeAttachmentRow.system_id.in_(ids))
        .order_by(VolumeAttachmentRow.position)
    ):
        found[row.system_id].append(
            SystemDisk(
                id=row.disk_id,
                pool_id=UUID(row.pool_id),
                volume_name=row.name,
                capacity_bytes=row.capacity_bytes,
                format=row.format,
                bus=row.bus,
                image=row.image,
                image_digest=row.image_digest,
            )
        )
    return found


def interfaces_of(session: Session, ids: Collection[str]) -> dict[str, list[SystemNetworkInterface]]:
    """The network interfaces of each of some systems, in their order."""
    found: dict[str, list[SystemNetworkInterface]] = {item: [] for item in ids}
    for row in session.execute(
        select(
            NetworkInterfaceRow.system_id,
            NetworkInterfaceRow.position,
            NetworkInterfaceRow.mac_address,
            NetworkInterfaceRow.attachment,
            NetworkInterfaceRow.model,
        )
        .where(NetworkInterfaceRow.system_id.in_(ids))
        .order_by(NetworkInterfaceRow.position)
    ):
        found[row.system_id].append(
            SystemNetworkInterface(
                id=f"NIC{row.position + 1}",
                mac_address=row.mac_address,
                attachment=attachment_from_json(row.attachment),
                model=row.model,
            )
        )
    return found


def attachment_to_json(attachment: NetworkAttachment) -> dict[str, Any]:
    """How an attachment is stored and sent."""
    match attachment:
        case NamedNetwork(name=name):
            return {"type": "network", "name": name}
        case Bridge(name=name, vlan=vlan):
            return {"type": "bridge", "name": name, "vlan": vlan}
        case UserMode():
            return {"type": "user"}


def attachment_from_json(values: Mapping[str, Any]) -> NetworkAttachment:
    """The reverse of `attachment_to_json`."""
    given = dict(values)
    return ATTACHMENTS[given.pop("type")](**given)


def to_system(  # noqa: PLR0917  a row and all that belongs to it
    row: Row[Any],
    host: HostRow,
    facts: HostFacts | None,
    disks: Iterable[SystemDisk],
    interfaces: Iterable[SystemNetworkInterface],
    profile: ProfileUse | None,
) -> System:
    """A system of its row and of the rows that belong to it."""
    return System(
        id=UUID(row.id),
        name=row.name,
        host_id=UUID(row.host_id),
        host_name=host.name,
        driver=host.driver,
        hypervisor="" if facts is None else facts.hypervisor,
        architecture="" if facts is None else facts.architecture,
        capabilities=frozenset() if facts is None else facts.capabilities,
        firmwares=frozenset() if facts is None else facts.firmwares,
        vcpus=row.vcpus,
        memory_mib=row.memory_mib,
        firmware=row.firmware,
        state=row.state,
        failure=row.failure,
        project=row.project,
        description=row.description,
        asset_tag=row.asset_tag,
        labels=MappingProxyType(dict(row.labels)),
        disks=tuple(disks),
        network_interfaces=tuple(interfaces),
        profile=profile,
        boot=BootOverride(enabled=row.boot_enabled, device=row.boot_device),
        boot_order=tuple(row.boot_order or ()),
        power_state=shown_power(row),
        run_id=row.run_id,
        observed=None if row.observed is None else facts_of_machine(row.observed),
        observed_at=row.observed_at,
        stale=row.stale,
        created_at=row.created_at,
        version=row.version,
    )


def facts_of_machine(values: Mapping[str, Any]) -> MachineFacts:
    """Facts of a machine as they were stored; JSON has no tuples."""
    given = dict(values)
    given["media"] = tuple((drive, medium) for drive, medium in given["media"])
    for name in ("disk_ids", "mac_addresses"):
        given[name] = tuple(given[name])
    given["firmware"] = None if given.get("firmware") is None else Firmware(given["firmware"])
    return MachineFacts(**given)


def shown_power(row: Row[Any]) -> PowerState | None:
    """What was accepted reads back at once: power on its way is shown while its task waits or runs."""
    observed = None if row.state is SystemState.CREATING else row.power_state
    return row.power_transition or observed
