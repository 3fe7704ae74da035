"""The worker's side: claims tasks, runs each in a native thread, beats, and takes over from the dead."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import structlog

from hawkfish.clock import since_boot
from hawkfish.db import Database, UnitOfWork
from hawkfish.db.presence import Presence, presence_for
from hawkfish.db.repositories.tasks import PURGED_AT_ONCE, WORKER_CHANNEL
from hawkfish.db.signals import Subscription
from hawkfish.domain.tasks import Task, TaskLane
from hawkfish.errors import HawkFishError
from hawkfish.tasks.context import Wishes
from hawkfish.tasks.execution import FIRST_BACKOFF_SECONDS, Execution
from hawkfish.tasks.kinds import TaskRegistry
from hawkfish.tasks.queue import TaskQueue
from hawkfish.tasks.threads import Threads

log = structlog.get_logger(__name__)

EXIT_LEASE_LOST = 75
LANES = (TaskLane.URGENT, TaskLane.NORMAL)
PURGE_SECONDS = 3600.0
STANDING_FACTOR = 16
WATCH_SECONDS = 0.5  # at most: the end of a worker waits for whoever watches its presence
GATHER_SECONDS = (
    0.01  # while several tasks run, their ends are gathered for so long, to claim several in one transaction
)


@dataclass(frozen=True, kw_only=True)
class RunnerSettings:
    """How a worker behaves; the defaults are for service, tests shorten them."""

    threads: int = 8
    """Tasks of the normal lane that are at work at once; those that stand do not count, until there are 16 times as many."""
    urgent_threads: int = 64
    stands_after: float = 1.0
    """Seconds after which a task is taken to be waiting for the world (a guest, a host that hangs) rather than at work."""
    lease: float = 10.0
    """Seconds without a beat after which others take over."""
    poll: float = 1.0
    """Seconds between two looks at the database where no wake-up comes."""
    sweep: float = 1.0
    """Seconds between two looks for dead workers and passed deadlines."""
    retention: timedelta = timedelta(days=14)
    grace: float = 10.0
    """Seconds that running steps are given at the end."""
    undo_backoff: float = FIRST_BACKOFF_SECONDS
    """Seconds until a failed undo is tried again, doubled each time."""


def _exit_now() -> None:
    os._exit(EXIT_LEASE_LOST)


def _poke_at(stop: threading.Event, subscription: Subscription) -> None:
    stop.wait()
    subscription.poke()


@dataclass(frozen=True)
class _Running:
    """A task of this worker, and since when it has it."""

    task: Task
    wishes: Wishes
    since: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class _Beat:
    """The last beat of another worker, its lease in seconds, and when the beat was first seen."""

    beat: datetime
    lease: float
    seen_at: float


class Runner:
    """One worker.

    A task that waits for the world costs a thread that sleeps. So it gives its place to others after a second: what waits for one
    host is held in bounds by the tasks' limits, and never keeps work from another.

    Args:
        database: Where the tasks are.
        registry: The kinds it can run; others, and newer ones, are left alone.
        settings: How it behaves.
        on_lost: What to do when its lease is lost or late: nothing less than ending the process keeps its steps from
            running beside those of the worker that takes over.
        on_entered: Called with the worker's number once it is registered.
        steady: Seconds of a clock that is never set; others' silence is measured by it.

    Raises:
        WorkerAlreadyRunning: Another worker has this SQLite database.
    """

    def __init__(
        self,
        database: Database,
        registry: TaskRegistry,
        settings: RunnerSettings | None = None,
        *,
        on_lost: Callable[[], None] = _exit_now,
        on_entered: Callable[[int], None] = lambda _: None,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._registry = registry
        self._settings = settings or RunnerSettings()
        self._on_lost = on_lost
        self._on_entered = on_entered
        self._queue = TaskQueue(database, registry)
        self._threads = Threads(kept=self._settings.threads)
        self._presence: Presence = presence_for(database)
        self._running: dict[str, _Running] = {}
        self._running_lock = threading.Lock()
        self._idle = threading.Condition(self._running_lock)
        self._ended = threading.Event()
        self._last_beat = since_boot()
        self._suspects: dict[int, float] = {}
        self._beats: dict[int, _Beat] = {}
        self._steady = steady
        self._next_sweep = 0.0
        self._next_purge = 0.0
        self.worker_id = 0

    def run(self, stop: threading.Event) -> bool:
        """Works until `stop` is set, then lets running steps end.

        Returns:
            Whether all tasks were given back; if not, the process must end, so that others can take them over.
        """
        self._enter()
        helpers = [
            threading.Thread(target=self._beat, name="task-beat", daemon=True),
            threading.Thread(target=self._watch, name="task-watch", daemon=True),
        ]
        for helper in helpers:
            helper.start()
        log.info("worker.started", worker=self.worker_id, kinds=len(list(self._registry)))
        with self._database.subscribe(WORKER_CHANNEL) as subscription:
            threading.Thread(target=_poke_at, args=(stop, subscription), name="task-stop", daemon=True).start()
            while not stop.is_set():
                try:
                    self._turn(subscription)
                except HawkFishError as error:
                    log.warning("worker.turn_failed", error=error.message)
                if subscription.wait(self._pause()) and len(self._running) > 1:
                    stop.wait(GATHER_SECONDS)
            clean = self._drain()
        self._threads.close()
        self._ended.set()
        for helper in helpers:
            helper.join()
        if clean:
            self._database.run(lambda uow: uow.task_workers.bury(self.worker_id))
            self._presence.leave()
        log.info("worker.stopped", worker=self.worker_id, clean=clean)
        return clean

    def _enter(self) -> None:
        self.worker_id = self._database.run(
            lambda uow: uow.task_workers.add(host=socket.gethostname(), pid=os.getpid(), lease=self._settings.lease)
        )
        self._last_beat = since_boot()
        self._presence.enter(self.worker_id)
        if self._presence.alone:
            for other in self._others():
                self._bury(other)
        self._on_entered(self.worker_id)

    def is_first(self) -> bool:
        """Whether no registered worker is older, so that this one does what one of all workers does."""
        if not self.worker_id:
            return False
        with self._database.read() as uow:
            return min(uow.task_workers.ids(), default=0) == self.worker_id

    def _drain(self) -> bool:
        with self._idle:
            for running in self._running.values():
                running.wishes.stopping = True
            return self._idle.wait_for(lambda: not self._running, self._settings.grace)

    # --- dispatching ---------------------------------------------------------------------------------------------

    def _turn(self, subscription: Subscription) -> None:
        now = since_boot()
        if now >= self._next_sweep:
            self._next_sweep = now + self._settings.sweep
            self._sweep(now)
        self._refresh_wishes()
        full: set[TaskLane] = set()
        while wanted := {lane: free for lane in LANES if lane not in full and (free := self._free(lane)) > 0}:
            for lane, ids in self._look(wanted).items():
                found, claimed = self._claim(lane, wanted[lane], ids, subscription)
                # Those that were refused are at a limit which the next look sees: others behind them may run.
                if claimed == found or not claimed:
                    full.add(lane)

    def _look(self, wanted: Mapping[TaskLane, int]) -> dict[TaskLane, list[str] | None]:
        """What may run now; None where it is known only under the locks of the claim."""
        versions = self._registry.versions()
        if not versions:
            return {lane: [] for lane in wanted}
        if not self._database.is_sqlite:
            return dict.fromkeys(wanted)
        # The only worker can look without the write lock, which an idle one never takes. Most wake-ups tell of the end of a task
        # that nothing waits for.
        if self._database.quick.all_tasks_have_workers():
            return {lane: [] for lane in wanted}
        with self._database.read() as uow:
            return {lane: uow.tasks.claimable(lane, versions, free) for lane, free in wanted.items()}

    def _free(self, lane: TaskLane) -> int:
        most = self._settings.urgent_threads if lane is TaskLane.URGENT else self._settings.threads
        stands_since = time.monotonic() - self._settings.stands_after
        with self._running_lock:
            here = [running.since for running in self._running.values() if running.task.lane is lane]
        return min(most - sum(since > stands_since for since in here), most * STANDING_FACTOR - len(here))

    def _pause(self) -> float:
        """Until the next look: soon where tasks may give their places to others by standing."""
        with self._running_lock:
            is_full = len(self._running) >= self._settings.threads
        return min(self._settings.poll, self._settings.stands_after / 4) if is_full else self._settings.poll

    def _refresh_wishes(self) -> None:
        with self._running_lock:
            running = dict(self._running)
        if not running:
            return
        wishes_by_task = self._database.quick.wishes(self.worker_id)
        if wishes_by_task is None:
            with self._database.read() as uow:
                wishes_by_task = uow.tasks.wishes(self.worker_id)
        for task_id, one in running.items():
            if task_id in wishes_by_task:
                abort, reason, pause = wishes_by_task[task_id]
                one.wishes.update(abort=abort, reason=reason, pause=pause)

    def _claim(self, lane: TaskLane, free: int, found: list[str] | None, subscription: Subscription) -> tuple[int, int]:
        """Takes up to `free` tasks and begins them; gives how many were found and how many of them were taken."""
        if found == []:
            return 0, 0
        versions = self._registry.versions()

        def claim(uow: UnitOfWork) -> tuple[int, list[Task]]:
            ids = uow.tasks.claimable(lane, versions, free) if found is None else found
            return len(ids), uow.tasks.claim(ids, self.worker_id)

        count, claimed = self._database.run(claim)
        for task in claimed:
            wishes = Wishes(
                abort=task.abort_requested,
                reason=task.abort_reason,
                pause=task.pause_requested,
                is_late=self._is_late,
            )
            with self._running_lock:
                self._running[task.id] = _Running(task, wishes)
            self._threads.start(f"task-{task.number}", partial(self._execute, task, wishes, subscription))
        return count, len(claimed)

    def _execute(self, task: Task, wishes: Wishes, subscription: Subscription) -> None:
        structlog.contextvars.bind_contextvars(task=task.id)
        try:
            execution = Execution(self._database, self._queue, self._registry.get(task.kind), task, wishes)
            execution.first_backoff = self._settings.undo_backoff
            execution.run()
        except Exception:
            # The engine itself failed: the records are as they were, so this worker gives up its leases as if it had died.
            log.exception("worker.engine_failed", task=task.id)
            self._lose("the engine failed")
        finally:
            with self._idle:
                self._running.pop(task.id, None)
                self._idle.notify_all()
            subscription.poke()

    # --- living and dying ----------------------------------------------------------------------------------------

    def _beat(self) -> None:
        while not self._ended.wait(self._settings.lease / 4):
            begun = since_boot()
            try:
                alive = self._database.run(lambda uow: uow.task_workers.beat(self.worker_id, self._settings.lease))
            except HawkFishError as error:
                log.warning("worker.beat_failed", error=error.message)
                continue
            if not alive:
                self._lose("others have declared this worker dead")
                return
            self._last_beat = begun

    def _watch(self) -> None:
        """Ends the process when its beat is late, before others may take over; checked apart from the beat, which may hang."""
        while not self._ended.is_set():
            if self._presence.wait_lost(min(self._settings.lease / 20, WATCH_SECONDS)) and not self._ended.is_set():
                self._lose("the connection that shows its presence fell")
                return
            if self._is_late():
                self._lose("its beat is late")
                return

    def _is_late(self) -> bool:
        return since_boot() - self._last_beat > self._settings.lease * 0.9

    def _lose(self, why: str) -> None:
        with self._running_lock:
            for running in self._running.values():
                running.wishes.lose()
        log.error("worker.lost", worker=self.worker_id, reason=why)
        self._on_lost()

    def _sweep(self, now: float) -> None:
        self._queue.sweep()
        if now >= self._next_purge:
            purged = self._database.run(lambda uow: uow.tasks.purge(uow.now() - self._settings.retention))
            self._next_purge = now if purged == PURGED_AT_ONCE else now + PURGE_SECONDS
        if self._presence.alone:
            return
        for other, beat in self._silent().items():
            self._bury(other, if_silent_since=beat)
        for other in self._others():
            if not self._presence.is_gone(other):
                self._suspects.pop(other, None)
            # One sweep's grace: a worker that lives and lost its connection ends itself in this time.
            elif now - self._suspects.setdefault(other, now) >= self._settings.sweep * 0.9:
                self._suspects.pop(other)
                self._bury(other)

    def _silent(self) -> dict[int, datetime]:
        """The workers whose leases have run out, with their last beats.

        How long each has shown the same beat is measured by our own clock: the wall clock, the database's too, may be set.
        """
        with self._database.read() as uow:
            beats = uow.task_workers.beats()
        beats.pop(self.worker_id, None)
        now = self._steady()
        seen = {}
        for other, (beat, lease) in beats.items():
            known = self._beats.get(other)
            seen[other] = known if known is not None and known.beat == beat else _Beat(beat, lease.total_seconds(), now)
        self._beats = seen
        return {other: last.beat for other, last in seen.items() if now - last.seen_at >= last.lease}

    def _others(self) -> list[int]:
        with self._database.read() as uow:
            return [other for other in uow.task_workers.ids() if other != self.worker_id]

    def _bury(self, worker_id: int, *, if_silent_since: datetime | None = None) -> None:
        tasks = self._database.run(lambda uow: uow.task_workers.bury(worker_id, if_silent_since=if_silent_since))
        if tasks is not None:
            log.warning("worker.took_over", worker=self.worker_id, dead=worker_id, tasks=len(tasks))
