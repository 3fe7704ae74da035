"""Settings of gunicorn for the API, from HF_*: `gunicorn -c python:hawkfish.worker.gunicorn_settings hawkfish.api.wsgi:app`."""

from __future__ import annotations

import logging
import os
import resource
import ssl
from collections.abc import Callable
from typing import Any

import gevent
from gunicorn.glogging import Logger

from hawkfish import logs
from hawkfish.config import load_settings
from hawkfish.services.certificates import ensure_certificates
from hawkfish.worker.connections import IDLE_SECONDS, Handler, Server

LISTENER_VARIABLE = "HF_INTERNAL_LISTENER"
"""Number of the descriptor on which the supervisor listens already."""
FILES_WANTED = 65536

_settings = load_settings()


class PlainLogger(Logger):  # type: ignore[misc]  # gunicorn has no types
    """Leaves gunicorn's messages to the handler that all of HawkFish's logs go through."""

    def setup(self, cfg: Any) -> None:
        """Takes gunicorn's own handlers away."""
        logs.configure(log_format=_settings.log_format, level=_settings.log_level)
        self.error_log = logging.getLogger("gunicorn.error")
        self.access_log = logging.getLogger("gunicorn.access")
        for log in (self.error_log, self.access_log):
            log.handlers[:] = []
            log.propagate = True
        if _settings.log_level == "info":
            self.error_log.setLevel(logging.WARNING)  # its comings and goings are the supervisor's news
        logging.getLogger("geventwebsocket.handler").setLevel(logging.WARNING)  # the API has its own line a request
        self.cfg = cfg


def _raise_file_limit() -> None:
    """Each client holds a file; the soft limit is often 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_WANTED if hard == resource.RLIM_INFINITY else min(FILES_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def on_starting(_server: Any) -> None:
    """Gunicorn's hook in its first process; workers inherit the limit."""
    _raise_file_limit()


def post_worker_init(worker: Any) -> None:
    """Gunicorn's hook in each worker: clients that break off, or speak no TLS or no HTTP, are no errors of the service."""
    worker.server_class, worker.wsgi_handler = Server, Handler
    hub = gevent.get_hub()
    hub.NOT_ERROR = (*hub.NOT_ERROR, ssl.SSLError, ConnectionError)


def ssl_context(_config: Any, default_factory: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """Gunicorn's hook: nothing older than TLS 1.2."""
    context = default_factory()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


_listener = os.environ.get(LISTENER_VARIABLE)
bind = f"fd://{_listener}" if _listener else _settings.bind
worker_class = "geventwebsocket.gunicorn.workers.GeventWebSocketWorker"
workers = _settings.api_workers
worker_connections = 20000  # the default of 1,000 is used up by 1,000 listeners of events, and then nobody is answered
timeout = 60
graceful_timeout = 3  # seconds for running requests at the end; their tasks go on without them
keepalive = round(IDLE_SECONDS)
proc_name = "hawkfish-api"
logger_class = PlainLogger
control_socket_disable = True  # it would lie in the home folder, one for all installations
if _settings.tls:
    _certificate = ensure_certificates(_settings)
    certfile = str(_certificate.certificate)
    keyfile = str(_certificate.key)
