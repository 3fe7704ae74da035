"""Storage pools: where the disks of systems are."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hawkfish.cli.base import ListCommand, ShowCommand
from hawkfish.cli.errors import CommandError, ExitCode
from hawkfish.cli.tables import POOL_COLUMNS, pool_row

if TYPE_CHECKING:
    from hawkfish.cli.client import Client

POOLS = "/redfish/v1/Oem/HawkFish/Storage/Pools"


def find_pool(client: Client, name: str) -> dict[str, Any]:
    """Reads a pool by its name or id.

    Raises:
        CommandError: There is none.
    """
    for pool in client.members(POOLS):
        if name.lower() in {str(pool.get("Name")).lower(), pool.get("Id")}:
            return pool
    raise CommandError(f"There is no storage pool {name}; see `hawkfish pools ls`.", ExitCode.NOT_FOUND)


class ListPools(ListCommand):
    """List the storage pools, with their sizes on each host."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], list[Sequence[Any]]]:  # noqa: ARG002  cliff's form
        """Gives a row for each."""
        return POOL_COLUMNS, [pool_row(pool) for pool in self.client.members(POOLS)]


class SetPool(ShowCommand):
    """Change how much of a storage pool may be given to volumes."""

    epilog = "Example: hawkfish pools set local --overcommit 20"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="name or id")
        parser.add_argument(
            "--overcommit",
            type=float,
            required=True,
            metavar="RATIO",
            help="bytes given to volumes for each byte that there is; more than 1 is for thin volumes",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Sends it."""
        pool = find_pool(self.client, parsed_args.name)
        reply = self.client.patch(str(pool["@odata.id"]), {"Overcommit": parsed_args.overcommit})
        return POOL_COLUMNS, pool_row(reply.body)
