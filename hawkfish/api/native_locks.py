"""Locks of libraries for the threads that database work is done in."""

from __future__ import annotations

import logging
import threading
from importlib import import_module

from hawkfish.locks import native_locks

MODULES = (
    *("sqlalchemy.orm", "sqlalchemy.pool", "sqlalchemy.dialects.sqlite", "sqlalchemy.dialects.postgresql"),
    "prometheus_client",
)


def load_with_native_locks() -> None:
    """Imports what greenlets and real threads share with locks of the operating system; call it before others import it.

    Under gunicorn's gevent workers `threading` is gevent's, and the API does its database work in threads that are real ones.
    SQLAlchemy's counter of loads, which every query takes, was seen to stand for ever with a transaction open.
    """
    with native_locks():
        for name in MODULES:
            import_module(name)
        # Every line takes it for a moment, to find its logger; gevent has put one of its own there.
        logging._lock = threading.RLock()  # type: ignore[attr-defined]  # noqa: SLF001  there is no public way
