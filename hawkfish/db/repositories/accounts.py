"""Accounts, failed logins and the installation's own row: rows to domain values and back."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import CursorResult, Select, bindparam, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from hawkfish.db.models.accounts import InstallationRow, LoginFailureRow, UserRow
from hawkfish.domain.accounts import Account, Role
from hawkfish.errors import AlreadyExists, NotFound, PreconditionFailed

if TYPE_CHECKING:
    from hawkfish.db.unit_of_work import UnitOfWork

ADMINISTRATORS_KEY = "accounts:administrators"


@dataclass(frozen=True, kw_only=True)
class Lockout:
    """When a name counts as locked: at `threshold` failures that have not expired `now`; a threshold of 0 means never."""

    threshold: int
    now: datetime

    def closes(self, failures: int | None, expires_at: datetime | None) -> bool:
        """Whether so many failures lock the door at this moment."""
        if not self.threshold or failures is None or expires_at is None:
            return False
        return failures >= self.threshold and expires_at > self.now


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """What a login needs to know of an account."""

    account: Account
    password_hash: str
    failures: int
    """Failed logins from the same source that are on record, expired or not."""


def name_digest(name_key: str) -> str:
    """The key under which failed logins of a name are counted."""
    return hashlib.sha256(name_key.encode("utf-8", "surrogatepass")).hexdigest()


class AccountRepository:
    """Accounts of one unit of work."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._session = uow.session

    # --- the installation ----------------------------------------------------------------------------------------

    def installation_id(self) -> UUID:
        """The id of this installation, the same for all its processes and for ever."""
        return UUID(self._session.execute(select(InstallationRow.id)).scalar_one())

    def secret_key(self) -> bytes:
        """32 random bytes for keyed hashes, shared by all processes of the installation."""
        return self._session.execute(select(InstallationRow.secret_key)).scalar_one()

    def service_identification(self) -> str:
        """What tells this installation from others, in the words of its administrators; empty where there are none."""
        return self._session.execute(SERVICE_IDENTIFICATION).scalar_one()

    def write_service_identification(self, text: str) -> None:
        """Replaces it."""
        self._session.execute(update(InstallationRow).values(service_identification=text))

    # --- reading -------------------------------------------------------------------------------------------------

    def list(self, lockout: Lockout) -> list[Account]:
        """All accounts, oldest first."""
        locked = set(self._session.scalars(_locked_digests(lockout))) if lockout.threshold else set()
        rows = self._session.execute(select(*ACCOUNT_COLUMNS).order_by(UserRow.created_at, UserRow.id))
        return [_to_account(row, locked=name_digest(row.name_key) in locked) for row in rows]

    def get(self, account_id: UUID, lockout: Lockout) -> Account:
        """The account.

        Raises:
            NotFound: There is none.
        """
        row = self._session.execute(select(*ACCOUNT_COLUMNS).where(UserRow.id == str(account_id))).one_or_none()
        if row is None:
            raise _not_found(account_id)
        statement = _locked_digests(lockout).where(LoginFailureRow.name_digest == name_digest(row.name_key)).limit(1)
        return _to_account(row, locked=bool(lockout.threshold) and self._session.scalar(statement) is not None)

    def credentials(self, name_key: str, source: str, lockout: Lockout) -> Credentials | None:
        """Account, hash and failures from this source; None where there is no such account.

        One statement on a connection of its own: every request with Basic authentication begins with it.
        """
        with self._session.get_bind().engine.connect() as connection:
            row = connection.execute(CREDENTIALS, credentials_parameters(name_key, source)).one_or_none()
        return None if row is None else to_credentials(row, lockout)

    def lock(self, account_id: UUID) -> Account | None:
        """The account, held against changes by others until the end of the transaction; None if it is gone."""
        row = self._session.execute(
            select(*ACCOUNT_COLUMNS).where(UserRow.id == str(account_id)).with_for_update()
        ).one_or_none()
        return None if row is None else _to_account(row, locked=False)

    def password_hash(self, account_id: UUID) -> str | None:
        """The stored hash."""
        return self._session.scalar(select(UserRow.password_hash).where(UserRow.id == str(account_id)))

    def count(self) -> int:
        """How many accounts there are."""
        return self._session.execute(select(func.count()).select_from(UserRow)).scalar_one()

    def other_administrators(self, account_id: UUID) -> int:
        """Enabled administrators beside this account; their number stays as it is until the end of the transaction."""
        self._uow.serialize_on([ADMINISTRATORS_KEY])
        statement = select(func.count()).where(
            UserRow.id != str(account_id), UserRow.enabled, UserRow.role == Role.ADMINISTRATOR
        )
        return self._session.execute(statement).scalar_one()

    # --- writing -------------------------------------------------------------------------------------------------

    def add(self, account: Account, *, name_key: str, password_hash: str) -> None:
        """Writes a new account.

        Raises:
            AlreadyExists: Another has that name.
        """
        values = {
            "id": str(account.id),
            "user_name": account.user_name,
            "name_key": name_key,
            "password_hash": password_hash,
            "role": account.role,
            "enabled": account.enabled,
            "password_change_required": account.password_change_required,
            "created_at": account.created_at,
            "version": account.version,
        }
        try:
            self._session.execute(insert(UserRow).values(values))
        except IntegrityError as error:
            raise _name_taken(account.user_name) from error

    def change(self, account_id: UUID, expected_version: int | None, **values: Any) -> None:
        """Compares the version and writes, in one statement.

        Raises:
            NotFound: There is no such account.
            PreconditionFailed: It was changed by another.
            AlreadyExists: The new name is taken.
        """
        try:
            self._uow.write_version(UserRow, str(account_id), expected_version, **values)
        except IntegrityError as error:
            raise _name_taken(values.get("user_name", "")) from error
        except NotFound as error:
            raise _not_found(account_id) from error
        except PreconditionFailed as error:
            raise _changed(account_id) from error

    def delete(self, account_id: UUID, expected_version: int | None) -> None:
        """Deletes the account and, by the foreign key, its sessions.

        Raises:
            NotFound: There is no such account.
            PreconditionFailed: It was changed by another.
        """
        statement = delete(UserRow).where(UserRow.id == str(account_id))
        if expected_version is not None:
            statement = statement.where(UserRow.version == expected_version)
        if _affected(self._session.execute(statement)):
            return
        if self.password_hash(account_id) is None:
            raise _not_found(account_id)
        raise _changed(account_id)

    def rehash(self, account_id: UUID, old: str, new: str) -> None:
        """Replaces the hash by one of the same password with today's cost; the account stays at its version."""
        self._session.execute(
            update(UserRow).where(UserRow.id == str(account_id), UserRow.password_hash == old).values(password_hash=new)
        )

    # --- failed logins -------------------------------------------------------------------------------------------

    def is_locked(self, name_key: str, source: str, lockout: Lockout) -> bool:
        """Whether logins with this name from this source are refused now."""
        row = self._session.execute(
            select(LoginFailureRow.failures, LoginFailureRow.expires_at).where(
                LoginFailureRow.name_digest == name_digest(name_key), LoginFailureRow.source == source
            )
        ).one_or_none()
        return row is not None and lockout.closes(row.failures, row.expires_at)

    def add_failure(self, name_key: str, source: str, *, now: datetime, expires_at: datetime) -> int:
        """Counts one more failure, from 1 where the earlier ones have expired; tells how many there are."""
        self._session.execute(delete(LoginFailureRow).where(LoginFailureRow.expires_at <= now))
        dialect = postgresql if self._uow.is_postgresql else sqlite
        statement = dialect.insert(LoginFailureRow).values(
            name_digest=name_digest(name_key), source=source, failures=1, expires_at=expires_at
        )
        statement = statement.on_conflict_do_update(
            index_elements=[LoginFailureRow.name_digest, LoginFailureRow.source],
            set_={"failures": LoginFailureRow.failures + 1, "expires_at": expires_at},
        )
        return int(self._session.execute(statement.returning(LoginFailureRow.failures)).scalar_one())

    def forget_failures(self, name_key: str, source: str | None = None) -> None:
        """Unlocks a name, for one source or for all."""
        statement = delete(LoginFailureRow).where(LoginFailureRow.name_digest == name_digest(name_key))
        if source is not None:
            statement = statement.where(LoginFailureRow.source == source)
        self._session.execute(statement)


