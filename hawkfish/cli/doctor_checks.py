"""The checks of `hawkfish doctor`."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from hawkfish.cli.errors import one_line

if TYPE_CHECKING:
    from hawkfish.config import Settings

OLDEST_PYTHON = (3, 11)
LIBVIRT_SOCKETS = ("/run/libvirt/libvirt-sock", "/run/libvirt/virtqemud-sock")
FIRMWARE_PLACES = ("/usr/share/OVMF", "/usr/share/AAVMF", "/usr/share/edk2", "/usr/share/qemu")
CALL_SECONDS = 5.0


@dataclass(frozen=True)
class Finding:
    """What a check found, and what to do about it."""

    status: str
    found: str
    advice: str = ""

    @classmethod
    def ok(cls, found: str) -> Finding:
        """All is well."""
        return cls("ok", found)

    @classmethod
    def warn(cls, found: str, advice: str) -> Finding:
        """Something that not everybody needs."""
        return cls("warn", found, advice)

    @classmethod
    def fail(cls, found: str, advice: str) -> Finding:
        """Something that has to be repaired."""
        return cls("fail", found, advice)


Checks = Mapping[str, Callable[[], Finding]]


def machine_checks() -> Checks:
    """What this machine has. Only hosts of the driver libvirt on this machine need all of it."""
    return {
        "python": python,
        "libvirt module": libvirt_module,
        "qemu": qemu,
        "libvirtd": libvirtd,
        "kvm": kvm,
        "uefi firmware": uefi_firmware,
    }


def installation_checks() -> Checks:
    """What belongs to the installation of this machine."""
    from hawkfish.config import load_settings

    def with_settings(check: Callable[[Settings], Finding]) -> Callable[[], Finding]:
        return lambda: check(load_settings())

    return {
        "plugins": plugins,
        "image store": with_settings(image_store),
        "data directory": with_settings(data_directory),
        "database": with_settings(database_schema),
        "tls": with_settings(tls),
    }


def python() -> Finding:
    """The version of Python."""
    found = platform.python_version()
    if sys.version_info < OLDEST_PYTHON:
        return Finding.fail(found, "install Python 3.11 or newer")
    return Finding.ok(found)


def libvirt_module() -> Finding:
    """Whether the bindings can be imported."""
    try:
        number = importlib.import_module("libvirt").getVersion()
    except ImportError as error:
        return Finding.warn(
            one_line(error), "for hosts with libvirt: apt-get install libvirt-dev, pip install libvirt-python"
        )
    return Finding.ok(f"libvirt {number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}")


def qemu() -> Finding:
    """Whether there is a QEMU for guests of this machine's architecture."""
    machine = platform.machine()
    name = f"qemu-system-{machine}"
    path = shutil.which(name) or shutil.which("qemu-kvm") or shutil.which("/usr/libexec/qemu-kvm")
    if path is None:
        return Finding.warn(f"{name} is not installed", "for guests on this machine: apt-get install qemu-system")
    done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=CALL_SECONDS, check=False)
    if done.returncode != 0:
        return Finding.warn(f"{path} does not run: {one_line(done.stderr)}", "install QEMU again")
    return Finding.ok(f"{path}: {done.stdout.splitlines()[0] if done.stdout else 'no version'}")


def libvirtd() -> Finding:
    """Whether a libvirt daemon takes connections on its socket."""
    problems = []
    for path in LIBVIRT_SOCKETS:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(CALL_SECONDS)
                connection.connect(path)
        except OSError as error:
            problems.append(f"{path}: {error.strerror or error}")
            if isinstance(error, PermissionError):
                return Finding.warn(
                    problems[-1], "for guests on this machine: join the group libvirt, then log in again"
                )
            continue
        return Finding.ok(f"{path} takes connections")
    return Finding.warn(
        "; ".join(problems), "for guests on this machine: install libvirt-daemon-system, start libvirtd"
    )


