"""BIOS attributes of systems."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hawkfish.cli.base import ListCommand
from hawkfish.cli.errors import CommandError, ExitCode
from hawkfish.cli.output import key_value
from hawkfish.cli.systems import find_system

if TYPE_CHECKING:
    from hawkfish.cli.client import Client

BIOS_COLUMNS = ("Attribute", "Value", "Next Start", "Choices")


def find_bios(client: Client, name: str) -> dict[str, Any]:
    """Reads the Bios of a system.

    Raises:
        CommandError: The service shows none.
    """
    system = find_system(client, name)
    address = (system.get("Bios") or {}).get("@odata.id")
    if address is None:
        raise CommandError(f"The system {system.get('Name')} has no BIOS settings.", ExitCode.CONFLICT)
    return client.get(address)


def settings_address(bios: dict[str, Any]) -> str:
    """Where what the next start will read is set."""
    return str(bios["@Redfish.Settings"]["SettingsObject"]["@odata.id"])


def bios_rows(client: Client, bios: dict[str, Any]) -> list[Sequence[Any]]:
    """A row for each attribute: what it is, what the next start makes of it, and what it can be."""
    future = client.get(settings_address(bios))["Attributes"]
    choices = _choices(client, bios)
    return [
        (name, value, future.get(name, value), ", ".join(choices.get(name, ())))
        for name, value in bios["Attributes"].items()
    ]


def _choices(client: Client, bios: dict[str, Any]) -> dict[str, list[str]]:
    """What the registry says that each attribute can be; of processors that is the host's to say."""
    file = client.get(f"/redfish/v1/Registries/{bios['AttributeRegistry']}")
    registry = client.get(file["Location"][0]["Uri"])
    entries = registry["RegistryEntries"]["Attributes"]
    found = {entry["AttributeName"]: [item["ValueName"] for item in entry.get("Value", ())] for entry in entries}
    models = ((bios.get("Oem") or {}).get("HawkFish") or {}).get("CPUModels")
    return found | ({"CpuModel": models} if models else {})


class ShowBios(ListCommand):
    """Show the BIOS attributes of a system: as they are, and as its next start will have them."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="name or UUID")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], list[Sequence[Any]]]:
        """Gives a row for each."""
        return BIOS_COLUMNS, bios_rows(self.client, find_bios(self.client, parsed_args.name))


class SetBios(ListCommand):
    """Set BIOS attributes of a system for its next start; a machine that runs keeps what it was started with."""

    epilog = "Example: hawkfish bios set web1 CpuModel=host-model NetworkBoot=Disabled"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="name or UUID")
        parser.add_argument("values", nargs="*", type=key_value, metavar="ATTRIBUTE=VALUE")
        parser.add_argument(
            "--reset", action="store_true", help="first give all attributes but the boot mode their usual values"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], list[Sequence[Any]]]:
        """Sets them, and gives a row for each attribute."""
        if not parsed_args.values and not parsed_args.reset:
            raise CommandError("Name what to set, as ATTRIBUTE=VALUE, or --reset.", ExitCode.USAGE)
        bios = find_bios(self.client, parsed_args.name)
        if parsed_args.reset:
            self.client.post(bios["Actions"]["#Bios.ResetBios"]["target"], {})
        if parsed_args.values:
            self.client.patch(settings_address(bios), {"Attributes": dict(parsed_args.values)})
        return BIOS_COLUMNS, bios_rows(self.client, bios)
