"""Hands events to listeners from a thread of its own, so that a listener may call the driver."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from hawkfish.builtin.simulated.codec import decode
from hawkfish.builtin.simulated.transport import Listener
from hawkfish.domain.machines import MachineEvent, MachineEventKind

_log = logging.getLogger(__name__)

EventListener = Callable[[MachineEvent], None]


class EventFeed(Listener):
    """The listeners of one driver."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._lock = threading.Lock()
        self._listeners: dict[object, EventListener] = {}
        self._queue: queue.SimpleQueue[MachineEvent | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def subscribe(self, listener: EventListener) -> Callable[[], None]:
        """Adds a listener; the function returned takes it away."""
        key = object()
        with self._lock:
            self._listeners[key] = listener
            self._start()

        def unsubscribe() -> None:
            with self._lock:
                self._listeners.pop(key, None)

        return unsubscribe

    def close(self, timeout: float) -> None:
        """Ends the thread; listeners stay subscribed and hear again from the next `reopen` on."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._queue.put(None)
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def reopen(self) -> None:
        """Starts the thread again if anybody listens."""
        with self._lock:
            if self._listeners:
                self._start()

    def _start(self) -> None:
        if self._thread is None:
            self._queue = queue.SimpleQueue()
            self._thread = threading.Thread(
                target=self._deliver, args=(self._queue,), name=f"simulator events {self._host}", daemon=True
            )
            self._thread.start()

    def event(self, message: dict[str, Any]) -> None:  # noqa: D102
        self._put(decode(MachineEvent, message))

    def lost(self) -> None:  # noqa: D102
        self._put(_connection_event(MachineEventKind.CONNECTION_LOST))

    def restored(self) -> None:  # noqa: D102
        self._put(_connection_event(MachineEventKind.CONNECTION_RESTORED))

    def _put(self, event: MachineEvent) -> None:
        with self._lock:
            if self._thread is not None:
                self._queue.put(event)

    def _deliver(self, events: queue.SimpleQueue[MachineEvent | None]) -> None:
        while (event := events.get()) is not None:
            with self._lock:
                listeners = list(self._listeners.values())
            for listener in listeners:
                try:
                    listener(event)
                except Exception:  # noqa: BLE001  a listener is a stranger; the others still hear
                    _log.exception("A listener to the events of %s failed on %s", self._host, event.kind)


def _connection_event(kind: MachineEventKind) -> MachineEvent:
    return MachineEvent(kind=kind, at=datetime.now(UTC))
