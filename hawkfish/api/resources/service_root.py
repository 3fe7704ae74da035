"""/redfish, the service root, /redfish/v1/odata and /redfish/v1/$metadata: what anybody may read."""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import quoteattr

import falcon

from hawkfish.api import links, schema_files
from hawkfish.api.documents import Document, dump, send
from hawkfish.api.offload import offload
from hawkfish.api.queries import FEATURES
from hawkfish.api.resources.base import Resource

REDFISH_VERSION = "1.20.0"

SCHEMAS = (
    "AccountService AccountService.v1_18_1",
    "BootOption BootOption.v1_0_6",
    "BootOptionCollection",
    "AttributeRegistry AttributeRegistry.v1_4_0",
    "Bios Bios.v1_2_3",
    "Chassis Chassis.v1_28_0",
    "ChassisCollection",
    "ComputerSystem ComputerSystem.v1_27_0",
    "ComputerSystemCollection",
    "Drive Drive.v1_22_0",
    "DriveCollection",
    "EthernetInterface EthernetInterface.v1_12_4",
    "EthernetInterfaceCollection",
    "Event Event.v1_13_0",
    "EventDestination EventDestination.v1_16_0",
    "EventDestinationCollection",
    "EventService EventService.v1_12_0",
    "LogEntry LogEntry.v1_21_0",
    "LogEntryCollection",
    "LogService LogService.v1_9_0",
    "LogServiceCollection",
    "JsonSchemaFile JsonSchemaFile.v1_1_5",
    "JsonSchemaFileCollection",
    "Manager Manager.v1_24_0",
    "ManagerAccount ManagerAccount.v1_14_1",
    "ManagerAccountCollection",
    "ManagerCollection",
    "ManagerNetworkProtocol ManagerNetworkProtocol.v1_12_0",
    "Memory Memory.v1_23_0",
    "MemoryCollection",
    "MessageRegistryFile MessageRegistryFile.v1_1_5",
    "MessageRegistryFileCollection",
    "Message Message.v1_3_0",
    "Processor Processor.v1_22_0",
    "ProcessorCollection",
    "Resource Resource.v1_0_0",
    "Role Role.v1_3_3",
    "RoleCollection",
    "SecureBoot SecureBoot.v1_1_2",
    "ServiceRoot ServiceRoot.v1_20_0",
    "Session Session.v1_8_0",
    "SessionCollection",
    "SessionService SessionService.v1_2_0",
    "Settings Settings.v1_4_0",
    "Storage Storage.v1_21_0",
    "StorageCollection",
    "StorageController StorageController.v1_11_0",
    "StorageControllerCollection",
    "Task Task.v1_7_4",
    "TaskCollection",
    "TaskService TaskService.v1_3_0",
    "VolumeCollection",
)
"""Files of DMTF's schema bundle, each with the namespaces that are used from it."""


