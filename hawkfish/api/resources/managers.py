"""Managers and Chassis: one of each per system, under the same id."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import falcon

from hawkfish.api import links
from hawkfish.api.documents import Document, require_match, send
from hawkfish.api.links import link
from hawkfish.api.offload import offload
from hawkfish.api.resources.base import Address, Collection, timestamp
from hawkfish.api.resources.parts import references
from hawkfish.api.resources.processors import processor_documents
from hawkfish.api.resources.storage import drive_documents, storage_documents
from hawkfish.api.resources.systems import CollectionOfSystems, SystemPart
from hawkfish.api.resources.systems_body import status_of
from hawkfish.api.schemas.managers import ManagerPatchSchema, ManagerResetSchema
from hawkfish.bootstrap import ServiceInfo
from hawkfish.domain.accounts import Actor
from hawkfish.domain.managers import Manager, ManagerResetType
from hawkfish.domain.media import drives_of
from hawkfish.domain.pages import Page, PageRequest
from hawkfish.domain.systems import System


def manager_document(manager: Manager, service: ServiceInfo) -> Document:
    """The Manager of a system: HawkFish itself, in the place of a BMC."""
    system = manager.system
    identity = str(system.id)
    address = f"{links.MANAGERS}/{identity}"
    body: dict[str, Any] = {
        "@odata.id": address,
        "@odata.type": "#Manager.v1_24_0.Manager",
        "Id": identity,
        "Name": f"Manager of {system.name}",
        "ManagerType": "BMC",
        "Manufacturer": "HawkFish",
        "Model": "HawkFish",
        "FirmwareVersion": service.version,
        "DateTime": timestamp(datetime.now(UTC)),
        "DateTimeLocalOffset": "+00:00",
        "LogServices": {"@odata.id": f"{address}/LogServices"},
        "EthernetInterfaces": {"@odata.id": f"{address}/EthernetInterfaces"},
        "NetworkProtocol": {"@odata.id": f"{address}/NetworkProtocol"},
        "ServiceEntryPointUUID": str(service.installation_id),
        "ServiceIdentification": manager.service_identification,
        "PowerState": "On",
        "Status": {"State": "Enabled", "Health": "OK"},
        "Links": {
            "ManagerForServers": [link(links.SYSTEMS, identity)],
            "ManagerForChassis": [link(links.CHASSIS, identity)],
            "ManagerInChassis": link(links.CHASSIS, identity),
        },
        "Actions": {
            "#Manager.Reset": {
                "target": f"{address}/Actions/Manager.Reset",
                "ResetType@Redfish.AllowableValues": [item.value for item in ManagerResetType],
            }
        },
    }
    if drives_of(system):
        body["VirtualMedia"] = {"@odata.id": f"{links.MANAGERS}/{identity}/VirtualMedia"}
    if system.manager_reset_at is not None:
        body["LastResetTime"] = timestamp(system.manager_reset_at)
    return Document(body, system.version)


def chassis_document(system: System) -> Document:
    """The Chassis of a system."""
    identity = str(system.id)
    power = {} if system.power_state is None else {"PowerState": system.power_state}
    body = {
        "@odata.id": f"{links.CHASSIS}/{identity}",
        "@odata.type": "#Chassis.v1_28_0.Chassis",
        "Id": identity,
        "Name": f"Chassis of {system.name}",
        "ChassisType": "Other",
        "UUID": identity,
        "Manufacturer": "HawkFish",
        "Model": system.hypervisor or "HawkFish",
        **power,
        "Status": status_of(system),
        "Drives": {"@odata.id": f"{links.CHASSIS}/{identity}/Drives"},
        "Links": {
            "ComputerSystems": [link(links.SYSTEMS, identity)],
            "ManagedBy": [link(links.MANAGERS, identity)],
            "ManagersInChassis": [link(links.MANAGERS, identity)],
            "Processors": references(processor_documents(system)),
            "Storage": references(storage_documents(system)),
            "Drives": references(drive_documents(system)),
        },
    }
    return Document(body, system.version)


class ManagerCollectionResource(Collection[Manager]):
    """/redfish/v1/Managers."""

    path = links.MANAGERS
    kind = "ManagerCollection"
    title = "Managers"

    def page(self, actor: Actor, wanted: PageRequest, _address: Address) -> Page[Manager]:
        """The managers, by the names of their systems."""
        return self.application.managers.page(actor, wanted)

    def references(self, actor: Actor, wanted: PageRequest, _address: Address) -> Page[UUID]:
        """The ids of their systems, which are theirs."""
        return self.application.systems.references(actor, wanted)

    def key(self, item: Manager) -> str:
        """The name of its system, whatever the case."""
        return item.system.name.lower()

    def identity(self, item: Manager) -> UUID:
        """Its system's."""
        return item.system.id

    def document(self, item: Manager) -> Document:
        """One manager."""
        return manager_document(item, self.application.service_info)


class ManagerResource(SystemPart):
    """One manager."""

    collection_path = links.MANAGERS

    def on_get(self, req: falcon.Request, resp: falcon.Response, system_id: str) -> None:
        """Shows the manager."""
        send(req, resp, self._document(self._manager(req, system_id)))

    def on_patch(self, req: falcon.Request, resp: falcon.Response, system_id: str) -> None:
        """Changes what tells this service from others, for all managers and the service root."""
        text = ManagerPatchSchema.read(self.read(req))
        manager = self._manager(req, system_id)
        require_match(req, self._document(manager))
        expected = manager if req.get_header("If-Match") not in {None, "*"} else None
        offload(self.application.managers.update, req.context.actor, manager.system.id, text, expected)
        send(req, resp, self._document(self._manager(req, system_id)))

    def _manager(self, req: falcon.Request, system_id: str) -> Manager:
        """The manager of the address; raises as `find`."""
        return offload(self.application.managers.get, req.context.actor, self.identify(req, system_id))

    def _document(self, manager: Manager) -> Document:
        return manager_document(manager, self.application.service_info)


class ManagerResetResource(SystemPart):
    """The action Manager.Reset."""

    collection_path = links.MANAGERS

    def on_post(self, req: falcon.Request, resp: falcon.Response, system_id: str) -> None:
        """Ends the sessions of the account that asks, as a BMC that restarts does; machines and tasks go on."""
        reset_type = ManagerResetSchema.read(self.read(req, optional=True))
        system = self.find(req, system_id)
        offload(self.application.managers.reset, req.context.actor, system.id, reset_type)
        resp.status = 204


class ChassisCollectionResource(CollectionOfSystems):
    """/redfish/v1/Chassis."""

    path = links.CHASSIS
    kind = "ChassisCollection"
    title = "Chassis"

    def document(self, item: System) -> Document:
        """One chassis."""
        return chassis_document(item)


class ChassisResource(SystemPart):
    """One chassis."""

    collection_path = links.CHASSIS

    def on_get(self, req: falcon.Request, resp: falcon.Response, system_id: str) -> None:
        """Shows the chassis."""
        send(req, resp, chassis_document(self.find(req, system_id)))
