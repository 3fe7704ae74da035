"""One transaction: its session, its repositories, and what is to happen once it is committed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, DateTime, func, select, update
from sqlalchemy.orm import Session

from hawkfish.db.base import Base
from hawkfish.db.repositories.accounts import AccountRepository
from hawkfish.db.repositories.audit import AuditRepository
from hawkfish.db.repositories.events import EventRepository
from hawkfish.db.repositories.host_watches import HostWatchRepository
from hawkfish.db.repositories.hosts import HostRepository, PoolRepository
from hawkfish.db.repositories.images import ImageCopyRepository, ImageRepository
from hawkfish.db.repositories.logs import LogRepository
from hawkfish.db.repositories.media import MediaRepository
from hawkfish.db.repositories.profiles import ProfileRepository
from hawkfish.db.repositories.reservations import ReservationRepository
from hawkfish.db.repositories.sessions import SessionRepository
from hawkfish.db.repositories.statistics import StatisticsRepository
from hawkfish.db.repositories.subscriptions import SubscriptionRepository
from hawkfish.db.repositories.system_batches import SystemBatchRepository
from hawkfish.db.repositories.systems import SystemRepository
from hawkfish.db.repositories.task_workers import TaskWorkerRepository
from hawkfish.db.repositories.tasks import TaskRepository
from hawkfish.db.signals import Signals
from hawkfish.errors import NotFound, PreconditionFailed


@contextmanager
def unit_of_work(connection: Connection, signals: Signals) -> Iterator[UnitOfWork]:
    """A unit of work in a transaction that the caller has begun and ends."""
    uow = UnitOfWork(connection, signals)
    try:
        yield uow
    finally:
        uow.close()


class UnitOfWork:
    """One transaction. Made by `Database.write()` and `Database.read()` only.

    Attributes:
        connection: The session's connection, for statements that are run so often that the session's own work on them counts.
    """

    def __init__(self, connection: Connection, signals: Signals) -> None:
        self.connection = connection
        self._signals = signals
        self._before_commit: list[Callable[[], None]] = []
        self._after_commit: list[Callable[[], None]] = []
        self._channels: set[str] = set()

    @cached_property
    def session(self) -> Session:
        """The SQLAlchemy session; for repositories. What needs none does not pay for one."""
        return Session(self.connection, join_transaction_mode="rollback_only", expire_on_commit=False)

    def close(self) -> None:
        """Gives back what the session holds, if one was needed; the transaction is the caller's."""
        session: Session | None = self.__dict__.get("session")
        if session is not None:
            session.close()

    @cached_property
    def tasks(self) -> TaskRepository:
        """Tasks, their lines and their history."""
        return TaskRepository(self)

    @cached_property
    def task_workers(self) -> TaskWorkerRepository:
        """The workers that live."""
        return TaskWorkerRepository(self)

    @cached_property
    def accounts(self) -> AccountRepository:
        """Accounts and failed logins."""
        return AccountRepository(self)

    @cached_property
    def sessions(self) -> SessionRepository:
        """Logins."""
        return SessionRepository(self)

    @cached_property
    def audit(self) -> AuditRepository:
        """Who did what."""
        return AuditRepository(self)

    @cached_property
    def events(self) -> EventRepository:
        """What happened, to be told."""
        return EventRepository(self)

    @cached_property
    def subscriptions(self) -> SubscriptionRepository:
        """Who wants to hear of what happened."""
        return SubscriptionRepository(self)

    @cached_property
    def logs(self) -> LogRepository:
        """Logs of systems."""
        return LogRepository(self)

    @cached_property
    def hosts(self) -> HostRepository:
        """Hosts."""
        return HostRepository(self)

    @cached_property
    def host_watches(self) -> HostWatchRepository:
        """Which worker watches which host."""
        return HostWatchRepository(self)

    @cached_property
    def pools(self) -> PoolRepository:
        """Storage pools."""
        return PoolRepository(self)

    @cached_property
    def reservations(self) -> ReservationRepository:
        """Room on hosts."""
        return ReservationRepository(self)

    @cached_property
    def systems(self) -> SystemRepository:
        """Systems with their disks and network interfaces."""
        return SystemRepository(self)

    @cached_property
    def statistics(self) -> StatisticsRepository:
        """Counts over all tables."""
        return StatisticsRepository(self)

    @cached_property
    def system_batches(self) -> SystemBatchRepository:
        """Many systems at once."""
        return SystemBatchRepository(self)

    @cached_property
    def images(self) -> ImageRepository:
        """Images and their contents."""
        return ImageRepository(self)

    @cached_property
    def image_copies(self) -> ImageCopyRepository:
        """Copies of contents on pools of hosts."""
        return ImageCopyRepository(self)

    @cached_property
    def media(self) -> MediaRepository:
        """Virtual media, their cache and their copies."""
        return MediaRepository(self)

    @cached_property
    def profiles(self) -> ProfileRepository:
        """Node profiles."""
        return ProfileRepository(self)

    @property
    def is_postgresql(self) -> bool:
        """Whether several processes may be writing at this moment."""
        return self.connection.dialect.name == "postgresql"

    def before_commit(self, call: Callable[[], None]) -> None:
        """Has `call` made at the end of the transaction, still inside it; for what is gathered to be written together."""
        self._before_commit.append(call)

    def finish(self) -> None:
        """Makes the calls asked for by `before_commit`."""
        for call in self._before_commit:
            call()

    def on_commit(self, call: Callable[[], None]) -> None:
        """Has `call` made after a successful commit; it must be quick and must not raise."""
        self._after_commit.append(call)

    def committed(self) -> None:
        """Wakes those whom `publish` named, and makes the calls asked for by `on_commit`."""
        if self._channels:
            self._signals.send(self._channels)
        for call in self._after_commit:
            call()

    def take_channels(self) -> set[str]:
        """Those whom `publish` named, for a caller who wakes them in place of `committed`."""
        channels, self._channels = self._channels, set()
        return channels

    def publish(self, channel: str) -> None:
        """Wakes the subscribers of `channel`, in whatever process, once this transaction is committed."""
        if self.is_postgresql:
            self.session.execute(select(func.pg_notify(Signals.POSTGRESQL_CHANNEL, channel)))
        else:
            self._channels.add(channel)

    def serialize_on(self, keys: Iterable[str]) -> None:
        """Until the end of this transaction, nobody else gets past a call with one of these keys.

        On SQLite a writing transaction is alone anyway. Keys are taken in one order, so that two callers cannot lock each other out.
        """
        if not self.is_postgresql:
            return
        for number in sorted({stable_number(key) for key in keys}):
            self.session.execute(select(func.pg_advisory_xact_lock(number)))

    def now(self) -> datetime:
        """The database's clock: the one that all workers share."""
        if self.is_postgresql:
            return (
                self.session.execute(select(func.clock_timestamp(type_=DateTime(timezone=True))))
                .scalar_one()
                .astimezone(UTC)
            )
        return datetime.now(UTC)

    def write_version(self, model: type[Base], identity: str, version: int | None, **values: Any) -> int:
        """Compares and writes in one UPDATE, and raises the version.

        Args:
            model: A model with `id` and `version`.
            identity: Its id.
            version: The version the caller has seen, or None to write whatever it is.
            **values: The columns to set.

        Returns:
            The new version.

        Raises:
            NotFound: There is no such row.
            PreconditionFailed: The row has another version by now.
        """
        table: Any = model
        statement = update(table).where(table.id == identity)
        if version is not None:
            statement = statement.where(table.version == version)
        statement = statement.values(**values, version=table.version + 1).returning(table.version)
        found = self.session.execute(statement.execution_options(synchronize_session="fetch")).scalar_one_or_none()
        if found is not None:
            return int(found)
        kind = model.__tablename__.removeprefix("hf_")
        current = self.session.scalar(select(table.version).where(table.id == identity))
        if current is None:
            raise NotFound(f"There is no row {identity} in {kind} (any more).", kind=kind, id=identity)
        raise PreconditionFailed(
            f"The row {identity} in {kind} has version {current}, not {version}: it was changed by another. Read it again.",
            kind=kind,
            id=identity,
            found=current,
            expected=version,
        )


def stable_number(key: str) -> int:
    """A signed 64-bit number for a name, the same in every process."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big", signed=True)
