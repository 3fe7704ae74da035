"""Locks of SQLAlchemy for the threads that database work is done in."""

from __future__ import annotations

import threading
from importlib import import_module

from gevent import monkey

MODULES = ("sqlalchemy.orm", "sqlalchemy.pool", "sqlalchemy.dialects.sqlite", "sqlalchemy.dialects.postgresql")


def load_with_native_locks() -> None:
    """Imports SQLAlchemy with locks of the operating system; call it before anything else imports it.

    Under gunicorn's gevent workers `threading` is gevent's, and the API does its database work in threads that are real ones. Of two
    such threads that want one of gevent's locks, the second may never be woken: SQLAlchemy's counter of loads, which every
    query takes, then stands for ever with a transaction open. SQLAlchemy holds the locks of its modules for moments, so
    that real ones keep nobody waiting.
    """
    if not monkey.is_module_patched("threading"):
        return
    patched = threading.Lock, threading.RLock
    threading.Lock, threading.RLock = monkey.get_original("threading", ["Lock", "RLock"])
    try:
        for name in MODULES:
            import_module(name)
    finally:
        threading.Lock, threading.RLock = patched