ACCOUNT_COLUMNS = (
    UserRow.id,
    UserRow.user_name,
    UserRow.name_key,
    UserRow.role,
    UserRow.enabled,
    UserRow.password_change_required,
    UserRow.created_at,
    UserRow.version,
)

SERVICE_IDENTIFICATION = select(InstallationRow.service_identification)
CREDENTIALS = (
    select(*ACCOUNT_COLUMNS, UserRow.password_hash, LoginFailureRow.failures, LoginFailureRow.expires_at)
    .outerjoin(
        LoginFailureRow,
        (LoginFailureRow.name_digest == bindparam("name_digest")) & (LoginFailureRow.source == bindparam("source")),
    )
    .where(UserRow.name_key == bindparam("name_key"))
)


def credentials_parameters(name_key: str, source: str) -> dict[str, str]:
    """What `CREDENTIALS` is asked with."""
    return {"name_key": name_key, "name_digest": name_digest(name_key), "source": source}


def to_credentials(row: Any, lockout: Lockout) -> Credentials:
    """A row of `CREDENTIALS` as a value."""
    return Credentials(
        account=_to_account(row, locked=lockout.closes(row.failures, row.expires_at)),
        password_hash=row.password_hash,
        failures=row.failures or 0,
    )


def _locked_digests(lockout: Lockout) -> Select[str]:
    return select(LoginFailureRow.name_digest).where(
        LoginFailureRow.failures >= lockout.threshold, LoginFailureRow.expires_at > lockout.now
    )


@lru_cache(maxsize=1024)
def account_id_of(text: str) -> UUID:
    """The id of an account as a value; every request asks for one, and to read it takes longer than the rest of the row."""
    return UUID(text)


def _to_account(row: Any, *, locked: bool) -> Account:
    return Account(
        id=account_id_of(row.id),
        user_name=row.user_name,
        role=row.role,
        enabled=row.enabled,
        locked=locked,
        password_change_required=row.password_change_required,
        created_at=row.created_at,
        version=row.version,
    )


def _affected(result: Any) -> int:
    """How many rows a DELETE or UPDATE met; SQLAlchemy types the result of `execute` more widely."""
    return result.rowcount if isinstance(result, CursorResult) else 0


def _not_found(account_id: UUID) -> NotFound:
    return NotFound(f"There is no account {account_id}.", kind="ManagerAccount", id=str(account_id))


def _changed(account_id: UUID) -> PreconditionFailed:
    return PreconditionFailed(
        f"The account {account_id} was changed by another since you read it; read it again and repeat the request.",
        kind="ManagerAccount",
        id=str(account_id),
    )


def _name_taken(user_name: str) -> AlreadyExists:
    return AlreadyExists(
        f"There is an account named {user_name!r} already (upper and lower case count as the same); choose another name.",
        kind="ManagerAccount",
        property="UserName",
        value=user_name,
    )
