"""How long ago something was, on a machine whose clock is set forward or back meanwhile."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

JUMP_SECONDS = 2.0
"""A clock that is slewed differs by less from one look to the next; what differs by more was set."""
JUMPS_KEPT = 32


def since_boot() -> float:
    """Seconds of a clock that goes on while the process is stopped and the machine sleeps, and is never set."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class PastClock:
    """Tells what the wall clock showed some time ago, as it was set then.

    What is kept in rows bears the wall clock's time, since several processes and machines read it. When that clock is set forward
    by an hour, everything looks an hour older: whoever compares with what the clock really showed is not taken in by it.

    Args:
        wall: Seconds since the epoch.
        steady: Seconds of a clock that is never set.
    """

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = since_boot) -> None:
        self._wall = wall
        self._steady = steady
        self._offset = wall() - steady()
        self._earlier: deque[tuple[float, float]] = deque(maxlen=JUMPS_KEPT)
        self._lock = threading.Lock()

    def ago(self, span: timedelta) -> datetime:
        """What the wall clock showed so long ago, or would show if it had always gone as it does now, whichever is earlier."""
        steady, offset = self._look()
        then = steady - span.total_seconds()
        at_that_time = next((before for until, before in tuple(self._earlier) if then < until), offset)
        return datetime.fromtimestamp(then + min(at_that_time, offset), UTC)

    def _look(self) -> tuple[float, float]:
        """Notes a jump; what lies before this look is taken to be from before the jump."""
        steady = self._steady()
        offset = self._wall() - steady
        if abs(offset - self._offset) > JUMP_SECONDS:
            with self._lock:
                self._earlier.append((steady, self._offset))
                self._offset = offset
        return steady, offset
