"""Hosts, and the pools on them: rows to domain values and back."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from sqlalchemy import Table, bindparam, case, delete, exists, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from hawkfish.db.base import changed_rows
from hawkfish.db.models.hosts import HostRow, StoragePoolHostRow, StoragePoolRow
from hawkfish.db.models.images import ImageCopyRow
from hawkfish.db.models.systems import SystemRow, VolumeRow
from hawkfish.db.prepared import Prepared
from hawkfish.db.repositories.host_watches import HOSTS_CHANNEL
from hawkfish.domain.hosts import ComputeCapability, Host, HostFacts, HostLimits, HostState, Virtualisation
from hawkfish.domain.machines import DriveKind, Firmware
from hawkfish.domain.messages import (
    RESOURCE_STATUS_CRITICAL,
    RESOURCE_STATUS_OK,
    RESOURCE_STATUS_WARNING,
    EventMessage,
)
from hawkfish.domain.pools import Pool
from hawkfish.domain.storage import PoolStats
from hawkfish.errors import AlreadyExists, InUse, NotFound

if TYPE_CHECKING:
    from hawkfish.db.unit_of_work import UnitOfWork


HOSTS = cast("Table", HostRow.__table__)
FIND = Prepared(
    select(HOSTS).where((HOSTS.c.id == bindparam("by_id")) | (HOSTS.c.name_key == bindparam("by_name"))).limit(1)
)


def facts_to_json(facts: HostFacts) -> dict[str, Any]:
    """Facts as they are stored."""
    values = asdict(facts)
    return {key: sorted(value) if isinstance(value, frozenset) else value for key, value in values.items()}


def facts_from_json(values: Mapping[str, Any]) -> HostFacts:
    """Facts as they were stored; what an older version did not know takes its default."""
    known = dict(values)
    known["virtualisation"] = Virtualisation(known["virtualisation"])
    known["capabilities"] = frozenset(ComputeCapability(item) for item in known.get("capabilities", ()))
    known["firmwares"] = frozenset(Firmware(item) for item in known.get("firmwares", ()))
    if "drives" in known:
        known["drives"] = frozenset(DriveKind(item) for item in known["drives"])
    for key in ("cpu_models", "networks", "bridges", "warnings"):
        known[key] = tuple(known.get(key, ()))
    return HostFacts(**known)


STATE_MESSAGES: Mapping[HostState, EventMessage] = {
    HostState.UP: RESOURCE_STATUS_OK,
    HostState.SUSPECT: RESOURCE_STATUS_WARNING,
    HostState.DOWN: RESOURCE_STATUS_CRITICAL,
}


class HostRepository:
    """Hosts of one unit of work."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._session = uow.session

    def all(self) -> list[Host]:
        """All hosts by name."""
        return [_to_host(row) for row in self._session.scalars(select(HostRow).order_by(HostRow.name_key))]

    def find(self, id_or_name: UUID | str) -> Host | None:
        """A host by its id, or by its name whatever the case."""
        text = str(id_or_name)
        row = FIND.row(self._uow.connection, {"by_id": text, "by_name": text.lower()})
        return None if row is None else _to_host(row)

    def get(self, id_or_name: UUID | str) -> Host:
        """The host.

        Raises:
            NotFound: There is none.
        """
        host = self.find(id_or_name)
        if host is None:
            raise NotFound(f"There is no host {id_or_name}; see `hawkfish hosts ls`.", kind="Host", id=str(id_or_name))
        return host

    def add(self, host: Host) -> None:
        """Adds a host.

        Raises:
            AlreadyExists: The name is taken, or there is a host with that address.
        """
        if self.find(host.name) is not None:
            raise AlreadyExists(
                f"A host named {host.name} exists; choose another name.", kind="Host", property="Name", value=host.name
            )
        known = self._session.scalar(
            select(HostRow.name).where(HostRow.driver == host.driver, HostRow.uri == host.uri).limit(1)
        )
        if known is not None:
            raise AlreadyExists(
                f"The host {known} has the address {host.uri} already; its memory and its pools are counted once.",
                kind="Host",
                property="URI",
                value=host.uri,
            )
        self._session.execute(
            insert(HostRow).values(
                id=str(host.id),
                name=host.name,
                name_key=host.name.lower(),
                driver=host.driver,
                uri=host.uri,
                settings=dict(host.settings),
                labels=dict(host.labels),
                state=host.state,
                state_reason=host.state_reason,
                schedulable=host.schedulable,
                created_at=self._uow.now(),
                **asdict(host.limits),
            )
        )
        self._uow.publish(HOSTS_CHANNEL)

    def write(self, host_id: UUID | str, expected_version: int | None = None, **values: Any) -> int:
        """Sets columns and raises the version; see `UnitOfWork.write_version`."""
        self._uow.publish(HOSTS_CHANNEL)
        return self._uow.write_version(HostRow, str(host_id), expected_version, **values)

    def set_state(self, host_id: UUID | str, state: HostState, reason: str = "") -> bool:
        """Records whether the host answers, since when, and why not; True if that is news."""
        now = self._uow.now()
        # Systems that refer to it are changed meanwhile: whoever records a host goes on to record them.
        before = self._session.execute(
            select(HostRow.name, HostRow.state).where(HostRow.id == str(host_id)).with_for_update(key_share=True)
        ).one_or_none()
        changed = self._session.execute(
            update(HostRow)
            .where(HostRow.id == str(host_id), (HostRow.state != state) | (HostRow.state_reason != reason))
            .values(
                state=state,
                state_reason=reason,
                state_changed_at=case((HostRow.state != state, now), else_=HostRow.state_changed_at),
                version=HostRow.version + 1,
            )
        )
        if state is HostState.UP:
            self.set_seen(host_id, now)
        # That a new host answers for the first time is part of its creation.
        if before is not None and before.state not in {state, HostState.UNKNOWN}:
            message = STATE_MESSAGES[state]
            facts = {"state": state.value, "reason": reason}
            self.tell(message, host_id, before.name, message.severity, data=facts)
        return bool(changed_rows(changed))

    def set_seen(self, host_id: UUID | str, at: datetime) -> None:
        """Records when the host answered last; no news, so the version stays."""
        self._session.execute(update(HostRow).where(HostRow.id == str(host_id)).values(seen_at=at))

    def tell(
        self,
        message: EventMessage,
        host_id: UUID | str,
        name: str,
        *arguments: object,
        actor: str | None = None,
        data: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Writes down an event of a host; its name is the first argument of messages that take any."""
        given = (name, *arguments) if message.arguments else arguments
        self._uow.events.add(message, f"host:{host_id}", *given, actor=actor, data={"name": name, **data})

    def set_facts(self, host_id: UUID | str, facts: HostFacts) -> None:
        """Records what a probe found; the version rises only if it is news."""
        values = facts_to_json(facts)
        row = self._session.get(HostRow, str(host_id))
        if row is not None and row.facts != values:
            self._uow.write_version(HostRow, str(host_id), None, facts=values)

    def forget_volumes(self, host_id: UUID | str) -> None:
        """Removes the records of the volumes that the host holds."""
        self._session.execute(delete(VolumeRow).where(VolumeRow.host_id == str(host_id)))

    def remove(self, host_id: UUID | str, expected_version: int | None = None) -> None:
        """Removes a host that has no systems and no volumes.

        Raises:
            InUse: It has some.
            PreconditionFailed: It has another version by now.
        """
        self._uow.write_version(HostRow, str(host_id), expected_version)
        systems = self._session.scalar(
            select(func.count()).select_from(SystemRow).where(SystemRow.host_id == str(host_id))
        )
        if systems:
            raise InUse(
                f"The host still has {systems} systems; delete or move them first.",
                by=f"{systems} systems",
                id=str(host_id),
            )
        if self._session.scalar(select(exists().where(VolumeRow.host_id == str(host_id)))):
            raise InUse("The host still has volumes; delete them first.", by="volumes", id=str(host_id))
        self._session.execute(delete(ImageCopyRow).where(ImageCopyRow.host_id == str(host_id)))
        self._session.execute(delete(StoragePoolHostRow).where(StoragePoolHostRow.host_id == str(host_id)))
        self._session.execute(delete(HostRow).where(HostRow.id == str(host_id)))
        self._uow.publish(HOSTS_CHANNEL)


class PoolRepository:
    """Pools of one unit of work."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._session = uow.session

    def all(self) -> list[Pool]:
        """All pools by name."""
        rows = self._session.scalars(select(StoragePoolRow).order_by(StoragePoolRow.name_key)).all()
        return self._to_pools(rows)

    def find(self, id_or_name: UUID | str) -> Pool | None:
        """A pool by its id, or by its name whatever the case."""
        text = str(id_or_name)
        rows = self._session.scalars(
            select(StoragePoolRow)
            .where((StoragePoolRow.id == text) | (StoragePoolRow.name_key == text.lower()))
            .limit(1)
        ).all()
        return next(iter(self._to_pools(rows)), None)

    def get(self, id_or_name: UUID | str) -> Pool:
        """The pool.

        Raises:
            NotFound: There is none.
        """
        pool = self.find(id_or_name)
        if pool is None:
            raise NotFound(f"There is no storage pool {id_or_name}.", kind="StoragePool", id=str(id_or_name))
        return pool

    def given_bytes(self) -> dict[tuple[UUID, UUID | None], int]:
        """Sums of the capacities of volumes by pool and host; the host is None where the pool is shared."""
        rows = self._session.execute(
            select(VolumeRow.pool_id, VolumeRow.host_id, func.sum(VolumeRow.capacity_bytes)).group_by(
                VolumeRow.pool_id, VolumeRow.host_id
            )
        )
        return {(UUID(pool), None if host is None else UUID(host)): int(total) for pool, host, total in rows}

    def write(self, pool_id: UUID | str, expected_version: int | None = None, **values: Any) -> int:
        """Sets columns and raises the version; see `UnitOfWork.write_version`."""
        return self._uow.write_version(StoragePoolRow, str(pool_id), expected_version, **values)

    def ensure(self, name: str, type_: str, config: Mapping[str, Any], *, overcommit: float = 1.0) -> Pool:
        """The pool of that name, made if there is none; of two that make it at once, one does."""
        if (found := self.find(name)) is None:
            # Another may make it in this moment; then it is read below.
            with contextlib.suppress(IntegrityError), self._session.begin_nested():
                self._session.execute(
                    insert(StoragePoolRow).values(
                        id=str(uuid.uuid4()),
                        name=name,
                        name_key=name.lower(),
                        type=type_,
                        config=dict(config),
                        overcommit=overcommit,
                        created_at=self._uow.now(),
                    )
                )
            found = self.get(name)
        return found

    def remove_unused(self, pool_id: UUID) -> None:
        """Removes a pool that no host uses and that has no volumes; another is left as it is."""
        used = select(StoragePoolHostRow.pool_id).where(StoragePoolHostRow.pool_id == str(pool_id))
        filled = select(VolumeRow.id).where(VolumeRow.pool_id == str(pool_id))
        self._session.execute(
            delete(StoragePoolRow).where(StoragePoolRow.id == str(pool_id), ~exists(used), ~exists(filled))
        )

    def attach(self, pool_id: UUID, host_id: UUID, *, ready: bool, stats: PoolStats | None = None) -> None:
        """Records that the pool is (not yet) usable on the host."""
        values: dict[str, Any] = {"ready": ready, "stats": None if stats is None else asdict(stats)}
        key = {"pool_id": str(pool_id), "host_id": str(host_id)}
        row = self._session.get(StoragePoolHostRow, key)
        if row is None:
            self._session.execute(insert(StoragePoolHostRow).values(**key, **values))
        elif (row.ready, row.stats) != (ready, values["stats"]):
            self._session.execute(
                update(StoragePoolHostRow)
                .where(StoragePoolHostRow.pool_id == key["pool_id"], StoragePoolHostRow.host_id == key["host_id"])
                .values(**values)
            )

    def measured(self, pool_id: UUID, host_id: UUID, stats: PoolStats) -> None:
        """Records the sizes of a pool that is usable on the host, as they were just seen there."""
        ready = update(StoragePoolHostRow).where(
            StoragePoolHostRow.pool_id == str(pool_id),
            StoragePoolHostRow.host_id == str(host_id),
            StoragePoolHostRow.ready,
        )
        if changed_rows(self._session.execute(ready.values(stats=asdict(stats)))):
            self.write(pool_id)

    def on_host(self, host_id: UUID | str) -> list[Pool]:
        """Pools that are attached to the host, ready or not."""
        rows = self._session.scalars(
            select(StoragePoolRow)
            .join(StoragePoolHostRow, StoragePoolHostRow.pool_id == StoragePoolRow.id)
            .where(StoragePoolHostRow.host_id == str(host_id))
            .order_by(StoragePoolRow.created_at, StoragePoolRow.id)
        ).all()
        return self._to_pools(rows)

    def _to_pools(self, rows: Sequence[StoragePoolRow]) -> list[Pool]:
        attached: dict[str, list[StoragePoolHostRow]] = {row.id: [] for row in rows}
        for item in self._session.scalars(
            select(StoragePoolHostRow)
            .where(StoragePoolHostRow.pool_id.in_(attached))
            .order_by(StoragePoolHostRow.host_id)
        ):
            attached[item.pool_id].append(item)
        return [
            Pool(
                id=UUID(row.id),
                name=row.name,
                type=row.type,
                config=MappingProxyType(dict(row.config)),
                hosts=tuple(UUID(item.host_id) for item in attached[row.id] if item.ready),
                stats=MappingProxyType(
                    {UUID(item.host_id): PoolStats(**item.stats) for item in attached[row.id] if item.stats}
                ),
                overcommit=row.overcommit,
                version=row.version,
            )
            for row in rows
        ]


def _to_host(row: Any) -> Host:
    return Host(
        id=UUID(row.id),
        name=row.name,
        driver=row.driver,
        uri=row.uri,
        state=row.state,
        state_reason=row.state_reason,
        state_changed_at=row.state_changed_at,
        seen_at=row.seen_at,
        settings=MappingProxyType(dict(row.settings)),
        labels=MappingProxyType(dict(row.labels)),
        facts=None if row.facts is None else facts_from_json(row.facts),
        schedulable=row.schedulable,
        limits=HostLimits(
            vcpu_overcommit=row.vcpu_overcommit,
            memory_overcommit=row.memory_overcommit,
            reserved_vcpus=row.reserved_vcpus,
            reserved_memory_mib=row.reserved_memory_mib,
        ),
        version=row.version,
    )
