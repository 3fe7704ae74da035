"""libvirt's events as ours. libvirt calls in its loop's thread, which must not wait: a queue and a thread per host follow."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import libvirt

from hawkfish.domain.machines import MachineEvent, MachineEventKind

_log = logging.getLogger(__name__)

Listener = Callable[[MachineEvent], None]

_LIFECYCLE = {
    libvirt.VIR_DOMAIN_EVENT_DEFINED: MachineEventKind.DEFINED,
    libvirt.VIR_DOMAIN_EVENT_UNDEFINED: MachineEventKind.UNDEFINED,
    libvirt.VIR_DOMAIN_EVENT_STARTED: MachineEventKind.STARTED,
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED: MachineEventKind.PAUSED,
    libvirt.VIR_DOMAIN_EVENT_PMSUSPENDED: MachineEventKind.PAUSED,
    libvirt.VIR_DOMAIN_EVENT_RESUMED: MachineEventKind.RESUMED,
    libvirt.VIR_DOMAIN_EVENT_STOPPED: MachineEventKind.STOPPED,
    libvirt.VIR_DOMAIN_EVENT_CRASHED: MachineEventKind.CRASHED,
}
_STOPPED = {
    libvirt.VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN: "shut down by the guest",
    libvirt.VIR_DOMAIN_EVENT_STOPPED_DESTROYED: "powered off",
    libvirt.VIR_DOMAIN_EVENT_STOPPED_CRASHED: "crashed",
    libvirt.VIR_DOMAIN_EVENT_STOPPED_MIGRATED: "migrated away",
    libvirt.VIR_DOMAIN_EVENT_STOPPED_SAVED: "saved",
    libvirt.VIR_DOMAIN_EVENT_STOPPED_FAILED: "failed to start, or the hypervisor failed",
}
PROBE_PREFIX = "hawkfish-probe-"


class EventHub:
    """Passes a host's events on to listeners, one after the other, from one thread."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._lock = threading.Lock()
        self._listeners: dict[int, Listener] = {}
        self._next_id = 0
        self._queue: queue.SimpleQueue[MachineEvent | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Starts the thread."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._pump, name=f"libvirt events {self._host}", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Ends the thread; listeners stay subscribed for the next `open`."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Adds a listener; the function that comes back removes it."""
        with self._lock:
            self._next_id += 1
            key = self._next_id
            self._listeners[key] = listener

        def remove() -> None:
            with self._lock:
                self._listeners.pop(key, None)

        return remove

    def emit(
        self,
        kind: MachineEventKind,
        machine_id: UUID | None = None,
        device: str | None = None,
        detail: str = "",
    ) -> None:
        """Queues an event."""
        self._queue.put(
            MachineEvent(kind=kind, at=datetime.now(UTC), machine_id=machine_id, device=device, detail=detail)
        )

    def register(self, raw: libvirt.virConnect) -> list[int]:
        """Asks a new connection for its events; gives the numbers under which they are asked for."""
        numbers = []
        for event_id, callback in (
            (libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._on_lifecycle),
            (libvirt.VIR_DOMAIN_EVENT_ID_REBOOT, self._on_reboot),
            (libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, self._on_device_added),
            (libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, self._on_device_removed),
            (libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED, self._on_device_removal_failed),
            (libvirt.VIR_DOMAIN_EVENT_ID_TRAY_CHANGE, self._on_tray),
        ):
            numbers.append(raw.domainEventRegisterAny(None, event_id, callback, None))
        return numbers

    def _pump(self) -> None:
        while (event := self._queue.get()) is not None:
            with self._lock:
                listeners = list(self._listeners.values())
            for listener in listeners:
                try:
                    listener(event)
                except Exception:  # noqa: BLE001  a listener that fails must not silence the others
                    _log.exception("a listener to events of host %s failed", self._host)

    def _domain(
        self, kind: MachineEventKind, domain: libvirt.virDomain, device: str | None = None, detail: str = ""
    ) -> None:
        if domain.name().startswith(PROBE_PREFIX):
            return  # our own test of the hypervisor, nobody's machine
        self.emit(kind, UUID(bytes=domain.UUID()), device.removeprefix("ua-") if device else None, detail)

    def _on_lifecycle(self, _raw: Any, domain: libvirt.virDomain, event: int, detail: int, _opaque: Any) -> None:
        kind = _LIFECYCLE.get(event)
        if kind is None:
            return  # such as SHUTDOWN, which STOPPED follows
        stopped = event == libvirt.VIR_DOMAIN_EVENT_STOPPED
        if stopped and detail == libvirt.VIR_DOMAIN_EVENT_STOPPED_CRASHED:
            kind = MachineEventKind.CRASHED
        self._domain(kind, domain, detail=_STOPPED.get(detail, "") if stopped else "")

    def _on_reboot(self, _raw: Any, domain: libvirt.virDomain, _opaque: Any) -> None:
        self._domain(MachineEventKind.REBOOTED, domain)

    def _on_device_added(self, _raw: Any, domain: libvirt.virDomain, device: str, _opaque: Any) -> None:
        self._domain(MachineEventKind.DEVICE_ADDED, domain, device)

    def _on_device_removed(self, _raw: Any, domain: libvirt.virDomain, device: str, _opaque: Any) -> None:
        self._domain(MachineEventKind.DEVICE_REMOVED, domain, device)

    def _on_device_removal_failed(self, _raw: Any, domain: libvirt.virDomain, device: str, _opaque: Any) -> None:
        self._domain(MachineEventKind.DEVICE_REMOVAL_FAILED, domain, device)

    def _on_tray(self, _raw: Any, domain: libvirt.virDomain, device: str, reason: int, _opaque: Any) -> None:
        opened = reason == libvirt.VIR_DOMAIN_EVENT_TRAY_CHANGE_OPEN
        self._domain(MachineEventKind.MEDIUM_CHANGED, domain, device, "tray opened" if opened else "tray closed")
