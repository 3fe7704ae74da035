"""Hosts: the machines that run systems."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hawkfish.cli.base import ListCommand, ShowCommand, add_wait_options, confirm_name
from hawkfish.cli.each import RemoveCommand
from hawkfish.cli.errors import CommandError, ExitCode
from hawkfish.cli.following import follow
from hawkfish.cli.output import key_value
from hawkfish.cli.systems import memory_mib
from hawkfish.cli.tables import HOST_COLUMNS, HOST_DETAILS, TASK_DETAILS, host_details, host_row, task_details

if TYPE_CHECKING:
    from hawkfish.cli.client import Client, Reply

HOSTS = "/redfish/v1/Oem/HawkFish/Hosts"


def find_host(client: Client, name: str) -> dict[str, Any]:
    """Reads a host by its name or id; for a name the service redirects."""
    return client.named(HOSTS, name)


class ListHosts(ListCommand):
    """List the hosts."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], list[Sequence[Any]]]:  # noqa: ARG002  cliff's form
        """Gives a row for each."""
        return HOST_COLUMNS, [host_row(host) for host in self.client.members(HOSTS)]


class ShowHost(ShowCommand):
    """Show a host, with what it was found to offer."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Gives its properties."""
        return HOST_DETAILS, host_details(find_host(self.client, parsed_args.name))


