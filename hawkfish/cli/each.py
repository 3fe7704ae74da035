"""Commands on several things by name: each is tried, and each failure is one line."""

from __future__ import annotations

import argparse
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from hawkfish.cli.base import ListCommand, add_wait_options, confirm
from hawkfish.cli.errors import CommandError, ExitCode
from hawkfish.cli.following import follow
from hawkfish.cli.tables import TASK_COLUMNS, task_row

if TYPE_CHECKING:
    from hawkfish.cli.client import Reply

Item = TypeVar("Item")
Done = TypeVar("Done")


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
        found = _each(parsed_args.names, lambda name: (name, self.find(name)), failures)
        if found:
            self.approve([thing for _, thing in found], parsed_args)
        started = _each(found, lambda item: (*item, self.start(item[1], parsed_args)), failures)
        if not parsed_args.wait:
            for name, _, reply in started:
                if not reply.accepted:
                    self.app.note(f"{name}: there was nothing left to do")
            return TASK_COLUMNS, self._report(
                [task_row(item[2].body) for item in started if item[2].accepted], failures
            )

        def finish(item: tuple[str, dict[str, Any], Reply]) -> Sequence[Any]:
            follow(self.app, item[2], timeout=parsed_args.timeout)
            return self.row(item[1])

        return self.columns, self._report(_each(started, finish, failures), failures)

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


class RemoveCommand(EachCommand):
    """A command that removes each thing that is named, after asking once for all.

    Attributes:
        name_property: The property that people call it by.
    """

    name_property = "Name"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
        return parser

    @property
    def columns(self) -> tuple[str, ...]:
        """What is shown."""
        return ("Name", "ID", "Result")

    def approve(self, found: list[dict[str, Any]], parsed_args: argparse.Namespace) -> None:
        """Asks once for all."""
        names = ", ".join(str(thing.get(self.name_property)) for thing in found)
        confirm(self.app, f"Remove {names}?", yes=parsed_args.yes)

    def start(self, found: dict[str, Any], parsed_args: argparse.Namespace) -> Reply:
        """Deletes it."""
        return self.client.delete(str(found["@odata.id"]), wait=parsed_args.wait)

    def row(self, found: dict[str, Any]) -> Sequence[Any]:
        """That it is gone."""
        return found.get(self.name_property), found.get("Id"), "removed"


def _each(items: Iterable[Item], work: Callable[[Item], Done], failures: list[CommandError]) -> list[Done]:
    """Works on each; what fails is kept apart, and Ctrl-C or a service that is away ends it all."""
    done = []
    for item in items:
        try:
            done.append(work(item))
        except CommandError as error:
            if error.code in {ExitCode.INTERRUPTED, ExitCode.UNREACHABLE}:
                raise
            failures.append(error)
    return done
