"""Waiting for what others do, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

_PAUSE = 0.02


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
    """Looks again and again until `condition` gives something true, and returns that.

    Raises:
        AssertionError: It did not within `seconds`; names `what` was awaited and what was seen last.
    """
    deadline = time.monotonic() + seconds
    while True:
        seen = condition()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {seconds:g} s; seen last: {seen!r}")
        time.sleep(_PAUSE)
