"""Images: what disks are made from."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hawkfish.cli.base import BaseCommand, ListCommand, ShowCommand, add_wait_options
from hawkfish.cli.each import RemoveCommand
from hawkfish.cli.errors import CommandError, ExitCode
from hawkfish.cli.following import follow
from hawkfish.cli.output import Size
from hawkfish.cli.tables import TASK_DETAILS, task_details

if TYPE_CHECKING:
    from hawkfish.cli.client import Client
    from hawkfish.cli.main import HawkFishApp

IMAGES = "/redfish/v1/Oem/HawkFish/Images"
PRUNE = f"{IMAGES}/Actions/HawkFishImageCollection.Prune"
IMAGE_COLUMNS = ("Name", "ID", "State", "Format", "Disk Size", "File Size", "SHA256")
IMAGE_DETAILS = (*IMAGE_COLUMNS, "Description", "Source", "Created At", "Created By")
PIECE = 1 << 20


def image_row(image: Mapping[str, Any]) -> tuple[Any, ...]:
    """Values of IMAGE_COLUMNS."""
    return (
        image.get("Name"),
        image.get("Id"),
        image.get("State"),
        image.get("Format") or "",
        Size(image.get("VirtualBytes")),
        Size(image.get("FileBytes")),
        image.get("SHA256") or "",
    )


def image_details(image: Mapping[str, Any]) -> tuple[Any, ...]:
    """Values of IMAGE_DETAILS."""
    return (
        *image_row(image),
        image.get("Description") or "",
        image.get("URL") or image.get("LocalPath") or "upload",
        image.get("CreatedAt"),
        image.get("CreatedBy"),
    )


def find_image(client: Client, name: str) -> dict[str, Any]:
    """Reads an image by its name or id; for a name the service redirects."""
    return client.named(IMAGES, name)


class ListImages(ListCommand):
    """List the images."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], list[Sequence[Any]]]:  # noqa: ARG002  cliff's form
        """Gives a row for each."""
        return IMAGE_COLUMNS, [image_row(image) for image in self.client.members(IMAGES)]


class ShowImage(ShowCommand):
    """Show an image."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Gives its properties."""
        return IMAGE_DETAILS, image_details(find_image(self.client, parsed_args.name))


class AddImage(ShowCommand):
    """Add an image and show it.

    A URL is downloaded by the service. A file of this machine is uploaded to it; what it is, is found out from its bytes.
    """

    epilog = "Example: hawkfish images add debian https://images.example/debian.qcow2 --sha256 <DIGEST>"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("source", metavar="FILE|URL", help="a file of this machine, or an http or https address")
        parser.add_argument("--sha256", metavar="DIGEST", help="what the content has to have")
        parser.add_argument("--insecure", action="store_true", help="take any certificate from the server of the URL")
        parser.add_argument("--description", metavar="TEXT")
        add_wait_options(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Adds it."""
        body = {"Name": parsed_args.name}
        optional = {"SHA256": parsed_args.sha256, "Description": parsed_args.description}
        body.update({key: value for key, value in optional.items() if value})
        if parsed_args.source.startswith(("http://", "https://")):
            return self._download(body, parsed_args)
        return IMAGE_DETAILS, image_details(self._upload(body, Path(parsed_args.source)))

    def _download(self, body: dict[str, Any], parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        body["URL"] = parsed_args.source
        if parsed_args.insecure:
            body["VerifyCertificate"] = False
        reply = self.client.post(IMAGES, body, wait=parsed_args.wait)
        if reply.accepted and not parsed_args.wait:
            return TASK_DETAILS, task_details(reply.body)
        done = follow(self.app, reply, timeout=parsed_args.timeout)
        return IMAGE_DETAILS, image_details(self.client.get(done.location or str(done.body["@odata.id"])))

    def _upload(self, body: dict[str, Any], path: Path) -> dict[str, Any]:
        try:
            file = path.open("rb")
        except OSError as error:
            raise CommandError(f"Cannot read {path}: {error.strerror}.", ExitCode.USAGE) from error
        with file:
            length = path.stat().st_size
            # What the service takes has to be what was read here.
            body.setdefault("SHA256", _digest(file))
            image = self.client.post(IMAGES, body).body
            try:
                with upload_line(self.app, f"Uploading {path.name}", length) as show:
                    return self.client.upload(str(image["ContentURI"]), _pieces(file, show), length).body
            except BaseException:
                with contextlib.suppress(CommandError):
                    self.client.delete(str(image["@odata.id"]))
                raise


class RemoveImages(RemoveCommand):
    """Remove images; disks that were made from them stay.

    On a terminal it asks; elsewhere it takes --yes.
    """

    noun = "image"

    def find(self, name: str) -> dict[str, Any]:
        """Reads the image."""
        return find_image(self.client, name)


class PruneImages(BaseCommand):
    """Remove contents and copies that no image needs any more."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--copies", action="store_true", help="also the copies of images on the pools of hosts; they are made anew"
        )
        add_wait_options(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Prunes."""
        reply = self.client.post(PRUNE, {"Copies": parsed_args.copies}, wait=parsed_args.wait)
        if parsed_args.wait:
            follow(self.app, reply, timeout=parsed_args.timeout)


def _digest(file: BufferedReader) -> str:
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    file.seek(0)
    return digest


def _pieces(file: BufferedReader, show: Callable[[int], None]) -> Iterator[bytes]:
    done = 0
    while piece := file.read(PIECE):
        yield piece
        done += len(piece)
        show(done)


@contextlib.contextmanager
def upload_line(app: HawkFishApp, title: str, length: int) -> Iterator[Callable[[int], None]]:
    """A line that lives while something is sent; only on a terminal, and gone at the end."""
    if not app.stderr.isatty() or not app.options.verbose_level:
        yield lambda _done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(file=app.stderr), transient=True, redirect_stdout=False) as progress:
        line = progress.add_task(title, total=length)
        yield lambda done: progress.update(line, completed=done)
