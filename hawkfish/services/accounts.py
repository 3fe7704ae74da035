"""Accounts: who may log in, with which password and role."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from hawkfish.config import Settings
from hawkfish.db import Database, UnitOfWork
from hawkfish.db.repositories.accounts import Credentials, Lockout
from hawkfish.domain.accounts import SYSTEM_ACTOR, Account, Actor, Privilege, Role
from hawkfish.domain.messages import RESOURCE_CHANGED, RESOURCE_CREATED, RESOURCE_REMOVED
from hawkfish.errors import (
    ConfigurationError,
    Conflict,
    NoOperation,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    PasswordChangeRequired,
    PropertyConflict,
    PropertyError,
    PropertyNotInList,
)
from hawkfish.services.audit import AuditService, source_of, utc_now
from hawkfish.services.passwords import (
    Passwords,
    VerifiedPasswords,
    check_password,
    check_user_name,
    generate_password,
    is_user_name,
    name_key,
)

log = structlog.get_logger(__name__)

FIRST_ADMINISTRATOR = "admin"
FIRST_ACCOUNT_KEY = "accounts:first"


@dataclass(frozen=True)
class GeneratedPassword:
    """The password of a new account, to be shown once."""

    user_name: str
    password: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class _Changes:
    """What a request sets on an account; None leaves a thing as it is."""

    user_name: str | None
    password: str | None = field(repr=False)
    role: Role | None
    enabled: bool | None
    locked: bool | None
    password_change_required: bool | None

    @property
    def names(self) -> list[str]:
        """What is set, by name only."""
        return [name for name in self.__dataclass_fields__ if getattr(self, name) is not None]


class AccountService:
    """Accounts and their passwords.

    Args:
        database: Where they are kept.
        settings: Lockout and how long a right password is remembered.
        audit: Where every change and refusal is written.
        passwords: Makes and checks hashes.
        clock: Tells the time.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        audit: AuditService,
        *,
        passwords: Passwords | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._database = database
        self._audit = audit
        self._authorize = audit.authorize
        self._passwords = passwords or Passwords()
        self._clock = clock
        self._lockout_threshold = settings.lockout_threshold
        self._lockout_duration = timedelta(seconds=settings.lockout_duration)
        self._verified = VerifiedPasswords(settings.basic_cache_seconds, clock)

    # --- logging in ----------------------------------------------------------------------------------------------

    def authenticate(self, user_name: str, password: str, address: str | None, request_id: str | None = None) -> Actor:
        """The actor that a name and a password prove.

        A refusal is written to the audit trail here; whoever calls need not do it again.

        Raises:
            NotAuthenticated: They do not, or this name is locked out for this source; which of these is not told.
        """
        return _actor(self.verify(user_name, password, address, request_id), address, request_id)

    def recognise(self, user_name: str, password: str, address: str | None, request_id: str | None) -> Actor | None:
        """As `authenticate`, where that can be told without waiting and without a hash; else None, and that has the last word."""
        if not is_user_name(user_name):
            return None
        key, source = name_key(user_name), source_of(address)
        found = self._database.quick.credentials(key, source, self._lockout())
        if found is None or found.account.locked or not found.account.enabled or found.failures:
            return None
        if not self._verified.knows(key, password, found.account.id, found.account.version):
            return None
        return _actor(found.account, address, request_id)

    def verify(self, user_name: str, password: str, address: str | None, request_id: str | None = None) -> Account:
        """The account that a name and a password prove; as `authenticate`."""
        key, source = name_key(user_name), source_of(address)
        found, locked = self._look_up(user_name, key, source)
        if locked:
            self._note_refusal("locked out", found, address, request_id)
            raise _not_authenticated()
        if found is not None and found.account.enabled:
            account = found.account
            known = self._verified.knows(key, password, account.id, account.version)
            if known or self._passwords.verify(found.password_hash, password):
                if not known:  # what is known is not remembered anew, lest it be known for ever
                    self._verified.remember(key, password, account.id, account.version)
                self._tidy(found, key, source, password)
                return account
        else:
            # As much work as for an account that is there. A disabled one is treated as one that is not.
            self._passwords.verify(None, password)
        locks = self._locks_out(found, key, source)
        self._note_refusal("wrong name or password", found, address, request_id, locks=locks)
        raise _not_authenticated()

    def _note_refusal(
        self,
        reason: str,
        found: Credentials | None,
        address: str | None,
        request_id: str | None,
        *,
        locks: bool = False,
    ) -> None:
        # Of names that are no accounts there is no end; a lockout of one is a refusal as any other.
        self._audit.refused_stranger(
            "sessions.create",
            "",
            reason=reason,
            address=address,
            request_id=request_id,
            account_id=None if found is None else found.account.id,
            locks=locks and found is not None,
        )

    def _look_up(self, user_name: str, key: str, source: str) -> tuple[Credentials | None, bool]:
        lockout = self._lockout()
        with self._database.read() as uow:
            found = uow.accounts.credentials(key, source, lockout) if is_user_name(user_name) else None
            locked = uow.accounts.is_locked(key, source, lockout) if found is None else found.account.locked
        return found, locked

    def _tidy(self, found: Credentials, key: str, source: str, password: str) -> None:
        """After the right password: forgets the failures before it, and renews a hash of old cost. Mostly there is nothing to do."""
        outdated = self._passwords.is_outdated(found.password_hash)
        if not found.failures and not outdated:
            return
        fresh = self._passwords.hash(password) if outdated else found.password_hash
        with self._database.write() as uow:
            uow.accounts.forget_failures(key, source)
            if outdated:
                uow.accounts.rehash(found.account.id, found.password_hash, fresh)

    def _locks_out(self, found: Credentials | None, key: str, source: str) -> bool:
        """Counts a failure; whether it locks the name out."""
        if not self._lockout_threshold:
            return False
        now = self._clock()
        failures = self._database.run(
            lambda uow: uow.accounts.add_failure(key, source, now=now, expires_at=now + self._lockout_duration)
        )
        if failures < self._lockout_threshold:
            return False
        log.warning(
            "accounts.locked_out",
            account=None if found is None else str(found.account.id),
            source=source,
            seconds=self._lockout_duration.total_seconds(),
        )
        return True

    def _lockout(self) -> Lockout:
        return Lockout(threshold=self._lockout_threshold, now=self._clock())

    # --- reading -------------------------------------------------------------------------------------------------

    def list(self, actor: Actor) -> list[Account]:
        """All accounts, oldest first, for whoever may configure users; else the actor's own only."""
        self._authorize(actor, "accounts.list", "accounts")
        with self._database.read() as uow:
            found = uow.accounts.list(self._lockout())
        sees_all = Privilege.CONFIGURE_USERS in actor.privileges
        return [account for account in found if sees_all or account.id == actor.account_id]

    def get(self, actor: Actor, account_id: UUID) -> Account:
        """The account.

        Raises:
            NotFound: There is none that the actor may see.
        """
        self._authorize_on_visible(actor, "accounts.read", account_id)
        with self._database.read() as uow:
            return uow.accounts.get(account_id, self._lockout())

    def _authorize_on_visible(self, actor: Actor, verb: str, account_id: UUID) -> None:
        """As `authorize`; but what the actor may not see is not there."""
        try:
            self._authorize(actor, verb, _subject(account_id), owner=account_id)
        except PasswordChangeRequired:
            raise
        except NotPermitted:
            if account_id == actor.account_id:
                raise
            raise NotFound(f"There is no account {account_id}.", kind="ManagerAccount", id=str(account_id)) from None

    # --- changing ------------------------------------------------------------------------------------------------

    def create(
        self,
        actor: Actor,
        user_name: str,
        password: str,
        role: Role,
        *,
        enabled: bool = True,
        password_change_required: bool = False,
    ) -> Account:
        """Makes an account.

        Raises:
            PropertyError: The name or the password is not allowed.
            AlreadyExists: The name is taken.
        """
        self._authorize(actor, "accounts.create", "accounts")
        check_user_name(user_name)
        check_password(password, user_name)
        account = self._new(user_name, role, enabled=enabled, password_change_required=password_change_required)
        password_hash = self._passwords.hash(password)
        with self._database.write() as uow:
            self._write_new(uow, actor, account, password_hash)
        return account

    def update(
        self,
        actor: Actor,
        account_id: UUID,
        *,
        password: str | None = None,
        role: Role | None = None,
        enabled: bool | None = None,
        locked: bool | None = None,
        user_name: str | None = None,
        password_change_required: bool | None = None,
        expected_version: int | None = None,
    ) -> Account:
        """Changes an account; what is None stays as it is.

        The sessions of the account end with a new password (but for the one that sets it), another role, or when it is disabled.

        Raises:
            NotFound: There is no such account that the actor may see.
            PreconditionFailed: It has another version than `expected_version`.
            PropertyError: A value is not allowed.
            Conflict: It is the last enabled administrator and would not be one any more.
        """
        changes = _Changes(
            user_name=user_name,
            password=password,
            role=role,
            enabled=enabled,
            locked=locked,
            password_change_required=password_change_required,
        )
        verb = "accounts.change_password" if changes.names == ["password"] else "accounts.update"
        self._authorize_on_visible(actor, verb, account_id)
        if not changes.names:
            raise NoOperation(f"Nothing was given to change on the account {account_id}.")
        if locked:
            raise PropertyNotInList(
                "An account is locked by failed logins only; Locked can be set to false, which unlocks it.",
                property="Locked",
                value=True,
                allowed=[False],
            )
        values = self._values(actor, account_id, changes)
        return self._database.run(
            lambda uow: self._write_changes(
                uow, actor, account_id, changes, verb=verb, values=values, expected_version=expected_version
            )
        )

    def delete(self, actor: Actor, account_id: UUID, expected_version: int | None = None) -> None:
        """Deletes an account and ends its sessions.

        Raises:
            NotFound: There is no such account that the actor may see.
            PreconditionFailed: It has another version than `expected_version`.
            Conflict: It is the last enabled administrator.
        """
        self._authorize_on_visible(actor, "accounts.delete", account_id)

        def write(uow: UnitOfWork) -> None:
            before = uow.accounts.lock(account_id)
            uow.sessions.end_all(account_id, actor=actor.user_name)
            uow.accounts.delete(account_id, expected_version)
            if before is not None:  # the deletion of one that is gone has raised
                _refuse_without_administrator(uow, before, after=None)
                uow.events.add(RESOURCE_REMOVED, _subject(account_id), actor=actor.user_name)
                self._audit.record(
                    uow, actor, "accounts.delete", _subject(account_id), user_name=before.user_name, role=before.role
                )

        self._database.run(write)

    def _values(self, actor: Actor, account_id: UUID, changes: _Changes) -> dict[str, Any]:
        """The columns to write; what takes time (hashes) is done here, before the transaction."""
        with self._database.read() as uow:
            current = uow.accounts.get(account_id, self._lockout())
            old_hash = uow.accounts.password_hash(account_id)
        values: dict[str, Any] = {
            name: getattr(changes, name)
            for name in ("role", "enabled", "password_change_required")
            if getattr(changes, name) is not None
        }
        if changes.user_name is not None:
            check_user_name(changes.user_name)
            values.update(user_name=changes.user_name, name_key=name_key(changes.user_name))
        if changes.password is not None:
            check_password(changes.password, changes.user_name or current.user_name)
            own = actor.account_id == account_id
            if own and current.password_change_required and self._passwords.verify(old_hash, changes.password):
                raise PropertyConflict(
                    "The password must be changed, and this is the present one; choose another.", property="Password"
                )
            values["password_hash"] = self._passwords.hash(changes.password)
            if own:
                values.setdefault("password_change_required", False)
        return values

    def _write_changes(
        self,
        uow: UnitOfWork,
        actor: Actor,
        account_id: UUID,
        changes: _Changes,
        *,
        verb: str,
        values: dict[str, Any],
        expected_version: int | None,
    ) -> Account:
        before = uow.accounts.lock(account_id)
        uow.accounts.change(account_id, expected_version, **values)
        if changes.locked is False and before is not None:
            uow.accounts.forget_failures(name_key(before.user_name))
        after = uow.accounts.get(account_id, self._lockout())
        ended = 0
        if before is not None:  # the change of one that is gone has raised
            _refuse_without_administrator(uow, before, after)
            weightier = before.role != after.role or (before.enabled and not after.enabled)
            if weightier or changes.password is not None:
                keep = actor.session_id if actor.account_id == account_id and not weightier else None
                ended = uow.sessions.end_all(account_id, keep=keep, actor=actor.user_name)
        uow.events.add(RESOURCE_CHANGED, _subject(account_id), actor=actor.user_name)
        self._audit.record(
            uow,
            actor,
            verb,
            _subject(account_id),
            user_name=after.user_name,
            changed=changes.names,
            role=after.role,
            enabled=after.enabled,
            sessions_ended=ended,
        )
        return after

    # --- the first start -----------------------------------------------------------------------------------------

    def ensure_administrator(self, password: str | None) -> GeneratedPassword | None:
        """Makes the account `admin` where there is no account at all; of two that start at once, one makes it.

        Args:
            password: Its password; None to make a random one.

        Returns:
            The random password, to be shown once; None if none was made.

        Raises:
            ConfigurationError: The password is not allowed.
        """
        with self._database.read() as uow:
            if uow.accounts.count():
                return None
        if password is not None:
            try:
                check_password(password, FIRST_ADMINISTRATOR)
            except PropertyError as error:
                raise ConfigurationError(
                    f"HF_ADMIN_PASSWORD cannot be the first password: {error.message}", setting="admin_password"
                ) from error
        chosen = password or generate_password()
        account = self._new(FIRST_ADMINISTRATOR, Role.ADMINISTRATOR)
        password_hash = self._passwords.hash(chosen)

        def write(uow: UnitOfWork) -> bool:
            uow.serialize_on([FIRST_ACCOUNT_KEY])
            if uow.accounts.count():
                return False
            self._write_new(uow, SYSTEM_ACTOR, account, password_hash)
            return True

        made = self._database.run(write)
        return GeneratedPassword(account.user_name, chosen) if made and password is None else None

    def _new(
        self, user_name: str, role: Role, *, enabled: bool = True, password_change_required: bool = False
    ) -> Account:
        return Account(
            id=uuid.uuid4(),
            user_name=user_name,
            role=role,
            enabled=enabled,
            password_change_required=password_change_required,
            created_at=self._clock(),
        )

    def _write_new(self, uow: UnitOfWork, actor: Actor, account: Account, password_hash: str) -> None:
        uow.accounts.add(account, name_key=name_key(account.user_name), password_hash=password_hash)
        uow.events.add(RESOURCE_CREATED, _subject(account.id), actor=actor.user_name)
        self._audit.record(
            uow,
            actor,
            "accounts.create",
            _subject(account.id),
            user_name=account.user_name,
            role=account.role,
            enabled=account.enabled,
            password_change_required=account.password_change_required,
        )


def _refuse_without_administrator(uow: UnitOfWork, before: Account, after: Account | None) -> None:
    """Sees to it that somebody can still administer, in the transaction of the change."""
    was = before.enabled and before.role is Role.ADMINISTRATOR
    still = after is not None and after.enabled and after.role is Role.ADMINISTRATOR
    if was and not still and not uow.accounts.other_administrators(before.id):
        raise Conflict(
            f"{before.user_name} is the last enabled administrator and cannot be deleted, disabled or given another role; "
            "make another administrator first."
        )


def _actor(account: Account, address: str | None, request_id: str | None) -> Actor:
    return Actor(
        user_name=account.user_name,
        role=account.role,
        account_id=account.id,
        address=address,
        request_id=request_id,
        password_change_required=account.password_change_required,
    )


def _subject(account_id: UUID) -> str:
    return f"account:{account_id}"


def _not_authenticated() -> NotAuthenticated:
    return NotAuthenticated("The user name or the password is not valid, or there were too many failed logins.")
