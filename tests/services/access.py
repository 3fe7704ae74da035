"""The services of accounts, sessions and audit over one database, with a clock that tests move."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import event

from hawkfish.config import load_settings
from hawkfish.db import Database
from hawkfish.domain.accounts import SYSTEM_ACTOR, Account, Actor, AuditRecord, Role
from hawkfish.services.accounts import AccountService
from hawkfish.services.audit import AuditService
from hawkfish.services.passwords import Passwords
from hawkfish.services.sessions import SessionService

QUICK = Passwords(time_cost=1, memory_kib=8)
PASSWORD = "correct horse battery"
OFFICE = "192.0.2.10"
ELSEWHERE = "198.51.100.7"


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Access:
    database: Database
    clock: Clock
    audit: AuditService
    accounts: AccountService
    sessions: SessionService
    waiting: list[Callable[[], None]] = field(default_factory=list)
    """What is to be done in a moment."""

    def account(self, user_name: str = "operator", role: Role = Role.OPERATOR, **options: Any) -> Account:
        return self.accounts.create(SYSTEM_ACTOR, user_name, PASSWORD, role, **options)

    def actor(self, user_name: str = "operator", role: Role = Role.OPERATOR, **options: Any) -> Actor:
        self.account(user_name, role, **options)
        return self.sessions.login(user_name, PASSWORD, OFFICE)[2]

    def a_moment_passes(self) -> None:
        while self.waiting:
            self.waiting.pop()()

    def records(self) -> list[AuditRecord]:
        """The whole trail, oldest first."""
        return self.audit.list(SYSTEM_ACTOR, limit=1000)[::-1]


def open_access(database: Database, folder: Path, passwords: Passwords = QUICK, **settings: Any) -> Access:
    chosen = load_settings({}, data_dir=folder, **settings)
    clock = Clock()
    waiting: list[Callable[[], None]] = []
    audit = AuditService(database, chosen, clock=clock, later=waiting.append)
    accounts = AccountService(database, chosen, audit, passwords=passwords, clock=clock)
    sessions = SessionService(database, chosen, accounts, audit, clock=clock)
    return Access(database, clock, audit, accounts, sessions, waiting)


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """Runs all at the same moment; gives what each returned or raised."""
    barrier = threading.Barrier(len(works))
    outcomes: list[Any] = [None] * len(works)

    def run(index: int) -> None:
        barrier.wait(timeout=30)
        try:
            outcomes[index] = works[index]()
        except Exception as error:  # noqa: BLE001  the test judges it
            outcomes[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    return outcomes


class Statements:
    """Counts what is sent to the database while it is open."""

    def __init__(self, database: Database) -> None:
        # SQLite's writers have an engine of their own.
        self._engines = {id(engine): engine for engine in (database.engine, database._writing)}.values()
        self.texts: list[str] = []

    def _note(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.split(maxsplit=1)[0] not in {"BEGIN", "COMMIT", "ROLLBACK"}:
            self.texts.append(statement)

    def __enter__(self) -> list[str]:
        for engine in self._engines:
            event.listen(engine, "before_cursor_execute", self._note)
        return self.texts

    def __exit__(self, *_: object) -> None:
        for engine in self._engines:
            event.remove(engine, "before_cursor_execute", self._note)
