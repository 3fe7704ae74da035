"""An id for every request, and one line in the log when it is answered."""

from __future__ import annotations

import logging
import os
import re
import time

import falcon
import structlog
from prometheus_client import Counter, Histogram

from hawkfish import metrics
from hawkfish.logs import hide_in_text, write_known

NAME = "hawkfish.api"

METHODS = frozenset({"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"})
_GIVEN_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


class RequestLog:
    """Binds the request's id to all that is logged for it."""

    def __init__(self) -> None:
        self._log = logging.getLogger(NAME)
        self._series: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        """Takes the id that the client gave, or makes one."""
        self._begin(req)

    def _begin(self, req: falcon.Request) -> None:
        given = req.get_header("X-Request-Id")
        req.context.request_id = given if given and _GIVEN_ID.fullmatch(given) else os.urandom(16).hex()
        req.context.began = time.monotonic()
        req.context.actor = None
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=req.context.request_id)

    def process_response(self, req: falcon.Request, resp: falcon.Response, _resource: object, _succeeded: bool) -> None:
        """Writes the line; the query is left out, and so is every header."""
        if not hasattr(req.context, "request_id"):
            self._begin(req)  # falcon itself refuses some methods before anybody is asked
        resp.set_header("X-Request-Id", req.context.request_id)
        seconds = time.monotonic() - req.context.began
        # The route, not the path: ids in it would make a series each. What no route answers is one series.
        route = req.uri_template or "none"
        method = req.method if req.method in METHODS else "other"
        self._count(method, route, resp.status_code, seconds)
        if not self._log.isEnabledFor(logging.INFO):
            return
        actor = req.context.actor
        write_known(
            self._log,
            "request",
            {
                "method": hide_in_text(req.method),
                "path": hide_in_text(req.path),
                "status": resp.status_code,
                "milliseconds": round(seconds * 1000, 1),
                "task": getattr(req.context, "task", None),
                "user": None if actor is None else hide_in_text(actor.user_name),
                "address": req.remote_addr,
                "request_id": req.context.request_id,
            },
        )

    def _count(self, method: str, route: str, status: int, seconds: float) -> None:
        """To find the series costs more than to count; there are as many as routes and statuses."""
        found = self._series.get((method, route, status))
        if found is None:
            found = metrics.REQUESTS.labels(method, route, status), metrics.REQUEST_SECONDS.labels(method, route)
            self._series[method, route, status] = found
        requests, lasted = found
        requests.inc()
        lasted.observe(seconds)
