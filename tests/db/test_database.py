"""Transactions, signals and the schema, on both databases."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import DateTime, insert, select, text
from sqlalchemy.dialects import sqlite

from hawkfish.db import Database
from hawkfish.db.base import UtcDateTime
from hawkfish.db.database import _alembic_config
from hawkfish.db.models import ALL
from hawkfish.db.models.tasks import TaskWorkerRow
from hawkfish.errors import ConfigurationError


def add_worker(uow, pid=1, beat_at=None):
    now = beat_at or datetime.now(UTC)
    values = {"host": "h", "pid": pid, "started_at": now, "beat_at": now, "expires_at": now}
    return uow.session.execute(insert(TaskWorkerRow).values(values).returning(TaskWorkerRow.id)).scalar_one()


def pids(database):
    with database.read() as uow:
        return list(uow.session.scalars(select(TaskWorkerRow.pid).order_by(TaskWorkerRow.id)))


def test_a_unit_of_work_is_all_or_nothing(database):
    calls = []
    with database.write() as uow:
        add_worker(uow, 1)
        uow.on_commit(lambda: calls.append("committed"))
    with pytest.raises(ZeroDivisionError), database.write() as uow:  # noqa: PT012  the block is the transaction
        add_worker(uow, 2)
        uow.on_commit(lambda: calls.append("never"))
        raise ZeroDivisionError
    assert pids(database) == [1]
    assert calls == ["committed"]


def test_reading_changes_nothing(database):
    with database.read() as uow:
        add_worker(uow, 1)
    assert pids(database) == []


def test_times_come_back_in_utc_whatever_went_in(database):
    noon = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    with database.write() as uow:
        add_worker(uow, beat_at=noon)
    with database.read() as uow:
        found = uow.session.scalars(select(TaskWorkerRow.beat_at)).one()
    assert found == noon
    assert found.tzinfo is UTC
    with pytest.raises(Exception, match="no time zone"), database.write() as uow:
        add_worker(uow, beat_at=datetime(2026, 1, 1))  # noqa: DTZ001  the naive time is the point


@given(st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1), timezones=st.timezones()))  # noqa: DTZ001  bounds
def test_times_are_written_to_sqlite_as_sqlalchemy_writes_them(moment):
    dialect = sqlite.dialect()
    expected = DateTime().dialect_impl(dialect).bind_processor(dialect)(moment.astimezone(UTC).replace(tzinfo=None))
    assert UtcDateTime().bind_processor(dialect)(moment) == expected


def test_writers_in_many_threads_lose_nothing(database):
    def write():
        for _ in range(20):
            with database.write() as uow:
                found = uow.session.scalars(select(TaskWorkerRow.pid).with_for_update()).first() or 0
                add_worker(uow, found + 1)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pids(database)) == 160


@pytest.mark.needs_postgresql
def test_a_deadlock_is_run_again(postgresql_url):
    database = Database(postgresql_url)
    barrier = threading.Barrier(2)
    runs = []

    def work(first, second):
        def steps(uow):
            runs.append(first)
            uow.serialize_on([first])
            if len(runs) <= 2:
                barrier.wait(10)
            uow.serialize_on([second])

        database.run(steps)

    threads = [threading.Thread(target=work, args=pair) for pair in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert len(runs) == 3
    database.close()


def test_a_signal_wakes_a_subscriber_of_another_process_after_the_commit(database, database_url):
    program = (
        "import sys; from hawkfish.db import Database\n"
        f"database = Database({database_url!r})\n"
        "with database.subscribe('bell') as bell:\n"
        "    database.is_sqlite or bell.wait(60)  # it tells once that it listens\n"
        "    print('ready', flush=True)\n"
        "    print(bell.wait(60), bell.wait(0.2), flush=True)\n"
    )
    listener = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        assert listener.stdout.readline() == "ready\n"
        with database.write() as uow:
            uow.publish("other")
            uow.publish("bell")
        assert listener.stdout.readline() == "True False\n"
    finally:
        listener.kill()
        listener.wait()
        listener.stdout.close()


def test_signals_work_in_a_folder_with_a_very_long_name(tmp_path):
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    database = Database(f"sqlite:///{folder / 'hawkfish.db'}")
    database.upgrade()
    with database.subscribe("bell") as bell:
        with database.write() as uow:
            uow.publish("bell")
        assert bell.wait(30)
    database.close()


def test_sqlite_is_set_for_safety(sqlite_url):
    database = Database(sqlite_url)
    with database.read() as uow:
        pragmas = {
            name: uow.session.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    database.close()


@pytest.mark.parametrize("url", ["sqlite://", "mysql://root@localhost/x"])
def test_a_database_that_cannot_serve_is_refused(url):
    with pytest.raises(ConfigurationError):
        Database(url)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs_postgresql)])
def empty_database(request, tmp_path):
    if request.param == "sqlite":
        database = Database(f"sqlite:///{tmp_path / 'empty.db'}")
        yield database
        database.close()
        return
    server = request.getfixturevalue("postgresql")
    name = server.create()
    database = Database(server.url(name))
    yield database
    database.close()
    server.drop(name)


def test_upgrade_makes_what_the_models_say_and_downgrade_takes_it_away(empty_database):
    from alembic import command

    assert not empty_database.check().ok
    empty_database.upgrade()
    assert empty_database.check().ok
    with empty_database._schema_connection() as connection:
        config = _alembic_config()
        config.attributes["connection"] = connection
        command.check(config)
    empty_database.downgrade("base")
    assert empty_database.check().found is None
    empty_database.upgrade()
    assert empty_database.check().ok


@pytest.mark.slow
def test_several_that_upgrade_at_once_do_not_collide(empty_database):
    url = empty_database.url.render_as_string(hide_password=False)
    program = f"from hawkfish.db import Database; d = Database({url!r}); d.upgrade(); assert d.check().ok; d.close()"
    starters = [subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for starter in starters:
        _, errors = starter.communicate(timeout=240)
        assert starter.returncode == 0, errors


def test_every_table_bears_the_prefix():
    assert {model.__tablename__ for model in ALL} == {
        model.__tablename__ for model in ALL if model.__tablename__.startswith("hf_")
    }
