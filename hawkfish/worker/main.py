"""The worker: runs tasks, watches hosts, and tidies up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog
from prometheus_client import start_http_server

from hawkfish import metrics
from hawkfish.bootstrap import Application
from hawkfish.config import Settings
from hawkfish.events.dispatcher import Dispatcher, Sink
from hawkfish.services.surviving import surviving
from hawkfish.tasks import Runner, RunnerSettings
from hawkfish.worker.watcher import END_SECONDS, LOOK_SECONDS, Watcher

log = structlog.get_logger("hawkfish.worker")

TIDY_SECONDS = 300.0
TIDY_END_SECONDS = 5.0
SCREENSHOTS_KEPT = timedelta(hours=1)


def run(settings: Settings, stop: threading.Event, ready: Callable[[], None] = lambda: None) -> int:
    """Works until `stop` is set.

    Args:
        settings: The installation.
        stop: Ends the work in order.
        ready: Called once tasks are being run.

    Returns:
        Exit status: 0 after an end in order, 1 if a step would not end and the process must.

    Raises:
        HawkFishError: The worker cannot start.
    """
    application = Application.open(settings)
    try:
        watching = _Watching(application, stop)
        runner = Runner(
            application.database,
            application.registry,
            RunnerSettings(
                threads=settings.task_workers,
                lease=settings.task_lease_seconds,
                retention=timedelta(days=settings.task_retention_days),
            ),
            on_entered=watching.start,
        )
        if settings.metrics_bind:
            host, _, port = settings.metrics_bind.rpartition(":")
            start_http_server(int(port), host.strip("[]"), registry=metrics.registry())
        listeners = application.plugins.event_listeners()
        dispatcher = Dispatcher(
            application.database,
            [Sink(name=f"plugin:{name}", deliver=tell) for name, tell in listeners.items()],
            leads=runner.is_first,
        )
        deliveries = application.deliveries(runner.is_first)
        application.plugins.startup()
        dispatcher.start()
        tidying = threading.Thread(target=_tidy, args=(application, stop), name="tidy", daemon=True)
        tidying.start()
        deliveries.start()
        ready()
        clean = runner.run(stop)
        deliveries.stop()
        dispatcher.stop()
        watching.end()
        tidying.join(TIDY_END_SECONDS)
        application.plugins.shutdown()
        return 0 if clean else 1
    finally:
        application.close()


class _Watching:
    """The watcher beside the runner: it needs the number that the runner has got."""

    def __init__(self, application: Application, stop: threading.Event) -> None:
        self._application = application
        self._stop = stop
        self._watcher: Watcher | None = None
        self._thread: threading.Thread | None = None

    def start(self, worker_id: int) -> None:
        self._watcher = Watcher(
            self._application.database,
            self._application.drivers,
            worker_id,
            sweep_seconds=self._application.settings.sweep_seconds,
            down_seconds=self._application.settings.host_down_seconds,
        )
        self._thread = threading.Thread(target=self._watcher.run, args=(self._stop,), name="watcher", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Waits for its last look at the database, which is about to be closed."""
        if self._watcher is not None and self._thread is not None:
            self._watcher.wake()
            self._thread.join(LOOK_SECONDS + END_SECONDS + 1)


def _tidy(application: Application, stop: threading.Event) -> None:
    """Drops what is kept for a while only."""
    while not stop.is_set():
        with surviving(log, "tidying up failed; it is tried again"):
            application.sessions.purge()
            application.audit.tell_refusals()
            application.audit.purge()
            application.events.prune()
            application.subscriptions.purge()
            application.images.purge()
            application.media.purge()
            before = datetime.now(UTC) - SCREENSHOTS_KEPT
            application.database.run(lambda uow, before=before: uow.systems.purge_screenshots(before))  # type: ignore[misc]  # mypy cannot type a lambda's default
        stop.wait(TIDY_SECONDS)
