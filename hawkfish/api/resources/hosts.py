"""Hosts and their storage pools, under Oem/HawkFish."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import falcon

from hawkfish.api import links
from hawkfish.api.accepted import settle
from hawkfish.api.documents import Document, expected_version, send
from hawkfish.api.links import link
from hawkfish.api.offload import offload
from hawkfish.api.resources.base import Collection, Resource, not_none, sliced, timestamp
from hawkfish.api.schemas.hosts import NewHostSchema
from hawkfish.domain.accounts import Actor
from hawkfish.domain.hosts import Host, HostFacts, HostState
from hawkfish.domain.pools import Pool
from hawkfish.errors import NotFound

_STATUS = {
    HostState.UNKNOWN: {"State": "Starting", "Health": "OK"},
    HostState.UP: {"State": "Enabled", "Health": "OK"},
    HostState.SUSPECT: {"State": "Enabled", "Health": "Warning"},
    HostState.DOWN: {"State": "UnavailableOffline", "Health": "Critical"},
}


def host_document(host: Host) -> Document:
    """A host."""
    body: dict[str, Any] = {
        "@odata.id": f"{links.HOSTS}/{host.id}",
        "@odata.type": "#HawkFishHost.v1_0_0.HawkFishHost",
        "Id": str(host.id),
        "Name": host.name,
        "Driver": host.driver,
        "URI": host.uri,
        "State": host.state,
        "StateReason": host.state_reason,
        "Schedulable": host.schedulable,
        "Labels": dict(host.labels),
        "Settings": dict(host.settings),
        "Status": _STATUS[host.state],
    }
    body |= not_none(StateChangedAt=timestamp(host.state_changed_at))
    if host.facts is not None:
        body["Facts"] = _facts(host.facts)
    return Document(body, host.version)


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
        "Networks": list(facts.networks),
        "Bridges": list(facts.bridges),
        "Warnings": list(facts.warnings),
    }


class HostCollectionResource(Collection):
    """/redfish/v1/Oem/HawkFish/Hosts."""

    path = links.HOSTS
    kind = "HawkFishHostCollection"
    title = "Hosts"

    def page(self, actor: Actor, skip: int, top: int) -> tuple[list[UUID], int]:
        """Ids of the hosts, by name."""
        return sliced(self.application.hosts.list(actor), skip, top, lambda host: host.id)

    def member(self, actor: Actor, identity: Any) -> Document:
        """One host."""
        return host_document(self.application.hosts.get(actor, identity))

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Takes a host in."""
        wanted = NewHostSchema.read(self.read(req))
        actor, hosts = req.context.actor, self.application.hosts
        accepted = offload(hosts.add, actor, **wanted)
        if settle(req, resp, self.application, accepted).done:
            document = host_document(offload(hosts.get, actor, accepted.subject_id))
            resp.set_header("Location", document.body["@odata.id"])
            send(req, resp, document, 201)


class HostResource(Resource):
    """One host."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, host_id: str) -> None:
        """Shows the host."""
        send(req, resp, host_document(self._find(req, host_id)))

    def on_delete(self, req: falcon.Request, resp: falcon.Response, host_id: str) -> None:
        """Lets go of the host; nothing on it is touched."""
        host = self._find(req, host_id)
        version = expected_version(req, host_document(host))
        accepted = offload(self.application.hosts.remove, req.context.actor, host.id, version)
        if settle(req, resp, self.application, accepted).done:
            resp.status = 204

    def _find(self, req: falcon.Request, host_id: str) -> Host:
        host = offload(self.application.hosts.get, req.context.actor, host_id)
        if str(host.id) != host_id:
            raise falcon.HTTPTemporaryRedirect(f"{links.HOSTS}/{host.id}")
        return host


def pool_document(pool: Pool) -> Document:
    """A storage pool."""
    body = {
        "@odata.id": f"{links.POOLS}/{pool.id}",
        "@odata.type": "#HawkFishPool.v1_0_0.HawkFishPool",
        "Id": str(pool.id),
        "Name": pool.name,
        "Type": pool.type,
        "Config": dict(pool.config),
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


class PoolCollectionResource(Collection):
    """/redfish/v1/Oem/HawkFish/Storage/Pools."""

    path = links.POOLS
    kind = "HawkFishPoolCollection"
    title = "Storage pools"

    def page(self, actor: Actor, skip: int, top: int) -> tuple[list[UUID], int]:
        """Ids of the pools, by name."""
        return sliced(self.application.hosts.pools(actor), skip, top, lambda pool: pool.id)

    def member(self, actor: Actor, identity: Any) -> Document:
        """One pool."""
        for pool in self.application.hosts.pools(actor):
            if str(pool.id) == str(identity):
                return pool_document(pool)
        raise NotFound(f"There is no storage pool {identity}.", kind="HawkFishPool", id=str(identity))


class PoolResource(Resource):
    """One storage pool."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, pool_id: str) -> None:
        """Shows the pool."""
        collection = PoolCollectionResource(self.application)
        send(req, resp, offload(collection.member, req.context.actor, pool_id))
