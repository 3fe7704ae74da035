"""Logging in and out."""

from __future__ import annotations

import argparse
import getpass
import os
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from hawkfish.cli.base import BaseCommand, ShowCommand
from hawkfish.cli.contexts import Context, ContextStore
from hawkfish.cli.errors import CommandError, ExitCode
from hawkfish.cli.target import Credentials, Target, find_target, given_password

DEFAULT_USER = "admin"
CONTEXT_COLUMNS = ("Context", "URL", "User", "CA File")


class Login(ShowCommand):
    """Log in, and keep the session as a context for the commands that follow.

    The password is asked for, or read from standard input with --password-stdin, or taken from HF_PASSWORD; it is never an
    argument, since arguments are seen by all. It is not kept: the context holds the token of the session.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--username", metavar="NAME", help="default HF_USERNAME, else the name used before, else admin"
        )
        parser.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
        parser.add_argument(
            "--name", metavar="CONTEXT", help="name of the context; default the host and port of the service"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Makes the session and keeps it."""
        from hawkfish.cli.client import Client

        target = find_target(self.app.options)
        credentials = self._ask(target, parsed_args)
        # Credentials of the environment are for commands without a session; here they are used at most once.
        with Client(replace(target, context=None, credentials=None), transport=self.app.transport) as client:
            reply = client.log_in(credentials)
            token = client.token
        if not token:
            raise CommandError(f"{target.url} made a session and gave no token for it; is it a Redfish service?")
        for message in reply.body.get("@Message.ExtendedInfo") or []:
            self.app.warn(str(message.get("Message", "")))
        context = Context(
            name=parsed_args.name or (target.context.name if target.context else urlsplit(target.url).netloc),
            url=target.url,
            ca_file=str(target.ca_file) if target.ca_file else None,
            user_name=credentials.user_name,
            token=token,
            session=reply.location,
        )
        with ContextStore().changing() as change:
            change.contexts = change.contexts.with_context(context, use=True)
        return CONTEXT_COLUMNS, (context.name, context.url, context.user_name, context.ca_file or "")

    def _ask(self, target: Target, parsed_args: argparse.Namespace) -> Credentials:
        user_name = parsed_args.username or os.environ.get("HF_USERNAME") or target.user_name or DEFAULT_USER
        if parsed_args.password_stdin:
            password = self.app.stdin.readline().rstrip("\r\n")
        elif in_environment := given_password(user_name):
            password = in_environment
        elif self.app.stdin.isatty():
            password = getpass.getpass(f"Password of {user_name} at {target.url}: ")
        else:
            raise CommandError(
                "There is no terminal to ask for the password: use --password-stdin, or set HF_PASSWORD.",
                ExitCode.USAGE,
            )
        if not password:
            raise CommandError("The password is empty.", ExitCode.USAGE)
        return Credentials(user_name=user_name, password=password)


class Logout(BaseCommand):
    """End the session of the context in use, or of --context.

    The context itself stays; `hawkfish context rm` removes it.
    """

    def take_action(self, parsed_args: argparse.Namespace) -> None:  # noqa: ARG002  cliff's form
        """Ends the session and forgets its token."""
        from hawkfish.cli.client import Client

        target = find_target(self.app.options)
        context = target.context
        if context is None or not context.token:
            raise CommandError(f"There is no session at {target.url}.", ExitCode.NOT_ALLOWED)
        # The token is forgotten first: whatever the service answers, it is not used again.
        with ContextStore().changing() as change:
            change.contexts = change.contexts.with_context(replace(context, token="", session=""))
        with Client(replace(target, credentials=None), transport=self.app.transport) as client:
            if context.session:
                answer = client.send("DELETE", context.session)
                if answer.status_code not in {200, 204, 401, 404}:
                    raise CommandError(f"{target.url} did not end the session: HTTP {answer.status_code}.")
        self.app.note(f"The session of {context.user_name} at {context.url} has ended.")
