"""Managers and Chassis: one of each per system, under the same id."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import falcon

from hawkfish.api import links
from hawkfish.api.documents import Document, send
from hawkfish.api.links import link
from hawkfish.api.offload import offload
from hawkfish.api.resources.base import timestamp
from hawkfish.api.resources.parts import references
from hawkfish.api.resources.processors import processor_documents
from hawkfish.api.resources.storage import drive_documents, storage_documents
from hawkfish.api.resources.systems import CollectionOfSystems, SystemPart
from hawkfish.api.resources.systems_body import status_of
from hawkfish.api.schemas.managers import ManagerResetSchema
from hawkfish.bootstrap import ServiceInfo
from hawkfish.domain.managers import ManagerResetType
from hawkfish.domain.media import drives_of
from hawkfish.domain.systems import System


def manager_document(system: System, service: ServiceInfo) -> Document:
    """The Manager of a system: HawkFish itself, in the place of a BMC."""
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


class ManagerCollectionResource(CollectionOfSystems):
    """/redfish/v1/Managers."""

    path = links.MANAGERS
    kind = "ManagerCollection"
    title = "Managers"

    def document(self, item: System) -> Document:
        """One manager."""
        return manager_document(item, self.application.service_info)


class ManagerResource(SystemPart):
    """One manager."""

    collection_path = links.MANAGERS

    def on_get(self, req: falcon.Request, resp: falcon.Response, system_id: str) -> None:
        """Shows the manager."""
        send(req, resp, manager_document(self.find(req, system_id), self.application.service_info))


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
