"""What is counted and timed, for Prometheus; names of tenants, users and systems are never labels.

Several processes of one machine (API workers, the worker) share their numbers through files in a folder, see `share`.
A process that was started without it counts for itself alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, MutableMapping
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_LATEST
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Read by prometheus_client when it is first imported, so that it must stand in the environment of a process from its start."""

_own = CollectorRegistry()

REQUESTS = Counter(
    "hawkfish_http_requests_total", "Requests that were answered", ["method", "route", "status"], registry=_own
)
REQUEST_SECONDS = Histogram(
    "hawkfish_http_request_seconds",
    "Time from a request's arrival to its answer",
    ["method", "route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
    registry=_own,
)
TASKS_ENDED = Counter("hawkfish_tasks_ended_total", "Tasks that ended", ["kind", "state"], registry=_own)
TASK_SECONDS = Histogram(
    "hawkfish_task_seconds",
    "Time from a task's acceptance to its end, waiting in line included",
    ["kind"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800),
    registry=_own,
)
HOST_SWEEP_SECONDS = Histogram(
    "hawkfish_host_sweep_seconds",
    "Time to ask a host for its facts and all its machines",
    ["host"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    registry=_own,
)
HOST_FAILURES = Counter(
    "hawkfish_host_failures_total", "Times that a host did not answer when it was looked at", ["host"], registry=_own
)
DELIVERIES = Counter(
    "hawkfish_event_deliveries_total", "Deliveries of events to subscribers that were tried", ["result"], registry=_own
)


def share(folder: Path, environment: MutableMapping[str, str]) -> None:
    """Has the processes that get this environment count together; call it before they are started.

    Args:
        folder: Where their files are; those of processes that are gone are removed.
        environment: The variables of those processes. A folder that is named there already stays.
    """
    if FOLDER_VARIABLE in environment:
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in folder.glob("*_*.db"):
        process = file.stem.rpartition("_")[2]
        if not (process.isdigit() and Path(f"/proc/{process}").exists()):
            file.unlink(missing_ok=True)
    environment[FOLDER_VARIABLE] = str(folder)


def registry() -> CollectorRegistry:
    """All numbers that this process knows of: its own, or those of all that share its folder."""
    if FOLDER_VARIABLE not in os.environ:
        return _own
    shared = CollectorRegistry()
    MultiProcessCollector(shared)  # type: ignore[no-untyped-call]  # the package types the rest only
    return shared


def exposition(collectors: Iterable[Collector] = ()) -> bytes:
    """The text that Prometheus reads.

    Args:
        collectors: More numbers, found out when asked for.
    """
    found = CollectorRegistry()
    for collector in collectors:
        found.register(collector)
    return generate_latest(registry()) + generate_latest(found)
