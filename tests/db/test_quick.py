"""Reads that never wait: they show what the repositories show, at the moment of the call, or nothing."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from hawkfish.db import Database
from hawkfish.db.repositories.accounts import Lockout
from hawkfish.domain.accounts import Account, Role, Session

TOKEN_HASH = "ab" * 32
NOW = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)
NEVER = Lockout(threshold=5, now=NOW)


@pytest.fixture
def account(database: Database) -> Account:
    made = Account(id=uuid4(), user_name="Ada", role=Role.OPERATOR, created_at=NOW)
    with database.write() as uow:
        uow.accounts.add(made, name_key="ada", password_hash="hash")
        uow.sessions.add(
            Session(id=str(uuid4()), account_id=made.id, user_name="Ada", created_at=NOW, used_at=NOW), TOKEN_HASH
        )
    return made


def test_they_show_what_the_repositories_show(database: Database, account: Account) -> None:
    with database.write() as uow:
        uow.accounts.add_failure("ada", "192.0.2.1", now=NOW, expires_at=NOW.replace(year=2027))
    with database.read() as uow:
        session = uow.sessions.resume(TOKEN_HASH)
        credentials = [uow.accounts.credentials("ada", source, NEVER) for source in ("192.0.2.1", "-")]
    assert session is not None
    assert [found.failures for found in credentials if found] == [1, 0]
    quick = [database.quick.credentials("ada", source, NEVER) for source in ("192.0.2.1", "-")]
    if database.is_sqlite:
        assert database.quick.session(TOKEN_HASH) == session
        assert quick == credentials
    else:  # a network away: there is no answer without waiting
        assert database.quick.session(TOKEN_HASH) is None
        assert quick == [None, None]
    for found in (database.quick.session("cd" * 32), database.quick.credentials("eve", "-", NEVER)):
        assert found is None
    assert database.quick.system_stamp(str(uuid4())) is None


def test_what_tells_the_service_from_others_is_shown_as_it_is_now(database: Database) -> None:
    for text in ("", "lab 1", ""):
        with database.write() as uow:
            uow.accounts.write_service_identification(text)
        with database.read() as uow:
            assert uow.accounts.service_identification() == text
        assert database.quick.service_identification() == (text if database.is_sqlite else None)


@pytest.fixture
def sqlite(sqlite_url: str) -> Iterator[Database]:
    opened = Database(sqlite_url)
    with opened.write() as uow:
        made = Account(id=UUID(int=1), user_name="Ada", role=Role.OPERATOR, created_at=NOW)
        uow.accounts.add(made, name_key="ada", password_hash="hash")
        uow.sessions.add(Session(id="s", account_id=made.id, user_name="Ada", created_at=NOW, used_at=NOW), TOKEN_HASH)
    yield opened
    opened.close()


def test_every_commit_shows_at_once_whoever_made_it(sqlite: Database, sqlite_url: str) -> None:
    with closing(Database(sqlite_url)) as other:
        for number, role in enumerate([Role.ADMINISTRATOR, Role.READ_ONLY, Role.OPERATOR] * 5):
            process = other if number % 2 else sqlite
            with process.write() as uow:
                uow.accounts.change(UUID(int=1), None, role=role, enabled=bool(number % 3))
            found = sqlite.quick.session(TOKEN_HASH)
            assert found is not None
            assert (found.role, found.enabled) == (role, bool(number % 3))
        with other.write() as uow:
            uow.sessions.end("s")
        assert sqlite.quick.session(TOKEN_HASH) is None


def test_a_writer_at_work_is_passed_and_nothing_uncommitted_is_seen(sqlite: Database, sqlite_url: str) -> None:
    with closing(Database(sqlite_url)) as other, other.write() as uow:
        uow.sessions.end("s")
        began = time.monotonic()
        assert sqlite.quick.session(TOKEN_HASH) is not None
        assert time.monotonic() - began < 4
    assert sqlite.quick.session(TOKEN_HASH) is None


@contextmanager
def file_taken(path: str) -> Iterator[None]:
    """Another process that lets nobody read, as one does that recovers the file."""
    program = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); "
        "c.execute('PRAGMA locking_mode=EXCLUSIVE'); c.execute('BEGIN EXCLUSIVE'); "
        "c.execute('CREATE TABLE t (x)'); c.execute('COMMIT'); print('taken', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "taken\n"
        yield
        process.communicate("")


def test_a_file_that_lets_nobody_read_is_not_waited_for(sqlite: Database) -> None:
    # SQLite gives a file to one process alone only while no other has it open.
    path = str(sqlite.path)
    sqlite.close()
    with file_taken(path):
        began = time.monotonic()
        assert sqlite.quick.session(TOKEN_HASH) is None
        assert time.monotonic() - began < 4
    assert sqlite.quick.session(TOKEN_HASH) is not None


def test_nothing_can_be_written_through_them(sqlite: Database) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        sqlite.quick._connection(sqlite.path).execute("DELETE FROM hf_sessions")


def test_threads_do_not_mix_their_answers(sqlite: Database) -> None:
    hashes = [f"{number:064x}" for number in range(8)]
    with sqlite.write() as uow:
        for text in hashes:
            made = Session(id=text[-36:], account_id=UUID(int=1), user_name="Ada", created_at=NOW, used_at=NOW)
            uow.sessions.add(made, text)
    wrong: list[str] = []

    def read(text: str) -> None:
        for _ in range(300):
            found = sqlite.quick.session(text)
            if found is None or found.session_id != text[-36:]:
                wrong.append(text)

    threads = [threading.Thread(target=read, args=(text,)) for text in hashes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert wrong == []
