"""A PostgreSQL server of the tests' own: a free port, a temporary folder, a database per test."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading
import uuid
from pathlib import Path

import psycopg

START_SECONDS = 60
PORTS = 3
TEMPLATE = "hawkfish_template"


def find_binaries() -> Path | None:
    """The newest installed server's programs, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parent.parent.name))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else None


def why_not() -> str | None:
    """Why no server can be started here, or None."""
    if find_binaries() is None:
        return "PostgreSQL is not installed (apt-get install postgresql)"
    if os.geteuid() == 0 and not shutil.which("runuser"):
        return "PostgreSQL does not run as root, and runuser is not installed"
    if os.geteuid() == 0:
        with contextlib.suppress(KeyError):
            pwd.getpwnam("postgres")
            return None
        return "PostgreSQL does not run as root, and there is no user postgres"
    return None


class PostgresqlServer:
    """A running server; `close()` stops it."""

    def __init__(self, *, fsync: bool = False) -> None:
        binaries = find_binaries()
        assert binaries is not None
        self._binaries = binaries
        self._root = os.geteuid() == 0
        self._folder = Path(tempfile.mkdtemp(prefix="hf-pg-"))
        if self._root:
            shutil.chown(self._folder, "postgres", "postgres")
        self._data = self._folder / "data"
        self._run(
            "initdb", "-D", str(self._data), "-U", "hawkfish", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"
        )
        self._options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self._folder,
            "max_connections": 200,
            "fsync": "on" if fsync else "off",
            "synchronous_commit": "on" if fsync else "off",
            "full_page_writes": "on" if fsync else "off",
            "shared_buffers": "32MB",
        }
        self._log = (self._folder / "server.log").open("w")
        # A port that is free may be taken before the server has it.
        assert any(self._start() for _ in range(PORTS)), (self._folder / "server.log").read_text()

    def _start(self) -> bool:
        """Starts it on a free port; False if it has ended."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        options = {**self._options, "port": self.port}
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        self._process = subprocess.Popen(
            self._as_user("postgres", "-D", str(self._data), *arguments),
            stdout=self._log,
            stderr=subprocess.STDOUT,
            cwd="/",
            start_new_session=True,
        )
        return self._wait()

    def _as_user(self, program: str, *arguments: str) -> list[str]:
        prefix = ["runuser", "-u", "postgres", "--"] if self._root else []
        return [*prefix, str(self._binaries / program), *arguments]

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(self._as_user(program, *arguments), check=True, capture_output=True, cwd="/")

    def _wait(self) -> bool:
        pause = threading.Event()
        for _ in range(START_SECONDS * 20):
            try:
                psycopg.connect(self._address("postgres"), connect_timeout=2).close()
            except psycopg.OperationalError:
                if self._process.poll() is not None:
                    return False
                pause.wait(0.05)
            else:
                return True
        raise AssertionError("PostgreSQL did not start: " + (self._folder / "server.log").read_text())

    def _address(self, name: str) -> str:
        return f"postgresql://hawkfish@127.0.0.1:{self.port}/{name}"

    def url(self, name: str) -> str:
        """The SQLAlchemy URL of a database."""
        return f"postgresql+psycopg://hawkfish@127.0.0.1:{self.port}/{name}"

    def create(self, *, template: str | None = None, name: str | None = None) -> str:
        """Makes a database and gives its name."""
        name = name or f"test_{uuid.uuid4().hex[:12]}"
        self.execute(f'CREATE DATABASE "{name}"' + (f' TEMPLATE "{template}"' if template else ""))
        return name

    def drop(self, name: str) -> None:
        """Drops a database, whoever uses it still."""
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def execute(self, statement: str) -> None:
        """Runs one statement outside of any test's database."""
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]  # a test's own text

    def server_pid(self) -> int:
        """Process id of the server itself (ours is that of runuser)."""
        return int((self._data / "postmaster.pid").read_text().splitlines()[0])

    def close(self) -> None:
        """Stops the server and removes its folder."""
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            os.kill(self.server_pid(), 2)  # SIGINT: fast shutdown
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            os.kill(self.server_pid(), 3)  # SIGQUIT: immediate shutdown
            self._process.wait(30)
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)
