"""The audit trail: added to, read, and shortened at its old end; never changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Table, case, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from hawkfish.db.models.accounts import InstallationRow
from hawkfish.db.models.audit import AuditRow, StrangerRefusalsRow
from hawkfish.db.paging import Columns, cut, narrow, text, to_page
from hawkfish.db.prepared import Prepared, insert_into
from hawkfish.domain.accounts import AuditOutcome, AuditRecord, StrangerRefusals
from hawkfish.domain.pages import Page, PageRequest
from hawkfish.errors import NotFound

if TYPE_CHECKING:
    from hawkfish.db.unit_of_work import UnitOfWork


COLUMNS: Columns = {
    "user_name": text(AuditRow.user_name),
    "verb": text(AuditRow.verb),
    "subject": text(AuditRow.subject),
    "outcome": text(AuditRow.outcome),
    "address": text(AuditRow.address),
    "request_id": text(AuditRow.request_id),
}
"""What the trail can be filtered by."""

# Made once, and without the ORM's own treatment of a write: every change makes a record.
ADD = Prepared(
    insert_into(
        cast("Table", AuditRow.__table__),
        "at",
        "user_name",
        "verb",
        "subject",
        "outcome",
        "address",
        "session_id",
        "request_id",
        "project",
        "details",
    )
)


class AuditRepository:
    """The audit trail of one unit of work."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
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
        ADD.change(
            self._uow.connection,
            {
                "at": at,
                "user_name": user_name,
                "verb": verb,
                "subject": subject,
                "outcome": outcome,
                "address": address,
                "session_id": session_id,
                "request_id": request_id,
                "project": project,
                "details": dict(details),
            },
        )

    def add_many(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Adds rows that have all that `add` takes."""
        if rows:
            ADD.change_each(self._uow.connection, [{**row, "details": dict(row["details"])} for row in rows])

    def page(
        self, *, limit: int, before_id: int | None = None, subject: str | None = None, after: int = 0, skip: int = 0
    ) -> list[AuditRecord]:
        """Records, newest first.

        Args:
            limit: Length of the page.
            before_id: Id of the last record of the page before.
            subject: Only records of this subject.
            after: Only records with larger ids.
            skip: How many of them are left out, the newest first.
        """
        statement = select(AuditRow).where(AuditRow.id > after).order_by(AuditRow.id.desc()).offset(skip).limit(limit)
        if before_id is not None:
            statement = statement.where(AuditRow.id < before_id)
        if subject is not None:
            statement = statement.where(AuditRow.subject == subject)
        return [_to_record(row) for row in self._session.scalars(statement)]

    def records(self, wanted: PageRequest) -> Page[AuditRecord]:
        """The whole trail, newest first; places are ids, counted downwards. It can be filtered by COLUMNS."""
        behind = wanted if wanted.after is None else replace(wanted, after=-int(wanted.after))
        statement = narrow(self._uow, select(AuditRow), wanted.condition, COLUMNS)
        rows = self._session.scalars(cut(statement, behind, AuditRow.id, newest_first=True)).all()
        counted = narrow(self._uow, select(func.count()).select_from(AuditRow), wanted.condition, COLUMNS)
        total = int(self._session.scalar(counted) or 0)
        return to_page(rows, wanted, total, lambda row: -row.id, lambda found: [_to_record(row) for row in found])

    def get(self, record_id: int) -> AuditRecord:
        """One record.

        Raises:
            NotFound: There is none (any more).
        """
        row = self._session.get(AuditRow, record_id)
        if row is None:
            raise NotFound(
                f"There is no audit record {record_id} (any more).", kind="HawkFishAuditRecord", id=str(record_id)
            )
        return _to_record(row)

    def find(self, record_id: int, subject: str, *, after: int = 0) -> AuditRecord | None:
        """The record with that id, if it is of this subject and its id is larger than `after`."""
        row = self._session.get(AuditRow, record_id)
        return _to_record(row) if row is not None and row.subject == subject and row.id > after else None

    def count(self, subject: str, *, after: int = 0) -> int:
        """How many records of a subject have larger ids than `after`."""
        statement = select(func.count()).where(AuditRow.subject == subject, AuditRow.id > after)
        return int(self._session.scalar(statement) or 0)

    def newest(self, subject: str) -> int:
        """Id of the newest record of a subject; 0 before the first."""
        return int(self._session.scalar(select(func.max(AuditRow.id)).where(AuditRow.subject == subject)) or 0)

    def purge(self, before: datetime) -> int:
        """Deletes what is older than `before`, after moving the limit that the triggers guard; tells how much."""
        limit = InstallationRow.audit_kept_from
        self._session.execute(
            update(InstallationRow).where(or_(limit.is_(None), limit < before)).values(audit_kept_from=before)
        )
        statement = delete(AuditRow).where(AuditRow.at < before).execution_options(synchronize_session=False)
        return len(self._session.scalars(statement.returning(AuditRow.id)).all())

    # --- refusals of strangers ------------------------------------------------------------------------------------

    def count_refusals(self, refusals: StrangerRefusals, *, others: str, most: int) -> int:
        """Adds to those of the same source and kind; tells how many they are now.

        Args:
            refusals: What is added.
            others: The source that stands for all further ones, once those of `most` sources and kinds are counted.
            most: How many are counted apart.
        """
        row = StrangerRefusalsRow
        here = (row.source == refusals.source, row.verb == refusals.verb, row.subject == refusals.subject)
        source, subject = refusals.source, refusals.subject
        if self._session.scalar(select(row.refusals).where(*here)) is None:
            counted = self._session.scalar(select(func.count()).select_from(row)) or 0
            source, subject = (source, subject) if counted < most else (others, "")
        dialect = postgresql if self._uow.is_postgresql else sqlite
        statement = dialect.insert(row).values(
            source=source,
            verb=refusals.verb,
            subject=subject,
            refusals=refusals.count,
            began_at=refusals.began_at,
            ended_at=refusals.ended_at,
        )
        ended_at = statement.excluded.ended_at
        statement = statement.on_conflict_do_update(
            index_elements=[row.source, row.verb, row.subject],
            set_={
                "refusals": row.refusals + refusals.count,
                "ended_at": case((ended_at > row.ended_at, ended_at), else_=row.ended_at),
            },
        )
        return int(self._session.execute(statement.returning(row.refusals)).scalar_one())

    def take_refusals(self, now: datetime, span: timedelta) -> list[StrangerRefusals]:
        """Takes away those that began longer ago than `span`, or by a clock that went wrong."""
        row = StrangerRefusalsRow
        statement = delete(row).where(or_(row.began_at <= now - span, row.began_at > now + span))
        found = self._session.execute(
            statement.returning(row.source, row.verb, row.subject, row.refusals, row.began_at, row.ended_at)
        )
        return sorted((StrangerRefusals(*item) for item in found), key=lambda item: item.began_at)


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
