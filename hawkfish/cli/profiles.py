"""Profiles: versioned shapes of systems."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hawkfish.cli.base import ListCommand, ShowCommand
from hawkfish.cli.each import RemoveCommand
from hawkfish.cli.output import MIB, Pairs, Rows, Size, key_value
from hawkfish.cli.systems import memory_mib
from hawkfish.cli.systems_create import gib_size

if TYPE_CHECKING:
    from hawkfish.cli.client import Client

PROFILES = "/redfish/v1/Oem/HawkFish/Profiles"
PROFILE_COLUMNS = ("Name", "ID", "Revision", "CPUs", "Memory", "Disk GiB", "Firmware", "Image")
PROFILE_DETAILS = (*PROFILE_COLUMNS, "Networks", "Labels", "Description", "Created At", "Created By")


def profile_row(profile: Mapping[str, Any]) -> tuple[Any, ...]:
    """Values of PROFILE_COLUMNS."""
    return (
        profile.get("Name"),
        profile.get("Id"),
        profile.get("Revision"),
        profile.get("CPU"),
        Size(int(profile["MemoryMiB"]) * MIB),
        profile.get("DiskGiB", ""),
        profile.get("Firmware") or "",
        profile.get("ImageId") or "",
    )


def profile_details(profile: Mapping[str, Any]) -> tuple[Any, ...]:
    """Values of PROFILE_DETAILS."""
    return (
        *profile_row(profile),
        Rows(profile.get("NetworkInterfaces") or []),
        Pairs(profile.get("Labels") or {}),
        profile.get("Description") or "",
        profile.get("CreatedAt"),
        profile.get("CreatedBy"),
    )


def find_profile(client: Client, name: str) -> dict[str, Any]:
    """Reads a profile by its name or id; for a name the service redirects."""
    return client.named(PROFILES, name)


class ListProfiles(ListCommand):
    """List the profiles."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], list[Sequence[Any]]]:  # noqa: ARG002  cliff's form
        """Gives a row for each."""
        return PROFILE_COLUMNS, [profile_row(profile) for profile in self.client.members(PROFILES)]


class ShowProfile(ShowCommand):
    """Show a profile in its last revision."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Gives its properties."""
        return PROFILE_DETAILS, profile_details(find_profile(self.client, parsed_args.name))


class ShapeCommand(ShowCommand):
    """A command that takes what a profile is made of."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--cpus", type=int, metavar="N", help="virtual CPUs")
        parser.add_argument("--memory", type=memory_mib, metavar="SIZE", help="such as 256M or 2G")
        parser.add_argument("--disk", type=gib_size, metavar="SIZE", help="size of the first disk, in whole GiB")
        parser.add_argument("--image", metavar="NAME", help="an image for the first disk")
        parser.add_argument("--firmware", type=str.upper, choices=("UEFI", "BIOS"))
        parser.add_argument("--network", dest="networks", action="append", metavar="NAME", help="repeatable")
        parser.add_argument(
            "--label", dest="labels", type=key_value, action="append", metavar="KEY=VALUE", help="repeatable"
        )
        parser.add_argument("--description", metavar="TEXT")
        return parser

    def shape(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """What was named."""
        networks = parsed_args.networks
        named = {
            "CPU": parsed_args.cpus,
            "MemoryMiB": parsed_args.memory,
            "DiskGiB": parsed_args.disk,
            "ImageId": parsed_args.image,
            "Firmware": parsed_args.firmware,
            "NetworkInterfaces": None if networks is None else [{"Network": name} for name in networks],
            "Labels": None if parsed_args.labels is None else dict(parsed_args.labels),
            "Description": parsed_args.description,
        }
        return {key: value for key, value in named.items() if value is not None}


class CreateProfile(ShapeCommand):
    """Make a profile and show it."""

    epilog = "Example: hawkfish profiles create small --cpus 2 --memory 2G --image debian --disk 20G"

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Makes it."""
        body = {"Name": parsed_args.name, "CPU": 1, "MemoryMiB": 1024, **self.shape(parsed_args)}
        return PROFILE_DETAILS, profile_details(self.client.post(PROFILES, body).body)


class SetProfile(ShapeCommand):
    """Give a profile a new revision; systems that were made after earlier ones stay as they are."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Changes it."""
        found = find_profile(self.client, parsed_args.name)
        reply = self.client.patch(str(found["@odata.id"]), self.shape(parsed_args))
        return PROFILE_DETAILS, profile_details(reply.body)


class RemoveProfiles(RemoveCommand):
    """Remove profiles after which no system was made.

    On a terminal it asks; elsewhere it takes --yes.
    """

    noun = "profile"

    def find(self, name: str) -> dict[str, Any]:
        """Reads the profile."""
        return find_profile(self.client, name)
