"""The tasks that make, change and delete systems.

Each step checks before it acts, and what it makes bears names chosen when the task was accepted, so that running it twice, or
undoing half of it, is harmless. A failed creation leaves nothing behind. A failed deletion leaves the system as it was if its
machine is still there, and else FAILED, to be deleted again, since nothing can give back a deleted disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any
from uuid import UUID

from hawkfish.db import UnitOfWork
from hawkfish.domain.events import Severity
from hawkfish.domain.machines import MachineStamp, PowerState
from hawkfish.domain.messages import (
    RESOURCE_CHANGED,
    RESOURCE_CREATED,
    RESOURCE_POWERED_ON,
    RESOURCE_REMOVED,
    RESOURCE_STATUS_CRITICAL,
)
from hawkfish.domain.systems import ResetType, System, SystemState
from hawkfish.domain.tasks import Task, TaskError
from hawkfish.errors import ForeignObject
from hawkfish.services.access import Access
from hawkfish.services.boot import as_present, boot_arguments
from hawkfish.services.drivers import DriverPool
from hawkfish.services.failures import tell_failure
from hawkfish.services.image_disks import ImageDisks
from hawkfish.services.machines import machine_spec
from hawkfish.services.media_order import POWER_ON
from hawkfish.services.power import machine_gone, start_limits
from hawkfish.tasks import Step, StepContext, TaskKind

Result = dict[str, Any]


def system_id_of(task: Task) -> UUID:
    """The system that a task is about."""
    return UUID(task.arguments["system_id"])


class SystemTasks:
    """The kinds `system.create`, `system.update` and `system.delete`."""

    def __init__(self, access: Access, drivers: DriverPool, images: ImageDisks, installation_id: str) -> None:
        self._access = access
        self._images = images
        self._database = access.database
        self._drivers = drivers
        self._installation_id = installation_id

    def kinds(self) -> tuple[TaskKind, ...]:
        """What a worker registers."""
        return (
            TaskKind(
                name="system.create",
                steps=(
                    Step(name="make-disks", run=self._make_disks, undo=self._delete_disks),
                    Step(name="write-images", run=self._write_images),
                    Step(name="define", run=self._define, undo=self._remove_machine),
                    Step(name="start", run=self._start_if_asked, undo=self._power_off),
                    # A start records what it sees by itself.
                    Step(name="observe", run=self._observe, record=self._record_observation, needed=_stays_off),
                ),
                on_success=self._created,
                on_failure=self._not_created,
            ),
            TaskKind(
                name="system.update",
                steps=(
                    Step(name="define", run=self._redefine, record=self._record_update, undo=self._define_as_recorded),
                ),
                on_success=_release_room,
                on_failure=_release_room_of_failed,
            ),
            TaskKind(
                name="system.delete",
                steps=(
                    Step(name="remove-machine", run=self._remove_own_machine),
                    Step(name="delete-disks", run=self._delete_own_disks),
                ),
                on_success=_deleted,
                on_failure=_not_deleted,
            ),
        )

    def _system(self, ctx: StepContext) -> System:
        with self._database.read() as uow:
            return uow.systems.get(system_id_of(ctx.task))

    def _find(self, ctx: StepContext) -> System | None:
        """The system of a deletion; None where its creation was given up and has taken it back."""
        with self._database.read() as uow:
            return uow.systems.find(system_id_of(ctx.task))

    def _stamp(self, ctx: StepContext) -> MachineStamp:
        return MachineStamp(installation_id=self._installation_id, task_id=ctx.task_id, epoch=ctx.epoch)

    # --- disks ---------------------------------------------------------------------------------------------------

    def _make_disks(self, ctx: StepContext) -> None:
        system = self._system(ctx)
        for number, disk in enumerate(system.disks, start=1):
            ctx.check()
            ctx.progress(message=f"Making disk {number} of {len(system.disks)}")
            self._images.make_empty(system, disk)

    def _write_images(self, ctx: StepContext) -> None:
        self._images.fill(ctx, self._system(ctx))

    def _delete_disks(self, ctx: StepContext) -> None:
        system = self._system(ctx)
        for disk in system.disks:
            ctx.check()
            with self._drivers.pool(disk.pool_id, system.host_id) as (pool, host):
                pool.disconnect(host, disk.volume_name)
                pool.delete(host, disk.volume_name)

    # --- the machine ---------------------------------------------------------------------------------------------

    def _define(self, ctx: StepContext) -> None:
        system = self._system(ctx)
        spec = machine_spec(system, self._drivers, self._stamp(ctx))
        ctx.check()
        ctx.message = "Defining the machine"
        self._drivers.driver(system.host_id).define_machine(spec)

    def _remove_machine(self, ctx: StepContext) -> None:
        system = self._system(ctx)
        driver = self._drivers.driver(system.host_id)
        try:
            ctx.check()
            driver.remove_machine(system.id)
        except ForeignObject:
            # The name or UUID was taken by another's machine, which is why `define` failed: it is not ours to remove.
            ctx.log.info("the machine of that name is foreign and stays")

    def _remove_own_machine(self, ctx: StepContext) -> Result:
        ctx.check()
        system = self._find(ctx)
        if system is not None:
            driver = self._drivers.driver(system.host_id)
            if ctx.arguments.get("unmade"):
                # Its creation was given up, perhaps too late to keep the machine from being started.
                driver.power_off_machine(system.id)
            driver.remove_machine(system.id)
        return {"removed": True}

    def _delete_own_disks(self, ctx: StepContext) -> None:
        if self._find(ctx) is not None:
            self._delete_disks(ctx)

    def _start_if_asked(self, ctx: StepContext) -> None:
        """Starts it by a task of its own, which waits for its turn among all starts of the host and keeps no worker waiting."""
        if not ctx.arguments["power_on"]:
            return
        system = self._system(ctx)
        ctx.message = "Starting"
        ctx.spawn(
            "start",
            POWER_ON,
            title=f"Start system {system.name}",
            arguments={"system_id": str(system.id), "reset_type": ResetType.ON, **boot_arguments(system)},
            locks=ctx.task.locks,
            limits=start_limits(system, self._access.settings.host_starts),
        )
        for child in ctx.wait_for_children():
            if child.error is not None:
                raise child.error.revive()

    def _power_off(self, ctx: StepContext) -> None:
        system = self._system(ctx)
        ctx.check()
        self._drivers.driver(system.host_id).power_off_machine(system.id)

    def _observe(self, ctx: StepContext) -> Result:
        system = self._system(ctx)
        machine = self._drivers.driver(system.host_id).find_machine(system.id)
        power = PowerState.OFF if machine is None else machine.power_state
        return {
            "power_state": power,
            "run_id": None if machine is None else machine.run_id,
            "facts": None if machine is None else asdict(machine.facts),
        }

    def _record_observation(self, uow: UnitOfWork, ctx: StepContext, result: Any) -> None:
        system_id = system_id_of(ctx.task)
        uow.systems.observe_power(system_id, PowerState(result["power_state"]), result["run_id"])
        if result["facts"] is not None:
            uow.systems.write(system_id, observed=result["facts"])

    # --- updating ------------------------------------------------------------------------------------------------

    def _redefine(self, ctx: StepContext) -> None:
        system = self._system(ctx)
        driver = self._drivers.driver(system.host_id)
        if driver.find_machine(system.id) is None:
            # Whoever took it away may have started it elsewhere: a definition anew could give its disks a second writer.
            raise machine_gone(system, "change")
        wanted = _changed(as_present(system), ctx.arguments["values"])
        spec = machine_spec(wanted, self._drivers, self._stamp(ctx))
        ctx.check()
        driver.define_machine(spec)

    def _define_as_recorded(self, ctx: StepContext) -> None:
        system = self._system(ctx)
        driver = self._drivers.driver(system.host_id)
        if driver.find_machine(system.id) is not None:
            spec = machine_spec(as_present(system), self._drivers, self._stamp(ctx))
            ctx.check()
            driver.define_machine(spec)

    def _record_update(self, uow: UnitOfWork, ctx: StepContext, _: Any) -> None:
        uow.systems.write(system_id_of(ctx.task), **ctx.arguments["values"])
        uow.systems.tell(RESOURCE_CHANGED, system_id_of(ctx.task))

    # --- ends ----------------------------------------------------------------------------------------------------

    def _created(self, uow: UnitOfWork, task: Task) -> None:
        system = uow.systems.get(system_id_of(task))
        if system.state is not SystemState.CREATING:
            return  # it is to be deleted already, and the deletion is next in line
        uow.systems.write(system.id, state=SystemState.READY)
        uow.systems.tell(RESOURCE_CREATED, system.id)
        if uow.systems.get(system.id).power_state is PowerState.ON:  # shown from now on
            uow.systems.tell(RESOURCE_POWERED_ON, system.id, system.name)

    def _not_created(self, uow: UnitOfWork, task: Task, _: TaskError) -> None:
        uow.systems.remove(system_id_of(task))


def _stays_off(task: Task) -> bool:
    return not task.arguments["power_on"]


def _release_room(uow: UnitOfWork, task: Task) -> None:
    """From here on the system's own row counts, whatever it says."""
    uow.reservations.release(task.id)


def _release_room_of_failed(uow: UnitOfWork, task: Task, error: TaskError) -> None:
    _release_room(uow, task)
    tell_failure(uow, task, error)


def _deleted(uow: UnitOfWork, task: Task) -> None:
    if uow.systems.find(system_id_of(task)) is not None:
        uow.systems.tell(RESOURCE_REMOVED, system_id_of(task))
        uow.systems.remove(system_id_of(task))


def _not_deleted(uow: UnitOfWork, task: Task, error: TaskError) -> None:
    """A system of which nothing was taken is as it was; else it can only be deleted again."""
    if uow.systems.find(system_id_of(task)) is None:
        return
    if "remove-machine" not in task.results:
        uow.systems.write(system_id_of(task), state=SystemState.READY)
        return
    uow.systems.write(
        system_id_of(task),
        state=SystemState.FAILED,
        failure=f"It could not be deleted: {error.message} Delete it again.",
    )
    name = uow.systems.get(system_id_of(task)).name
    uow.systems.tell(RESOURCE_STATUS_CRITICAL, system_id_of(task), name, Severity.CRITICAL)


def _changed(system: System, values: Mapping[str, Any]) -> System:
    return replace(system, **values)
