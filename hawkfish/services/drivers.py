"""The drivers of this process: one for each host, made and opened when first needed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import structlog

from hawkfish.db import Database
from hawkfish.domain.hosts import ComputeCapability, Host, HostState
from hawkfish.domain.machines import DriveSpec
from hawkfish.domain.systems import System
from hawkfish.errors import BackendTimeout, HawkFishError, HostUnavailable
from hawkfish.plugins.compute import ComputeDriver, HostCommands, HostStorage, PoolHost, SupportsBulkVolumes
from hawkfish.plugins.context import HostConfig, PoolConfig
from hawkfish.plugins.loader import PluginHost
from hawkfish.plugins.storage import StoragePool

log = structlog.get_logger("hawkfish.drivers")

POOL_WAIT_SECONDS = 60.0
POOL_POLL_SECONDS = 1.0


@dataclass
class _Connection:
    """A host's driver, and what it was made from: another driver is made when that changes."""

    origin: tuple[object, ...]
    driver: ComputeDriver
    opened: bool = False
    opening: threading.Lock = field(default_factory=threading.Lock)


@dataclass
class _Turn:
    """Who may use a pool on a host; `alive_at` is when the one that does was last seen to get on."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    alive_at: float = field(default_factory=time.monotonic)

    def take(self, host: Host, seconds: float) -> None:
        while not self.lock.acquire(timeout=min(POOL_POLL_SECONDS, seconds)):
            if time.monotonic() - self.alive_at > seconds:
                raise BackendTimeout(
                    f"Another call to this storage pool on {host.name} has not got on for {seconds:.0f} s; "
                    "see whether its storage answers.",
                    operation="pool",
                    host=host.name,
                    seconds=seconds,
                )
        self.alive_at = time.monotonic()


class DriverPool:
    """Drivers by host; safe to share between threads. A host that does not answer holds up only those who ask for it."""

    def __init__(self, database: Database, plugins: PluginHost) -> None:
        self._database = database
        self._plugins = plugins
        self._connections: dict[UUID, _Connection] = {}
        self._pools: dict[UUID, tuple[tuple[object, ...], StoragePool]] = {}
        self._turns: dict[tuple[UUID, UUID], _Turn] = {}
        self._lock = threading.Lock()
        self.drives: Callable[[System], tuple[DriveSpec, ...]] = lambda system: system.drives
        """The drives of a system with what they hold, as its machine is to be defined; see `MediaFiles.drives`."""
        self.on_new_driver: Callable[[Host, ComputeDriver], None] | None = None
        """Called with each driver that was made, before it is used; the watcher listens to it."""

    def host(self, host_id: UUID | str) -> Host:
        """The host as it is recorded."""
        with self._database.read() as uow:
            return uow.hosts.get(host_id)

    def driver(self, host_or_id: Host | UUID | str, *, even_if_down: bool = False) -> ComputeDriver:
        """The host's driver, opened.

        Args:
            host_or_id: The host; by its id it is read first.
            even_if_down: Whether to try one that is known to be Down; else nothing waits for it but its watcher.

        Raises:
            HostUnavailable: The host does not answer; the driver goes on trying.
            PluginError: There is no such driver, or it cannot be used here.
        """
        host = host_or_id if isinstance(host_or_id, Host) else self.host(host_or_id)
        if host.state is HostState.DOWN and not even_if_down:
            since = "" if host.state_changed_at is None else f" since {host.state_changed_at:%Y-%m-%d %H:%M:%S} UTC"
            raise HostUnavailable(
                f"The host {host.name} is Down{since}: {host.state_reason} It is looked at all the time; try again when "
                f"`hawkfish hosts show {host.name}` says Up.",
                operation="open",
                host=host.name,
                reason=host.state_reason,
            )
        return self.driver_of(host)

    def driver_of(self, host: Host) -> ComputeDriver:
        """The same for a host that has been read already, Down or not."""
        connection = self._connection(host)
        if connection.opened:
            return connection.driver
        if not connection.opening.acquire(timeout=POOL_WAIT_SECONDS):
            raise HostUnavailable(
                f"Another call has been trying to reach {host.name} ({host.uri}) for over {POOL_WAIT_SECONDS:.0f} s.",
                operation="open",
                host=host.name,
            )
        try:
            if not connection.opened:
                connection.driver.open()
                connection.opened = True
        finally:
            connection.opening.release()
        return connection.driver

    def _connection(self, host: Host) -> _Connection:
        origin = (host.driver, host.uri, tuple(sorted(host.settings.items())))
        with self._lock:
            found = self._connections.get(host.id)
            if found is not None and found.origin == origin:
                return found
            config = HostConfig(id=str(host.id), name=host.name, uri=host.uri, settings=host.settings)
            made = _Connection(origin, self._plugins.create_compute_driver(host.driver, config))
            self._connections[host.id] = made
        if found is not None:
            found.driver.close()
        if self.on_new_driver is not None:
            self.on_new_driver(host, made.driver)
        return made

    def forget(self, host_id: UUID) -> None:
        """Closes the driver of a host that is no longer ours."""
        with self._lock:
            found = self._connections.pop(host_id, None)
        if found is not None:
            found.driver.close()

    def close(self) -> None:
        """Closes all drivers."""
        with self._lock:
            found = list(self._connections.values())
            self._connections.clear()
        for connection in found:
            try:
                connection.driver.close()
            except HawkFishError as error:
                log.warning("a driver could not be closed", error=error.message)

    @contextmanager
    def pool(
        self, pool_id: UUID, host_id: UUID, *, wait_seconds: float = POOL_WAIT_SECONDS
    ) -> Iterator[tuple[StoragePool, PoolHost]]:
        """A pool and the host to use it on, for one call at a time: a dead server eats one thread of the host, not all.

        Args:
            pool_id: The pool.
            host_id: The host.
            wait_seconds: For how long another call may not get on until this one is given up.

        Raises:
            BackendTimeout: Another call to this pool on this host neither ends nor makes progress.
        """
        host = self.host(host_id)
        pool = self._pool_object(pool_id)
        pool_host = self.pool_host(host_id)
        with self._lock:
            turn = self._turns.setdefault((pool_id, host_id), _Turn())
        turn.take(host, wait_seconds)
        try:
            yield pool, pool_host
        finally:
            turn.lock.release()

    def pool_host(self, host_id: UUID) -> PoolHost:
        """A host as pools get it, for a pool that is none of the catalogue's and whose user keeps its calls apart."""
        host = self.host(host_id)
        driver = self.driver(host)
        can = frozenset() if host.facts is None else host.facts.capabilities
        bulk = ComputeCapability.BULK_VOLUMES in can
        return PoolHost(
            id=host.id,
            name=host.name,
            storage=driver if isinstance(driver, HostStorage) else None,
            commands=driver if isinstance(driver, HostCommands) else None,
            bulk_volumes=driver if bulk and isinstance(driver, SupportsBulkVolumes) else None,
            data_dir=Path(host.facts.data_dir) if host.facts and host.facts.data_dir else None,
        )

    def pool_gets_on(self, pool_id: UUID, host_id: UUID) -> None:
        """Tells those who wait for a pool that the long call of the one that uses it makes progress."""
        with self._lock:
            turn = self._turns.setdefault((pool_id, host_id), _Turn())
        turn.alive_at = time.monotonic()

    def _pool_object(self, pool_id: UUID) -> StoragePool:
        with self._database.read() as uow:
            pool = uow.pools.get(pool_id)
        with self._lock:
            found = self._pools.get(pool_id)
            origin = (pool.type, pool.name, dict(pool.config))
            if found is None or found[0] != origin:
                config = PoolConfig(id=str(pool.id), name=pool.name, config=pool.config)
                found = (origin, self._plugins.create_storage_pool(pool.type, config))
                self._pools[pool_id] = found
        return found[1]
