"""Events: what has just happened, and what happens now."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hawkfish.cli.base import BaseCommand, ListCommand, number_of_rows
from hawkfish.cli.errors import CommandError, ExitCode, one_line

if TYPE_CHECKING:
    from hawkfish.cli.client import Client

STREAM = "/redfish/v1/EventService/SSE"
EVENT_COLUMNS = ("ID", "At", "Severity", "Message ID", "Origin", "User", "Message")
SHOWN = 50
QUIET_SECONDS = 1.0  # after what has happened comes what happens now, and that is not listed
PAUSE_SECONDS = 1.0
OWN = ("StreamOpened",)
STYLES = {"OK": "green", "Warning": "yellow", "Critical": "bold red"}


def read_frames(lines: Iterator[str]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The ids of a stream's events with their records."""
    identity = ""
    for line in lines:
        if line.startswith("id: "):
            identity = line.removeprefix("id: ")
        elif line.startswith("data: "):
            yield identity, list(json.loads(line.removeprefix("data: ")).get("Events") or [])


def is_own(record: Mapping[str, Any]) -> bool:
    """Whether a record speaks of the stream only."""
    return str(record.get("MessageId", "")).rpartition(".")[2] in OWN


def event_row(identity: str, record: Mapping[str, Any]) -> tuple[Any, ...]:
    """Values of EVENT_COLUMNS."""
    return (
        identity,
        record.get("EventTimestamp"),
        record.get("MessageSeverity"),
        record.get("MessageId"),
        (record.get("OriginOfCondition") or {}).get("@odata.id", ""),
        record.get("Username") or "",
        record.get("Message"),
    )


def add_filter_options(parser: argparse.ArgumentParser) -> None:
    """Adds what chooses events."""
    parser.add_argument("--registry", metavar="NAME", help="only messages of this registry, such as ResourceEvent")
    parser.add_argument("--type", metavar="TYPE", help="only events of such resources, such as ComputerSystem")
    parser.add_argument("--origin", metavar="ADDRESS", help="only events of the resource at this address")
    parser.add_argument("--message", metavar="ID", help="only this message, such as ResourceEvent.ResourceCreated")


def filter_of(parsed_args: argparse.Namespace) -> dict[str, str]:
    """The same as a parameter of the stream."""
    given = {
        "RegistryPrefix": parsed_args.registry,
        "ResourceType": parsed_args.type,
        "OriginResource": parsed_args.origin,
        "MessageId": parsed_args.message,
    }
    conditions = [f"{name} eq '" + value.replace("'", "''") + "'" for name, value in given.items() if value is not None]
    return {"$filter": " and ".join(conditions)} if conditions else {}


class ListEvents(ListCommand):
    """List what has happened last, the newest last."""

    epilog = "Example: hawkfish events ls --type ComputerSystem --last 200"
    worth = ("ID", "At", "Message ID", "Message", "Origin", "Severity", "User")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the options."""
        parser = super().get_parser(prog_name)
        add_filter_options(parser)
        parser.add_argument(
            "--last",
            type=number_of_rows,
            default=SHOWN,
            metavar="N",
            help=f"look at the last N events of all (default {SHOWN})",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], list[Sequence[Any]]]:
        """Gives a row for each event."""
        newest = _newest(self.client)
        rows: list[Sequence[Any]] = []
        lines = self.client.stream(
            STREAM, filter_of(parsed_args), after=str(max(newest - parsed_args.last, 0)), quiet=QUIET_SECONDS
        )
        try:
            for identity, records in read_frames(lines):
                if int(identity) > newest:
                    break
                rows += [event_row(identity, record) for record in records if not is_own(record)]
                if int(identity) == newest and rows and rows[-1][0] == identity:
                    break
        except CommandError as error:
            if error.code is not ExitCode.UNREACHABLE:  # which it is when it is quiet: all is told
                raise
        return EVENT_COLUMNS, rows


def _newest(client: Client) -> int:
    for identity, _ in read_frames(client.stream(STREAM)):
        return int(identity)
    raise CommandError("The service ended the stream before it began.", ExitCode.FAILED)


class TailEvents(BaseCommand):
    """Show events as they happen, until Ctrl-C.

    A connection that is lost is made again, and what happened meanwhile is shown. With --json each line is an event as
    Redfish has it, for programs.
    """

    epilog = "Example: hawkfish events tail --registry TaskEvent"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the options."""
        parser = super().get_parser(prog_name)
        add_filter_options(parser)
        parser.add_argument("--after", metavar="ID", help="begin behind this event instead of now")
        parser.add_argument("--count", type=number_of_rows, metavar="N", help="end after N events")
        parser.add_argument("--json", action="store_true", help="print each event as one line of JSON")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Shows them."""
        show = self._printer(as_json=parsed_args.json)
        left = parsed_args.count
        for record in self._records(parsed_args):
            show(record)
            if left is not None:
                left -= 1
                if left == 0:
                    return

    def _records(self, parsed_args: argparse.Namespace) -> Iterator[Mapping[str, Any]]:
        after, began, lost = parsed_args.after, False, False
        while True:
            try:
                for identity, records in read_frames(self.client.stream(STREAM, filter_of(parsed_args), after=after)):
                    if lost:
                        self.app.note("The connection is there again.")
                    after, began, lost = identity, True, False
                    yield from (record for record in records if not is_own(record))
            except CommandError as error:
                if not began or error.code is not ExitCode.UNREACHABLE:
                    raise
            if not lost:  # once, however long the service is away
                self.app.note("The connection was lost; it is tried until the service answers again.")
            lost = True
            time.sleep(PAUSE_SECONDS)

    def _printer(self, *, as_json: bool) -> Any:
        if as_json:
            return lambda record: self._line(json.dumps(record))
        if not self.app.stdout.isatty():
            return lambda record: self._line(" ".join(_words(record)))
        from rich.console import Console
        from rich.text import Text

        console = Console(file=self.app.stdout, highlight=False)

        def show(record: Mapping[str, Any]) -> None:
            at, severity, message, text, origin = _words(record)
            line = Text.assemble((at, "dim"), " ", (f"{severity:8}", STYLES.get(severity, "")), " ")
            line.append(message, "bold").append(f"  {text}").append(f"  {origin}", "dim")
            console.print(line, soft_wrap=True)

        return show

    def _line(self, text: str) -> None:
        self.app.stdout.write(f"{text}\n")
        self.app.stdout.flush()


def _words(record: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    origin = (record.get("OriginOfCondition") or {}).get("@odata.id", "")
    parts = (
        record.get("EventTimestamp"),
        record.get("MessageSeverity"),
        record.get("MessageId"),
        record.get("Message"),
    )
    at, severity, message, text = (one_line(part or "") for part in parts)
    return at, severity, message, text, one_line(origin.removeprefix("/redfish/v1/"))
