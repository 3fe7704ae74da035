"""The audit trail."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from hawkfish.cli.base import ListCommand, number_of_rows
from hawkfish.cli.output import Pairs

AUDIT = "/redfish/v1/Oem/HawkFish/Audit"
AUDIT_COLUMNS = ("ID", "At", "User", "Verb", "Subject", "Outcome", "Address", "Details")
SHOWN = 50


def audit_row(record: Mapping[str, Any]) -> tuple[Any, ...]:
    """Values of AUDIT_COLUMNS."""
    return (
        record.get("Id"),
        record.get("At"),
        record.get("UserName"),
        record.get("Verb"),
        record.get("Subject"),
        record.get("Outcome"),
        record.get("Address") or "",
        Pairs({item["Name"]: item["Value"] for item in record.get("Details") or []}),
    )


class ListAudit(ListCommand):
    """List who did what, the newest first, refusals included; for administrators."""

    epilog = "Example: hawkfish audit ls --outcome denied --limit 20"
    worth = ("ID", "At", "User", "Verb", "Outcome", "Subject", "Details", "Address")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the options."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--user", dest="UserName", metavar="NAME", help="only what this user did")
        parser.add_argument("--verb", dest="Verb", metavar="VERB", help="such as systems.create")
        parser.add_argument("--subject", dest="Subject", metavar="KIND:ID", help="such as system:<uuid>")
        parser.add_argument("--outcome", dest="Outcome", choices=("allowed", "denied", "failed"))
        parser.add_argument(
            "--request",
            dest="RequestId",
            metavar="ID",
            help="what one request did, by the id in the log and in X-Request-Id",
        )
        parser.add_argument(
            "--limit", type=number_of_rows, default=SHOWN, metavar="N", help=f"at most N (default {SHOWN})"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], list[Sequence[Any]]]:
        """Gives a row for each record."""
        given = {name: getattr(parsed_args, name) for name in ("UserName", "Verb", "Subject", "Outcome", "RequestId")}
        conditions = [f"{name} eq {_quoted(value)}" for name, value in given.items() if value is not None]
        parameters = {"$top": str(parsed_args.limit), "$expand": "."}
        if conditions:
            parameters["$filter"] = " and ".join(conditions)
        page = self.client.get(AUDIT, **parameters)
        return AUDIT_COLUMNS, [audit_row(record) for record in page.get("Members") or []]


def _quoted(text: str) -> str:
    """A string of $filter, whose quotes are doubled within."""
    return "'" + text.replace("'", "''") + "'"
