"""Runs what blocks (the database, mostly) where it does not stop the event loop."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")

CALL_THREADS = 10
WAIT_THREADS = 64
"""Requests that wait for their tasks at once; more queue up, and hold nobody else up."""


@cache
def _under_gevent() -> bool:
    from gevent import monkey

    return bool(monkey.is_module_patched("socket"))


@cache
def _pool(waiting: bool) -> Any:
    """Calls and waits have pools of their own, so that a hundred waiting clients do not stop the reading ones."""
    from gevent.threadpool import ThreadPool

    return ThreadPool(WAIT_THREADS if waiting else CALL_THREADS)


def offload(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Calls a function that blocks; under gevent in a native thread, else here."""
    return _run(False, function, args, kwargs)


def offload_wait(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """As `offload`, for what mostly waits."""
    return _run(True, function, args, kwargs)


def offload_within(seconds: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
    """As `offload`; None if it takes longer, and whatever becomes of it then is nobody's answer. Without gevent it takes its time."""
    if not _under_gevent():
        return function(*args, **kwargs)
    from gevent import Timeout

    with Timeout(seconds, False):
        return offload(function, *args, **kwargs)
    return None


def within(seconds: float, function: Callable[[], T], otherwise: Exception) -> T:
    """Calls a function that waits for the client, in this greenlet; under gevent for so many seconds and no longer.

    Raises:
        Exception: `otherwise`, when the time is over.
    """
    if not _under_gevent():
        return function()
    import gevent

    with gevent.Timeout(seconds, otherwise):
        return function()


def _run(waiting: bool, function: Callable[..., T], args: Any, kwargs: Any) -> T:
    if not _under_gevent():
        return function(*args, **kwargs)

    def call() -> tuple[T | None, BaseException | None]:
        # gevent's pool prints every exception that leaves a thread; ours are answers to the caller.
        try:
            return function(*args, **kwargs), None
        except Exception as error:  # noqa: BLE001  handed to the caller's greenlet, where it is raised
            return None, error

    result, error = _pool(waiting).spawn(call).get()
    if error is not None:
        raise error
    return cast("T", result)
