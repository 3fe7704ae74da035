"""Hosts and their storage pools, under Oem/HawkFish."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import falcon

from hawkfish.api import links
from hawkfish.api.accepted import settle
from hawkfish.api.documents import Document, dump, expected_version, send
from hawkfish.api.links import link
from hawkfish.api.offload import offload
from hawkfish.api.resources.base import Address, Collection, Resource, not_none, paged, timestamp
from hawkfish.api.schemas.hosts import ForgetHostSchema, HostPatchSchema, NewHostSchema, PoolPatchSchema
from hawkfish.domain.accounts import Actor
from hawkfish.domain.hosts import Host, HostFacts, HostState
from hawkfish.domain.pages import Page, PageRequest
from hawkfish.domain.placement import Candidate, PoolRoom
from hawkfish.domain.pools import Pool
from hawkfish.errors import ActionParameterInvalid, NotFound

_STATUS = {
    HostState.UNKNOWN: {"State": "Starting", "Health": "OK"},
    HostState.UP: {"State": "Enabled", "Health": "OK"},
    HostState.SUSPECT: {"State": "Enabled", "Health": "Warning"},
    HostState.DOWN: {"State": "UnavailableOffline", "Health": "Critical"},
}


def host_document(room: Candidate) -> Document:
    """A host, with what is given of it."""
    host = room.host
    body: dict[str, Any] = {
        "@odata.id": f"{links.HOSTS}/{host.id}",
        "@odata.type": "#HawkFishHost.v1_0_0.HawkFishHost",
        "Id": str(host.id),
        "Name": host.name,
        "Driver": host.driver,
        "URI": host.uri,
        "State": host.state,
        "Schedulable": host.schedulable,
        "Labels": dict(host.labels),
        "Settings": {
            **host.settings,
            "VCPUOvercommit": host.limits.vcpu_overcommit,
            "MemoryOvercommit": host.limits.memory_overcommit,
            "ReservedVCPUs": host.limits.reserved_vcpus,
            "ReservedMemoryMiB": host.limits.reserved_memory_mib,
        },
        "Status": _STATUS[host.state],
    }
    if host.state in {HostState.DOWN, HostState.SUSPECT}:
        body["Actions"] = {
            "#HawkFishHost.Forget": {
                "target": f"{links.HOSTS}/{host.id}/Actions/HawkFishHost.Forget",
                "title": "Forget",
            }
        }
    body |= not_none(StateReason=host.state_reason or None, StateChangedAt=timestamp(host.state_changed_at))
    if host.state is not HostState.UP:
        # Shown only while it is news: else every look of the service at the host would give it a new ETag.
        body |= not_none(LastContact=timestamp(host.seen_at))
    if host.facts is not None:
        body["Facts"] = _facts(host.facts)
        body["Capacity"] = _capacity(room)
    return Document(body, host.version)


def _capacity(room: Candidate) -> dict[str, Any]:
    """What may be given in all, what is given, what is free; null where there is no limit."""
    return {
        "VCPUs": {"Capacity": room.vcpu_capacity, "Given": room.given.vcpus, "Free": room.free_vcpus},
        "MemoryMiB": {
            "Capacity": room.memory_capacity_mib,
            "Given": room.given.memory_mib,
            "Free": room.free_memory_mib,
        },
        "Pools": [_pool_capacity(pool) for pool in room.pools],
    }


def _pool_capacity(pool: PoolRoom) -> dict[str, Any]:
    return {
        "Pool": link(links.POOLS, pool.pool_id),
        "Name": pool.name,
        "Overcommit": pool.overcommit,
        "CapacityBytes": pool.capacity_bytes,
        "GivenBytes": pool.given_bytes,
        "FreeBytes": pool.free_bytes,
    }


def _facts(facts: HostFacts) -> dict[str, Any]:
    return {
        "Hostname": facts.hostname,
        "Hypervisor": facts.hypervisor,
        "Architecture": facts.architecture,
        "CPUs": facts.cpus,
        "CPUModel": facts.cpu_model,
        "MemoryMiB": facts.memory_mib,
        "Virtualisation": facts.virtualisation,
        "VirtualisationReason": facts.virtualisation_reason,
        "Capabilities": sorted(facts.capabilities),
        "Firmwares": sorted(facts.firmwares),
        "CPUModels": list(facts.cpu_models),
        "NestedVirtualization": facts.nested_virtualisation,
        "SecureBoot": facts.secure_boot,
        "SetupMenu": facts.setup_menu,
        "Drives": sorted(facts.drives),
        "Networks": list(facts.networks),
        "Bridges": list(facts.bridges),
        "Warnings": list(facts.warnings),
    }


class HostCollectionResource(Collection[Candidate]):
    """/redfish/v1/Oem/HawkFish/Hosts."""

    path = links.HOSTS
    kind = "HawkFishHostCollection"
    title = "Hosts"

    def page(self, actor: Actor, wanted: PageRequest, _address: Address) -> Page[Candidate]:
        """The hosts by name."""
        return paged(self.application.hosts.rooms(actor), wanted, self.key)

    def key(self, item: Candidate) -> str:
        """Its name, whatever the case."""
        return item.host.name.lower()

    def identity(self, item: Candidate) -> UUID:
        """The id of the host."""
        return item.host.id

    def document(self, item: Candidate) -> Document:
        """One host."""
        return host_document(item)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Takes a host in."""
        wanted = NewHostSchema.read(self.read(req))
        actor, hosts = req.context.actor, self.application.hosts
        accepted = offload(hosts.add, actor, **wanted)
        if settle(req, resp, self.application, accepted).done:
            document = host_document(offload(hosts.room, actor, accepted.subject_id))
            resp.set_header("Location", document.body["@odata.id"])
            send(req, resp, document, 201)


