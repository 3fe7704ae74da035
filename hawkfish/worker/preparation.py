"""What has to be in place before the processes of the service start: folder, lock, listening socket, schema, certificate, account."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hawkfish.bootstrap import Application
from hawkfish.config import Settings
from hawkfish.db import Database
from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.errors import ConfigurationError
from hawkfish.services.certificates import ensure_certificates

LOCK_NAME = "serve.lock"
READY_NAME = "ready.json"


def prepare_data_dir(data_dir: Path) -> None:
    """Makes the data directory where it is absent, and proves that it can be written.

    Others may pass through it, since hypervisors run guests under an account of their own and their disks may be below; they
    cannot list it, and every file with a secret has a mode of its own.

    Raises:
        ConfigurationError: It cannot be made or written.
    """
    try:
        if not data_dir.is_dir():
            data_dir.mkdir(parents=True, exist_ok=True)
            data_dir.chmod(0o711)
        probe = data_dir / f".written-by-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ConfigurationError(
            f"The data directory {data_dir} cannot be written ({error.strerror}); "
            "name another with --data-dir or HF_DATA_DIR, or give this account the right to write there.",
            setting="data_dir",
        ) from error


@contextlib.contextmanager
def only_one(data_dir: Path) -> Iterator[None]:
    """Holds the data directory's lock, which dies with the process.

    Raises:
        ConfigurationError: Another service runs on it.
    """
    with (data_dir / LOCK_NAME).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            other = read_ready(data_dir)
            where = f" at {other['url']} (process {other['pid']})" if other else ""
            raise ConfigurationError(
                f"HawkFish runs already on {data_dir}{where}; stop it first, or use another --data-dir.",
                setting="data_dir",
            ) from error
        try:
            yield
        finally:
            (data_dir / READY_NAME).unlink(missing_ok=True)


def read_ready(data_dir: Path) -> dict[str, Any] | None:
    """What the running service wrote about itself, if it did."""
    try:
        found: dict[str, Any] = json.loads((data_dir / READY_NAME).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found


def write_ready(path: Path, content: dict[str, Any]) -> None:
    """Writes one JSON object in one move, readable by this account only.

    Raises:
        ConfigurationError: The file cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(json.dumps(content) + "\n")
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise ConfigurationError(f"Cannot write the file {path}: {error.strerror}.", setting="ready_file") from error


def listen(settings: Settings) -> socket.socket:
    """Binds the address of the API. The supervisor holds the socket, so clients wait while the API is restarted.

    Raises:
        ConfigurationError: The address is in use, or not one of this machine.
    """
    host, port = settings.host, settings.port
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host or "::", port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise ConfigurationError(
            f"The address {host!r} of --bind is not known: {error.strerror}.", setting="bind"
        ) from error
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            message = (
                f"Port {port} of {host} is in use; stop what listens there, or choose another with --bind HOST:PORT."
            )
        else:
            message = (
                f"Cannot listen on {settings.bind}: {error.strerror}; choose another address with --bind HOST:PORT."
            )
        raise ConfigurationError(message, setting="bind") from error
    listener.listen(1024)
    return listener


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What preparation found out.

    Attributes:
        password: Of the account `admin`, if it was made or given just now.
        generated: Whether the password is a new random one, to be shown once.
        ca_file: What clients must trust; None without TLS, and with a certificate that was given.
        drivers: Names of the drivers of the registered hosts.
    """

    password: str | None = field(repr=False)
    generated: bool
    ca_file: Path | None
    drivers: frozenset[str]


def prepare(settings: Settings) -> Prepared:
    """Brings the schema up to date, makes the certificate and the first account, and closes everything again.

    Raises:
        HawkFishError: One of these failed; the message says which.
    """
    database = Database(settings.database_url)
    try:
        database.upgrade()
    finally:
        database.close()
    ca_file = ensure_certificates(settings).ca_file if settings.tls else None
    application = Application.open(settings)
    try:
        made = application.accounts.ensure_administrator(settings.admin_password)
        drivers = frozenset(host.driver for host in application.hosts.list(SYSTEM_ACTOR))
    finally:
        application.close()
    password = settings.admin_password or (made.password if made else None)
    return Prepared(password=password, generated=made is not None, ca_file=ca_file, drivers=drivers)
