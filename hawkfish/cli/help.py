"""Help: the list of commands, one command, and topics."""

from __future__ import annotations

import argparse
import inspect
from typing import TYPE_CHECKING, Any

from cliff.command import Command

from hawkfish.cli.base import BaseCommand
from hawkfish.cli.errors import MEANINGS, one_line
from hawkfish.cli.manager import LazyCommandManager

if TYPE_CHECKING:
    from hawkfish.cli.main import HawkFishApp

EPILOG = """\
The service is found by --url or --context, else HF_URL, else the context in use, else the service that runs on this machine.
HF_USERNAME and HF_PASSWORD log in without `hawkfish login`; HF_CA_FILE names the CA to trust.
`hawkfish help COMMAND` explains a command, `hawkfish help exit-codes` the exit codes."""


def exit_codes() -> str:
    """The table of exit codes, as text."""
    return "Exit codes:\n" + "".join(f"  {int(code):>3}  {meaning}\n" for code, meaning in MEANINGS.items())


def summary_of(entry: Any) -> str:
    """The line about a command: its record's, or the first of its class's docstring."""
    if hasattr(entry, "summary"):
        return str(entry.summary).rstrip(".")
    try:
        text = inspect.getdoc(entry.load()) or ""
    except Exception as error:  # noqa: BLE001  one command that cannot be imported must not take help away
        return f"(cannot be loaded: {one_line(error)})"
    return text.split("\n", 1)[0].rstrip(".")


def list_commands(manager: LazyCommandManager, within: list[str] | None = None) -> str:
    """The commands, grouped by their first word."""
    names = manager.below(within) if within else [name for name, _ in manager]
    width = max(len(name) for name in names)
    groups: dict[str, list[str]] = {}
    for name in names:
        noun, space, _ = name.partition(" ")
        groups.setdefault(noun if space else "", []).append(
            f"  {name:<{width}}  {summary_of(manager.commands[name])}\n"
        )
    # What stands alone comes last, as one group.
    ordered = sorted(groups.items(), key=lambda group: (group[0] == "", group[0]))
    return "\n".join("".join(lines) for _, lines in ordered)


def write_overview(app: HawkFishApp) -> None:
    """Writes what `hawkfish --help` shows."""
    app.manager.load_plugin_commands()
    app.stdout.write(f"{app.parser.format_help()}\nCommands:\n{list_commands(app.manager)}\n{EPILOG}\n")


class Help(BaseCommand):
    """Explain a command or a topic.

    Topics: exit-codes.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "words", nargs="*", metavar="COMMAND", help="a command, the first words of some, or a topic"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Writes the help."""
        words: list[str] = parsed_args.words
        manager = self.app.manager
        if not words:
            write_overview(self.app)
        elif words == ["exit-codes"]:
            self.app.stdout.write(exit_codes())
        else:
            manager.load_plugin_commands()
            known = manager.below(words)
            if known and " ".join(words) not in manager.commands:
                self.app.stdout.write(f"Commands:\n{list_commands(manager, words)}")
                return
            found, name, _ = manager.find_command(words)
            command: Command = found(self.app, self.app_args)
            self.app.stdout.write(command.get_parser(f"hawkfish {name}").format_help())
