"""Systems with their disks and network interfaces: what is asked of them, and what is written."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

from sqlalchemy import Row, Table, Update, bindparam, case, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from hawkfish.db.base import MOST_PARAMETERS, batched, changed_rows
from hawkfish.db.models.hosts import HostRow
from hawkfish.db.models.systems import NetworkInterfaceRow, ScreenshotRow, SystemRow, VolumeAttachmentRow, VolumeRow
from hawkfish.db.paging import Columns, cut, entries, narrow, number, text, to_page, truth
from hawkfish.db.prepared import AnySelect, Prepared
from hawkfish.db.repositories.hosts import facts_from_json
from hawkfish.db.repositories.system_rows import (
    attachment_to_json,
    disks_of,
    facts_to_json,
    interfaces_of,
    to_sight,
    to_system,
)
from hawkfish.domain.machines import (
    MachineObservation,
    PowerState,
    Screenshot,
)
from hawkfish.domain.messages import (
    RESOURCE_CHANGED,
    RESOURCE_PAUSED,
    RESOURCE_POWERED_OFF,
    RESOURCE_POWERED_ON,
    RESOURCE_POWERING_OFF,
    RESOURCE_POWERING_ON,
    RESOURCE_STATE_CHANGED,
    RESOURCE_STATUS_CRITICAL,
    RESOURCE_STATUS_OK,
    EventMessage,
)
from hawkfish.domain.pages import Condition, Page, PageRequest
from hawkfish.domain.systems import (
    BootOverrideEnabled,
    Sight,
    System,
    SystemState,
)
from hawkfish.domain.tasks import Task
from hawkfish.errors import AlreadyExists, NotFound

if TYPE_CHECKING:
    from hawkfish.db.unit_of_work import UnitOfWork

T = TypeVar("T")

MACHINE_GONE = "The machine of {system.name} is no longer defined on {system.host_name}; define it there again, or delete the system."
SYSTEMS = cast("Table", SystemRow.__table__)
POWER_MESSAGES: Mapping[PowerState, EventMessage] = {
    PowerState.ON: RESOURCE_POWERED_ON,
    PowerState.OFF: RESOURCE_POWERED_OFF,
    PowerState.POWERING_ON: RESOURCE_POWERING_ON,
    PowerState.POWERING_OFF: RESOURCE_POWERING_OFF,
    PowerState.PAUSED: RESOURCE_PAUSED,
}
REACHED: Mapping[PowerState, PowerState] = {
    PowerState.POWERING_ON: PowerState.ON,
    PowerState.POWERING_OFF: PowerState.OFF,
}

VERSIONS_ON_HOST = select(SYSTEMS.c.id, SYSTEMS.c.version).where(
    SYSTEMS.c.host_id == bindparam("on_host"), SYSTEMS.c.state == SystemState.READY
)
SIGHTS = select(
    *(SYSTEMS.c.id, SYSTEMS.c.version, SYSTEMS.c.state, SYSTEMS.c.stale, SYSTEMS.c.failure),
    *(SYSTEMS.c.power_state, SYSTEMS.c.power_transition, SYSTEMS.c.run_id, SYSTEMS.c.observed),
)
HOSTS = cast("Table", HostRow.__table__)
FIND = Prepared(
    select(SYSTEMS).where(or_(SYSTEMS.c.id == bindparam("id_or_name"), SYSTEMS.c.name_key == bindparam("id_or_name")))
)
HOST = Prepared(
    select(HOSTS.c.id, HOSTS.c.name, HOSTS.c.driver, HOSTS.c.facts).where(HOSTS.c.id == bindparam("host_id"))
)
NAME_AND_PROJECT = Prepared(
    select(SYSTEMS.c.id, SYSTEMS.c.name, SYSTEMS.c.project).where(SYSTEMS.c.id == bindparam("system_id"))
)
RECORDED = Prepared(
    select(
        SYSTEMS.c.id,
        SYSTEMS.c.version,
        SYSTEMS.c.name,
        SYSTEMS.c.project,
        SYSTEMS.c.state,
        SYSTEMS.c.failure,
        SYSTEMS.c.power_state,
        SYSTEMS.c.run_id,
        SYSTEMS.c.stale,
        SYSTEMS.c.power_transition,
        SYSTEMS.c.power_task_id,
    )
    .where(SYSTEMS.c.id == bindparam("system_id"))
    .with_for_update()
)


def _setting(*names: str, **values: Any) -> Update:
    """Writes columns of a system, and raises its version."""
    given = {name: bindparam(name, type_=SYSTEMS.c[name].type) for name in names}
    return (
        update(SYSTEMS)
        .where(SYSTEMS.c.id == bindparam("of_system"))
        .values(**given, **values, version=SYSTEMS.c.version + 1)
    )


BEGIN_TRANSITION = Prepared(_setting("power_transition", "power_task_id"))
END_TRANSITION = Prepared(
    _setting(power_transition=None, power_task_id=None).where(SYSTEMS.c.power_task_id == bindparam("of_task"))
)
OBSERVE = Prepared(_setting("power_state", "run_id", "observed", "failure", "observed_at", stale=False))
OBSERVE_POWER = Prepared(_setting("power_state", "run_id", "observed_at", stale=False))
STAMP = (
    select(SystemRow.version, HostRow.version.label("host_version"))
    .join(HostRow, HostRow.id == SystemRow.host_id)
    .where(SystemRow.id == bindparam("system_id"))
)


def _of_host(column: Any) -> Any:
    return select(column).where(HostRow.id == SystemRow.host_id).scalar_subquery()


COLUMNS: Columns = {
    "id": text(SystemRow.id),
    "name": text(SystemRow.name),
    "description": text(func.nullif(SystemRow.description, "")),
    "asset_tag": text(SystemRow.asset_tag),
    "project": text(SystemRow.project),
    "state": text(SystemRow.state),
    "failure": text(func.nullif(SystemRow.failure, "")),
    "vcpus": number(SystemRow.vcpus),
    "memory_mib": number(SystemRow.memory_mib),
    "firmware": text(SystemRow.firmware),
    "labels": entries(SystemRow.labels),
    "boot_enabled": text(SystemRow.boot_enabled),
    "boot_device": text(SystemRow.boot_device),
    # As `shown_power` says it.
    "power_state": text(
        case(
            (SystemRow.state == SystemState.CREATING, None),
            else_=func.coalesce(SystemRow.power_transition, SystemRow.power_state),
        )
    ),
    "stale": truth(SystemRow.stale),
    "host_name": text(_of_host(HostRow.name)),
    "driver": text(_of_host(HostRow.driver)),
}
"""What conditions on systems may name; the names are those of `System`."""


class SystemRepository:
    """Systems of one unit of work."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._session = uow.session

    # --- reading -------------------------------------------------------------------------------------------------

    def page(self, wanted: PageRequest) -> Page[System]:
        """Systems in the order of their names."""
        statement = narrow(self._uow, select(SYSTEMS), wanted.condition, COLUMNS)
        rows = self._session.execute(cut(statement, wanted, SystemRow.name_key)).all()
        return to_page(rows, wanted, self.count(wanted.condition), lambda row: row.name_key, self._to_systems)

    def references(self, wanted: PageRequest) -> Page[UUID]:
        """Ids of systems in the order of their names; what a collection shows."""
        return self._narrow_page(wanted, (), lambda found: [UUID(row.id) for row in found])

    def stamps(self, wanted: PageRequest) -> Page[tuple[UUID, tuple[int, int]]]:
        """The same with what `stamp` gives of each."""
        versions = (SystemRow.version, _of_host(HostRow.version).label("host_version"))
        return self._narrow_page(
            wanted, versions, lambda found: [(UUID(row.id), (row.version, row.host_version)) for row in found]
        )

    def _narrow_page(
        self, wanted: PageRequest, more: Sequence[Any], values: Callable[[Sequence[Row[Any]]], list[T]]
    ) -> Page[T]:
        """A page of the ids of systems, and of a few more columns."""
        columns = select(SystemRow.id, SystemRow.name_key, *more)
        statement = cut(narrow(self._uow, columns, wanted.condition, COLUMNS), wanted, SystemRow.name_key)
        rows = self._session.execute(statement).all()
        return to_page(rows, wanted, self.count(wanted.condition), lambda row: row.name_key, values)

    def of_ids(self, ids: Collection[UUID]) -> list[System]:
        """Those of some systems that are there, by name."""
        return self._of_ids(select(SYSTEMS), ids)

    def ready_on_host(self, host_id: UUID, ids: Collection[UUID]) -> list[System]:
        """Those of some systems that are on that host and READY, by name."""
        return self._of_ids(
            select(SYSTEMS).where(SYSTEMS.c.host_id == str(host_id), SYSTEMS.c.state == SystemState.READY), ids
        )

    def seen_running(self, ids: Collection[UUID]) -> set[UUID]:
        """Those of some systems that are recorded as On, and well, and not stale."""
        running = select(SYSTEMS.c.id).where(
            SYSTEMS.c.power_state == PowerState.ON, SYSTEMS.c.stale.is_(False), SYSTEMS.c.failure == ""
        )
        return {UUID(row.id) for row in self._rows_of_ids(running, ids)}

    def _of_ids(self, statement: AnySelect, ids: Collection[UUID]) -> list[System]:
        return self._to_systems(sorted(self._rows_of_ids(statement, ids), key=lambda row: row.name_key))

    def _rows_of_ids(self, statement: AnySelect, ids: Collection[UUID]) -> list[Row[Any]]:
        texts = [str(item) for item in ids]
        return [
            row
            for some in batched(texts, MOST_PARAMETERS)
            for row in self._session.execute(statement.where(SYSTEMS.c.id.in_(some)))
        ]

    def count(self, condition: Condition | None = None) -> int:
        """How many there are, or how many of them meet a condition."""
        statement = narrow(self._uow, select(func.count()).select_from(SystemRow), condition, COLUMNS)
        return int(self._session.scalar(statement) or 0)

    def find(self, id_or_name: UUID | str) -> System | None:
        """A system by its id, or by its name whatever the case."""
        text = str(id_or_name)
        found = FIND.rows(self._uow.connection, {"id_or_name": text.lower()})
        # A name may look like another system's id; the id wins.
        rows = sorted(found, key=lambda row: row.id != text.lower())
        return next(iter(self._to_systems(rows[:1])), None)

    def get(self, id_or_name: UUID | str) -> System:
        """The system.

        Raises:
            NotFound: There is none.
        """
        system = self.find(id_or_name)
        if system is None:
            raise NotFound(
                f"There is no system {id_or_name}; see `hawkfish systems ls`.",
                kind="ComputerSystem",
                id=str(id_or_name),
            )
        return system

    def stamp(self, system_id: str) -> tuple[int, int] | None:
        """Versions of the system and of its host: while they stay, so does all that the system shows. None where there is none."""
        row = self._session.execute(STAMP, {"system_id": system_id}).one_or_none()
        return None if row is None else (row[0], row[1])

    def versions_on_host(self, host_id: UUID) -> dict[UUID, int]:
        """The versions of all systems of a host that are READY: enough to know which of them have changed."""
        rows = self._session.connection().execute(VERSIONS_ON_HOST, {"on_host": str(host_id)})
        return {UUID(system_id): version for system_id, version in rows}

    def sights(self, ids: Collection[UUID]) -> list[Sight]:
        """What is recorded of some systems as last seen, much cheaper than the systems."""
        return [to_sight(row) for row in self._rows_of_ids(SIGHTS, ids)]

    def on_host(self, host_id: UUID) -> list[System]:
        """All systems of a host."""
        return self._to_systems(self._session.execute(select(SYSTEMS).where(SYSTEMS.c.host_id == str(host_id))).all())

    # --- writing -------------------------------------------------------------------------------------------------

    def add(self, system: System, *, created_by: str) -> None:
        """Adds a system with its volumes and network interfaces.

        Raises:
            AlreadyExists: The name, the UUID or a MAC address is taken.
        """
        self._refuse_taken(system)
        now = self._uow.now()
        try:
            with self._session.begin_nested():
                self._insert(system, now, created_by)
        except IntegrityError as error:
            # Another took the name between the look above and now (PostgreSQL); the constraint has the last word.
            raise AlreadyExists(
                f"The name {system.name}, its UUID or a MAC address was taken in this moment; choose another.",
                kind="ComputerSystem",
                property="Name",
                value=system.name,
            ) from error

    def _insert(self, system: System, now: datetime, created_by: str) -> None:
        self._session.execute(
            insert(SystemRow).values(
                id=str(system.id),
                name=system.name,
                name_key=system.name.lower(),
                project=system.project,
                host_id=str(system.host_id),
                state=system.state,
                vcpus=system.vcpus,
                memory_mib=system.memory_mib,
                firmware=system.firmware,
                description=system.description,
                asset_tag=system.asset_tag,
                labels=dict(system.labels),
                boot_enabled=system.boot.enabled,
                boot_device=system.boot.device,
                created_at=now,
                created_by=created_by,
            )
        )
        for position, disk in enumerate(system.disks):
            volume_id = str(uuid.uuid4())
            self._session.execute(
                insert(VolumeRow).values(
                    id=volume_id,
                    name=disk.volume_name,
                    project=system.project,
                    pool_id=str(disk.pool_id),
                    host_id=str(system.host_id),
                    capacity_bytes=disk.capacity_bytes,
                    format=disk.format,
                    image=disk.image,
                    image_digest=disk.image_digest,
                    created_at=now,
                )
            )
            self._session.execute(
                insert(VolumeAttachmentRow).values(
                    volume_id=volume_id, system_id=str(system.id), disk_id=disk.id, position=position, bus=disk.bus
                )
            )
        for position, interface in enumerate(system.network_interfaces):
            self._session.execute(
                insert(NetworkInterfaceRow).values(
                    system_id=str(system.id),
                    position=position,
                    mac_address=interface.mac_address,
                    attachment=attachment_to_json(interface.attachment),
                    model=interface.model,
                )
            )

    def _refuse_taken(self, system: System) -> None:
        taken = self._session.scalar(select(SystemRow.id).where(SystemRow.name_key == system.name.lower()))
        if taken is not None:
            raise AlreadyExists(
                f"A system named {system.name} exists; choose another name.",
                kind="ComputerSystem",
                property="Name",
                value=system.name,
            )
        if self._session.get(SystemRow, str(system.id)) is not None:
            raise AlreadyExists(
                f"A system with the UUID {system.id} exists; leave it out to get a new one.",
                kind="ComputerSystem",
                property="UUID",
                value=str(system.id),
            )
        addresses = [item.mac_address for item in system.network_interfaces]
        used = self._session.scalars(
            select(NetworkInterfaceRow.mac_address).where(NetworkInterfaceRow.mac_address.in_(addresses))
        ).first()
        if used is not None:
            raise AlreadyExists(
                f"The MAC address {used} belongs to another system; leave it out to get a free one.",
                kind="ComputerSystem",
                property="MACAddress",
                value=used,
            )

    def has_mac_address(self, address: str) -> bool:
        """Whether a system has the address."""
        found = select(NetworkInterfaceRow.mac_address).where(NetworkInterfaceRow.mac_address == address)
        return self._session.scalar(found) is not None

    def write(self, system_id: UUID, expected_version: int | None = None, **values: Any) -> int:
        """Sets columns and raises the version; see `UnitOfWork.write_version`."""
        return self._uow.write_version(SystemRow, str(system_id), expected_version, **values)

    def begin_transition(self, system: System, transition: PowerState, task: Task) -> None:
        """Shows that power is on its way, until `end_transition` of the same task."""
        given = {"of_system": str(system.id), "power_transition": transition, "power_task_id": task.id}
        BEGIN_TRANSITION.change(self._uow.connection, given)
        if transition is not system.power_state and system.state is not SystemState.CREATING:
            self._tell(system, POWER_MESSAGES[transition], system.name, actor=task.actor, task_id=task.id)

    def end_transition(self, system_id: UUID, task_id: str) -> None:
        """Ends what `begin_transition` began, unless a later task has taken over."""
        row = self._recorded(system_id)
        if row is None or row.power_task_id != task_id:
            return
        if row.power_transition is not None and row.power_state is not REACHED.get(row.power_transition):
            self._tell_power(row, None, row.power_state, row.run_id)
        END_TRANSITION.change(self._uow.connection, {"of_system": str(system_id), "of_task": task_id})

    def observe(self, system: System, machine: MachineObservation | None) -> bool:
        """Records what a hypervisor said of a system that is READY.

        A machine that is gone does not run, so its system is Off; and it says that this is not all that is wrong.

        Args:
            system: As it was read before the hypervisor was asked.
            machine: What it said; None if it has no such machine.

        Returns:
            False if the system was changed meanwhile: then nothing is recorded, since what is there is newer.
        """
        row = self._recorded(system.id)
        if row is None or row.version != system.version:
            return False
        power = PowerState.OFF if machine is None else machine.power_state
        run_id = None if machine is None else machine.run_id
        OBSERVE.change(
            self._uow.connection,
            {
                "of_system": str(system.id),
                "power_state": power,
                "run_id": run_id,
                "observed": None if machine is None else facts_to_json(machine.facts),
                "failure": "" if machine is not None else MACHINE_GONE.format(system=system),
                "observed_at": self._uow.now(),
            },
        )
        self._tell_power(row, row.power_state, power, run_id)
        if bool(row.failure) is not (machine is None):
            health = RESOURCE_STATUS_OK if machine is not None else RESOURCE_STATUS_CRITICAL
            self.tell(health, system.id, row.name, health.severity)
        return True

    def observe_power(self, system_id: UUID, power: PowerState, run_id: str | None) -> bool:
        """Records what a task saw; the version rises only if it is news. True if it is."""
        row = self._recorded(system_id)
        if row is None or (row.power_state, row.run_id, row.stale) == (power, run_id, False):
            return False
        now = {"power_state": power, "run_id": run_id, "observed_at": self._uow.now()}
        OBSERVE_POWER.change(self._uow.connection, {"of_system": str(system_id), **now})
        self._tell_power(row, row.power_state, power, run_id)
        return True

    def _recorded(self, system_id: UUID) -> Row[Any] | None:
        """What is recorded of a system that is about to be observed; nobody else observes it until this transaction ends."""
        row: Row[Any] | None = RECORDED.row(self._uow.connection, {"system_id": str(system_id)})
        return row

    def use_up_boot(self, system_id: UUID, number: int) -> None:
        """Ends a boot override that held for one boot, unless another has been accepted since."""
        changed = self._session.execute(
            update(SystemRow)
            .where(
                SystemRow.id == str(system_id),
                SystemRow.boot_enabled == BootOverrideEnabled.ONCE,
                SystemRow.boot_number == number,
            )
            .values(boot_enabled=BootOverrideEnabled.DISABLED, boot_device=None, version=SystemRow.version + 1)
            .execution_options(synchronize_session=False)
        )
        if changed_rows(changed):
            self.tell(RESOURCE_CHANGED, system_id)

    def mark_stale(self, host_id: UUID) -> int:
        """Says of all systems of a host that what was observed may no longer be so. Returns how many that is news for."""
        changed = self._session.execute(
            update(SystemRow)
            .where(SystemRow.host_id == str(host_id), SystemRow.stale.is_(False))
            .values(stale=True, version=SystemRow.version + 1)
            .execution_options(synchronize_session=False)
        )
        return changed_rows(changed)

    def remove(self, system_id: UUID) -> None:
        """Removes a system with its volumes, network interfaces and pictures."""
        volumes = select(VolumeAttachmentRow.volume_id).where(VolumeAttachmentRow.system_id == str(system_id))
        found = list(self._session.scalars(volumes))
        self._session.execute(delete(SystemRow).where(SystemRow.id == str(system_id)))
        self._session.execute(delete(VolumeRow).where(VolumeRow.id.in_(found)))

    # --- events --------------------------------------------------------------------------------------------------

    def tell(
        self,
        message: EventMessage,
        system_id: UUID,
        *arguments: object,
        actor: str | None = None,
        task_id: str | None = None,
    ) -> None:
        """Writes down an event of a system; see `EventRepository.add`."""
        row = NAME_AND_PROJECT.row(self._uow.connection, {"system_id": str(system_id)})
        self._tell(row, message, *arguments, actor=actor, task_id=task_id)

    def _tell(
        self,
        system: System | Row[Any],
        message: EventMessage,
        *arguments: object,
        actor: str | None = None,
        task_id: str | None = None,
    ) -> None:
        """The same of a system, or a row of one, that is at hand."""
        self._uow.events.add(
            message,
            f"system:{system.id}",
            *arguments,
            actor=actor,
            task_id=task_id,
            project=system.project,
            data={"name": system.name},
        )

    def _tell_power(
        self, before: Row[Any], shown: PowerState | None, power: PowerState | None, run_id: str | None
    ) -> None:
        """Tells of power that has changed; of a system that is being made nothing is told but its creation.

        Args:
            before: The system as it is recorded.
            shown: The power state that was told last.
            power: The power state now.
            run_id: The run now.
        """
        if before.state is SystemState.CREATING or power is None:
            return
        same_run = run_id == before.run_id
        if power is shown and (power is not PowerState.ON or same_run):
            return
        if shown is PowerState.PAUSED and power is PowerState.ON and same_run:
            self._tell(before, RESOURCE_STATE_CHANGED, before.name, "Enabled")
        else:
            self._tell(before, POWER_MESSAGES[power], before.name)

    # --- pictures ------------------------------------------------------------------------------------------------

    def add_screenshot(self, screenshot_id: str, system_id: UUID, screenshot: Screenshot) -> None:
        """Keeps a picture; one of that id is there already when a step runs again."""
        if self._session.get(ScreenshotRow, screenshot_id) is None:
            self._session.execute(
                insert(ScreenshotRow).values(
                    id=screenshot_id,
                    system_id=str(system_id),
                    media_type=screenshot.media_type,
                    data=screenshot.data,
                    taken_at=self._uow.now(),
                )
            )

    def get_screenshot(self, system_id: UUID, screenshot_id: str) -> Screenshot:
        """A picture.

        Raises:
            NotFound: There is none (any more).
        """
        row = self._session.get(ScreenshotRow, screenshot_id)
        if row is None or row.system_id != str(system_id):
            raise NotFound(
                f"There is no screenshot {screenshot_id} (any more); take a new one.",
                kind="Screenshot",
                id=screenshot_id,
            )
        return Screenshot(media_type=row.media_type, data=row.data)

    def purge_screenshots(self, before: datetime) -> int:
        """Drops old pictures."""
        return changed_rows(self._session.execute(delete(ScreenshotRow).where(ScreenshotRow.taken_at < before)))

    # --- rows to values ------------------------------------------------------------------------------------------

    def _to_systems(self, rows: Sequence[Row[Any]]) -> list[System]:
        return [system for some in batched(rows, MOST_PARAMETERS) for system in self._some_systems(some)]

    def _some_systems(self, rows: Sequence[Row[Any]]) -> list[System]:
        ids = [row.id for row in rows]
        if not ids:
            return []
        disks, interfaces = disks_of(self._uow, ids), interfaces_of(self._uow, ids)
        profiles = self._uow.profiles.uses(ids)
        hosts = {key: HOST.row(self._uow.connection, {"host_id": key}) for key in {row.host_id for row in rows}}
        facts = {key: None if host.facts is None else facts_from_json(host.facts) for key, host in hosts.items()}
        return [
            to_system(
                row,
                hosts[row.host_id],
                facts[row.host_id],
                disks[row.id],
                interfaces[row.id],
                profiles.get(row.id),
            )
            for row in rows
        ]
