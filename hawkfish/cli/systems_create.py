"""Making a system."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hawkfish.cli.errors import CommandError, ExitCode
from hawkfish.cli.output import GIB, Groups, Words, key_value, parse_size
from hawkfish.cli.systems import SYSTEMS, SystemWorkCommand, memory_mib

PLACEMENT_DETAILS = ("Host", "Fitting", "Refused")


class CreateSystem(SystemWorkCommand):
    """Make a system and show it.

    Disks and network interfaces are made in the order in which they are named. Without any of --network, --bridge,
    --user-network and --no-network the system gets one interface of the kind that its host offers first.
    """

    epilog = "Example: hawkfish systems create web1 --cpus 2 --memory 2G --disk 10G --user-network --on"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="letters, digits, '.', '_' and '-'")
        parser.add_argument(
            "--profile", metavar="NAME[@REVISION]", help="a profile that gives what the other options leave open"
        )
        parser.add_argument(
            "--image", metavar="NAME", help="an image of `hawkfish images ls` for the first disk; see --image-size"
        )
        parser.add_argument(
            "--image-size", type=gib_size, metavar="SIZE", help="grow the disk of --image, in whole GiB"
        )
        parser.add_argument("--cpus", type=int, metavar="N", help="virtual CPUs (default 1, or the profile's)")
        parser.add_argument(
            "--memory",
            type=memory_mib,
            metavar="SIZE",
            help="such as 256M or 2G; MiB without a unit (default 1G, or the profile's)",
        )
        parser.add_argument(
            "--disk",
            dest="disks",
            type=empty_disk,
            action="append",
            default=[],
            metavar="SIZE",
            help="an empty disk, such as 10G; repeatable",
        )
        parser.add_argument(
            "--disk-image",
            dest="disks",
            type=image_disk,
            action="append",
            metavar="PATH[:SIZE]",
            help="a disk with a copy of an image file of the service's machine, grown to SIZE; repeatable",
        )
        parser.add_argument(
            "--firmware", type=str.upper, choices=("UEFI", "BIOS"), help="default what the host offers, UEFI first"
        )
        nets = parser.add_argument_group("network interfaces")
        for option, name, where in (("--network", "Network", "a network"), ("--bridge", "Bridge", "a bridge")):
            nets.add_argument(
                option,
                dest="interfaces",
                action="append",
                default=[],
                type=partial(_attached, name),
                metavar="NAME",
                help=f"on {where} of the host; repeatable",
            )
        nets.add_argument(
            "--user-network",
            dest="interfaces",
            action="append_const",
            const={"UserMode": True},
            help="outgoing connections only; repeatable",
        )
        nets.add_argument("--no-network", action="store_true", help="no interface at all")
        nets.add_argument(
            "--mac",
            dest="macs",
            action="append",
            default=[],
            metavar="ADDRESS",
            help="for the interfaces, in their order; repeatable",
        )
        parser.add_argument("--host", metavar="HOST", help="name or id of the host; default one that has room")
        parser.add_argument(
            "--host-label",
            dest="host_labels",
            type=key_value,
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help="only on a host with that label; repeatable",
        )
        parser.add_argument(
            "--strategy", choices=("spread", "pack"), help="which of several hosts with room; default the service's own"
        )
        parser.add_argument("--dry-run", action="store_true", help="only say where it would go, and why not elsewhere")
        parser.add_argument("--uuid", metavar="UUID", help="default a random one")
        parser.add_argument("--description", metavar="TEXT")
        parser.add_argument(
            "--label",
            dest="labels",
            type=key_value,
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help="repeatable",
        )
        parser.add_argument("--on", action="store_true", help="switch it on")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Makes it."""
        body = new_system(parsed_args)
        if parsed_args.dry_run:
            answer = self.client.post(SYSTEMS, {**body, "DryRun": True}).body
            return PLACEMENT_DETAILS, (
                answer.get("HostName"),
                Words(answer.get("Fitting") or []),
                Groups({str(host.get("HostName")): host.get("Reasons") or [] for host in answer.get("Refused") or []}),
            )
        reply = self.client.post(SYSTEMS, body, wait=parsed_args.wait)
        return self.finish(reply, "", parsed_args)


