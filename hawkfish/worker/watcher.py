"""Watches the hosts: their events as they come, and a slow sweep as net; a thread a host, so that none waits for another.

Each host is watched by one worker, and the workers share the hosts evenly: see `HostWatchRepository`. All workers keep drivers for
the tasks that they run, whoever watches.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from uuid import UUID

import structlog

from hawkfish.db import Database, UnitOfWork
from hawkfish.db.repositories.host_watches import HOSTS_CHANNEL
from hawkfish.db.signals import Subscription
from hawkfish.domain.hosts import Host, HostWatch
from hawkfish.domain.machines import MachineEvent, MachineEventKind
from hawkfish.errors import HawkFishError, LeaseLost, NotFound
from hawkfish.plugins.compute import ComputeDriver, SupportsEvents
from hawkfish.services.drivers import DriverPool
from hawkfish.services.observation import Observer
from hawkfish.services.pool_observation import PoolObserver

log = structlog.get_logger("hawkfish.watcher")

LOOK_SECONDS = 2.0
"""Longest time between two looks at who is to watch what; a change of the hosts or of the workers wakes it at once."""
EVENTS_KEPT = 10_000
GATHER_SECONDS = 0.05
"""For so long what a host reports is gathered, to be looked at and written down together."""
PACE_SECONDS = 0.25
"""Shortest time between two such looks at one host, so that hundreds that start at once are not held up by being looked at."""
MOST_TOGETHER = 500
RETRY_SECONDS = 1.0
END_SECONDS = 2.0
"""How long the end waits for looks at hosts that are under way."""


class HostWatcher:
    """Watches one host until stopped, or until the watch is another worker's."""

    def __init__(
        self, host_id: UUID, observer: Observer, sweep_seconds: float, pools: PoolObserver | None = None
    ) -> None:
        self.host_id = host_id
        self._observer = observer
        self._pools = pools
        self._measuring: threading.Thread | None = None
        self._sweep_seconds = sweep_seconds
        # Bounded: when a host says more than we can write down, the next sweep tells the rest.
        self._events: queue.Queue[MachineEvent | None] = queue.Queue(EVENTS_KEPT)
        self._next_sweep = 0.0
        self._looked_at = 0.0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"watch-{host_id}", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Asks it to end; a call to a hung host may hold its thread a little longer."""
        self._stopped.set()
        self.hear(None)

    def join(self, seconds: float) -> None:
        """Waits for its end, but no longer than so many seconds."""
        end = time.monotonic() + seconds
        self._thread.join(seconds)
        if self._measuring is not None:
            self._measuring.join(max(0.0, end - time.monotonic()))

    @property
    def ended(self) -> bool:
        """Whether it watches no more."""
        return not self._thread.is_alive()

    def hear(self, event: MachineEvent | None) -> None:
        """Takes an event from a thread of the driver, or None to look at everything anew; never waits."""
        try:
            self._events.put_nowait(event)
        except queue.Full:
            log.warning("events of a host are dropped until its next sweep", host=str(self.host_id))

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._turn()
            except (LeaseLost, NotFound) as error:
                # Another worker watches it, or it was removed: what this one has seen is of no use any more.
                log.info("the watch of a host has ended", host=str(self.host_id), reason=error.message)
                return
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
            if answered:
                self._measure_pools()
        try:
            event = self._events.get(timeout=max(0.0, self._next_sweep - time.monotonic()))
        except queue.Empty:
            return
        reported = self._gather(event)
        if reported and not self._stopped.is_set() and not self._observer.machines(self.host_id, reported):
            self._sweep_in(RETRY_SECONDS)

    def _gather(self, event: MachineEvent | None) -> Mapping[UUID, set[MachineEventKind]]:
        """What is reported of machines within a moment; what is not about machines is handled at once."""
        reported: dict[UUID, set[MachineEventKind]] = {}
        if event is not None and event.machine_id is not None:
            self._stopped.wait(max(GATHER_SECONDS, self._looked_at + PACE_SECONDS - time.monotonic()))
            self._looked_at = time.monotonic()
        for _ in range(MOST_TOGETHER):
            if self._stopped.is_set():
                break
            if event is None or event.machine_id is None:
                self._handle(event)
            else:
                reported.setdefault(event.machine_id, set()).add(event.kind)
            try:
                event = self._events.get_nowait()
            except queue.Empty:
                break
        return reported

    def _measure_pools(self) -> None:
        """In a thread of its own, since storage that hangs says nothing about the host; one at a time."""
        if self._pools is None or (self._measuring is not None and self._measuring.is_alive()):
            return
        self._measuring = threading.Thread(
            target=self._pools.measure, args=(self.host_id,), name=f"pools-{self.host_id}", daemon=True
        )
        self._measuring.start()

    def _rest(self) -> None:
        self._stopped.wait(RETRY_SECONDS)
        self._sweep_in(0)

    def _sweep_in(self, seconds: float) -> None:
        self._next_sweep = time.monotonic() + seconds

    def _handle(self, event: MachineEvent | None) -> None:
        """Takes what tells of a host as a whole; one that was lost is soon looked at anew, whether or not it reports again."""
        if event is None or event.kind is MachineEventKind.CONNECTION_RESTORED:
            self._sweep_in(0)
        elif event.kind is MachineEventKind.CONNECTION_LOST:
            self._observer.lost(self.host_id, event.detail or "the connection was lost")
            self._sweep_in(RETRY_SECONDS)


class Watcher:
    """Keeps a `HostWatcher` for each host that this worker is to watch, and its drivers to the hosts that there are.

    Args:
        database: Where hosts and watches are.
        drivers: This process's drivers.
        worker_id: Number of this worker.
        sweep_seconds: Interval of the slow sweep.
        down_seconds: How long a host is Suspect before it is Down.
    """

    def __init__(
        self, database: Database, drivers: DriverPool, worker_id: int, *, sweep_seconds: float, down_seconds: float
    ) -> None:
        self._database = database
        self._drivers = drivers
        self._worker_id = worker_id
        self._sweep_seconds = sweep_seconds
        self._down_seconds = down_seconds
        self._watchers: dict[int, HostWatcher] = {}
        self._hosts: dict[UUID, Host] = {}
        self._lock = threading.Lock()
        self._news: Subscription | None = None
        drivers.on_new_driver = self._listen

    def run(self, stop: threading.Event) -> None:
        """Watches until `stop` is set."""
        with self._database.subscribe(HOSTS_CHANNEL) as self._news:
            while not stop.is_set():
                try:
                    self._look()
                except HawkFishError as error:
                    log.warning("the hosts cannot be read", error=error.message)
                except Exception:
                    # Tried again, since new hosts would be watched by nobody.
                    log.exception("the hosts cannot be watched")
                self._news.wait(LOOK_SECONDS)
        self._end()

    def wake(self) -> None:
        """Has it look at once, and at whether it is to stop."""
        if self._news is not None:
            self._news.poke()

    def _end(self) -> None:
        """Stops all, and waits for their last words to the database, which is about to be closed."""
        with self._lock:
            watchers = list(self._watchers.values())
        self._follow({})
        end = time.monotonic() + END_SECONDS
        for watcher in watchers:
            watcher.join(max(0.0, end - time.monotonic()))

    def _look(self) -> None:
        with self._database.read() as uow:
            hosts = {host.id: host for host in uow.hosts.all()}
            watches = uow.host_watches.all()
            workers = uow.task_workers.ids()
        self._forget_removed(hosts)
        mine = share(self._worker_id, workers, list(hosts), watches)
        self._follow({watch.number: watch for watch in mine.kept})
        if mine.surplus:
            self._database.run(lambda uow: uow.host_watches.release([watch.number for watch in mine.surplus]))
        if mine.wanted:
            taken = self._database.run(partial(self._take, wanted=mine.wanted))
            self._follow({watch.number: watch for watch in [*mine.kept, *taken]})

    def _take(self, uow: UnitOfWork, *, wanted: list[UUID]) -> list[HostWatch]:
        taken = (uow.host_watches.take(host_id, self._worker_id) for host_id in wanted)
        return [watch for watch in taken if watch is not None]

    def _follow(self, watches: Mapping[int, HostWatch]) -> None:
        with self._lock:
            over = {number for number, watcher in self._watchers.items() if number not in watches or watcher.ended}
            gone = [self._watchers.pop(number) for number in over]
            new = [self._watcher(watches[number]) for number in sorted(set(watches) - set(self._watchers))]
        for watcher in gone:
            watcher.stop()
        for watcher in new:
            watcher.start()

    def _watcher(self, watch: HostWatch) -> HostWatcher:
        observer = Observer(self._database, self._drivers, watch=watch.number, down_seconds=self._down_seconds)
        pools = PoolObserver(self._database, self._drivers, watch.number)
        watcher = HostWatcher(watch.host_id, observer, self._sweep_seconds, pools)
        self._watchers[watch.number] = watcher
        return watcher

    def _forget_removed(self, hosts: dict[UUID, Host]) -> None:
        """Lets go of the drivers of removed hosts, and has hosts of another address looked at anew."""
        before, self._hosts = self._hosts, hosts
        for host_id in set(before) - set(hosts):
            # A driver of others' making may take its time to close, and nobody is to wait for it.
            threading.Thread(
                target=self._drivers.forget, args=(host_id,), name=f"forget-{host_id}", daemon=True
            ).start()
        for host_id in set(before) & set(hosts):
            if (before[host_id].uri, before[host_id].settings) != (hosts[host_id].uri, hosts[host_id].settings):
                self._tell(host_id, None)

    def _tell(self, host_id: UUID, event: MachineEvent | None) -> None:
        with self._lock:
            watchers = [watcher for watcher in self._watchers.values() if watcher.host_id == host_id]
        for watcher in watchers:
            watcher.hear(event)

    def _listen(self, host: Host, driver: ComputeDriver) -> None:
        """Hears a new driver; it falls silent when it is closed. Events of hosts that others watch are dropped."""
        if isinstance(driver, SupportsEvents):
            listener: Callable[[MachineEvent], None] = partial(self._tell, host.id)
            driver.subscribe(listener)


class Share:
    """What one worker keeps, gives up and takes."""

    def __init__(self, kept: list[HostWatch], surplus: list[HostWatch], wanted: list[UUID]) -> None:
        self.kept = kept
        self.surplus = surplus
        self.wanted = wanted


def share(worker_id: int, workers: list[int], hosts: list[UUID], watches: list[HostWatch]) -> Share:
    """Divides the hosts evenly: nobody watches more than its part of them, rounded up, and nothing moves without need.

    A worker that lives takes what nobody watches up to its part; the parts together are all hosts.
    """
    count = Counter(watch.worker_id for watch in watches)
    part = math.ceil(len(hosts) / max(1, len(workers)))
    own = [watch for watch in watches if watch.worker_id == worker_id]
    watched = {watch.host_id for watch in watches}
    free = [host_id for host_id in hosts if host_id not in watched]
    return Share(own[:part], own[part:], free[: max(0, part - count[worker_id])])
