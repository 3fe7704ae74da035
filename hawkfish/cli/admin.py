"""Administration of this machine's installation; talks to the database, not to the service."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hawkfish.cli.base import ShowCommand
from hawkfish.cli.errors import ExitCode
from hawkfish.cli.output import YesNo

if TYPE_CHECKING:
    from hawkfish.config import Settings

COLUMNS = ("Database", "Found", "Needed", "Up To Date")


class DatabaseCommand(ShowCommand):
    """A command on the schema of the database."""

    code = ExitCode.OK

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds --data-dir."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--data-dir", metavar="DIR", help="data directory of the installation (HF_DATA_DIR)")
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Runs the command and says by its exit code whether the schema is as it should be."""
        super().run(parsed_args)
        return self.code

    def work(self, parsed_args: argparse.Namespace, *, upgrade: bool) -> tuple[Sequence[str], Sequence[Any]]:
        """Upgrades if told so, and compares."""
        from hawkfish.config import load_settings
        from hawkfish.db.database import Database

        settings = load_settings(data_dir=parsed_args.data_dir)
        database = Database(settings.database_url)
        try:
            shown = database.url.render_as_string(hide_password=True)
            if not upgrade and database.is_sqlite and not database.path.exists():
                # To connect would make an empty file.
                self.code = ExitCode.FAILED
                return COLUMNS, (shown, "(no database)", "", YesNo(False))
            if upgrade:
                database.upgrade()
            status = database.check()
        finally:
            database.close()
        if upgrade:
            self._ensure_administrator(settings)
        self.code = ExitCode.OK if status.ok else ExitCode.FAILED
        return COLUMNS, (shown, status.found or "(empty)", status.needed, YesNo(status.ok))

    def _ensure_administrator(self, settings: Settings) -> None:
        """Whoever starts API and worker apart, never by `serve`, needs an account to log in with, too."""
        from hawkfish.bootstrap import Application

        application = Application.open(settings)
        try:
            made = application.accounts.ensure_administrator(settings.admin_password)
        finally:
            application.close()
        if made is not None:
            self.app.note(f"The account {made.user_name} was made with the password {made.password}; it is shown once.")


class UpgradeDatabase(DatabaseCommand):
    """Bring the schema of the database to what this version needs.

    It also makes the account admin where there is none, with the password in HF_ADMIN_PASSWORD, else with a random one that it shows
    once. Stop the service first when the version changes. Run twice, it does nothing the second time.
    """

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Upgrades."""
        return self.work(parsed_args, upgrade=True)


class CheckDatabase(DatabaseCommand):
    """Say whether the schema of the database is what this version needs; the exit code is 1 if not."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Compares."""
        return self.work(parsed_args, upgrade=False)
