"""What is given of each host: to systems, and to tasks that hold room for one."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import ColumnElement, Select, case, delete, func, insert, select, union_all

from hawkfish.db.models.hosts import HostReservationRow
from hawkfish.db.models.systems import SystemRow
from hawkfish.domain.placement import Given

if TYPE_CHECKING:
    from hawkfish.db.unit_of_work import UnitOfWork


class ReservationRepository:
    """Room on hosts, of one unit of work."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._session = uow.session

    def hold(self, task_id: str, host_id: UUID, system_id: UUID, *, vcpus: int, memory_mib: int) -> None:
        """Holds room for a system until the task ends; a task that was joined holds it already."""
        if self._session.get(HostReservationRow, task_id) is None:
            self._session.execute(
                insert(HostReservationRow).values(
                    task_id=task_id,
                    host_id=str(host_id),
                    system_id=str(system_id),
                    vcpus=vcpus,
                    memory_mib=memory_mib,
                    created_at=self._uow.now(),
                )
            )

    def release(self, task_id: str) -> None:
        """Gives the room back; for the end of the task, whichever it is."""
        self._session.execute(delete(HostReservationRow).where(HostReservationRow.task_id == task_id))

    def given(self, *, without: UUID | None = None) -> dict[UUID, Given]:
        """What is given of each host; one of which nothing is given is absent.

        Args:
            without: A system that is not counted.
        """
        # One statement, so that both parts see the same moment: between two of them a task may end, whose increase would then
        # be counted neither as the system's nor as held.
        parts = union_all(self._of_systems(without), self._held_beyond(without)).subquery()
        rows = self._session.execute(
            select(parts.c.host_id, func.sum(parts.c.vcpus), func.sum(parts.c.memory_mib)).group_by(parts.c.host_id)
        )
        return {UUID(host): Given(vcpus=int(vcpus), memory_mib=int(memory)) for host, vcpus, memory in rows}

    @staticmethod
    def _of_systems(without: UUID | None) -> Select[str, int, int]:
        return select(SystemRow.host_id, SystemRow.vcpus, SystemRow.memory_mib).where(
            SystemRow.id != ("" if without is None else str(without))
        )

    @staticmethod
    def _held_beyond(without: UUID | None) -> Select[str, int, int]:
        """What tasks hold for a system beyond what its row counts: of several, the largest."""
        reservation = HostReservationRow
        held = (
            select(
                reservation.host_id,
                reservation.system_id,
                func.max(reservation.vcpus).label("vcpus"),
                func.max(reservation.memory_mib).label("memory_mib"),
            )
            .where(reservation.system_id != ("" if without is None else str(without)))
            .group_by(reservation.host_id, reservation.system_id)
            .subquery()
        )

        def beyond(wanted: ColumnElement[int], own: ColumnElement[int]) -> ColumnElement[int]:
            return case((SystemRow.host_id != held.c.host_id, wanted), (wanted > own, wanted - own), else_=0)

        return select(
            held.c.host_id,
            beyond(held.c.vcpus, SystemRow.vcpus.expression).label("vcpus"),
            beyond(held.c.memory_mib, SystemRow.memory_mib.expression).label("memory_mib"),
        ).join(SystemRow, SystemRow.id == held.c.system_id)
