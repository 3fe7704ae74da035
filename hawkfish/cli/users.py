"""Accounts: who may log in, and what each may do."""

from __future__ import annotations

import argparse
import getpass
import secrets
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hawkfish.cli.base import BaseCommand, ListCommand, ShowCommand
from hawkfish.cli.each import RemoveCommand
from hawkfish.cli.errors import CommandError, ExitCode
from hawkfish.cli.output import YesNo

if TYPE_CHECKING:
    from hawkfish.cli.client import Client
    from hawkfish.cli.main import HawkFishApp

ACCOUNTS = "/redfish/v1/AccountService/Accounts"
ROLES = ("Administrator", "Operator", "ReadOnly")
USER_COLUMNS = ("Name", "ID", "Role", "Enabled", "Locked", "Must Change Password")
GENERATED_BYTES = 18


def user_row(account: Mapping[str, Any]) -> tuple[Any, ...]:
    """Values of USER_COLUMNS."""
    return (
        account.get("UserName"),
        account.get("Id"),
        account.get("RoleId"),
        YesNo(bool(account.get("Enabled", True))),
        YesNo(bool(account.get("Locked", False))),
        YesNo(bool(account.get("PasswordChangeRequired", False))),
    )


def find_user(client: Client, name: str) -> dict[str, Any]:
    """Reads an account by its user name or id.

    Raises:
        CommandError: There is none that the caller may see.
    """
    for account in client.members(ACCOUNTS):
        if name in {account.get("UserName"), account.get("Id")}:
            return account
    raise CommandError(
        f"There is no user {name}; `hawkfish users ls` shows those that you may see.", ExitCode.NOT_FOUND
    )


def add_password_options(parser: argparse.ArgumentParser) -> None:
    """Adds the ways to give a password. It is never an argument, since arguments are seen by all."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    group.add_argument("--generate", action="store_true", help="make a random password, and show it once")


def read_password(app: HawkFishApp, parsed_args: argparse.Namespace, user_name: str) -> str:
    """The new password: made, read from standard input, or asked for twice.

    Raises:
        CommandError: It is empty, was not typed alike twice, or there is nobody to ask.
    """
    if parsed_args.generate:
        return secrets.token_urlsafe(GENERATED_BYTES)
    if parsed_args.password_stdin:
        password = app.stdin.readline().rstrip("\r\n")
    elif app.stdin.isatty():
        password = getpass.getpass(f"New password of {user_name}: ")
        if password and getpass.getpass("The same again: ") != password:
            raise CommandError("The two passwords differ; nothing was done.", ExitCode.USAGE)
    else:
        raise CommandError(
            "There is no terminal to ask for the password: use --password-stdin or --generate.", ExitCode.USAGE
        )
    if not password:
        raise CommandError("The password is empty.", ExitCode.USAGE)
    return password


class ListUsers(ListCommand):
    """List the users that you may see: all of them as Administrator, else yourself."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], list[Sequence[Any]]]:  # noqa: ARG002  cliff's form
        """Gives a row for each."""
        return USER_COLUMNS, [user_row(account) for account in self.client.members(ACCOUNTS)]


class ShowUser(ShowCommand):
    """Show a user."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="user name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Gives the user's properties."""
        return USER_COLUMNS, user_row(find_user(self.client, parsed_args.name))


class CreateUser(ShowCommand):
    """Create a user.

    The password is asked for twice, or read from standard input with --password-stdin, or made with --generate and shown once.
    """

    epilog = "Example: hawkfish users create ci --role Operator --generate"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="name to log in with")
        parser.add_argument("--role", choices=ROLES, default="ReadOnly", help="default ReadOnly")
        parser.add_argument("--disabled", action="store_true", help="the user cannot log in until enabled")
        parser.add_argument(
            "--must-change-password",
            action="store_true",
            help="the user has to change the password before anything else",
        )
        add_password_options(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Makes the account."""
        password = read_password(self.app, parsed_args, parsed_args.name)
        body: dict[str, Any] = {"UserName": parsed_args.name, "Password": password, "RoleId": parsed_args.role}
        if parsed_args.disabled:
            body["Enabled"] = False
        if parsed_args.must_change_password:
            body["PasswordChangeRequired"] = True
        made = self.client.post(ACCOUNTS, body).body
        if parsed_args.generate:
            return (*USER_COLUMNS, "Password"), (*user_row(made), password)
        return USER_COLUMNS, user_row(made)


class SetUser(ShowCommand):
    """Change a user: name, role, enabled or disabled, unlocked."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="user name or id")
        parser.add_argument("--name", dest="new_name", metavar="NEW", help="another name to log in with")
        parser.add_argument("--role", choices=ROLES)
        state = parser.add_mutually_exclusive_group()
        state.add_argument("--enable", dest="enabled", action="store_true", default=None)
        state.add_argument(
            "--disable", dest="enabled", action="store_false", default=None, help="ends the sessions too"
        )
        parser.add_argument("--unlock", action="store_true", help="after too many wrong passwords")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Sends what is to change."""
        given = {
            "UserName": parsed_args.new_name,
            "RoleId": parsed_args.role,
            "Enabled": parsed_args.enabled,
            "Locked": False if parsed_args.unlock else None,
        }
        body = {key: value for key, value in given.items() if value is not None}
        if not body:
            raise CommandError("Nothing is to be changed; name at least one property.", ExitCode.USAGE)
        found = find_user(self.client, parsed_args.name)
        return USER_COLUMNS, user_row(self.client.patch(str(found["@odata.id"]), body).body)


class SetPassword(BaseCommand):
    """Change a user's password: your own, or as Administrator anybody's.

    Other sessions of that user end.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="user name or id")
        add_password_options(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Sends the new password."""
        found = find_user(self.client, parsed_args.name)
        password = read_password(self.app, parsed_args, parsed_args.name)
        self.client.patch(str(found["@odata.id"]), {"Password": password})
        if parsed_args.generate:
            self.app.stdout.write(f"{password}\n")
        self.app.note(f"The password of {found.get('UserName')} is changed.")


class RemoveUsers(RemoveCommand):
    """Remove users; their sessions end.

    On a terminal it asks; elsewhere it takes --yes.
    """

    noun = "user"
    name_property = "UserName"

    def find(self, name: str) -> dict[str, Any]:
        """Reads the account."""
        return find_user(self.client, name)
