"""JsonSchemas and Registries: DMTF's are referred to at their published addresses, our own are served here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import falcon

from hawkfish.api import links, schema_files
from hawkfish.api.documents import Document, dump, send
from hawkfish.api.links import described_by
from hawkfish.api.resources.base import Address, Collection, Resource, paged
from hawkfish.api.resources.bios import REGISTRY_FILE as BIOS_REGISTRY_FILE
from hawkfish.api.resources.bios import attribute_registry
from hawkfish.api.resources.service_root import SCHEMAS
from hawkfish.domain.accounts import Actor
from hawkfish.domain.bios import REGISTRY as BIOS_REGISTRY
from hawkfish.domain.messages import HAWKFISH, OWN_MESSAGES, OwnMessage
from hawkfish.domain.pages import Page, PageRequest
from hawkfish.errors import NotFound

REGISTRY_VERSION = f"{HAWKFISH.removeprefix('HawkFish.')}.0"
REGISTRY_FILE = f"HawkFish.{REGISTRY_VERSION}.json"
REGISTRIES = {
    "Base.1.22": "Base.1.22.1",
    HAWKFISH: None,
    "ManagerEvent.1.0": "ManagerEvent.1.0.0",
    "ResourceEvent.1.4": "ResourceEvent.1.4.3",
    "TaskEvent.1.0": "TaskEvent.1.0.5",
    BIOS_REGISTRY: None,
}
"""Registries of messages and of attributes with the file that DMTF publishes of each; None for our own."""
OWN_FILES = {HAWKFISH: REGISTRY_FILE, BIOS_REGISTRY: BIOS_REGISTRY_FILE}


@dataclass(frozen=True)
class SchemaFile:
    """One JSON Schema that the service uses.

    Attributes:
        name: Name of the schema, with its version where it has one.
    """

    name: str

    @property
    def own(self) -> bool:
        """Whether it is served here."""
        return self.name.startswith("HawkFish")

    @property
    def type(self) -> str:
        """The type that it describes."""
        if self.own:
            return schema_files.qualified(self.name)
        return f"#{self.name}.{self.name.partition('.')[0]}"

    @property
    def location(self) -> dict[str, str]:
        """Where the file is."""
        if self.own:
            return {"Language": "en", "Uri": schema_files.json_address(self.name)}
        return {"Language": "en", "PublicationUri": f"{schema_files.DMTF}/{self.name}.json"}


SCHEMA_FILES = {
    item.name: item
    for item in (*(SchemaFile(entry.split()[-1]) for entry in SCHEMAS), *map(SchemaFile, schema_files.names()))
}


def schema_file_document(item: SchemaFile) -> Document:
    """A JsonSchemaFile."""
    body = {
        "@odata.id": f"{links.JSON_SCHEMAS}/{item.name}",
        "@odata.type": "#JsonSchemaFile.v1_1_5.JsonSchemaFile",
        "Id": item.name,
        "Name": f"Schema file {item.name}",
        "Schema": item.type,
        "Languages": ["en"],
        "Location": [item.location],
    }
    return Document(body)


class SchemaFileCollectionResource(Collection[SchemaFile]):
    """/redfish/v1/JsonSchemas."""

    path = links.JSON_SCHEMAS
    kind = "JsonSchemaFileCollection"
    title = "Schema files"

    def page(self, _actor: Actor, wanted: PageRequest, _address: Address) -> Page[SchemaFile]:
        """The files by name."""
        return paged(SCHEMA_FILES.values(), wanted, self.key)

    def key(self, item: SchemaFile) -> str:
        """Its name."""
        return item.name

    def identity(self, item: SchemaFile) -> str:
        """Its name."""
        return item.name

    def document(self, item: SchemaFile) -> Document:
        """One file."""
        return schema_file_document(item)


class SchemaFileResource(Resource):
    """Where one schema file is."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, schema: str) -> None:
        """Shows it."""
        if schema not in SCHEMA_FILES:
            raise NotFound(f"There is no schema {schema}; see {links.JSON_SCHEMAS}.", kind="JsonSchemaFile", id=schema)
        send(req, resp, schema_file_document(SCHEMA_FILES[schema]))


