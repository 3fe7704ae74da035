"""Plugins, under Oem/HawkFish: what was found, what became of it, and what it offers."""

from __future__ import annotations

import re
from typing import Any

import falcon

from hawkfish.api import links
from hawkfish.api.documents import Document, send
from hawkfish.api.resources.base import Address, Collection, Resource, not_none, paged
from hawkfish.domain.accounts import Actor
from hawkfish.domain.pages import Page, PageRequest
from hawkfish.errors import NotFound
from hawkfish.plugins.reports import PluginReport, RecordReport

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


def _identity(report: PluginReport) -> str:
    """The name of a plugin as it stands in an address."""
    return _UNSAFE.sub("_", report.name)


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
        Records=[_record(record) for record in report.records],
    )
    return Document(body)


def _record(record: RecordReport) -> dict[str, Any]:
    return not_none(
        Kind=record.kind,
        Name=record.name,
        Summary=record.summary,
        Capabilities=list(record.capabilities),
        ConfigSchema=record.config_schema or None,
        SettingsSchema=record.settings_schema or None,
        Problem=record.problem or None,
    )


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


class PluginResource(Resource):
    """One plugin."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, plugin_id: str) -> None:
        """Shows the plugin."""
        for report in self.application.plugins.reports:
            if _identity(report) == plugin_id:
                send(req, resp, plugin_document(report))
                return
        raise NotFound(f"There is no plugin {plugin_id}; see {links.PLUGINS}.", kind="HawkFishPlugin", id=plugin_id)
