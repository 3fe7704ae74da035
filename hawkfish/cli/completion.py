"""Completion of command lines in a shell."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import shtab

from hawkfish.cli.base import BaseCommand
from hawkfish.cli.help import summary_of

if TYPE_CHECKING:
    from hawkfish.cli.main import HawkFishApp


class Completion(BaseCommand):
    """Print a script that completes commands and options in bash, zsh, fish, tcsh or PowerShell.

    Commands of the plugins that are installed now are part of it.
    """

    epilog = 'Example, for this shell only: eval "$(hawkfish completion bash)"'

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("shell", choices=shtab.SUPPORTED_SHELLS, help="the shell that will read it")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Writes the script."""
        self.app.manager.load_plugin_commands()
        self.app.stdout.write(shtab.complete(whole_parser(self.app), parsed_args.shell))


def whole_parser(app: HawkFishApp) -> argparse.ArgumentParser:
    """One parser with every command below it, a level for each word; a command line itself is parsed by one command's alone."""
    tree: dict[str, argparse.ArgumentParser] = {"": app.parser}
    branches: dict[str, argparse._SubParsersAction[argparse.ArgumentParser]] = {}
    for words, entry in app.manager:
        parts = words.split()
        for depth, word in enumerate(parts):
            above, path = " ".join(parts[:depth]), " ".join(parts[: depth + 1])
            if path in tree:
                continue
            if above not in branches:
                branches[above] = tree[above].add_subparsers(metavar="COMMAND")
            branch = branches[above]
            summary = summary_of(entry) if path == words else f"commands of {path}"
            tree[path] = branch.add_parser(word, help=summary)
            if path in app.manager.commands and (own := _own_parser(app, path)) is not None:
                tree[path] = branch.choices[word] = own
    return tree[""]


def _own_parser(app: HawkFishApp, words: str) -> argparse.ArgumentParser | None:
    try:
        found = app.manager.commands[words].load()
        return found(app, None).get_parser(f"{app.NAME} {words}")
    except Exception as error:  # noqa: BLE001  one command that cannot be loaded must not take the others away
        app.warn(f"the options of {words!r} are left out: {error}")
        return None
