"""Systems: listing, showing, changing, removing."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hawkfish.cli.base import ListCommand, ShowCommand, add_wait_options, confirm
from hawkfish.cli.each import RemoveCommand
from hawkfish.cli.errors import CommandError, ExitCode
from hawkfish.cli.following import follow
from hawkfish.cli.output import MIB, key_value, parse_size
from hawkfish.cli.tables import (
    SYSTEM_COLUMNS,
    SYSTEM_DETAILS,
    TASK_DETAILS,
    oem,
    system_details,
    system_row,
    task_details,
)

if TYPE_CHECKING:
    from hawkfish.cli.client import Client, Reply

SYSTEMS = "/redfish/v1/Systems"


def find_system(client: Client, name: str) -> dict[str, Any]:
    """Reads a system by its name or UUID; for a name the service redirects."""
    return client.named(SYSTEMS, name)


def address_of(resource: dict[str, Any]) -> str:
    """Where a resource lives."""
    return str(resource["@odata.id"])


def memory_mib(text: str) -> int:
    """Memory in MiB, for argparse."""
    size = parse_size(text, unit=MIB)
    if size < MIB:
        raise argparse.ArgumentTypeError(f"{text} is less than 1 MiB")
    return size // MIB


class ListSystems(ListCommand):
    """List the systems."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the options."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--filter",
            metavar="EXPRESSION",
            help="only those that meet it, such as \"PowerState eq 'On' and Oem/HawkFish/Labels/team eq 'a'\"",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], list[Sequence[Any]]]:
        """Gives a row for each."""
        return SYSTEM_COLUMNS, [system_row(system) for system in self.client.members(SYSTEMS, parsed_args.filter)]


class ShowSystem(ShowCommand):
    """Show a system."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="name or UUID")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Gives its properties."""
        return SYSTEM_DETAILS, system_details(find_system(self.client, parsed_args.name))


class SystemWorkCommand(ShowCommand):
    """A command that works on one system and shows it afterwards, or with --no-wait the task."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        add_wait_options(parser)
        return parser

    def finish(
        self, reply: Reply, address: str, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        """Waits if that is wanted, and gives what is to be shown."""
        if reply.accepted and not parsed_args.wait:
            return TASK_DETAILS, task_details(reply.body)
        done = follow(self.app, reply, timeout=parsed_args.timeout)
        return SYSTEM_DETAILS, system_details(self.client.get(address or done.location or str(done.body["@odata.id"])))


class SetSystem(SystemWorkCommand):
    """Change properties of a system.

    CPUs and memory change the definition of the machine; a machine that runs shows them after its next start.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="name or UUID")
        parser.add_argument("--name", dest="new_name", metavar="NEW", help="another name")
        parser.add_argument("--description", metavar="TEXT")
        parser.add_argument("--asset-tag", metavar="TEXT")
        parser.add_argument("--cpus", type=int, metavar="N")
        parser.add_argument("--memory", type=memory_mib, metavar="SIZE", help="such as 512M or 2G; MiB without a unit")
        parser.add_argument(
            "--label", type=key_value, action="append", default=[], metavar="KEY=VALUE", help="set a label; repeatable"
        )
        parser.add_argument(
            "--remove-label", action="append", default=[], metavar="KEY", help="remove a label; repeatable"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Sends what is to change."""
        given = {
            "Name": parsed_args.new_name,
            "Description": parsed_args.description,
            "AssetTag": parsed_args.asset_tag,
        }
        own: dict[str, Any] = {"CPU": parsed_args.cpus, "MemoryMiB": parsed_args.memory}
        system = find_system(self.client, parsed_args.name)
        etag = None
        if parsed_args.label or parsed_args.remove_label:
            # Labels are written as a whole, so nobody may have changed them since they were read.
            labels = {**(oem(system).get("Labels") or {}), **dict(parsed_args.label)}
            own["Labels"] = {key: value for key, value in labels.items() if key not in parsed_args.remove_label}
            etag = system.get("@odata.etag")
        body: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
        if own := {key: value for key, value in own.items() if value is not None}:
            body["Oem"] = {"HawkFish": own}
        if not body:
            raise CommandError("Nothing is to be changed; name at least one property.", ExitCode.USAGE)
        address = address_of(system)
        reply = self.client.patch(address, body, etag=etag, wait=parsed_args.wait)
        return self.finish(reply, address, parsed_args)


class RemoveSystems(RemoveCommand):
    """Remove systems, with their disks.

    On a terminal it asks; elsewhere it takes --yes.
    """

    def find(self, name: str) -> dict[str, Any]:
        """Reads the system."""
        return find_system(self.client, name)

    def approve(self, found: list[dict[str, Any]], parsed_args: argparse.Namespace) -> None:
        """Asks once for all, and says what goes with them."""
        names = ", ".join(str(system.get("Name")) for system in found)
        what = "the system" if len(found) == 1 else f"{len(found)} systems"
        confirm(self.app, f"Remove {what} {names} with all disks?", yes=parsed_args.yes)