class HostPart(Resource):
    """A host, or anything under it."""

    def _find(self, req: falcon.Request, host_id: str) -> Host:
        host = offload(self.application.hosts.get, req.context.actor, host_id)
        if str(host.id) != host_id:
            raise falcon.HTTPTemporaryRedirect(f"{links.HOSTS}/{host.id}")
        return host

    def _document(self, req: falcon.Request, host_id: str) -> Document:
        host = self._find(req, host_id)
        return host_document(offload(self.application.hosts.room, req.context.actor, host.id))


class HostResource(HostPart):
    """One host."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, host_id: str) -> None:
        """Shows the host."""
        send(req, resp, self._document(req, host_id))

    def on_patch(self, req: falcon.Request, resp: falcon.Response, host_id: str) -> None:
        """Changes whether it takes new systems, its labels, and how much of it may be given."""
        changes = HostPatchSchema.read(self.read(req))
        version = expected_version(req, self._document(req, host_id))
        offload(self.application.hosts.update, req.context.actor, UUID(host_id), changes, version)
        send(req, resp, self._document(req, host_id))

    def on_delete(self, req: falcon.Request, resp: falcon.Response, host_id: str) -> None:
        """Lets go of the host; nothing on it is touched."""
        version = expected_version(req, self._document(req, host_id))
        accepted = offload(self.application.hosts.remove, req.context.actor, UUID(host_id), version)
        if settle(req, resp, self.application, accepted).done:
            resp.status = 204


class HostForgetResource(HostPart):
    """The action HawkFishHost.Forget."""

    def on_post(self, req: falcon.Request, resp: falcon.Response, host_id: str) -> None:
        """Removes the records of a host that is gone for good, and names the systems that went with it."""
        name, dry_run = ForgetHostSchema.read(self.read(req))
        host = self._find(req, host_id)
        if name != host.name:
            raise ActionParameterInvalid(
                f"The action HawkFishHost.Forget: this host is called {host.name}, not {name}.",
                action="HawkFishHost.Forget",
                parameter="Name",
            )
        systems = offload(self.application.hosts.forget, req.context.actor, host.id, dry_run=dry_run)
        resp.data = dump({"Systems": [{"Id": str(system.id), "Name": system.name} for system in systems]})


def pool_document(pool: Pool) -> Document:
    """A storage pool."""
    body = {
        "@odata.id": f"{links.POOLS}/{pool.id}",
        "@odata.type": "#HawkFishPool.v1_0_0.HawkFishPool",
        "Id": str(pool.id),
        "Name": pool.name,
        "Type": pool.type,
        "Config": dict(pool.config),
        "Overcommit": pool.overcommit,
        "Hosts": [
            {
                "Host": link(links.HOSTS, host),
                **({} if (stats := pool.stats.get(host)) is None else _stats(stats)),
            }
            for host in pool.hosts
        ],
    }
    return Document(body, pool.version)


def _stats(stats: Any) -> dict[str, int]:
    return {
        "CapacityBytes": stats.capacity_bytes,
        "AllocatedBytes": stats.allocated_bytes,
        "AvailableBytes": stats.available_bytes,
    }


class PoolCollectionResource(Collection[Pool]):
    """/redfish/v1/Oem/HawkFish/Storage/Pools."""

    path = links.POOLS
    kind = "HawkFishPoolCollection"
    title = "Storage pools"

    def page(self, actor: Actor, wanted: PageRequest, _address: Address) -> Page[Pool]:
        """The pools by name."""
        return paged(self.application.hosts.pools(actor), wanted, self.key)

    def key(self, item: Pool) -> str:
        """Its name, whatever the case."""
        return item.name.lower()

    def document(self, item: Pool) -> Document:
        """One pool."""
        return pool_document(item)


class PoolResource(Resource):
    """One storage pool."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, pool_id: str) -> None:
        """Shows the pool."""
        send(req, resp, self._document(req, pool_id))

    def on_patch(self, req: falcon.Request, resp: falcon.Response, pool_id: str) -> None:
        """Changes how much of the pool may be given."""
        changes = PoolPatchSchema.read(self.read(req))
        version = expected_version(req, self._document(req, pool_id))
        hosts, actor = self.application.hosts, req.context.actor
        pool = offload(hosts.update_pool, actor, UUID(pool_id), expected_version=version, **changes)
        send(req, resp, pool_document(pool))

    def _document(self, req: falcon.Request, pool_id: str) -> Document:
        for pool in offload(self.application.hosts.pools, req.context.actor):
            if str(pool.id) == pool_id:
                return pool_document(pool)
        raise NotFound(f"There is no storage pool {pool_id}; see {links.POOLS}.", kind="HawkFishPool", id=pool_id)
