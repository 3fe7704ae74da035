"""Sessions: rows to domain values and back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import ColumnElement, bindparam, delete, func, insert, select, true, update

from hawkfish.db.models.accounts import SessionRow, UserRow
from hawkfish.db.repositories.accounts import account_id_of
from hawkfish.domain.accounts import Role, Session
from hawkfish.domain.messages import RESOURCE_CREATED, RESOURCE_REMOVED

if TYPE_CHECKING:
    from hawkfish.db.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Resumed:
    """What a request with a token needs to know: the session and the account as they are now."""

    session_id: str
    used_at: datetime
    account_id: UUID
    user_name: str
    role: Role
    enabled: bool
    password_change_required: bool


# Built once: this is the statement of every request with a token.
RESUME = (
    select(
        SessionRow.id,
        SessionRow.used_at,
        SessionRow.account_id,
        UserRow.user_name,
        UserRow.role,
        UserRow.enabled,
        UserRow.password_change_required,
    )
    .join(UserRow, UserRow.id == SessionRow.account_id)
    .where(SessionRow.token_hash == bindparam("token_hash"))
)


class SessionRepository:
    """Sessions of one unit of work."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._session = uow.session

    def resume(self, token_hash: str) -> Resumed | None:
        """The session of a token with its account, in one statement.

        On a connection of its own, as one statement needs no unit of work: without the ORM's session it costs half.
        """
        with self._session.get_bind().engine.connect() as connection:
            row = connection.execute(RESUME, {"token_hash": token_hash}).one_or_none()
        return None if row is None else to_resumed(row)

    def list(self, *, used_after: datetime, account_id: UUID | None = None) -> list[Session]:
        """Sessions that have not expired, oldest first."""
        statement = _sessions().where(SessionRow.used_at > used_after)
        if account_id is not None:
            statement = statement.where(SessionRow.account_id == str(account_id))
        rows = self._session.execute(statement.order_by(SessionRow.created_at, SessionRow.id))
        return [_to_session(row) for row in rows]

    def find(self, session_id: str, *, used_after: datetime) -> Session | None:
        """The session, unless it has expired."""
        row = self._session.execute(
            _sessions().where(SessionRow.id == session_id, SessionRow.used_at > used_after)
        ).one_or_none()
        return None if row is None else _to_session(row)

    def add(self, session: Session, token_hash: str) -> None:
        """Writes a new session, and tells of it."""
        self._uow.events.add(RESOURCE_CREATED, f"session:{session.id}", actor=session.user_name)
        self._session.execute(
            insert(SessionRow).values(
                id=session.id,
                token_hash=token_hash,
                account_id=str(session.account_id),
                created_at=session.created_at,
                used_at=session.used_at,
                address=session.address,
            )
        )

    def touch(self, session_id: str, *, now: datetime, if_before: datetime) -> None:
        """Notes that the session is in use, unless another request noted it lately."""
        self._session.execute(
            update(SessionRow)
            .where(SessionRow.id == session_id, SessionRow.used_at < if_before)
            .values(used_at=now)
            .execution_options(synchronize_session=False)
        )

    def end(self, session_id: str, *, actor: str | None = None) -> bool:
        """Deletes the session; tells whether it was there."""
        return bool(self._remove(SessionRow.id == session_id, actor=actor))

    def end_all(self, account_id: UUID, *, keep: str | None = None, actor: str | None = None) -> int:
        """Deletes the sessions of an account, but for `keep`; tells how many there were."""
        others = true() if keep is None else SessionRow.id != keep
        return self._remove(SessionRow.account_id == str(account_id), others, actor=actor)

    def make_room(self, account_id: UUID, maximum: int) -> int:
        """Deletes the longest idle sessions of an account, so that one more fits; tells how many went."""
        own = SessionRow.account_id == str(account_id)
        count = self._session.execute(select(func.count()).where(own)).scalar_one()
        surplus = count - maximum + 1
        if surplus <= 0:
            return 0
        longest_idle = select(SessionRow.id).where(own).order_by(SessionRow.used_at, SessionRow.id).limit(surplus)
        return self._remove(SessionRow.id.in_(longest_idle))

    def purge(self, used_before: datetime, *, account_id: UUID | None = None) -> int:
        """Deletes expired sessions, of one account or of all; tells how many."""
        whose = true() if account_id is None else SessionRow.account_id == str(account_id)
        return self._remove(SessionRow.used_at <= used_before, whose)

    def _remove(self, *which: ColumnElement[bool], actor: str | None = None) -> int:
        """Deletes sessions and tells of each; gives how many there were."""
        statement = delete(SessionRow).where(*which).returning(SessionRow.id)
        gone = self._session.scalars(statement.execution_options(synchronize_session=False)).all()
        for session_id in gone:
            self._uow.events.add(RESOURCE_REMOVED, f"session:{session_id}", actor=actor)
        return len(gone)


def to_resumed(row: Any) -> Resumed:
    """A row of `RESUME` as a value."""
    session_id, used_at, account_id, user_name, role, enabled, change_required = row
    return Resumed(session_id, used_at, account_id_of(account_id), user_name, role, enabled, change_required)


def _sessions() -> Any:
    return select(
        SessionRow.id,
        SessionRow.account_id,
        UserRow.user_name,
        SessionRow.created_at,
        SessionRow.used_at,
        SessionRow.address,
    ).join(UserRow, UserRow.id == SessionRow.account_id)


def _to_session(row: Any) -> Session:
    return Session(
        id=row.id,
        account_id=UUID(row.account_id),
        user_name=row.user_name,
        created_at=row.created_at,
        used_at=row.used_at,
        address=row.address,
    )
