"""The network of managers: the interfaces under which the service is reached, and the protocols that it speaks."""

from __future__ import annotations

from typing import Any

import falcon

from hawkfish.api import links
from hawkfish.api.documents import Document, send
from hawkfish.api.offload import offload
from hawkfish.api.resources.base import Head, not_none, paged, send_members
from hawkfish.api.resources.parts import find_part
from hawkfish.api.resources.systems import SystemPart
from hawkfish.domain.accounts import Actor
from hawkfish.domain.managers import ServiceInterface
from hawkfish.domain.systems import System


def service_interface_document(system: System, interface: ServiceInterface) -> Document:
    """An EthernetInterface of a manager."""
    body = not_none(
        **{
            "@odata.id": f"{links.MANAGERS}/{system.id}/EthernetInterfaces/{interface.name}",
            "@odata.type": "#EthernetInterface.v1_12_4.EthernetInterface",
        },
        Id=interface.name,
        Name=f"Network interface {interface.name}",
        Description="A network interface of the machine that the service runs on.",
        InterfaceEnabled=interface.up,
        LinkStatus="LinkUp" if interface.up else "LinkDown",
        MACAddress=interface.mac_address,
        SpeedMbps=interface.speed_mbps,
        MTUSize=interface.mtu,
        IPv4Addresses=[{"Address": item.address, "SubnetMask": item.netmask} for item in interface.ipv4],
        IPv6Addresses=[{"Address": item.address, "PrefixLength": item.prefix_length} for item in interface.ipv6],
        Status={"State": "Enabled" if interface.up else "Disabled", "Health": "OK"},
    )
    return Document(body)


def network_protocol_document(system: System, host_name: str, scheme: str, port: int) -> Document:
    """The ManagerNetworkProtocol of a manager.

    Args:
        system: The system.
        host_name: Of the machine that the API runs on.
        scheme: What this very request came by, `http` or `https`; the service speaks one of them.
        port: Where it came in.
    """
    protocols: dict[str, Any] = {
        name: {"ProtocolEnabled": True, "Port": port} if scheme == name.lower() else {"ProtocolEnabled": False}
        for name in ("HTTP", "HTTPS")
    }
    body = {
        "@odata.id": f"{links.MANAGERS}/{system.id}/NetworkProtocol",
        "@odata.type": "#ManagerNetworkProtocol.v1_12_0.ManagerNetworkProtocol",
        "Id": "NetworkProtocol",
        "Name": "Network protocols of the service",
        "HostName": host_name,
        **protocols,
        "SSDP": {"ProtocolEnabled": False},
        "Status": {"State": "Enabled", "Health": "OK"},
    }
    return Document(body)


class ManagerInterfacePart(SystemPart):
    """Anything below the EthernetInterfaces of a manager."""

    collection_path = links.MANAGERS

    def documents(self, actor: Actor, system: System) -> list[Document]:
        """All of them."""
        found = offload(self.application.managers.interfaces, actor)
        return [service_interface_document(system, item) for item in found]


class ManagerInterfaceCollectionResource(ManagerInterfacePart):
    """The network interfaces under which the service is reached."""

    collection = True
    kind = "EthernetInterfaceCollection"

    def on_get(self, req: falcon.Request, resp: falcon.Response, system_id: str) -> None:
        """Shows a page of the collection, or with `only` its one member."""
        members = self.documents(req.context.actor, self.find(req, system_id))
        query = req.context.query
        if query.only and len(members) == 1:
            send(req, resp, members[0])
            return
        found = [item for item in members if query.accepts(item.body)]
        page = paged(found, query.page, lambda item: str(item.body["Id"]))
        send_members(req, resp, Head(req.path, self.kind, "Network interfaces of the service"), page)


class ManagerInterfaceResource(ManagerInterfacePart):
    """One network interface of the machine that the service runs on."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, system_id: str, interface_id: str) -> None:  # noqa: ARG002  falcon's form
        """Shows the interface."""
        system = self.find(req, system_id)
        documents = self.documents(req.context.actor, system)
        send(req, resp, find_part(documents, system, "EthernetInterface", req.path))


class ManagerNetworkProtocolResource(SystemPart):
    """The protocols that the service speaks."""

    collection_path = links.MANAGERS
    kind = "ManagerNetworkProtocol"

    def on_get(self, req: falcon.Request, resp: falcon.Response, system_id: str) -> None:
        """Shows the protocols."""
        system = self.find(req, system_id)
        name = offload(self.application.managers.host_name, req.context.actor)
        # The port of the listener, whatever name or address the client knows it by.
        port = int(req.env["SERVER_PORT"])
        send(req, resp, network_protocol_document(system, name, str(req.env["wsgi.url_scheme"]), port))
