"""The command `hawkfish`."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from cliff.app import App

from hawkfish.cli.errors import ExitCode, code_of, one_line
from hawkfish.cli.help import Help, write_overview
from hawkfish.cli.manager import LazyCommandManager

if TYPE_CHECKING:
    import httpx

    from hawkfish.cli.client import Client

DESCRIPTION = "Virtual machines that behave like real servers with a Redfish BMC, on any number of hosts."
SIGPIPE_CODE = 141  # what a shell shows for a process that a closed pipe ended


class HawkFishApp(App):
    """The application: global options, one command, and errors as one line.

    Args:
        transport: How HTTP is spoken; None for the network, else a stand-in of a test.
    """

    NAME = "hawkfish"
    LOG = logging.getLogger("hawkfish.cli")

    def __init__(
        self,
        *,
        stdin: TextIO | None = None,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.manager = LazyCommandManager(self.warn)
        super().__init__(
            DESCRIPTION, _version(), self.manager, stdin=stdin, stdout=stdout, stderr=stderr, deferred_help=True
        )
        self.manager.add_command("help", Help)
        self.transport = transport
        self._client: Client | None = None

    def build_option_parser(
        self, description: str | None, version: str | None, argparse_kwargs: dict[str, object] | None = None
    ) -> argparse.ArgumentParser:
        """Adds the options that every command takes."""
        # An abbreviation would swallow an option of a command that begins alike.
        parser = super().build_option_parser(
            description, version, {"prog": self.NAME, "allow_abbrev": False, **(argparse_kwargs or {})}
        )
        for action in parser._actions:  # noqa: SLF001  cliff takes the name from the first element of sys.argv
            if isinstance(action, argparse._VersionAction):  # noqa: SLF001
                action.version = f"{self.NAME} {version}"
        parser.usage = "hawkfish [OPTIONS] COMMAND [ARGUMENTS]"
        group = parser.add_argument_group("the service")
        place = group.add_mutually_exclusive_group()
        place.add_argument("--url", help="its address, such as https://127.0.0.1:8443")
        place.add_argument("--context", metavar="NAME", help="a context that `hawkfish login` has saved")
        group.add_argument("--ca-file", metavar="FILE", help="PEM certificate of the CA to trust")
        return parser

    @property
    def client(self) -> Client:
        """The way to the service; made when first asked for."""
        if self._client is None:
            from hawkfish.cli.client import Client
            from hawkfish.cli.target import find_target

            self._client = Client(find_target(self.options), transport=self.transport)
        return self._client

    def warn(self, text: str) -> None:
        """One line on stderr that does not end the command."""
        self.stderr.write(f"hawkfish: warning: {one_line(text)}\n")

    def complain(self, error: BaseException) -> None:
        """An error as one line on stderr."""
        self.stderr.write(f"hawkfish: {one_line(error) or type(error).__name__}\n")

    def note(self, text: str) -> None:
        """One line on stderr for people, left out with --quiet."""
        if self.options.verbose_level:
            self.stderr.write(f"{one_line(text)}\n")

    def configure_logging(self) -> None:
        """Sends what libraries log to stderr: warnings, with -v more."""
        super().configure_logging()
        level = logging.DEBUG if self.options.verbose_level > 1 else logging.ERROR
        for handler in logging.getLogger().handlers:
            handler.setLevel(level)

    def run(self, argv: list[str]) -> int:
        """Runs one command line and gives its exit code."""
        self.options, rest = self.parser.parse_known_args(argv)
        try:
            return self._run(rest)
        except (KeyboardInterrupt, EOFError):  # Ctrl-D where something was asked
            self.stderr.write("hawkfish: interrupted\n")
            return ExitCode.INTERRUPTED
        except BrokenPipeError:
            return SIGPIPE_CODE
        except Exception as error:
            if self.options.debug:
                raise
            self.complain(error)
            return code_of(error)
        finally:
            if self._client is not None:
                self._client.close()

    def _run(self, rest: list[str]) -> int:
        if self.options.verbose_level > 1 or self.options.log_file:
            self.configure_logging()
        words = [word for word in rest if not word.startswith("-")]
        if self.options.deferred_help:
            rest = ["help", *(words if not rest or rest[0] != "help" else words[1:])]
        if not rest:
            write_overview(self)
            return ExitCode.OK
        if rest[0].startswith("-"):
            self.parser.error(f"unrecognized arguments: {rest[0]}")
        found, name, arguments = self.manager.find_command(rest)
        command = found(self, self.options)
        parsed = command.get_parser(f"{self.NAME} {name}").parse_intermixed_args(arguments)
        return int(command.run(parsed) or ExitCode.OK)


def _version() -> str:
    from importlib.metadata import version

    return version("hawkfish")


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `hawkfish`.

    Args:
        argv: Arguments without the program's name; default those of the process.

    Returns:
        The exit code, see `hawkfish.cli.errors.ExitCode`.
    """
    # A table piped into `head` ends quietly; Python's own complaint at exit is sent nowhere.
    app = HawkFishApp()
    code = app.run(list(sys.argv[1:] if argv is None else argv))
    if code == SIGPIPE_CODE:
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


if __name__ == "__main__":
    sys.exit(main())
