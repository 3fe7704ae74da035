"""The worker: runs tasks, watches hosts, and tidies up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog

from hawkfish.bootstrap import Application
from hawkfish.config import Settings
from hawkfish.errors import HawkFishError
from hawkfish.services.observation import Observer
from hawkfish.tasks import Runner, RunnerSettings
from hawkfish.worker.watcher import Watcher

log = structlog.get_logger("hawkfish.worker")

TIDY_SECONDS = 300.0
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
        runner = Runner(
            application.database,
            application.registry,
            RunnerSettings(
                threads=settings.task_workers,
                lease=settings.task_lease_seconds,
                retention=timedelta(days=settings.task_retention_days),
            ),
        )
        watcher = Watcher(
            Observer(application.database, application.drivers),
            application.drivers,
            sweep_seconds=settings.sweep_seconds,
        )
        helpers = [
            threading.Thread(target=watcher.run, args=(stop,), name="watcher", daemon=True),
            threading.Thread(target=_tidy, args=(application, stop), name="tidy", daemon=True),
        ]
        application.plugins.startup()
        for helper in helpers:
            helper.start()
        ready()
        clean = runner.run(stop)
        application.plugins.shutdown()
        return 0 if clean else 1
    finally:
        application.close()


def _tidy(application: Application, stop: threading.Event) -> None:
    """Drops what is kept for a while only."""
    while not stop.is_set():
        try:
            application.sessions.purge()
            application.audit.purge()
            application.events.prune()
            before = datetime.now(UTC) - SCREENSHOTS_KEPT
            application.database.run(lambda uow, before=before: uow.systems.purge_screenshots(before))  # type: ignore[misc]  # mypy cannot type a lambda's default
        except HawkFishError as error:
            log.warning("tidying up failed; it is tried again", error=error.message)
        except Exception:
            log.exception("tidying up failed; it is tried again")
        stop.wait(TIDY_SECONDS)
