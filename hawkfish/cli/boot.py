"""What systems start from."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hawkfish.cli.base import ShowCommand
from hawkfish.cli.errors import CommandError, ExitCode
from hawkfish.cli.systems import address_of, find_system
from hawkfish.cli.tables import BOOT_DETAILS, boot_details

if TYPE_CHECKING:
    from collections.abc import Mapping

TARGETS = {
    "disk": "Hdd",
    "cd": "Cd",
    "network": "Pxe",
    "usb": "Usb",
    "floppy": "Floppy",
    "setup": "BiosSetup",
    "none": "None",
}
DEFAULT_ORDER = "ComputerSystem.SetDefaultBootOrder"
REDFISH = {redfish.lower(): ours for ours, redfish in TARGETS.items()}
MODES = {"uefi": "UEFI", "bios": "Legacy", "legacy": "Legacy"}


class BootCommand(ShowCommand):
    """A command about what one system starts from."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="name or UUID of a system")
        return parser


class ShowBoot(BootCommand):
    """Show what a system starts from, and what it could."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Gives it."""
        return BOOT_DETAILS, boot_details(find_system(self.client, parsed_args.name))


class SetBoot(BootCommand):
    """Tell a system what to start from: at its next start only, at every start, or in another order for good.

    A machine that runs is not touched; what is set is used when it is switched on the next time.
    """

    epilog = "`hawkfish boot show` names the devices that the order is made of."

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "target",
            nargs="?",
            type=_plain,
            choices=list(TARGETS),
            help="what to start from; setup enters the set-up menu of UEFI, none is the normal order",
        )
        choice = parser.add_mutually_exclusive_group()
        choice.add_argument("--once", action="store_true", help="at the next start only (default)")
        choice.add_argument("--continuous", action="store_true", help="at every start")
        parser.add_argument("--mode", type=_plain, choices=list(MODES), help="the firmware that starts it")
        order = parser.add_mutually_exclusive_group()
        order.add_argument(
            "--order",
            type=_references,
            metavar="DEVICE[,DEVICE...]",
            help="the devices to try first, such as NIC1,Cd; the others follow as they are",
        )
        order.add_argument(
            "--default-order", action="store_true", help="the order that the system had when it was made"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Writes what is given, and shows what is so then."""
        boot = _override(parsed_args)
        if parsed_args.mode is not None:
            boot["BootSourceOverrideMode"] = MODES[parsed_args.mode]
        if not boot and parsed_args.order is None and not parsed_args.default_order:
            raise CommandError("Say what to change: a target, --mode, --order or --default-order.", ExitCode.USAGE)
        system = find_system(self.client, parsed_args.name)
        if parsed_args.order is not None:
            boot["BootOrder"] = _whole_order(system, parsed_args.order)
        if boot:
            self.client.patch(address_of(system), {"Boot": boot}, wait=True)
        if parsed_args.default_order:
            self.client.post(f"{address_of(system)}/Actions/{DEFAULT_ORDER}", {})
        return BOOT_DETAILS, boot_details(self.client.get(address_of(system)))


def _plain(text: str) -> str:
    """A word of ours, also where it is given as Redfish spells it, such as Hdd or UEFI."""
    return REDFISH.get(text.lower(), text.lower())


def _references(text: str) -> list[str]:
    found = [part.strip() for part in text.split(",")]
    if not all(found):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of devices such as NIC1,Cd")
    return found


def _override(parsed_args: argparse.Namespace) -> dict[str, Any]:
    """The override of the request; nothing where none is given.

    Raises:
        CommandError: Options contradict each other.
    """
    timed = parsed_args.once or parsed_args.continuous
    if parsed_args.target is None:
        if timed:
            raise CommandError(f"Name a target: {', '.join(TARGETS)}.", ExitCode.USAGE)
        return {}
    if parsed_args.target == "none":
        if timed:
            raise CommandError("The normal order takes neither --once nor --continuous.", ExitCode.USAGE)
        return {"BootSourceOverrideEnabled": "Disabled", "BootSourceOverrideTarget": "None"}
    enabled = "Continuous" if parsed_args.continuous else "Once"
    return {"BootSourceOverrideEnabled": enabled, "BootSourceOverrideTarget": TARGETS[parsed_args.target]}


def _whole_order(system: Mapping[str, Any], first: list[str]) -> list[str]:
    """The order that begins with the devices named, whatever the case; those not named follow as they are."""
    present = [str(item) for item in (system.get("Boot") or {}).get("BootOrder") or []]
    spelling = {item.lower(): item for item in present}
    named = [spelling.get(item.lower(), item) for item in first]
    return [*named, *(item for item in present if item not in named)]
