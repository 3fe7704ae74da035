"""The guest (`tests/testbed/guest`): made once, kept in `tests/.cache` until the script that makes it changes."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "testbed" / "guest"
CACHE = Path(__file__).parents[1] / ".cache"
READY = b"GUEST-READY"


def why_not() -> str | None:
    """Why the guest cannot be made here, or None."""
    for program, package in (
        ("apt-get", "a Debian system is needed"),
        ("dpkg", "a Debian system is needed"),
        ("cpio", "apt-get install cpio"),
        ("grub-mkrescue", "apt-get install grub-common grub-pc-bin grub-efi-amd64-bin"),
        ("xorriso", "apt-get install xorriso"),
        ("mformat", "apt-get install mtools"),
    ):
        if shutil.which(program) is None:
            return f"the test guest cannot be made without {program} ({package})"
    return None


def guest_folder(kernel: str | None = None) -> Path:
    """The folder with vmlinuz, initrd.img and guest.iso, made where it is not there yet; `kernel` is a package of Debian's."""
    name = "guest" if kernel is None else f"guest-{kernel}"
    folder = CACHE / f"{name}-{hashlib.sha256(SCRIPT.read_bytes()).hexdigest()[:12]}"
    CACHE.mkdir(exist_ok=True)
    (CACHE / ".gitignore").write_text("*\n")
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another run may be at it, and the package registry need not be asked twice
        if not (folder / "guest.iso").exists():
            making = CACHE / f"making-{os.getpid()}"
            options = [] if kernel is None else [kernel]
            made = subprocess.run(
                [str(SCRIPT), str(making), *options], capture_output=True, text=True, timeout=280, check=False
            )
            assert made.returncode == 0, f"{SCRIPT.name}: {made.stdout[-2000:]}{made.stderr[-2000:]}"
            making.rename(folder)
    return folder


@pytest.fixture(scope="session")
def guest_iso() -> Path:
    """An image that boots as a disk and as a CD, by BIOS and by UEFI, and says GUEST-READY on its serial port."""
    reason = why_not()
    if reason and not (CACHE.exists() and list(CACHE.glob("guest-*/guest.iso"))):
        pytest.skip(reason)
    return guest_folder() / "guest.iso"


@pytest.fixture(scope="session")
def marked_iso(guest_iso: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same guest on a CD that says CD-BOOT before it."""
    return make_iso(guest_iso, tmp_path_factory.mktemp("marked"))


def make_iso(guest_iso: Path, folder: Path, words: str = "") -> Path:
    """A CD with the guest that says CD-BOOT before it, and gives it words for its command line."""
    grub = folder / "iso" / "boot" / "grub"
    grub.mkdir(parents=True)
    for name in ("vmlinuz", "initrd.img"):
        shutil.copy(guest_iso.with_name(name), grub.parent)
    (grub / "grub.cfg").write_text(
        "set timeout=0\nserial --unit=0\nterminal_output console serial\necho CD-BOOT\n"
        'if [ "$grub_platform" = pc ]; then set bits=16; fi\n'  # as in the guest's own script, and as much faster
        f"menuentry guest {{ linux$bits /boot/vmlinuz console=ttyS0 quiet {words}; initrd$bits /boot/initrd.img }}\n"
    )
    made = folder / "marked.iso"
    subprocess.run(
        ["grub-mkrescue", "-o", str(made), str(folder / "iso")], check=True, capture_output=True, timeout=240
    )
    return made


@pytest.fixture(scope="session")
def installer_iso(guest_iso: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CD whose guest reboots by itself once it is up, as an installer does."""
    return make_iso(guest_iso, tmp_path_factory.mktemp("installer"), "hf.reboot")
