"""Many systems that are alike, made by one task a batch: what `hawkfish serve --simulated-host NAME:COUNT` asks for.

As with a single system, rows, room, audit records and the task are one transaction, ids and names of all that is made are chosen in
it, and each step may run again. A batch is made whole or, where one of its systems cannot be made, not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

from hawkfish.db import UnitOfWork
from hawkfish.db.repositories.system_batches import BATCH
from hawkfish.domain.accounts import Actor
from hawkfish.domain.machines import DiskSpec, MachineStamp, PowerState
from hawkfish.domain.placement import Candidate, Given, PlacementRequest, PlacementStrategy
from hawkfish.domain.storage import VolumeSpec
from hawkfish.domain.systems import NewNetworkInterface, NewSystem, System
from hawkfish.domain.tasks import Task, TaskError
from hawkfish.errors import ForeignObject, InvalidRequest, PropertyConflict
from hawkfish.plugins.compute import PoolHost
from hawkfish.plugins.storage import StoragePool
from hawkfish.services.accepted import Accepted
from hawkfish.services.access import Access
from hawkfish.services.drivers import DriverPool
from hawkfish.services.machines import disk_spec, machine_spec_with
from hawkfish.services.placement import PLACEMENT, no_room, place, read_candidates
from hawkfish.services.system_creation import CreationVerbs, needs_of, new_system, random_mac_address, subject_of
from hawkfish.tasks import Step, StepContext, TaskKind

KIND = "system.create-batch"


class BatchCreationVerbs(CreationVerbs):
    """The verb `create_batch` of systems."""

    def create_batch(self, actor: Actor, pattern: NewSystem, names: Sequence[str]) -> Accepted:
        """Accepts systems that are alike but for their names; one task makes them all. Names that are taken are left out.

        Args:
            actor: Who asks.
            pattern: What each is to be; it names its host, has no id and no image, and stays off.
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
            )
            uow.system_batches.add(systems, created_by=actor.user_name)
            for system in systems:
                self._access.audit.record(
                    uow, actor, "systems.create", subject_of(system.id), name=system.name, host=host_name, task=task.id
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

    def _make_disks(self, ctx: StepContext) -> None:
        systems = self._systems(ctx)
        ctx.progress(message=f"Making the disks of {len(systems)} systems")
        with self._pools(systems) as pools:
            for number, system in enumerate(systems):
                ctx.check()
                ctx.progress(percent=number * 50 // len(systems))
                for disk in system.disks:
                    pool, host = pools[disk.pool_id]
                    spec = VolumeSpec(name=disk.volume_name, capacity_bytes=disk.capacity_bytes, format=disk.format)
                    pool.create(host, spec)
                    self._drivers.pool_gets_on(disk.pool_id, system.host_id)

    def _delete_disks(self, ctx: StepContext) -> None:
        systems = self._systems(ctx)
        with self._pools(systems) as pools:
            for system in systems:
                ctx.check()
                for disk in system.disks:
                    pool, host = pools[disk.pool_id]
                    pool.disconnect(host, disk.volume_name)
                    pool.delete(host, disk.volume_name)
                    self._drivers.pool_gets_on(disk.pool_id, system.host_id)

    def _define(self, ctx: StepContext) -> dict[str, Any]:
        systems = self._systems(ctx)
        stamp = MachineStamp(installation_id=self._installation_id, task_id=ctx.task_id, epoch=ctx.epoch)
        disks = self._connect(systems)
        driver = self._drivers.driver(_host_id(ctx.task))
        ctx.progress(message=f"Defining {len(systems)} machines")
        others: dict[str, Any] = {}
        for number, system in enumerate(systems):
            ctx.check()
            ctx.progress(percent=50 + number * 50 // len(systems))
            machine = driver.define_machine(machine_spec_with(system, disks[system.id], stamp))
            if machine.power_state is not PowerState.OFF:  # somebody started it behind our back
                others[str(system.id)] = [machine.power_state, machine.run_id]
        return {"not_off": others}

    def _connect(self, systems: Sequence[System]) -> dict[UUID, list[DiskSpec]]:
        found: dict[UUID, list[DiskSpec]] = {}
        with self._pools(systems) as pools:
            for system in systems:
                connections = [pools[disk.pool_id] for disk in system.disks]
                found[system.id] = [
                    disk_spec(disk, pool.connect(host, disk.volume_name))
                    for disk, (pool, host) in zip(system.disks, connections, strict=True)
                ]
                for disk in system.disks:
                    self._drivers.pool_gets_on(disk.pool_id, system.host_id)
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
        others = {UUID(key): value for key, value in result["not_off"].items()}
        uow.system_batches.observe_off([item for item in _ids(ctx.task) if item not in others])
        for system_id, (power, run_id) in others.items():
            uow.systems.observe_power(system_id, PowerState(power), run_id)

    @contextmanager
    def _pools(self, systems: Sequence[System]) -> Iterator[dict[UUID, tuple[StoragePool, PoolHost]]]:
        """The pools of all their disks, taken in one order, so that two batches cannot hold each other up."""
        wanted = sorted({(disk.pool_id, system.host_id) for system in systems for disk in system.disks})
        with ExitStack() as stack:
            yield {pool_id: stack.enter_context(self._drivers.pool(pool_id, host_id)) for pool_id, host_id in wanted}


def _ids(task: Task) -> list[UUID]:
    return [UUID(item) for item in task.arguments["system_ids"]]


def _host_id(task: Task) -> UUID:
    return UUID(task.arguments["host_id"])


def _created(uow: UnitOfWork, task: Task) -> None:
    uow.system_batches.become_ready(_ids(task))


def _not_created(uow: UnitOfWork, task: Task, _: TaskError) -> None:
    uow.system_batches.remove(_ids(task))
