"""The verbs of hosts, and the task that takes one in: probe it, and make a storage pool usable on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import Any
from uuid import UUID, uuid4

from hawkfish.db import UnitOfWork
from hawkfish.db.repositories.hosts import facts_from_json, facts_to_json
from hawkfish.domain.accounts import Actor
from hawkfish.domain.hosts import ComputeCapability, Host, HostChanges, HostLimits, HostState
from hawkfish.domain.messages import RESOURCE_CHANGED, RESOURCE_CREATED, RESOURCE_REMOVED
from hawkfish.domain.placement import Candidate
from hawkfish.domain.pools import Pool
from hawkfish.domain.storage import PoolStats
from hawkfish.domain.systems import System
from hawkfish.domain.tasks import Task, TaskError
from hawkfish.errors import Conflict, PluginConfigInvalid, PropertyConflict, PropertyOutOfRange
from hawkfish.plugins.compute import offered_capabilities
from hawkfish.plugins.config_fields import validate_config
from hawkfish.plugins.loader import PluginHost
from hawkfish.services.accepted import Accepted
from hawkfish.services.access import Access
from hawkfish.services.drivers import DriverPool
from hawkfish.services.placement import PLACEMENT, read_candidates
from hawkfish.tasks import Step, StepContext, TaskKind

POOL_NAME = "local"
POOL_TYPE = "dir"
OVERCOMMITS = (0.1, 1000.0)
MOST_RESERVED = 2**31 - 1
_LIMITS: Mapping[str, tuple[str, tuple[float, float]]] = MappingProxyType(
    {
        "vcpu_overcommit": ("VCPUOvercommit", OVERCOMMITS),
        "memory_overcommit": ("MemoryOvercommit", OVERCOMMITS),
        "reserved_vcpus": ("ReservedVCPUs", (0, MOST_RESERVED)),
        "reserved_memory_mib": ("ReservedMemoryMiB", (0, MOST_RESERVED)),
    }
)
"""Fields of `HostLimits`: the property that they are set by, and the least and the most."""


def subject_of(host_id: UUID) -> str:
    """How tasks and the audit trail name a host."""
    return f"host:{host_id}"


class HostService:
    """Hosts and the pools on them."""

    def __init__(self, access: Access, plugins: PluginHost) -> None:
        self._access = access
        self._database = access.database
        self._plugins = plugins

    def list(self, actor: Actor) -> list[Host]:
        """All hosts by name."""
        self._access.authorize(actor, "hosts.read")
        with self._database.read() as uow:
            return uow.hosts.all()

    def get(self, actor: Actor, id_or_name: UUID | str) -> Host:
        """One host, by its id or its name.

        Raises:
            NotFound: There is none.
        """
        self._access.authorize(actor, "hosts.read", f"host:{id_or_name}")
        with self._database.read() as uow:
            return uow.hosts.get(id_or_name)

    def room(self, actor: Actor, host_id: UUID) -> Candidate:
        """The host with what is given of it and what is free.

        Raises:
            NotFound: There is no such host.
        """
        self._access.authorize(actor, "hosts.read", subject_of(host_id))
        with self._database.read() as uow:
            uow.hosts.get(host_id)
            return next(item for item in read_candidates(uow) if item.host.id == host_id)

    def rooms(self, actor: Actor) -> Sequence[Candidate]:
        """The same of all hosts."""
        self._access.authorize(actor, "hosts.read")
        with self._database.read() as uow:
            return list(read_candidates(uow))

    def pools(self, actor: Actor) -> Sequence[Pool]:
        """All storage pools by name."""
        self._access.authorize(actor, "pools.read")
        with self._database.read() as uow:
            return uow.pools.all()

    def add(
        self,
        actor: Actor,
        name: str,
        driver: str,
        uri: str,
        *,
        settings: Mapping[str, Any] = MappingProxyType({}),
        labels: Mapping[str, str] = MappingProxyType({}),
        limits: Mapping[str, float | None] = MappingProxyType({}),
        pool_path: str | None = None,
    ) -> Accepted:
        """Accepts a host; its task reaches it, finds out what it can do, and makes a storage pool there.

        Args:
            actor: Who asks.
            name: Name for people, unique.
            driver: Name of a compute driver plugin.
            uri: Address in the driver's own form.
            settings: The driver's settings for this host.
            labels: Free labels.
            limits: Fields of `HostLimits`; by default `HF_HOST_RESERVED_MEMORY` is kept for the host, and memory is not
                over-committed.
            pool_path: Folder of the pool on the host; None for one in the host's own data folder.

        Raises:
            AlreadyExists: The name is taken, or there is a host with that address.
            PropertyConflict: There is no such driver, or the settings do not fit.
            PropertyOutOfRange: A limit cannot be used.
        """
        self._access.authorize(actor, "hosts.add", f"host:{name}")
        record = self._plugins.compute_drivers.get(driver)
        if record is None:
            known = ", ".join(self._plugins.compute_drivers) or "none"
            raise PropertyConflict(
                f"There is no usable compute driver {driver!r}; there are: {known}. See `hawkfish plugins ls`.",
                property="Driver",
                value=driver,
            )
        try:
            validate_config(record.config_fields, settings, plugin=driver)
        except PluginConfigInvalid as error:
            raise PropertyConflict(error.message, property=f"Settings/{error.data['field']}") from error
        _check_limits(limits)
        chosen: dict[str, Any] = {"reserved_memory_mib": self._access.settings.host_reserved_memory, **limits}
        host = Host(
            id=uuid4(),
            name=name,
            driver=driver,
            uri=uri,
            settings=settings,
            labels=labels,
            limits=HostLimits(**chosen),
        )

        def write(uow: UnitOfWork) -> Accepted:
            uow.serialize_on([PLACEMENT])
            uow.hosts.add(host)
            task = self._access.queue.submit(
                uow,
                "host.add",
                title=f"Add host {name}",
                actor=actor.user_name,
                subject=subject_of(host.id),
                arguments={"host_id": str(host.id), "pool_path": pool_path},
                locks=[subject_of(host.id)],
            )
            self._access.audit.record(
                uow, actor, "hosts.add", subject_of(host.id), name=name, driver=driver, task=task.id
            )
            return Accepted(host.id, task)

        return self._database.run(write)

    def update(self, actor: Actor, host_id: UUID, changes: HostChanges, expected_version: int | None = None) -> Host:
        """Changes what is recorded of a host: whether it takes new systems, its labels, and how much of it may be given.

        What is given already stays given, though it be more than may be given from now on.

        Raises:
            NotFound: There is no such host.
            PreconditionFailed: It has another version by now.
            PropertyOutOfRange: A limit cannot be used.
        """
        self._access.authorize(actor, "hosts.update", subject_of(host_id))
        _check_limits(changes.limits)

        def write(uow: UnitOfWork) -> Host:
            uow.serialize_on([PLACEMENT])
            host = uow.hosts.get(host_id)
            values: dict[str, Any] = dict(changes.limits)
            if changes.schedulable is not None:
                values["schedulable"] = changes.schedulable
            if changes.labels is not None:
                values["labels"] = dict(changes.labels)
            uow.hosts.write(host_id, expected_version, **values)
            uow.hosts.tell(RESOURCE_CHANGED, host_id, host.name, actor=actor.user_name)
            self._access.audit.record(uow, actor, "hosts.update", subject_of(host_id), changed=sorted(values))
            return uow.hosts.get(host_id)

        return self._database.run(write)

    def update_pool(
        self, actor: Actor, pool_id: UUID, *, overcommit: float, expected_version: int | None = None
    ) -> Pool:
        """Changes how many bytes a pool gives to volumes for each byte that it has.

        Raises:
            NotFound: There is no such pool.
            PreconditionFailed: It has another version by now.
            PropertyOutOfRange: The over-commit cannot be used.
        """
        self._access.authorize(actor, "pools.update", f"pool:{pool_id}")
        _check_range("Overcommit", overcommit, OVERCOMMITS)

        def write(uow: UnitOfWork) -> Pool:
            uow.serialize_on([PLACEMENT])
            uow.pools.get(pool_id)
            uow.pools.write(pool_id, expected_version, overcommit=overcommit)
            self._access.audit.record(uow, actor, "pools.update", f"pool:{pool_id}", changed=["overcommit"])
            return uow.pools.get(pool_id)

        return self._database.run(write)

    def remove(self, actor: Actor, host_id: UUID, expected_version: int | None = None) -> Accepted:
        """Removes a host without systems; nothing on it is touched.

        Raises:
            NotFound: There is no such host.
            InUse: It has systems or volumes.
            PreconditionFailed: It has another version by now.
        """
        self._access.authorize(actor, "hosts.remove", subject_of(host_id))

        def write(uow: UnitOfWork) -> Accepted:
            uow.serialize_on([PLACEMENT])
            host = uow.hosts.get(host_id)
            uow.hosts.remove(host_id, expected_version)
            for task in uow.tasks.search(subject=subject_of(host_id), ended=False):
                self._access.queue.request_abort(uow, task.id, reason=f"The host {host.name} was removed.")
            uow.hosts.tell(RESOURCE_REMOVED, host_id, host.name, actor=actor.user_name)
            self._access.audit.record(uow, actor, "hosts.remove", subject_of(host_id), name=host.name)
            return Accepted(host_id)

        return self._database.run(write)

    def forget(self, actor: Actor, host_id: UUID, *, dry_run: bool = False) -> Sequence[System]:
        """Removes the records of a host that is gone for good, with those of its systems and their disks.

        No machine and no disk is touched: should the host come back, they are there, and are nobody's. Tasks on them are ended as
        they stand, since nothing on that host could be undone.

        Args:
            actor: Who asks.
            host_id: A host that is Down or Suspect.
            dry_run: Only say which systems would be forgotten.

        Returns:
            The systems that were (or would be) forgotten, by name.

        Raises:
            NotFound: There is no such host.
            Conflict: It answers.
        """
        self._access.authorize(actor, "hosts.forget", subject_of(host_id))

        def write(uow: UnitOfWork) -> Sequence[System]:
            uow.serialize_on([PLACEMENT])
            host = uow.hosts.get(host_id)
            _refuse_alive(host)
            systems = sorted(uow.systems.on_host(host_id), key=lambda system: system.name)
            if dry_run:
                return systems
            reason = f"The host {host.name} was removed for good."
            self._give_up(uow, subject_of(host_id), reason)
            for system in systems:
                subject = f"system:{system.id}"
                self._give_up(uow, subject, reason)
                uow.systems.tell(RESOURCE_REMOVED, system.id, actor=actor.user_name)
                uow.systems.remove(system.id)
                self._access.audit.record(uow, actor, "hosts.forget", subject, name=system.name, host=host.name)
            uow.hosts.tell(RESOURCE_REMOVED, host_id, host.name, actor=actor.user_name)
            uow.hosts.forget_volumes(host_id)
            uow.hosts.remove(host_id)
            self._access.audit.record(uow, actor, "hosts.forget", subject_of(host_id), name=host.name)
            return systems

        return self._database.run(write)

    def _give_up(self, uow: UnitOfWork, subject: str, reason: str) -> None:
        for task in uow.tasks.search(subject=subject, ended=False):
            self._access.queue.give_up(uow, task.id, reason=reason)


def _refuse_alive(host: Host) -> None:
    if host.state not in {HostState.DOWN, HostState.SUSPECT}:
        raise Conflict(
            f"The host {host.name} is {host.state}: only one that does not answer is forgotten with its systems. Delete or move "
            "its systems, then remove it.",
            kind="Host",
            id=str(host.id),
        )


def _check_limits(limits: Mapping[str, float | None]) -> None:
    for name, value in limits.items():
        if value is not None:
            _check_range(f"Settings/{_LIMITS[name][0]}", value, _LIMITS[name][1])


def _check_range(name: str, value: float, allowed: tuple[float, float]) -> None:
    least, most = allowed
    if not least <= value <= most:
        raise PropertyOutOfRange(f"{name} is {value:g}; it takes {least:g} to {most:g}.", property=name, value=value)


class HostTasks:
    """The kind `host.add`."""

    def __init__(self, access: Access, drivers: DriverPool) -> None:
        self._database = access.database
        self._drivers = drivers
        self._settings = access.settings

    def kinds(self) -> tuple[TaskKind, ...]:
        """What a worker registers."""
        return (
            TaskKind(
                name="host.add",
                steps=(
                    Step(name="probe", run=self._probe, record=_record_facts),
                    Step(name="prepare-pool", run=self._prepare_pool, record=_record_pool, undo=self._release_pool),
                ),
                on_success=_added,
                on_failure=self._not_added,
            ),
        )

    def _probe(self, ctx: StepContext) -> dict[str, Any]:
        ctx.progress(message="Reaching the host")
        driver = self._drivers.driver(ctx.arguments["host_id"])
        ctx.check()
        ctx.progress(message="Finding out what the host can do")
        facts = driver.probe()
        values = facts_to_json(facts)
        values["capabilities"] = sorted(offered_capabilities(driver, facts))
        return {"facts": values}

    def _prepare_pool(self, ctx: StepContext) -> dict[str, Any]:
        host_id = UUID(ctx.arguments["host_id"])
        facts = facts_from_json(ctx.results["probe"]["facts"])
        if ComputeCapability.HOST_STORAGE not in facts.capabilities:
            return {}
        path = ctx.arguments["pool_path"]
        if path is None and not facts.data_dir:
            path = str(self._settings.data_dir / "pools" / POOL_NAME)
        overcommit = self._settings.pool_overcommit
        pool = self._database.run(lambda uow: _ensure_pool(uow, host_id, path, overcommit))
        ctx.check()
        ctx.progress(message="Making the storage pool usable")
        with self._drivers.pool(pool.id, host_id) as (storage, host):
            storage.prepare(host)
            stats = storage.stats(host)
        return {"pool_id": str(pool.id), "stats": asdict(stats)}

    def _release_pool(self, ctx: StepContext) -> None:
        host_id = UUID(ctx.arguments["host_id"])
        with self._database.read() as uow:
            attached = uow.pools.on_host(host_id)
        for pool in attached:
            ctx.check()
            with self._drivers.pool(pool.id, host_id) as (storage, host):
                storage.release(host)

    def _not_added(self, uow: UnitOfWork, task: Task, _: TaskError) -> None:
        """A host that could not be taken in leaves nothing behind; the task says why."""
        host_id = UUID(task.arguments["host_id"])
        if uow.hosts.find(host_id) is not None:
            pools = uow.pools.on_host(host_id)
            uow.hosts.remove(host_id)
            for pool in pools:
                uow.pools.remove_unused(pool.id)
        uow.on_commit(lambda: self._drivers.forget(host_id))


def _added(uow: UnitOfWork, task: Task) -> None:
    host = uow.hosts.find(task.arguments["host_id"])
    if host is not None:  # else it was removed in this moment
        uow.hosts.tell(RESOURCE_CREATED, host.id, host.name)


def _ensure_pool(uow: UnitOfWork, host_id: UUID, path: str | None, overcommit: float) -> Pool:
    """The pool of that path, made if there is none.

    Hosts share the definition, never the folder: each keeps its own volumes, and a path of None is a place in each host's own
    data folder.
    """
    uow.serialize_on([PLACEMENT])
    host = uow.hosts.get(host_id)  # it may have been removed by now
    known = uow.pools.all()
    for pool in known:
        if pool.type == POOL_TYPE and pool.config.get("path") == path:
            break
    else:
        taken = {pool.name.lower() for pool in known}
        name = POOL_NAME if POOL_NAME not in taken else f"{POOL_NAME}-{host.name}"
        pool = uow.pools.ensure(name, POOL_TYPE, {} if path is None else {"path": path}, overcommit=overcommit)
    uow.pools.attach(pool.id, host_id, ready=False)
    return pool


def _record_facts(uow: UnitOfWork, ctx: StepContext, result: Any) -> None:
    host_id = ctx.arguments["host_id"]
    uow.hosts.set_facts(host_id, facts_from_json(result["facts"]))
    uow.hosts.set_state(host_id, HostState.UP)


def _record_pool(uow: UnitOfWork, ctx: StepContext, result: Any) -> None:
    if result:
        host_id = uow.hosts.get(ctx.arguments["host_id"]).id
        uow.pools.attach(UUID(result["pool_id"]), host_id, ready=True, stats=PoolStats(**result["stats"]))
