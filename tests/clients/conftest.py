"""A served API with a real host, and machines on it as a plain client sees them."""

from __future__ import annotations

import shutil
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from hawkfish.services.certificates import ServerCertificate
from hawkfish.testing.waiting import wait_until
from tests.api.installation import PASSWORD, Api, add_libvirt_host, opened, prepare, running_worker
from tests.api.live import gunicorn
from tests.support.file_server import FileServer, Plan
from tests.support.guest import make_iso
from tests.support.libvirt_host import LibvirtHostBed
from tests.support.tls import certificate_of_loopback

BOOT_SECONDS = 400.0
CD_WORD = "hf.cd"
CD_WORDS = {CD_WORD, "hf.reboot"}
"""What the guest is told by one of the CDs, and not by the disk."""


@dataclass(frozen=True)
class Served:
    """The API over TLS as it is shipped.

    Attributes:
        api: The same, in the test's own process.
        client: A plain client, with the administrator's password.
        ca_file: What its certificate is checked with.
    """

    api: Api
    client: httpx.Client
    url: str
    ca_file: Path


@pytest.fixture(scope="package")
def served(
    tmp_path_factory: pytest.TempPathFactory,
    libvirt_host: LibvirtHostBed,
    guest_iso: Path,
    media_certificate: ServerCertificate,
) -> Iterator[Served]:
    """With a libvirt host, the guest as an image for disks, and trust in the authority of an image server.

    It is made again where tests of other folders come between, so its pool has a folder of its own each time.
    """
    folder = tmp_path_factory.mktemp("clients")
    (folder / "images").mkdir()
    shutil.copyfile(guest_iso, folder / "images" / "guest.img")
    settings = prepare(folder, trusted_ca_file=media_certificate.ca_file)
    with running_worker(settings), opened(settings) as api, gunicorn(folder, tls=True) as url:
        add_libvirt_host(api.application, libvirt_host, libvirt_host.data / folder.name)
        ca_file = folder / "tls" / "ca.crt"
        trust = ssl.create_default_context(cafile=ca_file)
        with httpx.Client(base_url=url, auth=("admin", PASSWORD), verify=trust, timeout=60, trust_env=False) as client:
            yield Served(api, client, url, ca_file)


@dataclass(frozen=True)
class Machine:
    """A system with the guest on its disk.

    Attributes:
        api: What its serial port is read through.
    """

    client: httpx.Client
    api: Api
    path: str

    @property
    def id(self) -> str:
        """Its UUID."""
        return self.path.rpartition("/")[2]

    def read(self, below: str = "") -> dict[str, Any]:
        """A plain GET of the system or of what is below it."""
        return dict(self.client.get(f"{self.path}{below}").raise_for_status().json())

    def boot(self) -> tuple[str, str]:
        """The boot override as it reads."""
        boot = self.read()["Boot"]
        return boot["BootSourceOverrideEnabled"], boot["BootSourceOverrideTarget"]

    def medium(self) -> tuple[str | None, bool]:
        """What its drive says is in it."""
        drive = self.read("/VirtualMedia/Cd")
        return drive["Image"], drive["Inserted"]

    def hardware(self) -> tuple[str, list[str], list[str]]:
        """What no change of firmware may touch: its UUID, the addresses of its interfaces, the serial numbers of its disks."""

        def linked(links: list[dict[str, str]]) -> list[dict[str, Any]]:
            return [self.client.get(link["@odata.id"]).json() for link in links]

        (storage,) = linked(self.read("/Storage")["Members"])
        disks = [drive["SerialNumber"] for drive in linked(storage["Drives"])]
        interfaces = linked(self.read("/EthernetInterfaces")["Members"])
        return self.read()["UUID"], [interface["MACAddress"] for interface in interfaces], disks

    def boots(self, number: int) -> list[str]:
        """What each boot came from and by which firmware, once the guest has come up so many times."""

        def found() -> list[str] | None:
            *lines, _unfinished = self.api.serial_log(self.path).split("\n")
            boots = [line.split() for line in lines if line.startswith("BOOTED by ")]
            seen = [f"{'cd' if CD_WORDS & set(words) else 'disk'} by {words[2]}" for words in boots]
            return seen if len(seen) >= number else None

        lines: list[str] = wait_until(found, f"boot number {number}", number * BOOT_SECONDS)
        return lines

    def wait_for(self, power_state: str) -> None:
        """Waits until its power state reads so."""
        wait_until(lambda: self.read()["PowerState"] == power_state, f"PowerState {power_state}", 180)


@pytest.fixture
def new_machine(served: Served) -> Iterator[Callable[[str, str], Machine]]:
    """A callable that makes a system, given its name and its firmware; it is off, and deleted after the test."""
    with ExitStack() as stack:

        def new(name: str, firmware: str) -> Machine:
            disks = [{"Image": "guest.img", "CapacityGiB": 5}]
            body = {"Name": name, "CPU": 1, "MemoryMiB": 1024, "Firmware": firmware, "Disks": disks}
            made = served.api.finish(served.api.post("/redfish/v1/Systems", body))
            assert made.status_code == 201, made.text
            path = made.json["@odata.id"]
            stack.callback(remove, served.api, path)
            return Machine(served.client, served.api, path)

        yield new


def remove(api: Api, path: str) -> None:
    """Off, and away with it."""
    api.finish(api.post(f"{path}/Actions/ComputerSystem.Reset", {"ResetType": "ForceOff"}))
    assert api.finish(api.delete(path)).status_code == 204


@pytest.fixture(scope="session")
def cd(guest_iso: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The guest on a CD."""
    return make_iso(guest_iso, tmp_path_factory.mktemp("cd"), CD_WORD).read_bytes()


@pytest.fixture(scope="session")
def cd_url(cd: bytes) -> Iterator[str]:
    """The guest on a CD, as a web server has it."""
    with FileServer() as server:
        server.plans["/guest.iso"] = Plan(cd, etag='"1"')
        yield server.url("/guest.iso")


@pytest.fixture(scope="session")
def media_certificate(tmp_path_factory: pytest.TempPathFactory) -> ServerCertificate:
    """Of an image server, by an authority that HawkFish is told to trust."""
    return certificate_of_loopback(tmp_path_factory.mktemp("media-authority"))


@pytest.fixture(scope="session")
def installer_url(installer_iso: Path, media_certificate: ServerCertificate) -> Iterator[str]:
    """A CD whose guest reboots by itself, as such a server has it."""
    with FileServer(certificate=media_certificate) as server:
        server.plans["/installer.iso"] = Plan(installer_iso.read_bytes(), etag='"1"')
        yield server.url("/installer.iso")


@pytest.fixture
def unknown_url() -> Iterator[str]:
    """An image on a server that nobody vouches for."""
    with FileServer(tls=True) as server:
        server.plans["/guest.iso"] = Plan(b"")
        yield server.url("/guest.iso")
