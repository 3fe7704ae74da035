"""Counts over all tables, for metrics and for readiness."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from hawkfish.db.models.accounts import SessionRow
from hawkfish.db.models.hosts import HostRow
from hawkfish.db.models.systems import SystemRow
from hawkfish.db.models.tasks import TaskRow, TaskWorkerRow
from hawkfish.domain.statistics import Statistics
from hawkfish.domain.tasks import TaskState

if TYPE_CHECKING:
    from hawkfish.db.unit_of_work import UnitOfWork


class StatisticsRepository:
    """Counts as one unit of work sees them."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._session = uow.session

    def read(self, session_timeout: timedelta) -> Statistics:
        """Counts everything; each count is one statement on an index or a small table."""
        now = self._uow.now()
        oldest = self._session.scalar(
            select(func.min(TaskRow.created_at)).where(TaskRow.ended_at.is_(None), TaskRow.state == TaskState.WAITING)
        )
        return Statistics(
            tasks=self._by(TaskRow.state, TaskRow.ended_at.is_(None)),
            oldest_waiting_seconds=0.0 if oldest is None else max(0.0, (now - oldest).total_seconds()),
            systems=self._by(SystemRow.power_state),
            stale_systems=self._session.scalar(select(func.count()).where(SystemRow.stale)) or 0,
            hosts=self._by(HostRow.state),
            sessions=self._session.scalar(select(func.count()).where(SessionRow.used_at > now - session_timeout)) or 0,
            workers=self.living_workers(),
        )

    def living_workers(self) -> int:
        """How many workers hold a valid lease."""
        statement = select(func.count()).where(TaskWorkerRow.expires_at >= self._uow.now())
        return self._session.scalar(statement) or 0

    def _by(self, column: Any, *conditions: Any) -> dict[str, int]:
        statement = select(column, func.count()).where(*conditions).group_by(column)
        return {"Unknown" if value is None else str(value): count for value, count in self._session.execute(statement)}
