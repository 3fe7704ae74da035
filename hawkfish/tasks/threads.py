"""Native threads that are used again: to start one takes longer than all else that a small task costs but its writes."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from queue import SimpleQueue


class Threads:
    """Runs each work in a thread of its own, at once; a thread that has done its work waits for another for as long as few do.

    The process does not wait for their ends.

    Args:
        kept: How many wait at most.
    """

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._lock = threading.Lock()
        self._waiting = 0
        self._works: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def start(self, name: str, work: Callable[[], None]) -> None:
        """Begins `work`, which raises nothing, in a thread that bears a name meanwhile; nothing of earlier works is known to it."""
        context = contextvars.Context()

        def named() -> None:
            threading.current_thread().name = name
            context.run(work)

        with self._lock:
            is_one_free = self._waiting > 0
            if is_one_free:
                self._waiting -= 1
        if is_one_free:
            self._works.put(named)
        else:
            threading.Thread(target=self._go_on, args=(named,), name=name, daemon=True).start()

    def close(self) -> None:
        """Ends those that wait, and the others when they have done their work."""
        with self._lock:
            self._kept = 0
            waiting, self._waiting = self._waiting, 0
        for _ in range(waiting):
            self._works.put(None)

    def _go_on(self, first: Callable[[], None]) -> None:
        work: Callable[[], None] | None = first
        while work is not None:
            work()
            del work  # what it holds is not held for as long as this thread waits
            with self._lock:
                if self._waiting >= self._kept:
                    return
                self._waiting += 1
            work = self._works.get()
