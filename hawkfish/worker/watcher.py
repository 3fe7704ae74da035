"""Watches the hosts: their events as they come, and a slow sweep as net; a thread a host, so that none waits for another."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from uuid import UUID

import structlog

from hawkfish.domain.hosts import Host
from hawkfish.domain.machines import MachineEvent, MachineEventKind
from hawkfish.errors import HawkFishError
from hawkfish.plugins.compute import ComputeDriver, SupportsEvents
from hawkfish.services.drivers import DriverPool
from hawkfish.services.observation import Observer

log = structlog.get_logger("hawkfish.watcher")

LOOK_SECONDS = 2.0
EVENTS_KEPT = 10_000
RETRY_SECONDS = 1.0


class HostWatcher:
    """Watches one host until stopped."""

    def __init__(self, host_id: UUID, observer: Observer, sweep_seconds: float) -> None:
        self.host_id = host_id
        self._observer = observer
        self._sweep_seconds = sweep_seconds
        # Bounded: when a host says more than we can write down, the next sweep tells the rest.
        self._events: queue.Queue[MachineEvent | None] = queue.Queue(EVENTS_KEPT)
        self._next_sweep = 0.0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"watch-{host_id}", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Asks it to end; a call to a hung host may hold its thread a little longer."""
        self._stopped.set()
        self.hear(None)

    def hear(self, event: MachineEvent | None) -> None:
        """Takes an event from a thread of the driver; never waits."""
        try:
            self._events.put_nowait(event)
        except queue.Full:
            log.warning("events of a host are dropped until its next sweep", host=str(self.host_id))

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._turn()
            except HawkFishError as error:
                # The database or the host could not be used for this; the next sweep repairs what was missed.
                log.warning("a look at a host failed", host=str(self.host_id), error=error.message)
                self._rest()
            except Exception:
                # Whatever goes wrong once, a host that nobody watches would be shown as it was for ever.
                log.exception("a look at a host failed", host=str(self.host_id))
                self._rest()

    def _turn(self) -> None:
        if time.monotonic() >= self._next_sweep:
            answered = self._observer.sweep(self.host_id)
            self._sweep_in(self._sweep_seconds if answered else RETRY_SECONDS)
        event = self._next_event()
        if event is not None:
            self._handle(event)

    def _rest(self) -> None:
        self._stopped.wait(RETRY_SECONDS)
        self._sweep_in(0)

    def _sweep_in(self, seconds: float) -> None:
        self._next_sweep = time.monotonic() + seconds

    def _next_event(self) -> MachineEvent | None:
        try:
            return self._events.get(timeout=max(0.0, self._next_sweep - time.monotonic()))
        except queue.Empty:
            return None

    def _handle(self, event: MachineEvent) -> None:
        """Writes down what an event tells; a host that was lost is soon looked at anew, whether or not it reports again."""
        if event.kind is MachineEventKind.CONNECTION_LOST:
            self._observer.lost(self.host_id, event.detail or "the connection was lost")
            self._sweep_in(RETRY_SECONDS)
        elif event.kind is MachineEventKind.CONNECTION_RESTORED:
            self._sweep_in(0)
        elif event.machine_id is not None and not self._observer.machine(self.host_id, event.machine_id):
            self._sweep_in(RETRY_SECONDS)


class Watcher:
    """Keeps a `HostWatcher` for each host that is recorded."""

    def __init__(self, observer: Observer, drivers: DriverPool, *, sweep_seconds: float) -> None:
        self._observer = observer
        self._sweep_seconds = sweep_seconds
        self._watchers: dict[UUID, HostWatcher] = {}
        self._unsubscribe: dict[UUID, Callable[[], None]] = {}
        self._drivers = drivers
        self._lock = threading.Lock()
        drivers.on_new_driver = self._listen

    def run(self, stop: threading.Event) -> None:
        """Watches until `stop` is set."""
        while not stop.is_set():
            try:
                self._follow({host.id for host in self._observer.hosts()})
            except HawkFishError as error:
                log.warning("the hosts cannot be read", error=error.message)
            except Exception:
                log.exception("the hosts cannot be watched")  # tried again, since new hosts would be watched by nobody
            stop.wait(LOOK_SECONDS)
        self._follow(set())

    def _follow(self, hosts: set[UUID]) -> None:
        with self._lock:
            gone = [self._watchers.pop(host_id) for host_id in set(self._watchers) - hosts]
            new = [HostWatcher(host_id, self._observer, self._sweep_seconds) for host_id in hosts - set(self._watchers)]
            self._watchers |= {watcher.host_id: watcher for watcher in new}
        for watcher in gone:
            watcher.stop()
            if unsubscribe := self._unsubscribe.pop(watcher.host_id, None):
                unsubscribe()
            self._drivers.forget(watcher.host_id)
        for watcher in new:
            watcher.start()

    def _listen(self, host: Host, driver: ComputeDriver) -> None:
        if not isinstance(driver, SupportsEvents):
            return

        def hear(event: MachineEvent) -> None:
            with self._lock:
                watcher = self._watchers.get(host.id)
            if watcher is not None:
                watcher.hear(event)

        self._unsubscribe[host.id] = driver.subscribe(hear)
