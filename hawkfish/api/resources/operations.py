"""What operators and their tools ask: /healthz, /readyz and /metrics. They are no part of Redfish."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import falcon
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from hawkfish import metrics
from hawkfish.api.documents import dump
from hawkfish.api.offload import offload, offload_within
from hawkfish.api.resources.base import Resource
from hawkfish.domain.statistics import Statistics
from hawkfish.services.health import Readiness

READY_SECONDS = 3.0
"""A database that takes longer to answer is one that does not."""


class HealthResource(Resource):
    """/healthz: whether this process answers. It asks nothing else, so that a database that is away restarts no API."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:  # noqa: ARG002  falcon's form
        """Says so."""
        resp.data = dump({"status": "ok"})


class ReadyResource(Resource):
    """/readyz: whether requests are answered and carried out; 503 if not, with the check that failed."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:  # noqa: ARG002  falcon's form
        """Checks, and tells what was found."""
        found = offload_within(READY_SECONDS, self.application.health.readiness)
        readiness = found or Readiness({"database": "does not answer"})
        resp.status = 200 if readiness.ready else 503
        resp.data = dump({"status": "ready" if readiness.ready else "not ready", "checks": dict(readiness.checks)})


class MetricsResource(Resource):
    """/metrics: numbers in the form that Prometheus reads, for whoever may log in."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Sends them."""
        statistics = offload(self.application.health.statistics, req.context.actor)
        resp.content_type = metrics.CONTENT_TYPE
        resp.data = offload(metrics.exposition, [_Counts(statistics, self.application.service_info.version)])


class _Counts(Collector):
    """What the database holds, at the moment of the request."""

    def __init__(self, statistics: Statistics, version: str) -> None:
        self._statistics = statistics
        self._version = version

    def collect(self) -> Iterable[Metric]:
        """Gives the numbers."""
        found = self._statistics
        yield InfoMetricFamily("hawkfish", "The version of the service", {"version": self._version})
        yield _gauges("hawkfish_tasks", "Tasks that have not ended", "state", found.tasks)
        yield _gauge(
            "hawkfish_oldest_waiting_task_seconds",
            "Age of the task that waits longest in line",
            found.oldest_waiting_seconds,
        )
        yield _gauges("hawkfish_systems", "Systems, by what their power was last seen to be", "power", found.systems)
        yield _gauge("hawkfish_stale_systems", "Systems whose host has lost contact", found.stale_systems)
        yield _gauges("hawkfish_hosts", "Hosts", "state", found.hosts)
        yield _gauge("hawkfish_sessions", "Sessions that have not ended", found.sessions)
        yield _gauge("hawkfish_workers", "Workers whose lease is valid", found.workers)


def _gauge(name: str, documentation: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, value=value)


def _gauges(name: str, documentation: str, label: str, values: Mapping[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, documentation, labels=[label])
    for value, count in sorted(values.items()):
        family.add_metric([value], count)
    return family
