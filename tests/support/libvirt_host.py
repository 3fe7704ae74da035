"""libvirt hosts of the tests' own (`tests/testbed/libvirt-hosts`), as pytest fixtures.

A session has a folder, namespaces and a libvirtd of its own; runs side by side do not meet. The machine's own libvirtd is left
alone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hawkfish.errors import HostUnavailable
from hawkfish.plugins.config_fields import validate_config
from hawkfish.plugins.context import HostConfig, PluginContext
from hawkfish.testing.waiting import wait_until

SCRIPT = Path(__file__).parents[1] / "testbed" / "libvirt-hosts"
BEDS = Path("/var/tmp")
OPEN_SECONDS = 60.0
INSTALLATION = "11111111-1111-4111-8111-111111111111"


def why_not() -> str | None:
    """Why no libvirt host can be started here, or None."""
    if os.geteuid() != 0:
        return "a libvirt host of the tests' own needs root (network and mount namespaces)"
    for program, package in (
        ("libvirtd", "libvirt-daemon-system"),
        ("virsh", "libvirt-clients"),
        ("qemu-system-x86_64", "qemu-system-x86"),
        ("qemu-img", "qemu-utils"),
        ("ip", "iproute2"),
    ):
        if shutil.which(program) is None:
            return f"{program} is not installed (apt-get install {package})"
    try:
        import libvirt  # noqa: F401
    except ImportError as error:
        return f"libvirt-python cannot be imported: {error}"
    return None


class LibvirtHostBed:
    """One real host; `data` is a folder for what drivers keep on it."""

    def __init__(self, folder: Path, name: str = "host-1") -> None:
        self.folder = folder
        self.name = name
        self.data = folder / "data"
        self.data.mkdir(exist_ok=True)

    @property
    def socket(self) -> Path:
        """libvirtd's socket."""
        return self.folder / self.name / "run" / "libvirt-sock"

    @property
    def uri(self) -> str:
        """libvirt's URI of the host."""
        return f"qemu+unix:///system?socket={self.socket}"

    @property
    def pid(self) -> int:
        """Process id of its libvirtd."""
        return int((self.folder / self.name / "libvirtd.pid").read_text())

    def virsh(self, *arguments: str) -> str:
        """Runs virsh on it, as an administrator would behind our back."""
        done = subprocess.run(
            ["virsh", "-q", "-c", self.uri, *arguments], capture_output=True, text=True, timeout=120, check=False
        )
        if done.returncode:
            raise RuntimeError(f"virsh {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def kill(self) -> None:
        """Kills its libvirtd; its machines stay."""
        run_script("kill", self.name, str(self.folder))

    def start(self) -> None:
        """Starts its libvirtd again."""
        run_script("start", self.name, str(self.folder))

    def freeze(self) -> None:
        """Stops its libvirtd where it is: it keeps its socket and answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Lets it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def driver(self, *, installation_id: str = INSTALLATION, call_timeout: float = 30.0, **settings: object):
        """A driver of the plugin's record, not opened yet; guests are emulated unless told otherwise."""
        from hawkfish_libvirt.plugin import hawkfish_compute_drivers

        record = next(iter(hawkfish_compute_drivers()))
        given = {"virt_type": "qemu", "data_dir": str(self.data)} | settings
        config = HostConfig(
            id=self.name,
            name=self.name,
            uri=self.uri,
            settings=validate_config(record.config_fields, given, plugin=record.name),
        )
        context = PluginContext(
            installation_id=installation_id,
            data_dir=self.folder,
            call_timeout=call_timeout,
            read_secret=lambda _reference: "",
        )
        return record.factory(config, context)


def enter_network(bed: LibvirtHostBed) -> list[str]:
    """The words before a command that is to run in the host's own network."""
    return ["nsenter", "-t", str(bed.pid), "-n"]


def run_script(*arguments: str) -> None:
    """Runs the test bed's script, whose daemons outlive it."""
    with tempfile.TemporaryFile() as output:
        done = subprocess.run([str(SCRIPT), *arguments], stdout=output, stderr=output, timeout=240, check=False)
        if done.returncode:
            output.seek(0)
            raise RuntimeError(f"{SCRIPT.name} {' '.join(arguments)}: {output.read().decode()}")


@contextlib.contextmanager
def libvirt_host_bed() -> Iterator[LibvirtHostBed]:
    """A host of its own, gone afterwards; what runs left behind that were killed themselves goes first."""
    for left in BEDS.glob("hf-lv-*/owner"):
        with contextlib.suppress(OSError, ValueError, RuntimeError):  # another run may be at it too
            if not Path(f"/proc/{int(left.read_text())}").exists():
                run_script("down", str(left.parent))
    folder = Path(tempfile.mkdtemp(prefix="hf-lv-", dir=BEDS))  # short: unix sockets live below it
    (folder / "owner").write_text(str(os.getpid()))
    try:
        run_script("up", "1", str(folder))
        yield LibvirtHostBed(folder)
    finally:
        run_script("down", str(folder))


@pytest.fixture(scope="session")
def libvirt_host() -> Iterator[LibvirtHostBed]:
    """A libvirt host of this session."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    with libvirt_host_bed() as bed:
        yield bed


@pytest.fixture
def new_libvirt_driver(libvirt_host: LibvirtHostBed) -> Iterator[Callable[..., object]]:
    """A callable that opens drivers to the session's host; they are closed after the test.

    Each gets more time for that than for its calls, which some tests give little.
    """
    opened = []

    def new(**arguments):
        driver = libvirt_host.driver(**arguments)
        opened.append(driver)
        wait_until(lambda: _is_open(driver), "the host is reached", OPEN_SECONDS)
        return driver

    yield new
    for driver in opened:
        driver.close()


def _is_open(driver) -> bool:
    try:
        driver.open()
    except HostUnavailable:
        return False
    return True
