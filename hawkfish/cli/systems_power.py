"""Power and boot of systems."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hawkfish.cli.each import EachCommand
from hawkfish.cli.errors import CommandError, ExitCode
from hawkfish.cli.systems import SystemWorkCommand, address_of, find_system
from hawkfish.cli.tables import SYSTEM_DETAILS, reset_types, system_details

if TYPE_CHECKING:
    from hawkfish.cli.client import Reply

BOOT_TARGETS = {"disk": "Hdd", "cd": "Cd", "network": "Pxe", "none": "None"}


class PowerCommand(EachCommand):
    """A command that resets systems and shows their power afterwards."""

    @property
    def columns(self) -> tuple[str, ...]:
        """What is shown."""
        return ("Name", "ID", "Power")

    def reset_type(self, found: dict[str, Any], parsed_args: argparse.Namespace) -> str:  # noqa: ARG002  others look at it
        """What the system is told."""
        return str(parsed_args.type)

    def find(self, name: str) -> dict[str, Any]:
        """Reads the system."""
        return find_system(self.client, name)

    def start(self, found: dict[str, Any], parsed_args: argparse.Namespace) -> Reply:
        """Tells it."""
        action = (found.get("Actions") or {}).get("#ComputerSystem.Reset") or {}
        if "target" not in action:
            raise CommandError(f"The system {found.get('Name')} offers no reset now.", ExitCode.CONFLICT)
        return self.client.post(
            action["target"], {"ResetType": self.reset_type(found, parsed_args)}, wait=parsed_args.wait
        )

    def row(self, found: dict[str, Any]) -> Sequence[Any]:
        """Its power state as it is now."""
        system = self.client.get(address_of(found))
        return system.get("Name"), system.get("UUID") or system.get("Id"), system.get("PowerState")


class SystemsOn(PowerCommand):
    """Switch systems on (ResetType On)."""

    def reset_type(self, found: dict[str, Any], parsed_args: argparse.Namespace) -> str:  # noqa: ARG002  one form for all
        """On."""
        return "On"


class SystemsOff(PowerCommand):
    """Switch systems off: ask the guest to shut down (GracefulShutdown), with --force cut the power (ForceOff)."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--force", action="store_true", help="cut the power at once; the guest may lose data")
        return parser

    def reset_type(self, found: dict[str, Any], parsed_args: argparse.Namespace) -> str:
        """GracefulShutdown or ForceOff."""
        if parsed_args.force:
            return "ForceOff"
        offered = reset_types(found)
        if found.get("PowerState") != "Off" and offered and "GracefulShutdown" not in offered:
            raise CommandError(
                f"The system {found.get('Name')} offers no graceful shutdown; --force cuts its power.",
                ExitCode.CONFLICT,
            )
        return "GracefulShutdown"


class ResetSystems(PowerCommand):
    """Reset systems in one of Redfish's ways."""

    epilog = "What a system offers is the property Reset Types of `hawkfish systems show`."

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--type",
            default="ForceRestart",
            metavar="TYPE",
            help="such as GracefulRestart or Nmi (default ForceRestart)",
        )
        return parser


class BootSystem(SystemWorkCommand):
    """Tell a system what to start from, or show what it was told.

    Without a device and an option nothing is changed.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="name or UUID")
        parser.add_argument("device", nargs="?", choices=sorted(BOOT_TARGETS), help="what to start from")
        choice = parser.add_mutually_exclusive_group()
        choice.add_argument("--once", action="store_true", help="at the next start only (default)")
        choice.add_argument("--always", action="store_true", help="at every start")
        choice.add_argument("--clear", action="store_true", help="back to the normal order")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Writes the boot override."""
        system = find_system(self.client, parsed_args.name)
        address = address_of(system)
        boot = boot_override(parsed_args)
        if boot is None:
            return SYSTEM_DETAILS, system_details(system)
        reply = self.client.patch(address, {"Boot": boot}, wait=parsed_args.wait)
        return self.finish(reply, address, parsed_args)


def boot_override(parsed_args: argparse.Namespace) -> dict[str, str] | None:
    """The object Boot of the request; None to change nothing.

    Raises:
        CommandError: Options contradict each other.
    """
    if parsed_args.clear or parsed_args.device == "none":
        if parsed_args.always or parsed_args.once or (parsed_args.clear and parsed_args.device not in {None, "none"}):
            raise CommandError("The normal order takes neither a device nor --once or --always.", ExitCode.USAGE)
        return {"BootSourceOverrideEnabled": "Disabled", "BootSourceOverrideTarget": "None"}
    if parsed_args.device is None:
        if parsed_args.once or parsed_args.always:
            raise CommandError(f"Name a device: {', '.join(sorted(BOOT_TARGETS))}.", ExitCode.USAGE)
        return None
    enabled = "Continuous" if parsed_args.always else "Once"
    return {"BootSourceOverrideEnabled": enabled, "BootSourceOverrideTarget": BOOT_TARGETS[parsed_args.device]}