def kvm() -> Finding:
    """Whether this process may use KVM."""
    advice = "guests are emulated, which is slow: enable virtualisation in the firmware, or join the group kvm"
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return Finding.warn(f"/dev/kvm: {error.strerror}", advice)
    return Finding.ok("/dev/kvm can be opened; `hawkfish hosts show` says whether guests run under it")


def uefi_firmware() -> Finding:
    """Whether there is firmware for UEFI guests."""
    for place in FIRMWARE_PLACES:
        found = sorted(path for pattern in ("*CODE*.fd", "*code*.fd") for path in Path(place).rglob(pattern))
        if found:
            return Finding.ok(str(found[0]))
    return Finding.warn(
        "none found", "for UEFI guests on this machine: apt-get install ovmf (BIOS guests work without)"
    )


def plugins() -> Finding:
    """Whether every plugin can be used."""
    from hawkfish.cli.manager import load_plugins

    reports = load_plugins().reports
    if bad := [report for report in reports if not report.is_sound]:
        names = "; ".join(str(report) for report in bad)
        return Finding.warn(one_line(names), f"hawkfish plugins show {bad[0].name}")
    return Finding.ok(f"{len(reports)}: {', '.join(report.name for report in reports)}")


def data_directory(settings: Settings) -> Finding:
    """Whether the data directory can be written, and only by its owner."""
    folder = settings.data_dir
    if not folder.exists():
        return Finding.warn(f"{folder} does not exist", "`hawkfish serve` makes it at its first start")
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return Finding.fail(f"{folder} cannot be written by you", "run as its owner, or name another with --data-dir")
    if folder.stat().st_mode & 0o022:
        return Finding.fail(f"{folder} can be written by others", f"chmod go-w {folder}")
    return Finding.ok(str(folder))


def image_store(settings: Settings) -> Finding:
    """Whether images can be kept, and how much room there is for them."""
    folder, note = settings.image_store, ""
    if not folder.exists() and folder.parent.exists():
        folder, note = folder.parent, "; the store is made in it with the first image"
    if not folder.exists():
        return Finding.warn(f"{folder} does not exist", "`hawkfish serve` makes it at its first start")
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return Finding.fail(f"{folder} cannot be written by you", "run as its owner, or name another with --data-dir")
    free = shutil.disk_usage(folder).free
    told = f"{folder}, {free / 2**30:.1f} GiB free{note}"
    if free <= settings.image_reserve_bytes:
        return Finding.fail(
            f"{told}, which is kept free", "hawkfish images prune, or more room; see HF_IMAGE_RESERVE_BYTES"
        )
    return Finding.ok(told)


def database_schema(settings: Settings) -> Finding:
    """Whether the schema is what this version needs."""
    from hawkfish.db.database import Database

    database = Database(settings.database_url)
    try:
        place = database.url.render_as_string(hide_password=True)
        if database.is_sqlite and not database.path.exists():
            return Finding.warn(f"{place} does not exist", "`hawkfish serve` makes it, or `hawkfish admin db upgrade`")
        status = database.check()
    finally:
        database.close()
    if not status.ok:
        return Finding.fail(
            f"{place} has schema {status.found or 'none'}, {status.needed} is needed", "hawkfish admin db upgrade"
        )
    return Finding.ok(f"{place}, schema {status.found}")


def tls(settings: Settings) -> Finding:
    """Whether the certificate of the CA is there and valid."""
    from cryptography import x509

    if not settings.tls:
        return Finding.warn(
            "turned off: passwords and tokens are sent in the clear", "leave HF_TLS unset, or trust the network"
        )
    file = settings.tls_certificate or settings.ca_file
    if not file.exists():
        return Finding.warn(f"{file} does not exist", "`hawkfish serve` makes it at its first start")
    certificate = x509.load_pem_x509_certificate(file.read_bytes())
    end = certificate.not_valid_after_utc
    shown = f"{file}, valid until {end:%Y-%m-%d}"
    if end < datetime.now(UTC):
        return Finding.fail(shown, "remove it and start the service again, or give it a new one")
    if end < datetime.now(UTC) + timedelta(days=14):
        return Finding.warn(shown, "renew it soon")
    return Finding.ok(shown)
