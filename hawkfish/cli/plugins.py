"""Plugins: those of this machine, or those that the service has."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from hawkfish.cli.base import BaseCommand, ListCommand, ShowCommand
from hawkfish.cli.errors import CommandError, ExitCode
from hawkfish.cli.manager import load_plugins
from hawkfish.cli.output import Groups, Rows

PLUGINS = "/redfish/v1/Oem/HawkFish/Plugins"
COLUMNS = ("Name", "Version", "Status", "API", "Provides")
DETAILS = ("Name", "Distribution", "Version", "Status", "API", "Reason", "Provides", "Records", "Config Fields")


class PluginsCommand(BaseCommand):
    """A command that reads what became of plugins."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds --remote."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--remote", action="store_true", help="ask the service for its plugins; default those installed here"
        )
        return parser

    def reports(self, parsed_args: argparse.Namespace) -> list[dict[str, Any]]:
        """One object for each plugin, in the words of `hawkfish.plugins.reports`."""
        if parsed_args.remote:
            return [_from_service(member) for member in self.client.members(PLUGINS)]
        return [asdict(report) for report in load_plugins().reports]


class ListPlugins(PluginsCommand, ListCommand):
    """List the plugins, also those that cannot be used.

    This works without a service: it looks at what is installed on this machine.
    """

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], list[Sequence[Any]]]:
        """Gives a row for each."""
        return COLUMNS, [
            (item["name"], item["version"], str(item["status"]), item["api"], Groups(_provides(item["records"])))
            for item in self.reports(parsed_args)
        ]


class ShowPlugin(PluginsCommand, ShowCommand):
    """Show a plugin: what it provides, its configuration, and why it cannot be used."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Gives its properties."""
        reports = self.reports(parsed_args)
        found = [
            item for item in reports if parsed_args.name in {item["name"], f"{item['distribution']}:{item['name']}"}
        ]
        if not found:
            known = ", ".join(item["name"] for item in reports) or "none"
            raise CommandError(f"There is no plugin {parsed_args.name!r}; there are: {known}.", ExitCode.NOT_FOUND)
        if len(found) > 1:
            names = ", ".join(f"{item['distribution']}:{item['name']}" for item in found)
            raise CommandError(f"Several plugins are named {parsed_args.name!r}; say which: {names}.", ExitCode.USAGE)
        [item] = found
        records = [self._with_schemas(record) for record in item["records"]]
        return DETAILS, (
            item["name"],
            item["distribution"],
            item["version"],
            str(item["status"]),
            item["api"],
            item["reason"],
            Groups(_provides(records)),
            Rows([_record_row(record) for record in records]),
            Rows([field for record in records for field in _field_rows(record)]),
        )

    def _with_schemas(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """A record with its schemas; a service has each at an address of its own."""
        addresses = record.get("addresses") or {}
        return {**record, **{name: self.client.get(address) for name, address in addresses.items()}}


def _provides(records: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for record in records:
        names.setdefault(record["kind"], []).append(record["name"])
    return names


def _record_row(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "Kind": record["kind"],
        "Name": record["name"],
        "Summary": record["summary"],
        "Capabilities": list(record["capabilities"]),
        "Problem": record["problem"],
    }


def _field_rows(record: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """The configuration that a record takes, and its part of the table [plugins.<name>]."""
    for place, schema in (("config", record["config_schema"]), ("plugin settings", record["settings_schema"])):
        for name, field in (schema.get("properties") or {}).items():
            yield {
                "Of": f"{record['kind']} {record['name']}",
                "In": place,
                "Name": name,
                "Type": field.get("type"),
                "Required": name in schema.get("required", []),
                "Default": field.get("default"),
                "Help": field.get("description", ""),
            }


def _from_service(member: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": member.get("Name"),
        "distribution": member.get("Distribution", ""),
        "version": member.get("Version", ""),
        "status": member.get("State"),
        "api": member.get("API"),
        "reason": member.get("Reason", ""),
        "records": [
            {
                "kind": record.get("Kind"),
                "name": record.get("Name"),
                "summary": record.get("Summary", ""),
                "capabilities": record.get("Capabilities") or [],
                "config_schema": {},
                "settings_schema": {},
                "addresses": {
                    name: str(record[key])
                    for name, key in (("config_schema", "ConfigSchemaURI"), ("settings_schema", "SettingsSchemaURI"))
                    if key in record
                },
                "problem": record.get("Problem", ""),
            }
            for record in member.get("Records") or []
        ],
    }
