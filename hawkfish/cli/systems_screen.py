"""What a system shows: its screen and its serial port."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hawkfish.cli.base import BaseCommand, ShowCommand, seconds
from hawkfish.cli.errors import CommandError, ExitCode
from hawkfish.cli.following import follow
from hawkfish.cli.output import Size
from hawkfish.cli.systems import find_system

FOLLOW_PAUSE = 0.5
_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|.)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"
)


class Screenshot(ShowCommand):
    """Take a picture of a system's screen and write it to a file."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="name or UUID")
        parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="default NAME.png in this folder")
        parser.add_argument("--timeout", type=seconds, metavar="SECONDS", help="wait no longer (exit code 7)")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Takes it."""
        system = find_system(self.client, parsed_args.name)
        actions = (system.get("Actions") or {}).get("Oem") or {}
        target = (actions.get("#HawkFishSystem.Screenshot") or {}).get("target")
        if not target:
            raise CommandError(f"The host of the system {system.get('Name')} takes no screenshots.", ExitCode.CONFLICT)
        done = follow(self.app, self.client.post(target, {}), timeout=parsed_args.timeout)
        where = done.body.get("ImageURI")
        if not where:
            raise CommandError(f"The service took a screenshot of {system.get('Name')} and does not say where it is.")
        picture = self.client.request("GET", where, headers={"Accept": "image/*, */*"})
        file = parsed_args.output or Path(f"{system.get('Name')}.png")
        try:
            file.write_bytes(picture.content)
        except OSError as error:
            raise CommandError(f"Cannot write the screenshot to {file}: {error.strerror}.") from error
        media_type = picture.headers.get("Content-Type", "")
        return ("File", "Type", "Size"), (str(file), media_type, Size(len(picture.content)))


class SerialLog(BaseCommand):
    """Print what a system wrote to its serial port.

    With --until it follows the log until the text appears; when --timeout is over first, the exit code is 7.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="name or UUID")
        parser.add_argument("-f", "--follow", action="store_true", help="go on until Ctrl-C")
        parser.add_argument("--until", metavar="TEXT", help="go on until this text appears")
        parser.add_argument("--timeout", type=seconds, metavar="SECONDS", help="follow no longer")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Prints it."""
        system = find_system(self.client, parsed_args.name)
        address = ((system.get("Oem") or {}).get("HawkFish") or {}).get("SerialLogURI")
        if not address:
            raise CommandError(f"The host of the system {system.get('Name')} keeps no serial log.", ExitCode.CONFLICT)
        deadline = time.monotonic() + parsed_args.timeout if parsed_args.timeout else None
        until = parsed_args.until or ""
        tail = ""
        for text in self._pieces(address, follows=bool(parsed_args.follow or until), deadline=deadline):
            self._print(text)
            seen = tail + text
            if until and until in seen:
                return
            tail = seen[-len(until) :] if until else ""
        if until:
            raise CommandError(
                f"{until!r} did not appear on the serial port of {system.get('Name')} within {parsed_args.timeout:g} s.",
                ExitCode.TIMEOUT,
            )

    def _pieces(self, address: str, *, follows: bool, deadline: float | None) -> Iterator[str]:
        """The log, piece by piece; ends at its end, or when following at the deadline."""
        import httpx

        offset = 0
        while True:
            left = None if deadline is None else max(deadline - time.monotonic(), 0.1)
            path = str(httpx.URL(address).copy_merge_params({"offset": offset}))
            piece = follow(self.app, self.client.request("GET", path), timeout=left).body
            text, following = str(piece.get("Text") or ""), int(piece.get("NextOffset", offset))
            if text:
                yield text
            if following != offset:
                offset = following
                continue
            if not follows or (deadline is not None and time.monotonic() >= deadline):
                return
            time.sleep(FOLLOW_PAUSE)  # the service does not push what guests write

    def _print(self, text: str) -> None:
        # What a guest writes must not steer the terminal of who reads it; a file gets it as it is.
        self.app.stdout.write(_ESCAPES.sub("", text) if self.app.stdout.isatty() else text)
        self.app.stdout.flush()
