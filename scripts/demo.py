"""The main job, shown against the running service: a guest is made, booted, seen and deleted, with the command `hawkfish`.

On a simulated host the same is shown, and said to be simulated.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NoReturn

from PIL import Image

from hawkfish.bootstrap import Application
from hawkfish.config import Settings, load_settings
from hawkfish.domain.accounts import SYSTEM_ACTOR, Role
from hawkfish.domain.hosts import Host, HostState
from hawkfish.errors import HawkFishError
from hawkfish.worker.preparation import read_ready

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
HAWKFISH = Path(sys.executable).with_name("hawkfish")
READY_TEXT = "GUEST-READY"
READY_SECONDS = 180
IMAGE_NAME = "demo-guest.img"
SIMULATED = "simulated"
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[@-Z\\-_])|\r")


class DemoFailed(Exception):
    """Something was not as it should be; the message says what."""


def fail(message: str) -> NoReturn:
    """Ends the demo."""
    raise DemoFailed(message)


def say(line: str) -> None:
    """One line about what comes."""
    print(f"\n# {line}", flush=True)


def run(*words: str, shown: bool = True) -> str:
    """Shows and runs one command of `hawkfish`; its output appears as it comes, and is returned."""
    if shown:
        print(f"$ hawkfish {shlex.join(words)}", flush=True)
    output: list[str] = []
    with subprocess.Popen([HAWKFISH, *words], stdout=subprocess.PIPE, text=True, errors="replace") as process:
        for line in process.stdout or ():
            output.append(line)
            if shown:
                # What guests write may move the cursor and clear the screen.
                print(ESCAPES.sub("", line), end="", flush=True)
    if process.returncode:
        fail(f"`hawkfish {shlex.join(words)}` ended with exit code {process.returncode}.")
    return "".join(output)


@contextlib.contextmanager
def login(application: Application, ready: Mapping[str, str]) -> Iterator[None]:
    """An account for the time of the demo, since nobody but its owner knows the password of `admin`."""
    name, password = f"demo-{secrets.token_hex(3)}", secrets.token_urlsafe(24)
    account = application.accounts.create(SYSTEM_ACTOR, name, password, Role.OPERATOR)
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(
            HF_URL=ready["url"],
            HF_USERNAME=name,
            HF_PASSWORD=password,
            HF_CA_FILE=ready["ca_file"] or "",
            XDG_CONFIG_HOME=home,
            CLIFF_MAX_TERM_WIDTH=str(shutil.get_terminal_size().columns),
        )
        try:
            yield
        finally:
            application.accounts.delete(SYSTEM_ACTOR, account.id)


def choose_host(application: Application) -> Host:
    """A real host that is up, else a simulated one."""
    hosts = [host for host in application.hosts.list(SYSTEM_ACTOR) if host.state is HostState.UP]
    if not hosts:
        fail("No host is up; see `hawkfish hosts ls` and `hawkfish doctor`.")
    return min(hosts, key=lambda host: host.driver == SIMULATED)


def prepare_image(settings: Settings) -> Path:
    """Builds the small guest (kept in build/guest) and puts it where the service finds images."""
    guest = BUILD / "guest"
    if not (guest / "guest.iso").exists():
        say("Building a small guest from Debian's kernel and busybox (once)")
        guest.mkdir(parents=True, exist_ok=True)
        result = subprocess.run(
            [ROOT / "tests" / "testbed" / "guest", guest], capture_output=True, text=True, check=False
        )
        if result.returncode:
            fail(f"The guest cannot be built: {result.stderr.strip() or 'tests/testbed/guest failed'}")
    images = settings.image_folders[0]
    images.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copyfile(guest / "guest.iso", images / IMAGE_NAME))


def names() -> list[str]:
    """The names of all systems."""
    return run("systems", "ls", "-f", "value", "-c", "name", shown=False).split()


def remove(name: str) -> None:
    """Off and gone; a system that is on is not deleted."""
    run("systems", "off", "--force", name)
    run("systems", "rm", name, "--yes")


def check_picture(path: Path) -> str:
    """Proves that the file is a PNG picture with something on it, and describes it."""
    with Image.open(path) as picture:
        picture.load()
        colours = picture.convert("RGB").getcolors(maxcolors=2**24) or []
        if picture.format != "PNG" or len(colours) < 2:  # noqa: PLR2004  one colour is an empty screen
            fail(f"{path} shows nothing.")
        return f"a PNG of {picture.width}x{picture.height} pixels"


def show(application: Application, settings: Settings) -> None:
    """The main job."""
    host = choose_host(application)
    name = f"demo-{secrets.token_hex(2)}"
    picture = BUILD / "demo-screenshot.png"
    BUILD.mkdir(exist_ok=True)
    picture.unlink(missing_ok=True)
    disk = ["--disk", "1G"]
    if host.driver == SIMULATED:
        say(
            f"SIMULATED: the only host is {host.name!r}, whose machines are not real; what follows shows the interface only"
        )
    else:
        disk = ["--disk-image", f"{prepare_image(settings)}:1G"]
    say(f"A system on the host {host.name!r} ({host.facts.hypervisor if host.facts else host.driver}), and its disk")
    machine = ["--host", host.name, "--cpus", "1", "--memory", "256M", "--firmware", "BIOS", *disk]
    try:
        run("systems", "create", name, *machine)
        say("Power on, and its serial port until the guest is up")
        run("systems", "on", name)
        log = run("systems", "log", name, "--until", READY_TEXT, "--timeout", str(READY_SECONDS))
        if READY_TEXT not in log:
            fail(f"The guest did not say {READY_TEXT}.")
        say("It is on, and this is its screen")
        run("systems", "ls")
        if run("systems", "show", name, "-f", "value", "-c", "power", shown=False).strip() != "On":
            fail(f"{name} is not shown as On.")
        run("systems", "screenshot", name, "--output", os.path.relpath(picture))
        seen = check_picture(picture)
        say("Off, and away with it")
        remove(name)
    except BaseException:
        with contextlib.suppress(DemoFailed):
            if name in names():
                say("Cleaning up after the failure")
                remove(name)
        raise
    if name in names():
        fail(f"{name} is still listed.")
    kind = "a SIMULATED guest" if host.driver == SIMULATED else "a real guest"
    say(f"Seen: {kind} created, booted until {READY_TEXT}, On, photographed, deleted.")
    print(f"# Its screen: {os.path.relpath(picture)} ({seen})")


def main() -> int:
    """Runs the demo; a step that fails ends it."""
    try:
        settings = load_settings()
        ready = read_ready(settings.data_dir)
        if ready is None:
            fail(f"No service runs on {settings.data_dir}; start it with `make run` in another terminal.")
        application = Application.open(settings)
        try:
            with login(application, ready):
                show(application, settings)
        finally:
            application.close()
    except (DemoFailed, HawkFishError) as error:
        print(f"\ndemo: FAILED: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
