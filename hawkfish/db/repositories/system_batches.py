"""Many systems at once: the rows of a batch in a few statements, where one by one they would take a few each."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.exc import IntegrityError

from hawkfish.db.models.hosts import HostRow
from hawkfish.db.models.systems import NetworkInterfaceRow, SystemRow, VolumeAttachmentRow, VolumeRow
from hawkfish.db.prepared import Prepared, insert_into
from hawkfish.db.repositories.events import Happened
from hawkfish.db.repositories.hosts import facts_from_json
from hawkfish.db.repositories.system_rows import attachment_to_json, disks_of, facts_to_json
from hawkfish.db.repositories.systems import SYSTEMS
from hawkfish.domain.machines import DriveSpec, FirmwareSetup, MachineFacts, PowerState, drives_of_kinds
from hawkfish.domain.messages import EventMessage
from hawkfish.domain.systems import System, SystemDisk, SystemState
from hawkfish.errors import AlreadyExists

if TYPE_CHECKING:
    from hawkfish.db.unit_of_work import UnitOfWork

BATCH = 500
"""Systems that a batch has at most; every statement takes all their ids."""


OBSERVE = Prepared(
    update(SYSTEMS)
    .where(SYSTEMS.c.id == bindparam("system_id"), SYSTEMS.c.state == SystemState.CREATING)
    .values(
        power_state=PowerState.OFF,
        run_id=None,
        observed=bindparam("facts", type_=SYSTEMS.c.observed.type),
        observed_at=bindparam("now", type_=SYSTEMS.c.observed_at.type),
        stale=False,
        version=SYSTEMS.c.version + 1,
    )
)


class SystemBatchRepository:
    """Batches of systems, of one unit of work."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._session = uow.session

    def taken_names(self, names: Collection[str]) -> frozenset[str]:
        """Those of the names that systems have already, whatever the case."""
        keys = {name.lower(): name for name in names}
        found = self._session.scalars(select(SystemRow.name_key).where(SystemRow.name_key.in_(keys)))
        return frozenset(keys[key] for key in found)

    def taken_mac_addresses(self, addresses: Collection[str]) -> frozenset[str]:
        """Those of the addresses that systems have already."""
        column = NetworkInterfaceRow.mac_address
        return frozenset(self._session.scalars(select(column).where(column.in_(addresses))))

    def add(self, systems: Sequence[System], *, created_by: str) -> None:
        """Adds systems with their volumes and network interfaces.

        Raises:
            AlreadyExists: A name, a UUID or a MAC address is taken.
        """
        try:
            with self._session.begin_nested():
                self._insert(systems, created_by)
        except IntegrityError as error:
            raise AlreadyExists(
                f"Of {systems[0].name} to {systems[-1].name} a name, a UUID or a MAC address was taken in this moment; try again.",
                kind="ComputerSystem",
                property="Name",
                value=systems[0].name,
            ) from error

    def _insert(self, systems: Sequence[System], created_by: str) -> None:
        now = self._uow.now()
        rows, volumes, attachments, interfaces = [], [], [], []
        for system in systems:
            system_id = str(system.id)
            rows.append(
                {
                    "id": system_id,
                    "name": system.name,
                    "name_key": system.name.lower(),
                    "project": system.project,
                    "host_id": str(system.host_id),
                    "state": system.state,
                    "vcpus": system.vcpus,
                    "memory_mib": system.memory_mib,
                    "firmware": system.firmware,
                    "description": system.description,
                    "asset_tag": system.asset_tag,
                    "labels": dict(system.labels),
                    "boot_enabled": system.boot.enabled,
                    "boot_device": system.boot.device,
                    "created_at": now,
                    "created_by": created_by,
                }
            )
            for position, disk in enumerate(system.disks):
                volume_id = str(uuid.uuid4())
                volumes.append(
                    {
                        "id": volume_id,
                        "name": disk.volume_name,
                        "project": system.project,
                        "pool_id": str(disk.pool_id),
                        "host_id": str(system.host_id),
                        "capacity_bytes": disk.capacity_bytes,
                        "format": disk.format,
                        "image": disk.image,
                        "created_at": now,
                    }
                )
                attachments.append(
                    {
                        "volume_id": volume_id,
                        "system_id": system_id,
                        "disk_id": disk.id,
                        "position": position,
                        "bus": disk.bus,
                    }
                )
            interfaces += [
                {
                    "system_id": system_id,
                    "position": position,
                    "mac_address": interface.mac_address,
                    "attachment": attachment_to_json(interface.attachment),
                    "model": interface.model,
                }
                for position, interface in enumerate(system.network_interfaces)
            ]
        tables: tuple[tuple[type[Any], list[dict[str, Any]]], ...] = (
            (SystemRow, rows),
            (VolumeRow, volumes),
            (VolumeAttachmentRow, attachments),
            (NetworkInterfaceRow, interfaces),
        )
        for table, values in tables:
            if values:
                Prepared(insert_into(table.__table__, *values[0])).change_each(self._uow.connection, values)

    def disks(self, ids: Collection[UUID]) -> list[SystemDisk]:
        """The disks of some systems."""
        return [disk for disks in disks_of(self._uow, _texts(ids)).values() for disk in disks]

    def observe_as_made(self, ids: Collection[UUID]) -> None:
        """Records of systems that are being made that their machines were seen as asked for (`expected_facts`), and off."""
        now = self._uow.now()
        seen = [
            {"system_id": str(key), "facts": facts_to_json(facts), "now": now}
            for key, facts in self.expected_facts(ids).items()
        ]
        if seen:
            OBSERVE.change_each(self._uow.connection, seen)

    def expected_facts(self, system_ids: Collection[UUID]) -> dict[UUID, MachineFacts]:
        """What hypervisors say of new machines, whose drives are empty, if they are as their systems are recorded."""
        ids = _texts(system_ids)
        disks = self._lists(VolumeAttachmentRow, VolumeAttachmentRow.disk_id, ids)
        addresses = self._lists(NetworkInterfaceRow, NetworkInterfaceRow.mac_address, ids)
        rows = self._session.execute(
            select(
                *(SystemRow.id, SystemRow.name, SystemRow.vcpus, SystemRow.memory_mib),
                *(SystemRow.firmware, SystemRow.setup, SystemRow.host_id),
            ).where(SystemRow.id.in_(ids))
        ).all()
        drives = self._drives({row.host_id for row in rows})
        return {
            UUID(row.id): MachineFacts(
                name=row.name,
                vcpus=row.vcpus,
                memory_mib=row.memory_mib,
                disk_ids=tuple(disks[row.id]),
                mac_addresses=tuple(addresses[row.id]),
                media=tuple((drive.id, None) for drive in drives[row.host_id]),
                firmware=row.firmware,
                setup=FirmwareSetup.of(row.setup),
            )
            for row in rows
        }

    def _drives(self, host_ids: Collection[str]) -> dict[str, tuple[DriveSpec, ...]]:
        """What machines on these hosts have for media."""
        rows = self._session.execute(select(HostRow.id, HostRow.facts).where(HostRow.id.in_(host_ids)))
        return {row.id: drives_of_kinds(facts_from_json(row.facts).drives) for row in rows}

    def _lists(self, table: Any, column: Any, ids: Collection[str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {key: [] for key in ids}
        statement = select(table.system_id, column).where(table.system_id.in_(ids)).order_by(table.position)
        for system_id, value in self._session.execute(statement):
            found[system_id].append(value)
        return found

    def become_ready(self, ids: Collection[UUID]) -> None:
        """Ends their making."""
        self._session.execute(
            update(SystemRow)
            .where(SystemRow.id.in_(_texts(ids)), SystemRow.state == SystemState.CREATING)
            .values(state=SystemState.READY, version=SystemRow.version + 1)
            .execution_options(synchronize_session=False)
        )

    def tell(self, message: EventMessage, ids: Collection[UUID]) -> None:
        """Writes down an event of each; see `EventRepository.add_many`."""
        statement = (
            select(SystemRow.id, SystemRow.name, SystemRow.project)
            .where(SystemRow.id.in_(_texts(ids)), SystemRow.state == SystemState.READY)
            .order_by(SystemRow.name_key)
        )
        self._uow.events.add_many(
            message,
            [
                Happened(subject=f"system:{row.id}", project=row.project, data={"name": row.name})
                for row in self._session.execute(statement)
            ],
        )

    def remove(self, ids: Collection[UUID]) -> None:
        """Removes systems with their volumes and network interfaces."""
        texts = _texts(ids)
        volumes = list(
            self._session.scalars(select(VolumeAttachmentRow.volume_id).where(VolumeAttachmentRow.system_id.in_(texts)))
        )
        self._session.execute(delete(SystemRow).where(SystemRow.id.in_(texts)))
        self._session.execute(delete(VolumeRow).where(VolumeRow.id.in_(volumes)))


def _texts(ids: Collection[UUID]) -> list[str]:
    return [str(item) for item in ids]
