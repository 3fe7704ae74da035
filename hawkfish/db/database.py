"""The engine, transactions, and the schema's upgrade."""

from __future__ import annotations

import contextlib
import fcntl
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import tenacity
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Dialect, Engine, create_engine, event, func, make_url, select
from sqlalchemy.exc import DBAPIError, OperationalError

from hawkfish.db.base import translated
from hawkfish.db.group_commit import GroupCommit
from hawkfish.db.prepared import run_plainly
from hawkfish.db.quick import QuickReads
from hawkfish.db.signals import NotifySignals, Signals, SocketSignals, Subscription
from hawkfish.db.unit_of_work import UnitOfWork, stable_number, unit_of_work
from hawkfish.errors import ConfigurationError, DatabaseUnavailable
from hawkfish.locks import LOCK_POLL_SECONDS, acquire, native_lock, native_locks, pause

Result = TypeVar("Result")

BUSY_SECONDS = 10.0
RUN_ATTEMPTS = 8
SERIALIZATION_FAILURES = frozenset({"40001", "40P01"})  # serialization_failure, deadlock_detected
UPGRADE_LOCK = "hawkfish:upgrade"


@dataclass(frozen=True)
class SchemaStatus:
    """Which revision the database has, and which one this version of HawkFish needs."""

    found: str | None
    needed: str

    @property
    def ok(self) -> bool:
        """Whether the service can work with the database as it is."""
        return self.found == self.needed


class Database:
    """One SQLite file or one PostgreSQL database; safe to share between threads.

    Args:
        url: An SQLAlchemy URL: `sqlite:////path/hawkfish.db` or `postgresql+psycopg://...` (`postgresql://` is taken as that).
        pool_size: Connections kept open. Of PostgreSQL twice as many more are opened when needed, of a file any number.

    Example:
        database = Database("sqlite:////var/lib/hawkfish/hawkfish.db")
        database.upgrade()
        with database.write() as uow:
            uow.tasks.purge(before)
    """

    def __init__(self, url: str, *, pool_size: int = 16) -> None:
        self.url = make_url(url)
        if self.url.drivername == "postgresql":
            self.url = self.url.set(drivername="postgresql+psycopg")
        if self.url.drivername not in {"sqlite", "postgresql+psycopg"}:
            raise ConfigurationError(
                f"The database {self.url.render_as_string()} cannot be used: "
                "give an SQLite file (sqlite:////path/file.db) or PostgreSQL (postgresql+psycopg://user@host/name).",
                setting="database_url",
            )
        self.is_sqlite = self.url.drivername == "sqlite"
        if self.is_sqlite and self.url.database in {None, "", ":memory:"}:
            raise ConfigurationError(
                "The database must be a file: an SQLite database in memory is not shared by the processes of the service.",
                setting="database_url",
            )
        arguments: dict[str, Any] = {"check_same_thread": False, "timeout": BUSY_SECONDS} if self.is_sqlite else {}
        with native_locks():  # those of its pool and of its cache of statements
            self.engine: Engine = create_engine(
                self.url,
                pool_size=pool_size,
                # A file has no limit of connections, and so no thread waits for one.
                max_overflow=-1 if self.is_sqlite else 2 * pool_size,
                pool_pre_ping=not self.is_sqlite,
                connect_args=arguments,
            )
        self._writing = self.engine
        self._write_lock = native_lock()
        self.quick = QuickReads(self.path if self.is_sqlite else None)
        self.signals: Signals
        self._group: GroupCommit | None = None
        if self.is_sqlite:
            event.listen(self.engine, "connect", _configure_sqlite)
            event.listen(self.engine, "begin", _begin_reading)
            # Writers have connections of their own, which do not wait for the lock inside SQLite: see `_begin_writing`.
            with native_locks():
                self._writing = create_engine(self.url, pool_size=2, max_overflow=-1, connect_args=arguments)
            event.listen(self._writing, "connect", _configure_sqlite)
            event.listen(self._writing, "connect", _do_not_wait)
            event.listen(self._writing, "begin", _begin_writing)
            _speed_savepoints_up(self._writing.dialect)
            self.signals = SocketSignals(self.path.with_name(self.path.name + ".signals"))
            self._group = GroupCommit(self._writing, self._alone, self.signals)
        else:
            self.signals = NotifySignals(self.conninfo)

    @property
    def path(self) -> Path:
        """The file of an SQLite database."""
        return Path(str(self.url.database)).absolute()

    @property
    def conninfo(self) -> str:
        """The address of a PostgreSQL database as libpq wants it."""
        return self.url.set(drivername="postgresql").render_as_string(hide_password=False)

    def subscribe(self, channel: str) -> Subscription:
        """Waits for `uow.publish(channel)` of any process."""
        return self.signals.subscribe(channel)

    @contextlib.contextmanager
    def write(self) -> Iterator[UnitOfWork]:
        """A transaction that commits at the end, or rolls back when an exception passes."""
        with (
            self._alone(),
            translated(),
            self._writing.connect() as connection,
            connection.begin(),
            unit_of_work(connection, self.signals) as uow,
        ):
            yield uow
            uow.finish()
        uow.committed()

    @contextlib.contextmanager
    def read(self) -> Iterator[UnitOfWork]:
        """A transaction for reading; it sees one state of the database and is rolled back."""
        with translated(), self.engine.connect() as connection:
            connection.begin()  # rolled back when the connection is given back
            with unit_of_work(connection, self.signals) as uow:
                yield uow

    def run(self, work: Callable[[UnitOfWork], Result]) -> Result:
        """Runs `work` in a writing transaction, again if the database asks for that (deadlock, serialization failure).

        `work` may run several times, and in another thread: it touches nothing but the database. On SQLite works that come
        together are committed together (see `GroupCommit`).
        """
        if self._group is not None:
            return self._group.run(work)
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(is_serialization_failure),
            wait=tenacity.wait_random_exponential(multiplier=0.01, max=0.5),
            stop=tenacity.stop_after_attempt(RUN_ATTEMPTS),
            reraise=True,
        )

        def once() -> Result:
            with self.write() as uow:
                return work(uow)

        try:
            return once()  # nearly always enough
        except (DBAPIError, DatabaseUnavailable) as error:
            if not is_serialization_failure(error):
                raise
        return retrying(once)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Lines up this process's writers of SQLite: waiting for a lock is quicker and fairer than SQLite's polling."""
        if not self.is_sqlite:
            yield
            return
        if not acquire(self._write_lock, BUSY_SECONDS):
            raise DatabaseUnavailable(
                f"The database {self.path} was being written for more than {BUSY_SECONDS:.0f} s; try again.",
                retry_after=5,
            )
        try:
            yield
        finally:
            self._write_lock.release()

    # --- schema --------------------------------------------------------------------------------------------------

    def upgrade(self, revision: str = "head") -> None:
        """Brings the schema to `revision`; of several that start at once, one works and the others wait."""
        with self._schema_connection() as connection:
            config = _alembic_config()
            config.attributes["connection"] = connection
            command.upgrade(config, revision)

    def downgrade(self, revision: str) -> None:
        """Takes the schema back to `revision`; what the later ones added is lost."""
        with self._schema_connection() as connection:
            config = _alembic_config()
            config.attributes["connection"] = connection
            command.downgrade(config, revision)

    def check(self) -> SchemaStatus:
        """Compares the schema's revision with the one that this version needs."""
        needed = ScriptDirectory.from_config(_alembic_config()).get_current_head()
        with translated(), self.engine.connect() as connection:
            found = MigrationContext.configure(connection).get_current_revision()
        return SchemaStatus(found=found, needed=str(needed))

    @contextlib.contextmanager
    def _schema_connection(self) -> Iterator[Connection]:
        with translated(), self._upgrade_lock(), self.engine.connect() as connection:
            if self.is_sqlite:
                # Rebuilding a table drops it, which with foreign keys on would delete the rows that refer to it.
                connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
                connection.rollback()
            try:
                yield connection
                if self.is_sqlite and (broken := connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()):
                    raise ConfigurationError(
                        f"The upgraded database {self.path} has rows that refer to nothing: {broken[:5]}.",
                        setting="database_url",
                    )
            finally:
                if self.is_sqlite:
                    connection.rollback()
                    connection.exec_driver_sql("PRAGMA foreign_keys=ON")
                    connection.rollback()

    @contextlib.contextmanager
    def _upgrade_lock(self) -> Iterator[None]:
        if self.is_sqlite:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.with_name(self.path.name + ".upgrade").open("w") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield
            return
        with self.engine.connect() as connection:
            number = stable_number(UPGRADE_LOCK)
            connection.execute(select(func.pg_advisory_lock(number)))
            connection.commit()
            try:
                yield
            finally:
                connection.execute(select(func.pg_advisory_unlock(number)))
                connection.commit()

    def close(self) -> None:
        """Closes all connections."""
        self.signals.close()
        self.quick.close()
        self._writing.dispose()
        self.engine.dispose()