class VersionsResource(Resource):
    """/redfish: the versions of the protocol."""

    shapeable = False

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Shows the versions."""
        resp.data = dump({"v1": links.ROOT})


class ServiceRootResource(Resource):
    """/redfish/v1/: where every client begins."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Shows the resource."""
        managers = self.application.managers
        found = managers.quick_service_identification()
        send(req, resp, self._document(offload(managers.service_identification) if found is None else found))

    def _document(self, service_identification: str) -> Document:
        info = self.application.service_info
        body: dict[str, Any] = {
            "@odata.id": links.ROOT,
            "@odata.type": "#ServiceRoot.v1_20_0.ServiceRoot",
            "Id": "RootService",
            "Name": "HawkFish",
            "Product": "HawkFish",
            "Vendor": "HawkFish",
            "RedfishVersion": REDFISH_VERSION,
            "UUID": str(info.installation_id),
            "ProtocolFeaturesSupported": {
                **FEATURES,
                "MultipleHTTPRequests": True,
                "DeepOperations": {"DeepPATCH": False, "DeepPOST": False},
            },
            "Systems": {"@odata.id": links.SYSTEMS},
            "Chassis": {"@odata.id": links.CHASSIS},
            "Managers": {"@odata.id": links.MANAGERS},
            "SessionService": {"@odata.id": links.SESSION_SERVICE},
            "AccountService": {"@odata.id": links.ACCOUNT_SERVICE},
            "Tasks": {"@odata.id": links.TASK_SERVICE},
            "EventService": {"@odata.id": links.EVENT_SERVICE},
            "Registries": {"@odata.id": links.REGISTRIES},
            "JsonSchemas": {"@odata.id": links.JSON_SCHEMAS},
            "Links": {"Sessions": {"@odata.id": links.SESSIONS}},
            "Oem": {
                "HawkFish": {
                    "@odata.type": "#HawkFishServiceRoot.v1_0_0.ServiceRoot",
                    "Version": info.version,
                    "Hosts": {"@odata.id": links.HOSTS},
                    "Images": {"@odata.id": links.IMAGES},
                    "Profiles": {"@odata.id": links.PROFILES},
                    "Plugins": {"@odata.id": links.PLUGINS},
                    "Audit": {"@odata.id": links.AUDIT},
                    "StoragePools": {"@odata.id": links.POOLS},
                }
            },
        }
        if service_identification:  # the schema has it absent where the managers' own is empty
            body["ServiceIdentification"] = service_identification
        return Document(body)


class ODataResource(Resource):
    """/redfish/v1/odata: the OData service document."""

    shapeable = False

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Lists the root and its direct children."""
        children = {
            "Service": links.ROOT,
            "Systems": links.SYSTEMS,
            "Chassis": links.CHASSIS,
            "Managers": links.MANAGERS,
            "SessionService": links.SESSION_SERVICE,
            "AccountService": links.ACCOUNT_SERVICE,
            "Tasks": links.TASK_SERVICE,
            "EventService": links.EVENT_SERVICE,
            "Sessions": links.SESSIONS,
            "Registries": links.REGISTRIES,
            "JsonSchemas": links.JSON_SCHEMAS,
        }
        entries = [{"name": name, "kind": "Singleton", "url": address} for name, address in children.items()]
        resp.set_header("Link", "<http://redfish.dmtf.org/schemas/v1/odata.v4_0_1.json>; rel=describedby")
        resp.data = dump({"@odata.context": "/redfish/v1/$metadata", "value": entries})


class MetadataResource(Resource):
    """/redfish/v1/$metadata: which schemas the service uses, as CSDL."""

    shapeable = False

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Refers to DMTF's published schema files, and to our own."""
        resp.content_type = "application/xml"
        resp.data = _metadata().encode()


def _metadata() -> str:
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<edmx:Edmx xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx" Version="4.0">',
    ]
    for entry in SCHEMAS:
        name, *versions = entry.split()
        uri = quoteattr(f"http://redfish.dmtf.org/schemas/v1/{name}_v1.xml")
        included = "".join(f"<edmx:Include Namespace={quoteattr(item)}/>" for item in (name, *versions))
        lines.append(f"<edmx:Reference Uri={uri}>{included}</edmx:Reference>")
    for name in schema_files.names():
        versions = [] if name.endswith("Collection") else [f"{name}.{schema_files.VERSION}"]
        included = "".join(f"<edmx:Include Namespace={quoteattr(item)}/>" for item in (name, *versions))
        lines.append(f"<edmx:Reference Uri={quoteattr(schema_files.csdl_address(name))}>{included}</edmx:Reference>")
    lines += [
        '<edmx:Reference Uri="http://redfish.dmtf.org/schemas/v1/RedfishExtensions_v1.xml">',
        '<edmx:Include Namespace="RedfishExtensions.v1_0_0" Alias="Redfish"/>',
        "</edmx:Reference>",
        "<edmx:DataServices>",
        '<Schema xmlns="http://docs.oasis-open.org/odata/ns/edm" Namespace="Service">',
        '<EntityContainer Name="Service" Extends="ServiceRoot.v1_20_0.ServiceContainer"/>',
        "</Schema></edmx:DataServices></edmx:Edmx>",
    ]
    return "\n".join(lines) + "\n"
