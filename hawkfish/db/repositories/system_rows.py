"""Systems, their disks and network interfaces: rows to domain values and back."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Row, bindparam, select

from hawkfish.db.models.systems import NetworkInterfaceRow, VolumeAttachmentRow, VolumeRow
from hawkfish.db.prepared import AnySelect, Prepared
from hawkfish.domain.hosts import HostFacts
from hawkfish.domain.machines import (
    Bridge,
    DriveKind,
    Firmware,
    FirmwareSetup,
    MachineFacts,
    NamedNetwork,
    NetworkAttachment,
    PowerState,
    UserMode,
)
from hawkfish.domain.systems import (
    AppliedSetup,
    BootOverride,
    ProfileUse,
    Sight,
    System,
    SystemDisk,
    SystemNetworkInterface,
    SystemState,
)

if TYPE_CHECKING:
    from hawkfish.db.unit_of_work import UnitOfWork

ATTACHMENTS: Mapping[str, type[NetworkAttachment]] = {"network": NamedNetwork, "bridge": Bridge, "user": UserMode}


DISKS = (
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
    .order_by(VolumeAttachmentRow.position)
)
INTERFACES = select(
    NetworkInterfaceRow.system_id,
    NetworkInterfaceRow.position,
    NetworkInterfaceRow.mac_address,
    NetworkInterfaceRow.attachment,
    NetworkInterfaceRow.model,
).order_by(NetworkInterfaceRow.position)
# Mostly one system is asked for.
DISKS_OF_ONE = Prepared(DISKS.where(VolumeAttachmentRow.system_id == bindparam("of_system")))
INTERFACES_OF_ONE = Prepared(INTERFACES.where(NetworkInterfaceRow.system_id == bindparam("of_system")))


def _rows(uow: UnitOfWork, ids: Collection[str], one: Prepared, all_: AnySelect, system_id: Any) -> Sequence[Any]:
    if len(ids) == 1:
        return one.rows(uow.connection, {"of_system": next(iter(ids))})
    return uow.session.execute(all_.where(system_id.in_(ids))).all()


def disks_of(uow: UnitOfWork, ids: Collection[str]) -> dict[str, list[SystemDisk]]:
    """The disks of each of some systems, in their order."""
    found: dict[str, list[SystemDisk]] = {item: [] for item in ids}
    for row in _rows(uow, ids, DISKS_OF_ONE, DISKS, VolumeAttachmentRow.system_id):
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


def interfaces_of(uow: UnitOfWork, ids: Collection[str]) -> dict[str, list[SystemNetworkInterface]]:
    """The network interfaces of each of some systems, in their order."""
    found: dict[str, list[SystemNetworkInterface]] = {item: [] for item in ids}
    for row in _rows(uow, ids, INTERFACES_OF_ONE, INTERFACES, NetworkInterfaceRow.system_id):
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
    host: Row[Any],
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
        cpu_models=() if facts is None else facts.cpu_models,
        nests=facts is not None and facts.nested_virtualisation,
        secures_boot=facts is not None and facts.secure_boot,
        enters_setup=facts is not None and facts.setup_menu,
        drive_kinds=frozenset({DriveKind.CD}) if facts is None else facts.drives,
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
        boot=BootOverride(enabled=row.boot_enabled, device=row.boot_device, number=row.boot_number),
        boot_order=tuple(row.boot_order or ()),
        setup=FirmwareSetup.of(row.setup),
        setup_applied_at=row.setup_applied_at,
        setup_applied=AppliedSetup.of(row.setup_applied),
        setup_failure=row.setup_failure,
        manager_reset_at=row.manager_reset_at,
        power_state=shown_power(row),
        run_id=row.run_id,
        observed=None if row.observed is None else facts_of_machine(row.observed),
        observed_at=row.observed_at,
        stale=row.stale,
        created_at=row.created_at,
        version=row.version,
    )


def to_sight(row: Row[Any]) -> Sight:
    """What a system's row says of how it was last seen."""
    return Sight(
        id=UUID(row.id),
        failure=row.failure,
        power_state=shown_power(row),
        run_id=row.run_id,
        observed=None if row.observed is None else facts_of_machine(row.observed),
        stale=row.stale,
        version=row.version,
    )


def facts_of_machine(values: Mapping[str, Any]) -> MachineFacts:
    """Facts of a machine as they were stored; JSON has no tuples."""
    given = dict(values)
    given["media"] = tuple((drive, medium) for drive, medium in given["media"])
    for name in ("disk_ids", "mac_addresses"):
        given[name] = tuple(given[name])
    given["firmware"] = None if given.get("firmware") is None else Firmware(given["firmware"])
    given["setup"] = None if given.get("setup") is None else FirmwareSetup.of(given["setup"])
    return MachineFacts(**given)


def facts_to_json(facts: MachineFacts) -> dict[str, Any]:
    """The reverse of `facts_of_machine`; as `asdict`, which looks into every text and takes ten times as long."""
    return {**vars(facts), "setup": None if facts.setup is None else asdict(facts.setup)}


def shown_power(row: Row[Any]) -> PowerState | None:
    """What was accepted reads back at once: power on its way is shown while its task waits or runs."""
    observed = None if row.state is SystemState.CREATING else row.power_state
    return row.power_transition or observed
