"""Commands on several things by name: each is tried, and each failure is one line."""

from __future__ import annotations

import argparse
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from hawkfish.cli.base import ListCommand, add_wait_options
from hawkfish.cli.client import Reply
from hawkfish.cli.errors import CommandError, ExitCode, one_line
from hawkfish.cli.following import follow
from hawkfish.cli.tables import TASK_COLUMNS, task_row


class EachCommand(ListCommand):
    """A command that starts work on each thing that is named.

    All are started before the first is waited for. What one refuses does not keep the others from being done; the exit
    code is that of the first failure.

    Attributes:
        noun: What is named, for help.
    """

    noun = "system"
    code: ExitCode = ExitCode.OK

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("names", nargs="+", metavar="NAME", help=f"name or UUID of a {self.noun}")
        add_wait_options(parser)
        return parser

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """Columns of what is shown when the work is done."""

    @abstractmethod
    def find(self, name: str) -> dict[str, Any]:
        """Reads the thing of that name."""

    @abstractmethod
    def start(self, found: dict[str, Any], parsed_args: argparse.Namespace) -> Reply:
        """Starts the work."""

    @abstractmethod
    def row(self, found: dict[str, Any]) -> Sequence[Any]:
        """What is shown of a thing when its work is done."""

    def approve(self, found: list[dict[str, Any]], parsed_args: argparse.Namespace) -> None:
        """Asks before the work, where that is called for."""

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Runs the command and shows what was done."""
        super().run(parsed_args)
        return self.code

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], list[Sequence[Any]]]:
        """Does it."""
        failures: list[CommandError] = []
        found = _collect([(name, lambda name=name: self.find(name)) for name in parsed_args.names], failures)  # type: ignore[misc]
        if found:
            self.approve([item for _, item in found], parsed_args)
        started = _collect(
            [(name, lambda item=item: (item, self.start(item, parsed_args))) for name, item in found],  # type: ignore[misc]
            failures,
        )
        if parsed_args.wait:
            columns, done = self.columns, _collect([(name, self._finish(*pair, parsed_args)) for name, pair in started], failures)
            rows = [row for _, row in done]
        else:
            columns, rows = TASK_COLUMNS, [task_row(reply.body) for _, (_, reply) in started if reply.accepted]
            for name, (_, reply) in started:
                if not reply.accepted:
                    self.app.note(f"{name}: there was nothing left to do")
        return columns, self._report(rows, failures)

    def _finish(self, found: dict[str, Any], reply: Reply, parsed_args: argparse.Namespace) -> Any:
        def finish() -> Sequence[Any]:
            follow(self.app, reply, timeout=parsed_args.timeout)
            return self.row(found)

        return finish

    def _report(self, rows: list[Sequence[Any]], failures: list[CommandError]) -> list[Sequence[Any]]:
        if failures:
            self.code = failures[0].code
            if not rows:
                for failure in failures[1:]:
                    self.app.complain(failure)
                raise failures[0]
            for failure in failures:
                self.app.complain(failure)
        return rows


def _collect(work: list[tuple[str, Any]], failures: list[CommandError]) -> list[tuple[str, Any]]:
    """Runs each piece of work; what fails is kept with its name, and Ctrl-C or a service that is away ends it all."""
    done = []
    for name, piece in work:
        try:
            done.append((name, piece()))
        except CommandError as error:
            if error.code in {ExitCode.INTERRUPTED, ExitCode.UNREACHABLE}:
                raise
            text = one_line(error)
            failures.append(error if name in text or len(work) == 1 else CommandError(f"{name}: {text}", error.code))
    return done
