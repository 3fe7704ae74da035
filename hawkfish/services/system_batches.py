"""Many systems that are alike, made by one task a batch: what `hawkfish serve --simulated-host NAME:COUNT` asks for.

As with a single system, rows, room, audit records and the task are one transaction, ids and names of all that is made are chosen in
it, and each step may run again. A batch is made whole or, where one of its systems cannot be made, not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any, TypeVar
from uuid import UUID

from hawkfish.db import UnitOfWork
from hawkfish.db.repositories.system_batches import BATCH
from hawkfish.domain.accounts import Actor
from hawkfish.domain.hosts import ComputeCapability
from hawkfish.domain.machines import MachineObservation, MachineSpec, MachineStamp, PowerState
from hawkfish.domain.messages import RESOURCE_CREATED
from hawkfish.domain.placement import Candidate, Given, PlacementRequest, PlacementStrategy
from hawkfish.domain.storage import ConnectionInfo, VolumeSpec
from hawkfish.domain.systems import NewNetworkInterface, NewSystem, System, SystemDisk
from hawkfish.domain.tasks import Limit, Task, TaskError
from hawkfish.errors import ForeignObject, InvalidRequest, PropertyConflict
from hawkfish.plugins.compute import SupportsBulkDefine
from hawkfish.plugins.storage import SupportsBulk
from hawkfish.services.accepted import Accepted
from hawkfish.services.access import Access
from hawkfish.services.drivers import DriverPool
from hawkfish.services.machines import disk_spec, machine_spec_with
from hawkfish.services.placement import PLACEMENT, no_room, place, read_candidates
from hawkfish.services.system_creation import CreationVerbs, needs_of, new_system, random_mac_address, subject_of
from hawkfish.tasks import Step, StepContext, TaskKind

Item = TypeVar("Item")

KIND = "system.create-batch"
BATCHES_AT_ONCE = 2  # on a host: one is recorded while the machines of the other are made
AT_ONCE = 100  # as the interfaces for many at once promise


class BatchCreationVerbs(CreationVerbs):
    """The verb `create_batch` of systems."""

    def create_batch(self, actor: Actor, pattern: NewSystem, names: Sequence[str]) -> Accepted:
        """Accepts systems that are alike but for their names; one task makes them all. Names that are taken are left out.

        Args:
            actor: Who asks.
            pattern: What each is to be; it names its host, has no id no image and no profile, and stays off.
            names: At most `BATCH`.

        Returns:
            The host and the task; no task if all the names are taken.

        Raises:
            NoRoom: The host cannot take them all.
            PropertyError: A value cannot be used.
        """
        host_name = pattern.host
        if host_name is None or pattern.power_on or pattern.id is not None or len(names) > BATCH:
            raise InvalidRequest(f"A batch is at most {BATCH} systems on one host, without ids, that are left off.")
        if pattern.profile is not None or any(disk.image is not None or disk.image_id for disk in pattern.disks):
            raise InvalidRequest("The systems of a batch have empty disks and no profile; make others one by one.")
        self._access.authorize(actor, "systems.create", f"host:{host_name}")
        disks = [self._prepare_disk(disk, position) for position, disk in enumerate(pattern.disks)]

        def write(uow: UnitOfWork) -> Accepted:
            uow.serialize_on([PLACEMENT])
            taken = uow.system_batches.taken_names(names)
            candidate = _find_candidate(uow, host_name)
            needs = needs_of(pattern, disks, PlacementStrategy(self._access.settings.placement))
            wanted = [name for name in names if name not in taken]
            systems = _plan(uow, candidate, needs, [replace(pattern, name=name, disks=tuple(disks)) for name in wanted])
            if not systems:
                return Accepted(candidate.host.id)
            task = self._access.queue.submit(
                uow,
                KIND,
                title=f"Create systems {systems[0].name} to {systems[-1].name}",
                actor=actor.user_name,
                subject=f"host:{candidate.host.id}",
                arguments={"host_id": str(candidate.host.id), "system_ids": [str(system.id) for system in systems]},
                locks=[subject_of(system.id) for system in systems],
                limits=[Limit(f"batches@{candidate.host.id}", BATCHES_AT_ONCE)],
            )
            uow.system_batches.add(systems, created_by=actor.user_name)
            self._access.audit.record_many(
                uow,
                actor,
                "systems.create",
                {subject_of(one.id): {"name": one.name, "host": host_name, "task": task.id} for one in systems},
            )
            return Accepted(candidate.host.id, task)

        return self._database.run(write)


def _find_candidate(uow: UnitOfWork, name: str) -> Candidate:
    for candidate in read_candidates(uow):
        if name.lower() in {candidate.host.name.lower(), str(candidate.host.id)}:
            return candidate
    raise PropertyConflict(f"There is no host {name!r}; see `hawkfish hosts ls`.", property="HostId", value=name)


def _plan(uow: UnitOfWork, candidate: Candidate, needs: PlacementRequest, wanted: Sequence[NewSystem]) -> list[System]:
    """The systems, each placed after those before it."""
    systems: list[System] = []
    for new, address in zip(wanted, _free_mac_addresses(uow, len(wanted)), strict=True):
        placement = place([candidate], needs)
        if placement.host is None:
            raise no_room(placement, needs)
        one = replace(new, network_interfaces=(NewNetworkInterface(mac_address=address),))
        systems.append(new_system(uow, one, one.disks, placement.host, placement.pools))
        candidate = _with(candidate, systems[-1])
    return systems


def _with(candidate: Candidate, system: System) -> Candidate:
    """The host with one more system on it."""
    return replace(
        candidate,
        given=candidate.given + Given(vcpus=system.vcpus, memory_mib=system.memory_mib),
        pools=tuple(
            replace(
                room,
                given_bytes=room.given_bytes
                + sum(disk.capacity_bytes for disk in system.disks if disk.pool_id == room.pool_id),
            )
            for room in candidate.pools
        ),
    )


def _free_mac_addresses(uow: UnitOfWork, count: int) -> list[str]:
    """Random addresses that nobody has; of thousands a few come twice. The unique constraint has the last word."""
    found: set[str] = set()
    while len(found) < count:
        drawn = {random_mac_address() for _ in range(count - len(found))}
        found |= drawn - uow.system_batches.taken_mac_addresses(drawn)
    return sorted(found)


class SystemBatchTasks:
    """The kind `system.create-batch`: as `system.create`, for many."""

    def __init__(self, access: Access, drivers: DriverPool, installation_id: str) -> None:
        self._database = access.database
        self._drivers = drivers
        self._installation_id = installation_id

    def kinds(self) -> tuple[TaskKind, ...]:
        """What a worker registers."""
        return (
            TaskKind(
                name=KIND,
                steps=(
                    Step(name="make-disks", run=self._make_disks, undo=self._delete_disks),
                    Step(name="define", run=self._define, record=self._record_observation, undo=self._remove_machines),
                ),
                on_success=_created,
                on_failure=_not_created,
            ),
        )

    def _systems(self, ctx: StepContext) -> list[System]:
        with self._database.read() as uow:
            return uow.systems.of_ids(_ids(ctx.task))

    def _disks(self, ctx: StepContext) -> list[SystemDisk]:
        with self._database.read() as uow:
            return uow.system_batches.disks(_ids(ctx.task))

    def _make_disks(self, ctx: StepContext) -> None:
        disks = self._disks(ctx)
        ctx.progress(message=f"Making the disks of {len(_ids(ctx.task))} systems")
        for done, some in _pieces(disks):
            ctx.progress(percent=done * 50 // len(disks))
            for pool_id, alike in _by_pool(some).items():
                ctx.check()
                specs = [
                    VolumeSpec(name=d.volume_name, capacity_bytes=d.capacity_bytes, format=d.format) for d in alike
                ]
                with self._drivers.pool(pool_id, _host_id(ctx.task)) as (pool, host):
                    if isinstance(pool, SupportsBulk):
                        pool.create_many(host, specs)
                        continue
                    for spec in specs:
                        ctx.check()
                        pool.create(host, spec)
                        self._drivers.pool_gets_on(pool_id, host.id)

    def _delete_disks(self, ctx: StepContext) -> None:
        for pool_id, disks in _by_pool(self._disks(ctx)).items():
            with self._drivers.pool(pool_id, _host_id(ctx.task)) as (pool, host):
                for disk in disks:
                    ctx.check()
                    pool.disconnect(host, disk.volume_name)
                    pool.delete(host, disk.volume_name)
                    self._drivers.pool_gets_on(pool_id, host.id)

    def _define(self, ctx: StepContext) -> dict[str, Any]:
        systems = self._systems(ctx)
        stamp = MachineStamp(installation_id=self._installation_id, task_id=ctx.task_id, epoch=ctx.epoch)
        ctx.progress(message=f"Defining {len(systems)} machines")
        with self._database.read() as uow:
            expected = uow.system_batches.expected_facts(_ids(ctx.task))
        others: dict[str, Any] = {}
        for done, some in _pieces(systems):
            ctx.progress(percent=50 + done * 50 // len(systems))
            connections = self._connect(ctx, some)
            specs = [
                machine_spec_with(
                    system,
                    [disk_spec(disk, connections[disk.volume_name]) for disk in system.disks],
                    stamp,
                    system.drives,
                )
                for system in some
            ]
            for system, machine in zip(some, self._define_some(ctx, specs), strict=True):
                if machine.power_state is not PowerState.OFF or machine.facts != expected[system.id]:
                    # Somebody started it behind our back, or this hypervisor says more of it.
                    others[str(system.id)] = [machine.power_state, machine.run_id, asdict(machine.facts)]
        return {"others": others}

    def _define_some(self, ctx: StepContext, specs: Sequence[MachineSpec]) -> Sequence[MachineObservation]:
        host = self._drivers.host(_host_id(ctx.task))
        driver = self._drivers.driver(host.id)
        ctx.check()
        can = frozenset() if host.facts is None else host.facts.capabilities
        if isinstance(driver, SupportsBulkDefine) and ComputeCapability.BULK_DEFINE in can:
            return driver.define_machines(specs)
        machines = []
        for spec in specs:
            ctx.check()
            machines.append(driver.define_machine(spec))
        return machines

    def _connect(self, ctx: StepContext, systems: Sequence[System]) -> dict[str, ConnectionInfo]:
        """How their disks are reached, by the names of the volumes, which are unique."""
        found: dict[str, ConnectionInfo] = {}
        for pool_id, disks in _by_pool([disk for system in systems for disk in system.disks]).items():
            ctx.check()
            names = [disk.volume_name for disk in disks]
            with self._drivers.pool(pool_id, _host_id(ctx.task)) as (pool, host):
                if isinstance(pool, SupportsBulk):
                    found.update(zip(names, pool.connect_many(host, names), strict=True))
                    continue
                for name in names:
                    ctx.check()
                    found[name] = pool.connect(host, name)
                    self._drivers.pool_gets_on(pool_id, host.id)
        return found

    def _remove_machines(self, ctx: StepContext) -> None:
        driver = self._drivers.driver(_host_id(ctx.task))
        for system_id in _ids(ctx.task):
            ctx.check()
            try:
                driver.remove_machine(system_id)
            except ForeignObject:
                ctx.log.info("a machine of that name is foreign and stays", system=str(system_id))

    def _record_observation(self, uow: UnitOfWork, ctx: StepContext, result: Any) -> None:
        others = {UUID(key): value for key, value in result["others"].items()}
        uow.system_batches.observe_as_made([item for item in _ids(ctx.task) if item not in others])
        for system_id, (power, run_id, facts) in others.items():
            uow.systems.observe_power(system_id, PowerState(power), run_id)
            uow.systems.write(system_id, observed=facts)


def _pieces(items: Sequence[Item]) -> Iterator[tuple[int, Sequence[Item]]]:
    """As many as a call of a driver takes at most, and how many came before them."""
    for start in range(0, len(items), AT_ONCE):
        yield start, items[start : start + AT_ONCE]


def _by_pool(disks: Sequence[SystemDisk]) -> dict[UUID, list[SystemDisk]]:
    found: dict[UUID, list[SystemDisk]] = {}
    for disk in disks:
        found.setdefault(disk.pool_id, []).append(disk)
    return found


def _ids(task: Task) -> list[UUID]:
    return [UUID(item) for item in task.arguments["system_ids"]]


def _host_id(task: Task) -> UUID:
    return UUID(task.arguments["host_id"])


def _created(uow: UnitOfWork, task: Task) -> None:
    uow.system_batches.become_ready(_ids(task))
    uow.system_batches.tell(RESOURCE_CREATED, _ids(task))


def _not_created(uow: UnitOfWork, task: Task, _: TaskError) -> None:
    uow.system_batches.remove(_ids(task))
