"""What commands have in common."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, ClassVar

from cliff.command import Command
from cliff.formatters.base import ListFormatter, SingleFormatter
from cliff.lister import Lister
from cliff.show import ShowOne
from stevedore.extension import Extension, ExtensionManager

from hawkfish.cli.errors import CommandError, ExitCode
from hawkfish.cli.fitting import FittingTable
from hawkfish.cli.output import CsvOne

if TYPE_CHECKING:
    from hawkfish.cli.client import Client
    from hawkfish.cli.main import HawkFishApp

MOST_ROWS = 1000


class BaseCommand(Command):
    """A command that prints nothing of its own, or writes a file."""

    app: HawkFishApp
    epilog: ClassVar[str] = ""

    def get_epilog(self) -> str:
        """What help says at the end. cliff would look for the distribution of the class, which takes long."""
        return self.epilog

    @property
    def client(self) -> Client:
        """The way to the service."""
        return self.app.client


class DisplayCommand(BaseCommand):
    """A command that gives data; cliff prints it."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Makes tables fit a terminal; a file or a pipe gets them whole."""
        parser = super().get_parser(prog_name)
        parser.set_defaults(fit_width=self.app.stdout.isatty())
        return parser


class ListCommand(DisplayCommand, Lister):
    """A command that gives rows."""

    worth: ClassVar[tuple[str, ...]] = ()
    """Its columns by what they are worth, for what tells what happened; see `FittingTable`."""

    def _load_formatter_plugins(self) -> ExtensionManager[ListFormatter]:
        manager = super()._load_formatter_plugins()
        ours: Extension[ListFormatter] = Extension("table", None, FittingTable, FittingTable(self.worth))  # type: ignore[arg-type]  # no entry point
        manager.extensions = [ours if found.name == "table" else found for found in manager.extensions]
        return manager


class ShowCommand(DisplayCommand, ShowOne):
    """A command that gives one thing with its properties."""

    def _load_formatter_plugins(self) -> ExtensionManager[SingleFormatter]:
        manager = super()._load_formatter_plugins()
        found = Extension("csv", None, CsvOne, CsvOne())  # type: ignore[arg-type]  # it is ours, and no entry point's
        manager.extensions.append(found)  # type: ignore[arg-type]  # the manager reads it by its base class
        return manager


def add_wait_options(parser: argparse.ArgumentParser) -> None:
    """Adds --wait, --no-wait and --timeout to a command that starts work."""
    group = parser.add_argument_group("waiting")
    choice = group.add_mutually_exclusive_group()
    choice.add_argument(
        "--wait", dest="wait", action="store_true", default=True, help="follow the work to its end (default)"
    )
    choice.add_argument(
        "--no-wait", dest="wait", action="store_false", help="print the task and return as soon as it is accepted"
    )
    group.add_argument(
        "--timeout", type=seconds, metavar="SECONDS", help="wait no longer; the work goes on (exit code 7)"
    )


def seconds(text: str) -> float:
    """A positive number of seconds, for argparse."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number of seconds")
    return value


def number_of_rows(text: str) -> int:
    """How many records or events are asked for, for argparse."""
    value = int(text) if text.isascii() and text.isdecimal() and len(text) <= len(str(MOST_ROWS)) else 0
    if not 1 <= value <= MOST_ROWS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {MOST_ROWS}")
    return value


def confirm(app: HawkFishApp, question: str, *, yes: bool) -> None:
    """Asks before something is destroyed.

    Raises:
        CommandError: The answer is no, or there is nobody to ask.
    """
    if yes:
        return
    if not (app.stdin.isatty() and app.stderr.isatty()):
        raise CommandError(f"{question} Nobody can be asked here: repeat the command with --yes.", ExitCode.USAGE)
    app.stderr.write(f"{question} [y/N] ")
    app.stderr.flush()
    if app.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise CommandError("Nothing was done.", ExitCode.FAILED)


def confirm_name(app: HawkFishApp, warning: str, name: str, *, yes: bool) -> None:
    """Has the name of a thing typed before what cannot be taken back.

    Raises:
        CommandError: Another name was typed, or there is nobody to ask.
    """
    if yes:
        return
    if not (app.stdin.isatty() and app.stderr.isatty()):
        raise CommandError(f"{warning} Nobody can be asked here: repeat the command with --yes.", ExitCode.USAGE)
    app.stderr.write(f"{warning} Type its name, {name}, to go on: ")
    app.stderr.flush()
    if app.stdin.readline().strip() != name:
        raise CommandError("Nothing was done.", ExitCode.FAILED)
