"""The workers that live: their beats, and who is dead."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update

from hawkfish.db.models.tasks import TaskWorkerRow
from hawkfish.db.repositories.host_watches import HOSTS_CHANNEL

if TYPE_CHECKING:
    from hawkfish.db.unit_of_work import UnitOfWork


class TaskWorkerRepository:
    """Workers of one unit of work."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._session = uow.session

    def add(self, *, host: str, pid: int, lease: float) -> int:
        """Registers a worker and gives its number, which is never given twice."""
        now = self._uow.now()
        statement = insert(TaskWorkerRow).values(
            host=host, pid=pid, started_at=now, beat_at=now, expires_at=now + timedelta(seconds=lease)
        )
        self._uow.publish(HOSTS_CHANNEL)  # the others give it its share of the hosts
        return int(self._session.execute(statement.returning(TaskWorkerRow.id)).scalar_one())

    def beat(self, worker_id: int, lease: float) -> bool:
        """Renews the lease of a worker.

        Returns:
            False if the worker was declared dead: it must stop at once.
        """
        now = self._uow.now()
        statement = (
            update(TaskWorkerRow)
            .where(TaskWorkerRow.id == worker_id)
            .values(beat_at=now, expires_at=now + timedelta(seconds=lease))
        )
        return bool(self._session.execute(statement).rowcount)  # type: ignore[attr-defined]  # an UPDATE's CursorResult

    def ids(self) -> list[int]:
        """Numbers of all workers."""
        return list(self._session.scalars(select(TaskWorkerRow.id).order_by(TaskWorkerRow.id)))

    def beats(self) -> dict[int, tuple[datetime, timedelta]]:
        """Of each worker its last beat, and for how long it may be silent after one."""
        rows = self._session.execute(select(TaskWorkerRow.id, TaskWorkerRow.beat_at, TaskWorkerRow.expires_at))
        return {row.id: (row.beat_at, row.expires_at - row.beat_at) for row in rows}

    def bury(self, worker_id: int, *, if_silent_since: datetime | None = None) -> list[str] | None:
        """Removes a worker, puts its tasks back in line, and has its hosts watched by others.

        Args:
            worker_id: Its number.
            if_silent_since: The beat after which it was not heard of: if there was another since, it lives.

        Returns:
            The ids of its tasks; None if it is gone already, or has beaten meanwhile.
        """
        statement = select(TaskWorkerRow.id).where(TaskWorkerRow.id == worker_id).with_for_update(skip_locked=True)
        if if_silent_since is not None:
            statement = statement.where(TaskWorkerRow.beat_at == if_silent_since)
        if self._session.scalar(statement) is None:
            return None
        tasks = self._uow.tasks.take_from_worker(worker_id)
        self._session.execute(delete(TaskWorkerRow).where(TaskWorkerRow.id == worker_id))
        self._uow.publish(HOSTS_CHANNEL)
        return tasks
