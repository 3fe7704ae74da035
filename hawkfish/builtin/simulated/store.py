"""The state file: what the simulator must remember, in SQLite.

Each change is one transaction before it is answered. WAL with synchronous NORMAL keeps every answered change when the process is
killed; a crash of the controller itself may cost the last moments, never the consistency.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

from hawkfish.builtin.simulated.codec import decode, encode

_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS hosts (name TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS machines (
    host TEXT NOT NULL, id TEXT NOT NULL, record TEXT NOT NULL, PRIMARY KEY (host, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pools (
    host TEXT NOT NULL, name TEXT NOT NULL, record TEXT NOT NULL, PRIMARY KEY (host, name)) WITHOUT ROWID;
"""


class Store:
    """Records by host and key; used by the event loop and by the threads of storage operations."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        """Closes the file; everything is in it already."""
        with self._lock:
            self._database.close()

    def _execute(self, statement: str, *values: str) -> list[tuple[Any, ...]]:
        with self._lock, closing(self._database.execute(statement, values)) as cursor:
            return cursor.fetchall()

    def save_host(self, name: str, record: Any) -> None:
        """Records a host's settings."""
        self._execute("INSERT OR REPLACE INTO hosts VALUES (?, ?)", name, json.dumps(encode(record)))

    def hosts(self, wanted: type) -> Iterator[tuple[str, Any]]:
        """All hosts with their settings, as values of the type `wanted`."""
        for name, record in self._execute("SELECT name, record FROM hosts ORDER BY name"):
            yield name, decode(wanted, json.loads(record))

    def save_machine(self, host: str, machine_id: UUID, record: Any) -> None:
        """Records a machine."""
        self._execute(
            "INSERT OR REPLACE INTO machines VALUES (?, ?, ?)", host, str(machine_id), json.dumps(encode(record))
        )

    def save_machines(self, host: str, records: Mapping[UUID, Any]) -> None:
        """Records many machines, all of them or none."""
        rows = [(host, str(machine_id), json.dumps(encode(record))) for machine_id, record in records.items()]
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                self._database.executemany("INSERT OR REPLACE INTO machines VALUES (?, ?, ?)", rows)
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def forget_machine(self, host: str, machine_id: UUID) -> None:
        """Drops a machine's record."""
        self._execute("DELETE FROM machines WHERE host = ? AND id = ?", host, str(machine_id))

    def machines(self, host: str, wanted: type) -> Iterator[Any]:
        """All machines of a host, as values of the type `wanted`."""
        for (record,) in self._execute("SELECT record FROM machines WHERE host = ? ORDER BY id", host):
            yield decode(wanted, json.loads(record))

    def save_pool(self, host: str, name: str, record: Any) -> None:
        """Records a pool's definition and state."""
        self._execute("INSERT OR REPLACE INTO pools VALUES (?, ?, ?)", host, name, json.dumps(encode(record)))

    def forget_pool(self, host: str, name: str) -> None:
        """Drops a pool's record."""
        self._execute("DELETE FROM pools WHERE host = ? AND name = ?", host, name)

    def pools(self, host: str, wanted: type) -> Iterator[tuple[str, Any]]:
        """All pools of a host, as values of the type `wanted`."""
        for name, record in self._execute("SELECT name, record FROM pools WHERE host = ? ORDER BY name", host):
            yield name, decode(wanted, json.loads(record))
