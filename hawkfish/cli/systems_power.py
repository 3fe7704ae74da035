"""Power of systems."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hawkfish.cli.each import EachCommand
from hawkfish.cli.errors import CommandError, ExitCode
from hawkfish.cli.systems import address_of, find_system
from hawkfish.cli.tables import reset_types

if TYPE_CHECKING:
    from hawkfish.cli.client import Reply


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
