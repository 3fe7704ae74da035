"""The audit trail: added to, read, and shortened at its old end; never changed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, or_, select, update

from hawkfish.db.models.accounts import InstallationRow
from hawkfish.db.models.audit import AuditRow
from hawkfish.domain.accounts import AuditOutcome, AuditRecord

if TYPE_CHECKING:
    from hawkfish.db.unit_of_work import UnitOfWork


class AuditRepository:
    """The audit trail of one unit of work."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._session = uow.session

    def add(
        self,
        *,
        at: datetime,
        user_name: str,
        verb: str,
        subject: str,
        outcome: AuditOutcome,
        address: str | None,
        session_id: str | None,
        request_id: str | None,
        project: str | None,
        details: Mapping[str, Any],
    ) -> None:
        """Adds one row."""
        self._session.execute(
            insert(AuditRow).values(
                at=at,
                user_name=user_name,
                verb=verb,
                subject=subject,
                outcome=outcome,
                address=address,
                session_id=session_id,
                request_id=request_id,
                project=project,
                details=dict(details),
            )
        )

    def page(self, *, limit: int, before_id: int | None = None) -> list[AuditRecord]:
        """Records, newest first, from the one before `before_id` on."""
        statement = select(AuditRow).order_by(AuditRow.id.desc()).limit(limit)
        if before_id is not None:
            statement = statement.where(AuditRow.id < before_id)
        return [_to_record(row) for row in self._session.scalars(statement)]

    def purge(self, before: datetime) -> int:
        """Deletes what is older than `before`, after moving the limit that the triggers guard; tells how much."""
        limit = InstallationRow.audit_kept_from
        self._session.execute(
            update(InstallationRow).where(or_(limit.is_(None), limit < before)).values(audit_kept_from=before)
        )
        statement = delete(AuditRow).where(AuditRow.at < before).execution_options(synchronize_session=False)
        return len(self._session.scalars(statement.returning(AuditRow.id)).all())


def _to_record(row: AuditRow) -> AuditRecord:
    return AuditRecord(
        id=row.id,
        at=row.at,
        user_name=row.user_name,
        verb=row.verb,
        subject=row.subject,
        outcome=row.outcome,
        address=row.address,
        session_id=row.session_id,
        request_id=row.request_id,
        project=row.project,
        details=MappingProxyType(row.details),
    )
