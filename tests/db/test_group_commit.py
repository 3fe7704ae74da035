"""Group commit: what comes together is committed together, and nobody suffers from another's work."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import event, insert, select
from sqlalchemy.exc import OperationalError

import hawkfish.db.database
from hawkfish.db import Database
from hawkfish.db.models.tasks import TaskWorkerRow
from hawkfish.errors import Conflict, DatabaseUnavailable
from hawkfish.testing.waiting import wait_until


@pytest.fixture
def database(sqlite_url):
    database = Database(sqlite_url)
    yield database
    database.close()


def add(number: int):
    def work(uow):
        now = uow.now()
        values = {"host": "h", "pid": number, "started_at": now, "beat_at": now, "expires_at": now}
        uow.session.execute(insert(TaskWorkerRow).values(values))
        return number

    return work


def numbers(database) -> list[int]:
    with database.read() as uow:
        return list(uow.session.scalars(select(TaskWorkerRow.pid).order_by(TaskWorkerRow.pid)))


@contextmanager
def together(database, works):
    """Has works come while the write lock is held; gives their futures, done once the block is left."""
    with ThreadPoolExecutor(len(works)) as pool:
        with database._alone():
            futures = []
            for work in works:
                futures.append(pool.submit(database.run, work))
                wait_until(lambda: len(database._group._waiting) == len(futures), "the work waits")
        yield futures


@pytest.fixture
def commits(database):
    made = []
    event.listen(database._writing, "commit", made.append)
    return made


def test_works_that_come_together_share_one_commit(database, commits):
    with together(database, [add(number) for number in range(1, 6)]) as futures:
        assert [future.result(10) for future in futures] == [1, 2, 3, 4, 5]
    assert numbers(database) == [1, 2, 3, 4, 5]
    assert len(commits) == 1


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_work_that_fails_takes_nothing_of_the_others_with_it(database, commits, place):
    told = []

    def fails(uow):
        add(99)(uow)
        uow.before_commit(lambda: told.append("never"))
        uow.on_commit(lambda: told.append("never"))
        raise Conflict("It is not to be.")

    works = [add(1), add(2)]
    works.insert(place, fails)
    with together(database, works) as futures:
        with pytest.raises(Conflict, match="not to be"):
            futures.pop(place).result(10)
        assert [future.result(10) for future in futures] == [1, 2]
    assert numbers(database) == [1, 2]
    assert told == []
    assert len(commits) == 1


def test_what_a_constraint_refuses_is_refused_to_its_owner_alone(database):
    def refused(uow):
        uow.session.execute(insert(TaskWorkerRow).values(host=None, pid=99))

    with together(database, [add(1), refused, add(2)]) as futures:
        assert [type(future.exception(10)).__name__ for future in futures] == ["NoneType", "IntegrityError", "NoneType"]
    assert numbers(database) == [1, 2]


def test_where_the_whole_transaction_is_lost_each_work_is_done_alone(database):
    """A full disk makes SQLite undo the whole transaction, not only the statement."""
    tried = []

    def loses_the_transaction(uow):
        tried.append(threading.get_ident())
        if len(tried) == 1:
            uow.session.connection().connection.dbapi_connection.execute("ROLLBACK")
            raise OperationalError("INSERT", None, sqlite3.OperationalError("database or disk is full"))
        return add(2)(uow)

    with together(database, [add(1), loses_the_transaction, add(3)]) as futures:
        assert [future.result(10) for future in futures] == [1, 2, 3]
    assert numbers(database) == [1, 2, 3]
    assert len(tried) == 2


def test_while_another_process_writes_too_long_all_are_told_and_later_works_go_on(database, monkeypatch):
    monkeypatch.setattr(hawkfish.db.database, "BUSY_SECONDS", 0.2)
    other = sqlite3.connect(database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(3) as pool:
        for future in [pool.submit(database.run, add(number)) for number in (1, 2, 3)]:
            with pytest.raises(DatabaseUnavailable):
                future.result(10)
    other.close()
    assert database.run(add(4)) == 4
    assert numbers(database) == [4]


def test_the_end_of_a_thread_that_leads_leaves_nobody_waiting(database):
    def ends(uow):
        raise SystemExit

    with together(database, [add(1), ends, add(3)]) as futures:
        outcomes = [future.exception(10) for future in futures]
    assert isinstance(outcomes[0], SystemExit)  # it led, and its process is ending
    assert [type(outcome) for outcome in outcomes[1:]] == [DatabaseUnavailable, DatabaseUnavailable]
    assert database.run(add(4)) == 4
    assert numbers(database) == [4]


def test_a_transaction_inside_another_is_refused_at_once(database):
    with pytest.raises(RuntimeError, match="inside another"):
        database.run(lambda uow: database.run(add(1)))
    assert database.run(add(2)) == 2
    assert numbers(database) == [2]


def test_many_threads_lose_nothing_whatever_fails_between(database):
    def one(number: int):
        def work(uow):
            add(number)(uow)
            if number % 3 == 0:
                raise ZeroDivisionError
            return number

        return work

    def some(first: int) -> None:
        for number in range(first, first + 20):
            try:
                assert database.run(one(number)) == number
            except ZeroDivisionError:
                assert number % 3 == 0

    with ThreadPoolExecutor(12) as pool:
        for future in [pool.submit(some, 1 + 20 * thread) for thread in range(12)]:
            future.result(60)
    assert numbers(database) == [number for number in range(1, 241) if number % 3]
