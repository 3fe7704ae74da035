"""How a worker shows that it lives, by something that the system takes away at the moment it dies."""

from __future__ import annotations

import fcntl
import os
import select
import threading
import time
from abc import ABC, abstractmethod
from io import TextIOWrapper

import psycopg

from hawkfish.db.database import Database
from hawkfish.errors import WorkerAlreadyRunning

DYING_SECONDS = 1.0
LOCK_CLASS = 0x4846  # "HF": the first half of the advisory locks of workers


class Presence(ABC):
    """The presence of one worker; made before the worker registers, and left at its end."""

    alone = False
    """Whether there can be no other worker: then all others that are registered are dead."""

    @abstractmethod
    def enter(self, worker_id: int) -> None:
        """Shows this worker, by its number."""

    @abstractmethod
    def wait_lost(self, seconds: float) -> bool:
        """Waits, and says whether others may take this worker for dead."""

    @abstractmethod
    def is_gone(self, worker_id: int) -> bool:
        """Whether another worker has fallen."""

    @abstractmethod
    def leave(self) -> None:
        """Ends the presence."""


def presence_for(database: Database) -> Presence:
    """The presence that suits a database.

    Raises:
        WorkerAlreadyRunning: SQLite has room for one worker, and one is there.
    """
    return FilePresence(database) if database.is_sqlite else ConnectionPresence(database)


class FilePresence(Presence):
    """The one worker of an SQLite database: it holds the lock of a file."""

    alone = True

    def __init__(self, database: Database) -> None:
        path = database.path.with_name(database.path.name + ".worker")
        self._never = threading.Event()
        self._file: TextIOWrapper = path.open("a+", encoding="utf-8")
        if not self._lock():
            self._file.seek(0)
            holder = self._file.read().strip() or "unknown"
            self._file.close()
            raise WorkerAlreadyRunning(
                f"Another worker (process {holder}) holds {path}; SQLite has one worker. "
                "Stop it first, or use PostgreSQL for several.",
                path=str(path),
                pid=holder,
            )
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def _lock(self) -> bool:
        """Tries for a moment: a worker that was just killed holds its files until the last of its threads is gone."""
        end = time.monotonic() + DYING_SECONDS
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > end:
                    return False
                self._never.wait(0.02)
            else:
                return True

    def enter(self, worker_id: int) -> None:
        """Nothing more than the lock is needed."""

    def wait_lost(self, seconds: float) -> bool:
        """Waits only: nobody can take the lock."""
        return self._never.wait(seconds)

    def is_gone(self, worker_id: int) -> bool:  # noqa: ARG002
        """Whoever else was there has lost the lock."""
        return True

    def leave(self) -> None:
        """Gives the lock back."""
        self._file.close()


class ConnectionPresence(Presence):
    """A worker of a PostgreSQL database: a connection of its own holds an advisory lock, and falls with the process."""

    def __init__(self, database: Database) -> None:
        self._connection = psycopg.connect(
            database.conninfo,
            autocommit=True,
            keepalives=1,
            keepalives_idle=2,
            keepalives_interval=2,
            keepalives_count=2,
        )
        self._lock = threading.Lock()

    def enter(self, worker_id: int) -> None:
        """Takes the lock of its number."""
        self._connection.execute("SELECT pg_advisory_lock(%s, %s)", (LOCK_CLASS, worker_id))

    def wait_lost(self, seconds: float) -> bool:
        """Watches the connection: nothing is ever sent to us unasked but its end."""
        if self._connection.closed:
            return True
        poller = select.poll()
        poller.register(self._connection.fileno(), select.POLLRDHUP | select.POLLHUP | select.POLLERR)
        return bool(poller.poll(seconds * 1000))

    def is_gone(self, worker_id: int) -> bool:
        """Whether the lock of that number can be had."""
        with self._lock:
            row = self._connection.execute("SELECT pg_try_advisory_lock(%s, %s)", (LOCK_CLASS, worker_id)).fetchone()
            if row is None or not row[0]:
                return False
            self._connection.execute("SELECT pg_advisory_unlock(%s, %s)", (LOCK_CLASS, worker_id))
            return True

    def leave(self) -> None:
        """Closes the connection, and with it the lock."""
        self._connection.close()