class JsonSchemaResource(Resource):
    """One JSON Schema of our own."""

    shapeable = False

    def on_get(self, _req: falcon.Request, resp: falcon.Response, schema: str, file: str) -> None:
        """Sends the file."""
        if schema not in schema_files.names() or file != schema_files.json_name(schema):
            raise NotFound(f"There is no schema file {file}; see {links.JSON_SCHEMAS}.", kind="JsonSchemaFile", id=file)
        resp.set_header("Link", f"<{schema_files.JSON_SCHEMA}>; rel=describedby")
        resp.data = dump(schema_files.json_schema(schema))


class CsdlResource(Resource):
    """One schema of our own as CSDL."""

    shapeable = False

    def on_get(self, _req: falcon.Request, resp: falcon.Response, file: str) -> None:
        """Sends the file."""
        name = file.removesuffix("_v1.xml")
        if name not in schema_files.names() or not file.endswith("_v1.xml"):
            raise NotFound(f"There is no schema file {file}; see /redfish/v1/$metadata.", kind="Schema", id=file)
        resp.content_type = "application/xml"
        resp.data = schema_files.csdl(name)


# --- registries ------------------------------------------------------------------------------------------------------


def registry_document(name: str) -> Document:
    """A MessageRegistryFile."""
    published = REGISTRIES[name]
    kind = "Attribute" if name == BIOS_REGISTRY else "Message"
    if published is None:
        location = {"Language": "en", "Uri": f"{links.REGISTRIES}/{name}/{OWN_FILES[name]}"}
    else:
        location = {"Language": "en", "PublicationUri": f"https://redfish.dmtf.org/registries/{published}.json"}
    body = {
        "@odata.id": f"{links.REGISTRIES}/{name}",
        "@odata.type": "#MessageRegistryFile.v1_1_5.MessageRegistryFile",
        "Id": name,
        "Name": f"{kind} registry {name.partition('.')[0]}",
        "Registry": name,
        "Languages": ["en"],
        "Location": [location],
    }
    return Document(body)


class RegistryCollectionResource(Collection[str]):
    """/redfish/v1/Registries."""

    path = links.REGISTRIES
    kind = "MessageRegistryFileCollection"
    title = "Registries"

    def page(self, _actor: Actor, wanted: PageRequest, _address: Address) -> Page[str]:
        """The registries by name."""
        return paged(REGISTRIES, wanted, self.key)

    def key(self, item: str) -> str:
        """Its name."""
        return item

    def identity(self, item: str) -> str:
        """Its name."""
        return item

    def document(self, item: str) -> Document:
        """One registry."""
        return registry_document(item)


class RegistryResource(Resource):
    """Where one registry is."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, registry: str) -> None:
        """Shows it."""
        if registry not in REGISTRIES:
            raise NotFound(
                f"There is no registry {registry}; see {links.REGISTRIES}.", kind="MessageRegistryFile", id=registry
            )
        send(req, resp, registry_document(registry))


class RegistryFileResource(Resource):
    """A registry of our own."""

    shapeable = False

    def on_get(self, _req: falcon.Request, resp: falcon.Response, registry: str, file: str) -> None:
        """Sends the file."""
        if OWN_FILES.get(registry) != file:
            raise NotFound(f"There is no registry {file}; see {links.REGISTRIES}.", kind="MessageRegistry", id=file)
        content = own_registry() if registry == HAWKFISH else attribute_registry()
        resp.set_header("Link", described_by(content["@odata.type"]) or "")
        resp.data = dump(content)


def own_registry() -> dict[str, Any]:
    """The registry HawkFish.1.0 as a MessageRegistry."""
    return {
        "@odata.type": "#MessageRegistry.v1_7_0.MessageRegistry",
        "Id": f"HawkFish.{REGISTRY_VERSION}",
        "Name": "HawkFish message registry",
        "Language": "en",
        "Description": "What happens to systems, hosts and volumes beyond what the standard registries say.",
        "RegistryPrefix": "HawkFish",
        "RegistryVersion": REGISTRY_VERSION,
        "OwningEntity": "HawkFish",
        "Messages": {message.name: _message(message) for message in OWN_MESSAGES},
    }


def _message(message: OwnMessage) -> dict[str, Any]:
    parameters = message.parameters
    arguments = {
        "ParamTypes": [item.type for item in parameters],
        "ArgDescriptions": [item.description for item in parameters],
        "ArgLongDescriptions": [item.description for item in parameters],
    }
    return {
        "Description": message.description,
        "LongDescription": message.description,
        "Message": message.text,
        "MessageSeverity": message.severity,
        "NumberOfArgs": message.arguments,
        **(arguments if parameters else {}),
        "Resolution": message.resolution,
    }
