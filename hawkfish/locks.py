"""What threads of the operating system share, also under gevent, whose own does not work across its thread pool."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

LOCK_POLL_SECONDS = 0.001


def _shares_its_thread() -> bool:
    """Whether other greenlets run in this thread: those of the main thread do under gevent, those of its pool's threads do not."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and monkey.is_module_patched("time") and threading.get_native_id() == os.getpid()


def pause(seconds: float) -> None:
    """Sleeps; greenlets of the same thread run meanwhile, and a thread without others does not pay for their ways."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None or _shares_its_thread():
        time.sleep(seconds)
    else:
        monkey.get_original("time", "sleep")(seconds)


def acquire(lock: threading.Lock, seconds: float = math.inf) -> bool:
    """Waits for a native lock; a greenlet that blocks its thread could wait for its own neighbour, so it asks again and again.

    Returns:
        Whether it was got within `seconds`.
    """
    if not _shares_its_thread():
        return lock.acquire(timeout=-1 if seconds == math.inf else seconds)
    end = time.monotonic() + seconds
    while not lock.acquire(blocking=False):
        if time.monotonic() > end:
            return False
        time.sleep(LOCK_POLL_SECONDS)
    return True


def native_lock() -> threading.Lock:
    """A lock of the operating system even under gevent, whose locks do not work well across its thread pool."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None:
        allocate: Callable[[], threading.Lock] = monkey.get_original("_thread", "allocate_lock")
        return allocate()
    return threading.Lock()


def close_descriptor(descriptor: int) -> None:
    """Closes a descriptor of the operating system at once.

    That of gevent (since 25.8) puts the closing of what is no plain file off, and remembers it by its number for all threads: a thread
    that is given the number anew meanwhile cannot close it, and is told that it is none.
    """
    monkey = sys.modules.get("gevent.monkey")
    close: Callable[[int], None] = os.close if monkey is None else monkey.get_original("os", "close")
    close(descriptor)


@contextmanager
def native_locks() -> Iterator[None]:
    """What is imported or made within gets locks of the operating system even under gevent.

    For what greenlets and the threads of gevent's pool share: of two such threads that want one of gevent's locks, the second
    may never be woken. Such locks must be held for moments only, since a greenlet that waits for one stops all greenlets.
    """
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None or not monkey.is_module_patched("threading"):
        yield
        return
    patched = threading.Lock, threading.RLock
    # What `threading` has as its RLock is a function that makes one of gevent's locks, whoever calls it.
    threading.Lock = monkey.get_original("_thread", "allocate_lock")
    threading.RLock = monkey.get_original("_thread", "RLock")
    try:
        yield
    finally:
        threading.Lock, threading.RLock = patched


def start_native_thread(run: Callable[[], None]) -> None:
    """Starts a thread of the operating system, also under gevent, where `threading.Thread` is a greenlet of the thread that makes it.

    The process does not wait for its end.
    """
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None or not monkey.is_module_patched("threading"):
        threading.Thread(target=run, daemon=True).start()
        return
    monkey.get_original("_thread", "start_new_thread")(run, ())


def native_local() -> Any:
    """What each thread of the operating system has of its own, also under gevent, which would make it each greenlet's."""
    monkey = sys.modules.get("gevent.monkey")
    return threading.local() if monkey is None else monkey.get_original("threading", "local")()
