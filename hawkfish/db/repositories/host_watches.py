"""Who watches which host: each is watched by one worker at most, and a watch that was lost lets nothing more be written."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.exc import IntegrityError

from hawkfish.db.models.hosts import HostWatchRow
from hawkfish.db.prepared import Prepared
from hawkfish.domain.hosts import HostWatch
from hawkfish.errors import LeaseLost

if TYPE_CHECKING:
    from hawkfish.db.unit_of_work import UnitOfWork

HELD = Prepared(select(HostWatchRow.number).where(HostWatchRow.number == bindparam("watch")).with_for_update(read=True))
HOSTS_CHANNEL = "hosts"
"""Woken when a host comes, changes or goes, and when its watch is to be taken anew."""


class HostWatchRepository:
    """Watches of one unit of work. They end with the worker's own lease: its row and theirs go in one transaction."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._session = uow.session

    def all(self) -> list[HostWatch]:
        """All watches, oldest first."""
        rows = self._session.scalars(select(HostWatchRow).order_by(HostWatchRow.number))
        return [HostWatch(number=row.number, host_id=UUID(row.host_id), worker_id=row.worker_id) for row in rows]

    def take(self, host_id: UUID, worker_id: int) -> HostWatch | None:
        """Has the worker watch the host; None if another watches it, if the host is gone, or if the worker was declared dead."""
        try:
            with self._session.begin_nested():
                number = self._session.execute(
                    insert(HostWatchRow)
                    .values(host_id=str(host_id), worker_id=worker_id, since=self._uow.now())
                    .returning(HostWatchRow.number)
                ).scalar_one()
        except IntegrityError:
            return None
        return HostWatch(number=number, host_id=host_id, worker_id=worker_id)

    def release(self, numbers: Collection[int]) -> None:
        """Ends watches; the workers that have room are woken."""
        self._session.execute(delete(HostWatchRow).where(HostWatchRow.number.in_(numbers)))
        self._uow.publish(HOSTS_CHANNEL)

    def require(self, number: int) -> None:
        """Makes sure that a watch holds until the end of this transaction.

        Raises:
            LeaseLost: It was ended; another worker may have looked at the host since, and knows better.
        """
        if HELD.row(self._uow.connection, {"watch": number}) is None:
            raise LeaseLost(f"Watch {number} of a host was given to another worker; what was seen is not recorded.")
