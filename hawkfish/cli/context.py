"""Contexts: the services that were logged in to."""

from __future__ import annotations

import argparse
from typing import Any

from hawkfish.cli.base import BaseCommand, ListCommand
from hawkfish.cli.contexts import ContextStore
from hawkfish.cli.output import YesNo


class ListContexts(ListCommand):
    """List the saved contexts."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:  # noqa: ARG002  cliff's form
        """Gives the contexts; tokens are not shown."""
        contexts = ContextStore().load()
        rows = [
            (
                item.name,
                YesNo(item.name == contexts.current),
                item.url,
                item.user_name,
                YesNo(bool(item.token)),
                item.ca_file or "",
            )
            for _, item in sorted(contexts.contexts.items())
        ]
        return ("Name", "In Use", "URL", "User", "Logged In", "CA File"), rows


class UseContext(BaseCommand):
    """Use a saved context for the commands that follow."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Marks it."""
        with ContextStore().changing() as change:
            change.contexts = change.contexts.with_context(change.contexts.get(parsed_args.name), use=True)
        self.app.note(f"Commands talk to {change.contexts.get(parsed_args.name).url} from now on.")


class RemoveContext(BaseCommand):
    """Remove a saved context.

    Its session is not ended; `hawkfish --context NAME logout` does that.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Removes it."""
        with ContextStore().changing() as change:
            change.contexts = change.contexts.without(parsed_args.name)