class AddHost(ShowCommand):
    """Add a host and show what it offers."""

    epilog = "Example: hawkfish hosts add kvm1 --driver libvirt --uri qemu:///system"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME")
        parser.add_argument(
            "--driver", default="libvirt", help="compute driver, see `hawkfish plugins ls` (default libvirt)"
        )
        parser.add_argument("--uri", required=True, help="address in the driver's own form, such as qemu:///system")
        parser.add_argument(
            "--setting",
            type=setting,
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help="a setting of the driver; repeatable",
        )
        parser.add_argument(
            "--label", type=key_value, action="append", default=[], metavar="KEY=VALUE", help="repeatable"
        )
        parser.add_argument("--pool-path", metavar="DIR", help="folder of the host for the disks; default the driver's")
        add_wait_options(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Adds it."""
        optional = {
            "Settings": dict(parsed_args.setting),
            "Labels": dict(parsed_args.label),
            "PoolPath": parsed_args.pool_path,
        }
        body = {"Name": parsed_args.name, "Driver": parsed_args.driver, "URI": parsed_args.uri}
        body.update({key: value for key, value in optional.items() if value})
        reply = self.client.post(HOSTS, body, wait=parsed_args.wait)
        if reply.accepted and not parsed_args.wait:
            return TASK_DETAILS, task_details(reply.body)
        done = follow(self.app, reply, timeout=parsed_args.timeout)
        return HOST_DETAILS, host_details(self.client.get(done.location or str(done.body["@odata.id"])))


def setting(text: str) -> tuple[str, Any]:
    """Splits `key=value`; what reads as a JSON number or truth value is one."""
    key, value = key_value(text)
    try:
        parsed = json.loads(value)
    except ValueError:
        return key, value
    return key, parsed if isinstance(parsed, (bool, int, float)) else value


class SetHost(ShowCommand):
    """Change whether a host takes new systems, its labels, and how much of it may be given.

    What is given already stays given. The host itself is not touched.
    """

    epilog = "Example: hawkfish hosts set kvm1 --memory-overcommit 1.5 --reserved-memory 4G --label rack=a"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="name or id")
        parser.add_argument("--schedulable", action=argparse.BooleanOptionalAction, help="whether it takes new systems")
        parser.add_argument(
            "--cpu-overcommit",
            type=limit,
            metavar="RATIO",
            help="vCPUs given for each processor, such as 4; `none` for no limit",
        )
        parser.add_argument(
            "--memory-overcommit", type=float, metavar="RATIO", help="memory given for what there is, such as 1.5"
        )
        parser.add_argument("--reserved-cpus", type=int, metavar="N", help="processors kept for the host itself")
        parser.add_argument(
            "--reserved-memory",
            type=memory_mib,
            metavar="SIZE",
            help="memory kept for the host itself, such as 512M; MiB without a unit",
        )
        parser.add_argument(
            "--label", type=key_value, action="append", default=[], metavar="KEY=VALUE", help="set a label; repeatable"
        )
        parser.add_argument(
            "--remove-label", action="append", default=[], metavar="KEY", help="remove a label; repeatable"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Sends what is to change."""
        host = find_host(self.client, parsed_args.name)
        limits = {
            "VCPUOvercommit": parsed_args.cpu_overcommit,
            "MemoryOvercommit": parsed_args.memory_overcommit,
            "ReservedVCPUs": parsed_args.reserved_cpus,
            "ReservedMemoryMiB": parsed_args.reserved_memory,
        }
        settings: dict[str, Any] = {key: value for key, value in limits.items() if value is not None}
        if parsed_args.cpu_overcommit == NO_LIMIT:
            settings["VCPUOvercommit"] = None
        body: dict[str, Any] = {"Settings": settings} if settings else {}
        if parsed_args.schedulable is not None:
            body["Schedulable"] = parsed_args.schedulable
        etag = None
        if parsed_args.label or parsed_args.remove_label:
            # Labels are written as a whole, so nobody may have changed them since they were read.
            labels = {**(host.get("Labels") or {}), **dict(parsed_args.label)}
            body["Labels"] = {key: value for key, value in labels.items() if key not in parsed_args.remove_label}
            etag = host.get("@odata.etag")
        if not body:
            raise CommandError("Nothing is to be changed; name at least one property.", ExitCode.USAGE)
        reply = self.client.patch(str(host["@odata.id"]), body, etag=etag)
        return HOST_DETAILS, host_details(reply.body)


NO_LIMIT = 0.0


def limit(text: str) -> float:
    """A ratio, or `none`, which is NO_LIMIT."""
    return NO_LIMIT if text.lower() == "none" else float(text)


class RemoveHosts(RemoveCommand):
    """Remove hosts that hold no systems any more.

    The host itself is not touched. On a terminal it asks; elsewhere it takes --yes. With --force a host that is gone for good (Down
    or Suspect) is removed with the records of its systems, after its name was typed; their machines and disks are not touched.
    """

    noun = "host"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--force", action="store_true", help="forget a host that is gone for good, and all its systems"
        )
        return parser

    def find(self, name: str) -> dict[str, Any]:
        """Reads the host."""
        return find_host(self.client, name)

    def approve(self, found: list[dict[str, Any]], parsed_args: argparse.Namespace) -> None:
        """Asks once for all; with --force, for the name of each, once it was said what goes with it."""
        if parsed_args.force:
            for host in found:
                systems = self._forget(host, dry_run=True).body.get("Systems") or []
                names = ", ".join(str(system.get("Name")) for system in systems) or "no systems"
                confirm_name(
                    self.app, f"This forgets the host and {names}.", str(host.get("Name")), yes=parsed_args.yes
                )
            return
        super().approve(found, parsed_args)

    def start(self, found: dict[str, Any], parsed_args: argparse.Namespace) -> Reply:
        """Deletes it."""
        if parsed_args.force:
            reply = self._forget(found, dry_run=False)
            found["Forgotten"] = [system.get("Name") for system in reply.body.get("Systems") or []]
            return reply
        return super().start(found, parsed_args)

    def row(self, found: dict[str, Any]) -> Sequence[Any]:
        """That it is gone, and what went with it."""
        forgotten = found.get("Forgotten")
        result = f"removed, forgotten: {', '.join(forgotten)}" if forgotten else "removed"
        return found.get("Name"), found.get("Id"), result

    def _forget(self, host: dict[str, Any], *, dry_run: bool) -> Reply:
        address = f"{host['@odata.id']}/Actions/HawkFishHost.Forget"
        return self.client.post(address, {"Name": host.get("Name"), "DryRun": dry_run})