def is_serialization_failure(error: BaseException) -> bool:
    """Whether the database undid the transaction only because of others, so that it may be run again."""
    cause = error.__cause__ if isinstance(error, DatabaseUnavailable) else error
    return isinstance(cause, DBAPIError) and getattr(cause.orig, "sqlstate", None) in SERIALIZATION_FAILURES


def _alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def _configure_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself: we do, in `_begin_sqlite`
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={int(BUSY_SECONDS * 1000)}",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _do_not_wait(connection: Any, _: Any) -> None:
    connection.execute("PRAGMA busy_timeout=1").close()


def _speed_savepoints_up(dialect: Dialect) -> None:
    """SQLAlchemy gives each savepoint a name of its own and compiles its statements anew, which takes it 0.2 ms each time."""
    steps = {
        "do_savepoint": "SAVEPOINT",
        "do_rollback_to_savepoint": "ROLLBACK TO SAVEPOINT",
        "do_release_savepoint": "RELEASE SAVEPOINT",
    }
    for method, words in steps.items():
        setattr(dialect, method, lambda connection, name, words=words: run_plainly(connection, f"{words} {name}"))


def _begin_reading(connection: Connection) -> None:
    run_plainly(connection, "BEGIN")


def _begin_writing(connection: Connection) -> None:
    """Takes the write lock first: a transaction that reads and then writes fails at once when another wrote in between.

    SQLite waits for its lock by sleeping longer and longer, inside C: a busy neighbour starves us, and under gevent the whole process
    stands still. Nothing tells us when the lock is free, so we ask every millisecond, and under gevent others run meanwhile.
    """
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            run_plainly(connection, "BEGIN IMMEDIATE")
        except OperationalError as error:
            code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
            if code not in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED} or time.monotonic() > end:
                raise
            pause(LOCK_POLL_SECONDS)
        else:
            return
