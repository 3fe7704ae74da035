"""Sessions: logins that are kept in the database, so that they hold in every process and after a restart."""

from __future__ import annotations

import hashlib
import re
import secrets
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from hawkfish.config import Settings
from hawkfish.db import Database, UnitOfWork
from hawkfish.db.repositories.sessions import Resumed
from hawkfish.domain.accounts import Account, Actor, Privilege, Session
from hawkfish.errors import NotAuthenticated, NotFound, NotPermitted, PasswordChangeRequired
from hawkfish.services.accounts import AccountService
from hawkfish.services.audit import AuditService, printable, utc_now

TOKEN_BYTES = 32
TOKEN_FORM = re.compile(f"[0-9a-f]{{{2 * TOKEN_BYTES}}}")
TOUCH_SECONDS = 30
"""A session in use is written at most this often, so that a request is one SELECT."""


class SessionService:
    """Logs in, recognises tokens, logs out.

    Args:
        database: Where sessions are kept; of a token only its SHA-256.
        settings: Timeout, and how many sessions an account may have.
        accounts: Checks the password.
        audit: Where every change and refusal is written.
        clock: Tells the time.
        ago: Tells what the clock showed some time ago; by default what it would have shown had it never been set.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        accounts: AccountService,
        audit: AuditService,
        *,
        clock: Callable[[], datetime] = utc_now,
        ago: Callable[[timedelta], datetime] | None = None,
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._audit = audit
        self._authorize = audit.authorize
        self._clock = clock
        self._ago = ago or (lambda span: self._clock() - span)
        self._timeout = timedelta(seconds=settings.session_timeout)
        self._touch_after = min(timedelta(seconds=TOUCH_SECONDS), self._timeout / 4)
        self._maximum = settings.max_sessions_per_account
        self._touching: set[str] = set()

    def login(
        self, user_name: str, password: str, address: str | None, request_id: str | None = None
    ) -> tuple[Session, str, Actor]:
        """Begins a session.

        Returns:
            The session, its token (hexadecimal, told this once), and the actor, whose password may have to be changed.

        Raises:
            NotAuthenticated: As `AccountService.authenticate`.
        """
        account = self._accounts.verify(user_name, password, address, request_id)
        now = self._clock()
        session = Session(
            id=str(uuid.uuid4()),
            account_id=account.id,
            user_name=account.user_name,
            created_at=now,
            used_at=now,
            address=None if address is None else printable(address, 64),
        )
        token = secrets.token_hex(TOKEN_BYTES)
        actor = Actor(
            user_name=account.user_name,
            role=account.role,
            account_id=account.id,
            session_id=session.id,
            address=address,
            request_id=request_id,
            password_change_required=account.password_change_required,
        )
        self._database.run(lambda uow: self._write_new(uow, account, session, token, actor))
        return session, token, actor

    def _write_new(self, uow: UnitOfWork, account: Account, session: Session, token: str, actor: Actor) -> None:
        current = uow.accounts.lock(account.id)
        if current is None or current.version != account.version:
            raise NotAuthenticated("The account was changed during the login; try again.")
        uow.sessions.purge(self._ago(self._timeout), account_id=account.id)
        dropped = uow.sessions.make_room(account.id, self._maximum)
        uow.sessions.add(session, _hash(token))
        details: dict[str, Any] = {"sessions_ended": dropped} if dropped else {}
        self._audit.record(uow, actor, "sessions.create", _subject(session.id), **details)

    def recognise(self, token: str, address: str | None, request_id: str | None = None) -> Actor | None:
        """As `resume`, where that can be told without waiting; else None, and `resume` has the last word."""
        if not TOKEN_FORM.fullmatch(token):
            return None
        found = self._database.quick.session(_hash(token))
        now = self._clock()
        if found is None or not self._is_valid(found) or self._is_to_be_touched(found, now):
            return None
        return _actor(found, address, request_id)

    def resume(self, token: str, address: str | None, request_id: str | None = None) -> Actor:
        """The actor whose session the token is; its account and role as they are now.

        Raises:
            NotAuthenticated: There is no such session, it has expired, or its account is disabled.
        """
        if not TOKEN_FORM.fullmatch(token):
            raise _no_session()
        with self._database.read() as uow:
            found = uow.sessions.resume(_hash(token))
        now = self._clock()
        if found is None or not self._is_valid(found):
            raise _no_session()
        if self._is_to_be_touched(found, now):
            self._touch(found.session_id, now)
        return _actor(found, address, request_id)

    def _is_valid(self, found: Resumed) -> bool:
        return found.enabled and found.used_at > self._ago(self._timeout)

    def _is_to_be_touched(self, found: Resumed, now: datetime) -> bool:
        return now - found.used_at > self._touch_after and found.session_id not in self._touching

    def _touch(self, session_id: str, now: datetime) -> None:
        """Notes that the session is in use; the other requests of the session need not wait for that."""
        self._touching.add(session_id)
        try:
            with self._database.write() as uow:
                uow.sessions.touch(session_id, now=now, if_before=now - self._touch_after)
        finally:
            self._touching.discard(session_id)

    def list(self, actor: Actor) -> list[Session]:
        """Sessions, oldest first: all for whoever may configure the service, else the actor's own."""
        self._authorize(actor, "sessions.list", "sessions")
        sees_all = Privilege.CONFIGURE_MANAGER in actor.privileges
        with self._database.read() as uow:
            return uow.sessions.list(
                used_after=self._ago(self._timeout), account_id=None if sees_all else actor.account_id
            )

    def get(self, actor: Actor, session_id: str) -> Session:
        """The session.

        Raises:
            NotFound: There is none that the actor may see.
        """
        return self._visible(actor, "sessions.read", session_id)

    def end(self, actor: Actor, session_id: str) -> None:
        """Ends the session: its token is worth nothing from now on.

        Raises:
            NotFound: There is none that the actor may see.
        """
        session = self._visible(actor, "sessions.delete", session_id)

        def write(uow: UnitOfWork) -> None:
            if not uow.sessions.end(session.id, actor=actor.user_name):
                raise _not_found(session_id)
            self._audit.record(uow, actor, "sessions.delete", _subject(session.id), user_name=session.user_name)

        self._database.run(write)

    def purge(self) -> int:
        """Deletes expired sessions; tells how many."""
        before = self._ago(self._timeout)
        return self._database.run(lambda uow: uow.sessions.purge(before))

    def _visible(self, actor: Actor, verb: str, session_id: str) -> Session:
        session = None
        if _is_id(session_id):
            with self._database.read() as uow:
                session = uow.sessions.find(session_id, used_after=self._ago(self._timeout))
        # What is not there is refused to nobody: it is simply not found.
        owner = actor.account_id if session is None else session.account_id
        try:
            self._authorize(actor, verb, _subject(session_id), owner=owner)
        except PasswordChangeRequired:
            raise
        except NotPermitted:  # what the actor may not see is not there
            raise _not_found(session_id) from None
        if session is None:
            raise _not_found(session_id)
        return session


def _actor(found: Resumed, address: str | None, request_id: str | None) -> Actor:
    return Actor(
        user_name=found.user_name,
        role=found.role,
        account_id=found.account_id,
        session_id=found.session_id,
        address=address,
        request_id=request_id,
        password_change_required=found.password_change_required,
    )


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("ascii")).hexdigest()


def _is_id(session_id: str) -> bool:
    """Whether it can be one of ours; other text (with a NUL, say) is kept from the database."""
    return len(session_id) <= 36 and session_id.isascii() and session_id.isprintable()  # noqa: PLR2004  the form of a UUID


def _subject(session_id: str) -> str:
    return f"session:{session_id}"


def _no_session() -> NotAuthenticated:
    return NotAuthenticated("There is no such session (any more); log in again.")


def _not_found(session_id: str) -> NotFound:
    return NotFound(f"There is no session {session_id[:64]}.", kind="Session", id=session_id[:64])