def new_system(parsed_args: argparse.Namespace) -> dict[str, Any]:
    """The body of the request.

    Raises:
        CommandError: Options contradict each other.
    """
    body: dict[str, Any] = {
        "Name": parsed_args.name,
    }
    body |= _sizes(parsed_args)
    # argparse hands the dictionaries of append_const over as they stand in the parser, so each is copied.
    interfaces = [dict(item) for item in parsed_args.interfaces]
    if parsed_args.no_network and (interfaces or parsed_args.macs):
        raise CommandError("--no-network does not go with network interfaces.", ExitCode.USAGE)
    if not interfaces and parsed_args.macs:
        interfaces = [{} for _ in parsed_args.macs]
    if len(parsed_args.macs) > len(interfaces):
        raise CommandError(
            f"There are {len(parsed_args.macs)} --mac and {len(interfaces)} network interfaces.", ExitCode.USAGE
        )
    for interface, address in zip(interfaces, parsed_args.macs, strict=False):
        interface["MACAddress"] = address
    if interfaces or parsed_args.no_network:
        body["NetworkInterfaces"] = interfaces
    rule = {
        "Labels": dict(parsed_args.host_labels) or None,
        "Strategy": None if parsed_args.strategy is None else parsed_args.strategy.capitalize(),
    }
    optional = {
        "Placement": {key: value for key, value in rule.items() if value is not None} or None,
        "Firmware": parsed_args.firmware,
        "HostId": parsed_args.host,
        "UUID": parsed_args.uuid,
        "Description": parsed_args.description,
        "Labels": dict(parsed_args.labels) or None,
        "PowerOn": parsed_args.on or None,
    }
    return {**body, **{key: value for key, value in optional.items() if value is not None}}


def _sizes(parsed_args: argparse.Namespace) -> dict[str, Any]:
    """Processors, memory and disks: what is named, the rest from the profile, or from our defaults where there is none."""
    profile, at, revision = (parsed_args.profile or "").partition("@")
    if at and not revision.isdigit():
        raise CommandError(f"{revision!r} is no number of a revision.", ExitCode.USAGE)
    if parsed_args.image_size and not parsed_args.image:
        raise CommandError("--image-size goes with --image.", ExitCode.USAGE)
    defaults = {} if profile else {"CPU": 1, "MemoryMiB": 1024, "Disks": []}
    named = {
        "ProfileId": profile or None,
        "ProfileRevision": int(revision) if at else None,
        "CPU": parsed_args.cpus,
        "MemoryMiB": parsed_args.memory,
        "ImageId": parsed_args.image,
        "DiskGiB": parsed_args.image_size,
        "Disks": parsed_args.disks or None,
    }
    return {**defaults, **{key: value for key, value in named.items() if value is not None}}


def gib_size(text: str) -> int:
    """A size in whole GiB, for argparse."""
    size = parse_size(text, unit=GIB)
    if size < GIB or size % GIB:
        raise argparse.ArgumentTypeError(f"{text} is not a number of whole GiB")
    return size // GIB


def _attached(kind: str, name: str) -> dict[str, Any]:
    return {kind: name}


def empty_disk(text: str) -> dict[str, Any]:
    """An empty disk, for argparse."""
    return {"CapacityBytes": parse_size(text, unit=GIB)}


def image_disk(text: str) -> dict[str, Any]:
    """A disk made from an image file, for argparse."""
    path, colon, size = text.rpartition(":")
    # Only what reads as a size is one: a path may hold a colon.
    if colon and size[:1].isdigit():
        try:
            return {"Image": _absolute(path), "CapacityBytes": parse_size(size, unit=GIB)}
        except argparse.ArgumentTypeError:
            return {"Image": _absolute(text)}
    return {"Image": _absolute(text)}


def _absolute(path: str) -> str:
    # The service has another working directory than this command.
    return str(Path(path).expanduser().absolute())
