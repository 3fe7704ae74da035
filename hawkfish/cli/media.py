"""Media in the drives of systems: what is there, insert, eject."""

from __future__ import annotations

import argparse
import getpass
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hawkfish.cli.base import ListCommand, ShowCommand, add_wait_options
from hawkfish.cli.errors import CommandError, ExitCode
from hawkfish.cli.following import follow
from hawkfish.cli.output import YesNo
from hawkfish.cli.systems import SYSTEMS, find_system
from hawkfish.cli.tables import TASK_DETAILS, task_details

if TYPE_CHECKING:
    from hawkfish.cli.client import Client

MEDIA_COLUMNS = ("System", "Drive", "Image", "Inserted", "State")
MEDIA_DETAILS = (*MEDIA_COLUMNS, "User Name", "Verify Certificate")


def media_row(system: str, drive: Mapping[str, Any]) -> tuple[Any, ...]:
    """Values of MEDIA_COLUMNS."""
    return (
        system,
        drive.get("Id"),
        drive.get("Image") or drive.get("ImageName") or "",
        YesNo(bool(drive.get("Inserted"))),
        (drive.get("Status") or {}).get("State"),
    )


def media_details(system: str, drive: Mapping[str, Any]) -> tuple[Any, ...]:
    """Values of MEDIA_DETAILS."""
    return (*media_row(system, drive), drive.get("UserName") or "", YesNo(bool(drive.get("VerifyCertificate"))))


def drives_of(client: Client, system: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The drives of a system, in their order; none where its host has none."""
    found = system.get("VirtualMedia")
    return [] if found is None else list(client.members(str(found["@odata.id"])))


def find_drive(client: Client, system: Mapping[str, Any], name: str | None) -> dict[str, Any]:
    """The drive of that name, or the first one.

    Raises:
        CommandError: The system has none.
    """
    drives = drives_of(client, system)
    for drive in drives:
        if name is None or str(drive["Id"]).lower() == name.lower():
            return drive
    there = ", ".join(str(drive["Id"]) for drive in drives) or "none, since its host cannot change media"
    wanted = "no drive" if name is None else f"no drive {name}"
    raise CommandError(f"The system {system.get('Name')} has {wanted}; it has: {there}.", ExitCode.NOT_FOUND)


class ListMedia(ListCommand):
    """List the drives of systems with what is in them."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("names", nargs="*", metavar="SYSTEM", help="names or UUIDs; default all systems")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], list[Sequence[Any]]]:
        """Gives a row for each drive."""
        names = parsed_args.names
        systems = [find_system(self.client, name) for name in names] if names else self.client.members(SYSTEMS)
        return MEDIA_COLUMNS, [
            media_row(str(system.get("Name")), drive) for system in systems for drive in drives_of(self.client, system)
        ]


class MediaCommand(ShowCommand):
    """A command that changes what is in a drive and shows it afterwards."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="SYSTEM", help="name or UUID")
        parser.add_argument("--drive", metavar="DRIVE", help="which drive, such as Cd; default the first")
        add_wait_options(parser)
        return parser

    def change(
        self, parsed_args: argparse.Namespace, action: str, body: dict[str, Any], *, settings: Mapping[str, Any] | None
    ) -> tuple[Sequence[str], Sequence[Any]]:
        """Does it."""
        system = find_system(self.client, parsed_args.name)
        drive = find_drive(self.client, system, parsed_args.drive)
        address = str(drive["@odata.id"])
        if settings and any(drive.get(name) != value for name, value in settings.items()):
            self.client.patch(address, dict(settings))
        reply = self.client.post(drive["Actions"][f"#VirtualMedia.{action}"]["target"], body, wait=parsed_args.wait)
        if reply.accepted and not parsed_args.wait:
            return TASK_DETAILS, task_details(reply.body)
        follow(self.app, reply, timeout=parsed_args.timeout)
        return MEDIA_DETAILS, media_details(str(system.get("Name")), self.client.get(address))


class InsertMedia(MediaCommand):
    """Insert an image of a server into a drive and show it.

    The service fetches the image; what is switched on after this waits for it. Power and boot order stay as they are.
    """

    epilog = "Example: hawkfish media insert web1 https://images.example/installer.iso"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("url", metavar="URL", help="an http or https address")
        parser.add_argument("--user", metavar="NAME", help="what the server is told; the password is asked for")
        parser.add_argument("--password-stdin", action="store_true", help="read that password from standard input")
        parser.add_argument("--sha256", metavar="DIGEST", help="what the content has to have")
        trust = parser.add_mutually_exclusive_group()
        trust.add_argument("--insecure", action="store_true", help="take any certificate from the server, from now on")
        trust.add_argument("--secure", action="store_true", help="have the server prove who it is again")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Inserts it."""
        body: dict[str, Any] = {"Image": parsed_args.url}
        if parsed_args.user:
            body |= {"UserName": parsed_args.user, "Password": self._password(parsed_args)}
        if parsed_args.sha256:
            body["Oem"] = {"HawkFish": {"SHA256": parsed_args.sha256}}
        settings = {"VerifyCertificate": parsed_args.secure} if parsed_args.insecure or parsed_args.secure else None
        return self.change(parsed_args, "InsertMedia", body, settings=settings)

    def _password(self, parsed_args: argparse.Namespace) -> str:
        if parsed_args.password_stdin:
            return str(self.app.stdin.readline().rstrip("\r\n"))
        if not (self.app.stdin.isatty() and self.app.stderr.isatty()):
            raise CommandError("Nobody can be asked for the password here: use --password-stdin.", ExitCode.USAGE)
        return getpass.getpass(f"Password of {parsed_args.user}: ")


class EjectMedia(MediaCommand):
    """Eject what is in a drive; an empty one is left alone."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Ejects it."""
        return self.change(parsed_args, "EjectMedia", {}, settings=None)
