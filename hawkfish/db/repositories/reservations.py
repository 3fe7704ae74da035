"""What is given of each host: to systems, and to tasks that hold room for one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import delete, func, insert, select

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
        systems = (
            select(SystemRow.host_id, func.sum(SystemRow.vcpus), func.sum(SystemRow.memory_mib))
            .where(SystemRow.id != ("" if without is None else str(without)))
            .group_by(SystemRow.host_id)
        )
        given = {
            UUID(host): Given(vcpus=int(vcpus), memory_mib=int(memory))
            for host, vcpus, memory in self._session.execute(systems)
        }
        for host, more in self._held_beyond(without):
            given[host] = given.get(host, Given()) + more
        return given

    def _held_beyond(self, without: UUID | None) -> Iterable[tuple[UUID, Given]]:
        """What tasks hold for a system beyond what its row counts: of several, the largest."""
        reservation = HostReservationRow
        rows = self._session.execute(
            select(
                reservation.host_id,
                func.max(reservation.vcpus),
                func.max(reservation.memory_mib),
                SystemRow.host_id,
                SystemRow.vcpus,
                SystemRow.memory_mib,
            )
            .join(SystemRow, SystemRow.id == reservation.system_id)
            .where(reservation.system_id != ("" if without is None else str(without)))
            .group_by(
                reservation.host_id,
                reservation.system_id,
                SystemRow.host_id,
                SystemRow.vcpus,
                SystemRow.memory_mib,
            )
        )
        for host, vcpus, memory, own_host, own_vcpus, own_memory in rows:
            there = host == own_host
            yield (
                UUID(host),
                Given(
                    vcpus=max(0, vcpus - own_vcpus) if there else vcpus,
                    memory_mib=max(0, memory - own_memory) if there else memory,
                ),
            )
