"""The verbs of systems: list, create, change, delete. What changes the world is accepted as a task of `system_tasks`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NoReturn
from uuid import UUID

from hawkfish.db import UnitOfWork
from hawkfish.domain.accounts import Actor
from hawkfish.domain.machines import PowerState
from hawkfish.domain.messages import RESOURCE_CHANGED
from hawkfish.domain.pages import EVERYTHING, Page, PageRequest
from hawkfish.domain.systems import System, SystemChanges, SystemState
from hawkfish.errors import Conflict, NotSupported, PropertyOutOfRange
from hawkfish.services.accepted import Accepted
from hawkfish.services.authorization import may
from hawkfish.services.boot import changed_boot, default_order
from hawkfish.services.host_limits import tasks_on
from hawkfish.services.media_order import CHANGES, RAISES_POWER
from hawkfish.services.pictures import PictureVerbs
from hawkfish.services.placement import PLACEMENT, read_candidates, size_shortages
from hawkfish.services.power import PowerVerbs, uses_up
from hawkfish.services.preconditions import refuse_other_version
from hawkfish.services.refusals import notes_refusals
from hawkfish.services.system_batches import BatchCreationVerbs
from hawkfish.services.system_creation import subject_of


class SystemService(BatchCreationVerbs, PowerVerbs, PictureVerbs):
    """Systems."""

    # --- reading -------------------------------------------------------------------------------------------------

    def page(self, actor: Actor, wanted: PageRequest = EVERYTHING) -> Page[System]:
        """Systems in the order of their names; for what a condition may name see `SystemRepository.COLUMNS`."""
        self._access.authorize(actor, "systems.read")
        with self._database.read() as uow:
            return uow.systems.page(wanted)

    def references(self, actor: Actor, wanted: PageRequest = EVERYTHING) -> Page[UUID]:
        """The same, ids only; cheap whatever the size of the systems."""
        self._access.authorize(actor, "systems.read")
        with self._database.read() as uow:
            return uow.systems.references(wanted)

    def stamps(self, actor: Actor, wanted: PageRequest = EVERYTHING) -> Page[tuple[UUID, tuple[int, int]]]:
        """The same with the stamp of each."""
        self._access.authorize(actor, "systems.read")
        with self._database.read() as uow:
            return uow.systems.stamps(wanted)

    def of_ids(self, actor: Actor, ids: Collection[UUID]) -> list[System]:
        """Those of some systems that are there, by name."""
        self._access.authorize(actor, "systems.read")
        with self._database.read() as uow:
            return uow.systems.of_ids(ids)

    def get(self, actor: Actor, id_or_name: UUID | str) -> System:
        """One system, by its id or its name.

        Raises:
            NotFound: There is none that the actor may see.
        """
        self._access.authorize(actor, "systems.read", f"system:{id_or_name}")
        with self._database.read() as uow:
            return uow.systems.get(id_or_name)

    def stamp(self, actor: Actor, system_id: str) -> tuple[int, int] | None:
        """What changes whenever anything that `get` gives does, much cheaper than `get`; None where no system has that id."""
        self._access.authorize(actor, "systems.read", f"system:{system_id}")
        with self._database.read() as uow:
            return uow.systems.stamp(system_id)

    def quick_stamp(self, actor: Actor, system_id: str) -> tuple[int, int] | None:
        """As `stamp`, where that can be told without waiting; else None, and `stamp` has the last word."""
        # A refusal is written down, which may wait: it is left to `stamp`.
        return self._database.quick.system_stamp(system_id) if may(actor, "systems.read") else None

    # --- changing ------------------------------------------------------------------------------------------------

    @notes_refusals("systems.update")
    def update(
        self, actor: Actor, system_id: UUID, changes: SystemChanges, expected_version: int | None = None
    ) -> Accepted:
        """Changes a system: what is only a record at once, vCPUs and memory by a task that changes the definition.

        Raises:
            NotFound: There is no such system.
            PreconditionFailed: It has another version by now.
            Conflict: It is being made or deleted.
            NotSupported: Its host cannot override the boot order.
            PropertyError: A value cannot be used.
        """
        self._access.authorize(actor, "systems.update", subject_of(system_id))

        def write(uow: UnitOfWork) -> Accepted:
            # Its firmware is changed with its BIOS, too, and not every boot goes with every firmware.
            uow.serialize_on([PLACEMENT, subject_of(system_id)])
            # Looked at first: a start that ends in between shows by then that it has used up its override.
            ahead = uow.tasks.search(subject=subject_of(system_id), ended=False)
            system = uow.systems.get(system_id)
            _refuse_unready(system, "changed")
            values = _record_values(system, changes, promised=any(uses_up(task, system.boot) for task in ahead))
            # A change that is still on its way would undo what looks like no change now.
            waiting = any(task.kind == "system.update" for task in ahead)
            hardware = {
                name: value
                for name, value in (("vcpus", changes.vcpus), ("memory_mib", changes.memory_mib))
                if value is not None and (waiting or value != getattr(system, name))
            }
            _refuse_too_large(uow, system, hardware)
            changed = sorted([*values, *hardware])
            if not changed:
                refuse_other_version(system, expected_version)
                return Accepted(system_id)
            uow.systems.write(system_id, expected_version, **values)
            if values:
                uow.systems.tell(RESOURCE_CHANGED, system_id, actor=actor.user_name)
            task = None
            if hardware:
                task = self._access.queue.submit(
                    uow,
                    "system.update",
                    title=f"Change system {system.name}",
                    actor=actor.user_name,
                    subject=subject_of(system_id),
                    arguments={"system_id": str(system_id), "values": hardware},
                    locks=[subject_of(system_id)],
                    limits=[tasks_on(system.host_id, self._access.settings.host_tasks)],
                )
                sizes = {"vcpus": system.vcpus, "memory_mib": system.memory_mib} | hardware
                uow.reservations.hold(task.id, system.host_id, system_id, **sizes)
            self._access.audit.record(uow, actor, "systems.update", subject_of(system_id), changed=changed)
            return Accepted(system_id, task)

        return self._database.run(write)

    @notes_refusals("systems.default_boot_order")
    def default_boot_order(self, actor: Actor, system_id: UUID) -> None:
        """Gives a system the boot order back that it had when it was made: disks, drives, network interfaces, each as they are.

        As any other order it is a record until the next start, and an override stays as it is.

        Raises:
            NotFound: There is no such system.
            Conflict: It is being made or deleted.
            NotSupported: Its host cannot override the boot order.
        """
        verb, subject = "systems.default_boot_order", subject_of(system_id)
        self._access.authorize(actor, "systems.default_boot_order", subject)

        def write(uow: UnitOfWork) -> None:
            uow.serialize_on([subject])
            system = uow.systems.get(system_id)
            _refuse_unready(system, "changed")
            values = default_order(system)
            if not values:
                return
            uow.systems.write(system_id, **values)
            uow.systems.tell(RESOURCE_CHANGED, system_id, actor=actor.user_name)
            self._access.audit.record(uow, actor, verb, subject, changed=sorted(values))

        self._database.run(write)

    @notes_refusals("volumes.create")
    def create_volume(self, actor: Actor, system_id: UUID) -> NoReturn:
        """Tells why a system's storage gets no RAID volume; profiles of Redfish want that it can be asked for.

        Raises:
            NotFound: There is no such system.
            NotSupported: Always: no driver has RAID.
        """
        self._access.authorize(actor, "volumes.create", subject_of(system_id))
        with self._database.read() as uow:
            system = uow.systems.get(system_id)
        raise NotSupported(
            f"The storage of {system.name} has no RAID, and so no volumes: its controllers say so in SupportedRAIDTypes. Give a "
            "system the disks that it needs when it is made (Disks).",
            operation="VolumeCollection.Create",
        )

    # --- deleting ------------------------------------------------------------------------------------------------

    @notes_refusals("systems.delete")
    def delete(self, actor: Actor, system_id: UUID, expected_version: int | None = None) -> Accepted:
        """Accepts the end of a system that is off: its machine and its disks go.

        One that is still being made is given up: its creation is aborted and undone, and what was asked for it since is not done.

        Raises:
            NotFound: There is no such system.
            Conflict: It is on and nobody has asked to switch it off.
            PreconditionFailed: It has another version by now.
        """
        self._access.authorize(actor, "systems.delete", subject_of(system_id))

        def write(uow: UnitOfWork) -> Accepted:
            system = uow.systems.get(system_id)
            if system.state is SystemState.DELETING:
                running = uow.tasks.search(subject=subject_of(system_id), ended=False)
                task = next((item for item in running if item.kind == "system.delete"), None)
                return Accepted(system_id, task)
            unmade = system.state is SystemState.CREATING
            # Behind a shutdown the deletion waits for it, and leaves all as it is if the machine then still runs.
            goes_off = system.power_state is PowerState.POWERING_OFF
            if system.state is SystemState.READY and system.is_running and not goes_off:
                raise Conflict(
                    f"The system {system.name} is {system.power_state}; switch it off before it is deleted "
                    f"(`hawkfish systems off --force {system.name}`).",
                    kind="ComputerSystem",
                    id=str(system_id),
                )
            uow.systems.write(system_id, expected_version, state=SystemState.DELETING)
            if unmade:
                self._give_up_creation(uow, system)
            task = self._access.queue.submit(
                uow,
                "system.delete",
                title=f"Delete system {system.name}",
                actor=actor.user_name,
                subject=subject_of(system_id),
                arguments={"system_id": str(system_id), "unmade": unmade},
                locks=[subject_of(system_id)],
                # Nobody waits for an image that is to go into a machine that is to go.
                cancels=(*CHANGES, *(RAISES_POWER if unmade else ())),
                limits=[tasks_on(system.host_id, self._access.settings.host_tasks)],
            )
            self._access.audit.record(
                uow, actor, "systems.delete", subject_of(system_id), name=system.name, task=task.id
            )
            return Accepted(system_id, task)

        return self._database.run(write)

    def _give_up_creation(self, uow: UnitOfWork, system: System) -> None:
        for task in uow.tasks.search(subject=subject_of(system.id), ended=False):
            if task.kind == "system.create":
                self._access.queue.request_abort(uow, task.id, reason=f"The system {system.name} was deleted.")


def _refuse_unready(system: System, done: str) -> None:
    if system.state is SystemState.READY:
        return
    reason = f" ({system.failure})" if system.failure else ""
    raise Conflict(
        f"The system {system.name} cannot be {done} while it is {system.state}{reason}.",
        kind="ComputerSystem",
        id=str(system.id),
    )


def _record_values(system: System, changes: SystemChanges, *, promised: bool) -> dict[str, Any]:
    """The columns that change at once; `promised` is as `changed_boot` has it."""
    values: dict[str, Any] = {
        name: value
        for name in ("description", "asset_tag")
        if (value := getattr(changes, name)) is not None and value != getattr(system, name)
    }
    if changes.labels is not None and dict(changes.labels) != dict(system.labels):
        values["labels"] = dict(changes.labels)
    return values | changed_boot(system, changes, promised=promised)


def _refuse_too_large(uow: UnitOfWork, system: System, hardware: Mapping[str, int]) -> None:
    """Refuses more than its host can give; what was promised to tasks that have not ended is given already."""
    more = {name: value for name, value in hardware.items() if value > getattr(system, name)}
    if not more:
        return
    (candidate,) = [item for item in read_candidates(uow, without=system.id) if item.host.id == system.host_id]
    short = size_shortages(candidate, more.get("vcpus", 0), more.get("memory_mib", 0))
    if short:
        name = "vcpus" if "vcpus" in more and size_shortages(candidate, more["vcpus"], 0) else "memory_mib"
        raise PropertyOutOfRange(
            f"The host {candidate.host.name} of {system.name} has no room: {', '.join(short)}. Ask for less, or free something "
            "there.",
            property=f"Oem/HawkFish/{'CPU' if name == 'vcpus' else 'MemoryMiB'}",
            value=more[name],
        )
