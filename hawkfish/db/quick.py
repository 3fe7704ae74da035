"""Reads of one row that never wait: what every request asks before anything else."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hawkfish.db.prepared import Prepared
from hawkfish.db.repositories.accounts import (
    CREDENTIALS,
    SERVICE_IDENTIFICATION,
    Credentials,
    Lockout,
    credentials_parameters,
    to_credentials,
)
from hawkfish.db.repositories.sessions import RESUME, Resumed, to_resumed
from hawkfish.db.repositories.systems import STAMP
from hawkfish.db.repositories.task_statements import BY_ID, ENDED_AT, UNCLAIMED, WISHES
from hawkfish.db.repositories.tasks import to_task, to_wishes
from hawkfish.domain.tasks import Task
from hawkfish.locks import native_local


class QuickReads:
    """The statements of the repositories that are asked most, without pool, transaction and ORM, in the thread that calls.

    In WAL mode SQLite lets readers pass a writer, and one row takes it microseconds, so that under gevent the event loop itself may
    read. Each answer is of the moment: it sees all that was committed before the call, by whatever process. Where a read would have
    to wait (the file is being recovered; PostgreSQL is always a network away) there is no answer, and the caller asks a repository.

    Args:
        path: File of an SQLite database; None if the database is another.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._own = native_local()

    def session(self, token_hash: str) -> Resumed | None:
        """As `SessionRepository.resume`; None also where there is no answer."""
        row = self._one(_RESUME, {"token_hash": token_hash})
        return None if row is None else to_resumed(row)

    def credentials(self, name_key: str, source: str, lockout: Lockout) -> Credentials | None:
        """As `AccountRepository.credentials`; None also where there is no answer."""
        row = self._one(_CREDENTIALS, credentials_parameters(name_key, source))
        return None if row is None else to_credentials(row, lockout)

    def service_identification(self) -> str | None:
        """As `AccountRepository.service_identification`; None where there is no answer."""
        row = self._one(_SERVICE_IDENTIFICATION, {})
        return None if row is None else str(row.service_identification)

    def system_stamp(self, system_id: str) -> tuple[int, int] | None:
        """As `SystemRepository.stamp`; None also where there is no answer."""
        row = self._one(_STAMP, {"system_id": system_id})
        return None if row is None else (row[0], row[1])

    def task_runs(self, task_id: str) -> bool:
        """Whether a task is there and has not ended; False also where there is no answer."""
        row = self._one(ENDED_AT, {"of_task": task_id})
        return row is not None and row.ended_at is None

    def task(self, task_id: str) -> Task | None:
        """As `TaskRepository.find`; None also where there is no answer."""
        row = self._one(BY_ID, {"of_task": task_id})
        return None if row is None else to_task(row)

    def wishes(self, worker_id: int) -> dict[str, tuple[bool, str | None, bool]] | None:
        """As `TaskRepository.wishes`; None where there is no answer."""
        rows = self._rows(WISHES, {"of_worker": worker_id})
        return None if rows is None else to_wishes(rows)

    def all_tasks_have_workers(self) -> bool:
        """Whether no task is there that a worker could take; False also where there is no answer."""
        row = self._one(UNCLAIMED, {})
        return row is not None and row.number == 0

    def _one(self, statement: Prepared, parameters: Mapping[str, Any]) -> Any:
        rows = self._rows(statement, parameters)
        return rows[0] if rows is not None and len(rows) == 1 else None

    def _rows(self, statement: Prepared, parameters: Mapping[str, Any]) -> list[Any] | None:
        if self._path is None:
            return None
        form = statement.form
        try:
            # All rows are fetched, since a statement that is not at its end would go on showing the database as it was.
            found = self._connection(self._path).execute(form.text, form.arguments(parameters)).fetchall()
        except sqlite3.Error:
            self.close()
            return None
        return [form.row(values) for values in found]

    def _connection(self, path: Path) -> sqlite3.Connection:
        """This native thread's own: greenlets share it, because nothing switches between a statement's begin and its end."""
        connection: sqlite3.Connection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = sqlite3.connect(
                f"{path.as_uri()}?mode=rw",
                uri=True,
                timeout=0,
                isolation_level=None,
                check_same_thread=False,
                factory=_Closing,
            )
            connection.execute("PRAGMA query_only=ON").close()
            self._own.connection = connection
        return connection

    def close(self) -> None:
        """Closes the connection of this thread; those of others end with their threads."""
        connection: sqlite3.Connection | None = self._own.__dict__.pop("connection", None)
        if connection is not None:
            connection.close()


class _Closing(sqlite3.Connection):
    """Closes itself at the end of its thread, in whatever thread that is noticed."""

    def __del__(self) -> None:
        self.close()


_RESUME, _CREDENTIALS, _STAMP = Prepared(RESUME), Prepared(CREDENTIALS), Prepared(STAMP)
_SERVICE_IDENTIFICATION = Prepared(SERVICE_IDENTIFICATION)
