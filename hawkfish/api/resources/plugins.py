"""Plugins, under Oem/HawkFish: what was found, what became of it, and what it offers."""

from __future__ import annotations

import re
from typing import Any

import falcon

from hawkfish.api import links
from hawkfish.api.documents import Document, dump, send
from hawkfish.api.resources.base import Address, Collection, Resource, not_none, paged
from hawkfish.domain.accounts import Actor
from hawkfish.domain.pages import Page, PageRequest
from hawkfish.errors import NotFound
from hawkfish.plugins.reports import PluginReport, RecordReport

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_JSON_SCHEMA = "https://json-schema.org/draft/2020-12/schema"


def _identity(report: PluginReport) -> str:
    """The name of a plugin as it stands in an address."""
    return _safe(report.name)


def _safe(text: str) -> str:
    return _UNSAFE.sub("_", text)


def plugin_document(report: PluginReport) -> Document:
    """A plugin."""
    identity = _identity(report)
    body = not_none(
        **{"@odata.id": f"{links.PLUGINS}/{identity}", "@odata.type": "#HawkFishPlugin.v1_0_0.HawkFishPlugin"},
        Id=identity,
        Name=report.name,
        Distribution=report.distribution or None,
        Version=report.version or None,
        State=report.status,
        API=report.api,
        Reason=report.reason or None,
        Records=[_record(record, f"{links.PLUGINS}/{identity}/Schemas") for record in report.records],
    )
    return Document(body)


def _record(record: RecordReport, schemas: str) -> dict[str, Any]:
    config, settings = _schema_names(record)
    return not_none(
        Kind=record.kind,
        Name=record.name,
        Summary=record.summary,
        Capabilities=list(record.capabilities),
        ConfigSchemaURI=f"{schemas}/{config}" if record.config_schema else None,
        SettingsSchemaURI=f"{schemas}/{settings}" if record.settings_schema else None,
        Problem=record.problem or None,
    )


def _schema_names(record: RecordReport) -> tuple[str, str]:
    """The files of a record's JSON Schemas: of its configuration, and of its settings."""
    # Files of their own, since no Redfish schema can describe a JSON Schema within a resource.
    name = _safe(f"{record.kind}-{record.name}")
    return f"{name}-config.json", f"{name}-settings.json"


def _schemas(report: PluginReport) -> dict[str, dict[str, Any]]:
    """The JSON Schemas of all that a plugin offers, by their files."""
    found: dict[str, dict[str, Any]] = {}
    for record in report.records:
        found.update(zip(_schema_names(record), (record.config_schema, record.settings_schema), strict=True))
    return {name: schema for name, schema in found.items() if schema}


class PluginCollectionResource(Collection[PluginReport]):
    """/redfish/v1/Oem/HawkFish/Plugins."""

    path = links.PLUGINS
    kind = "HawkFishPluginCollection"
    title = "Plugins"

    def page(self, _actor: Actor, wanted: PageRequest, _address: Address) -> Page[PluginReport]:
        """The plugins by name."""
        return paged(self.application.plugins.reports, wanted, self.key)

    def key(self, item: PluginReport) -> str:
        """Its name, as it stands in its address."""
        return _identity(item)

    def identity(self, item: PluginReport) -> str:
        """Its name, as it stands in its address."""
        return _identity(item)

    def document(self, item: PluginReport) -> Document:
        """One plugin."""
        return plugin_document(item)


class PluginPart(Resource):
    """A plugin, or anything under it."""

    def find(self, plugin_id: str) -> PluginReport:
        """The plugin of the address.

        Raises:
            NotFound: There is none.
        """
        for report in self.application.plugins.reports:
            if _identity(report) == plugin_id:
                return report
        raise NotFound(f"There is no plugin {plugin_id}; see {links.PLUGINS}.", kind="HawkFishPlugin", id=plugin_id)


class PluginResource(PluginPart):
    """One plugin."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, plugin_id: str) -> None:
        """Shows the plugin."""
        send(req, resp, plugin_document(self.find(plugin_id)))


class PluginSchemaResource(PluginPart):
    """The JSON Schema of what a part of a plugin takes."""

    shapeable = False

    def on_get(self, _req: falcon.Request, resp: falcon.Response, plugin_id: str, file: str) -> None:
        """Sends the file."""
        schema = _schemas(self.find(plugin_id)).get(file)
        if schema is None:
            text = f"The plugin {plugin_id} has no schema {file}; see {links.PLUGINS}/{plugin_id}."
            raise NotFound(text, kind="JsonSchemaFile", id=file)
        resp.set_header("Link", f"<{schema.get('$schema', _JSON_SCHEMA)}>; rel=describedby")
        resp.data = dump(schema)
