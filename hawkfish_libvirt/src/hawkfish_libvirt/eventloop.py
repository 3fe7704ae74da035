"""libvirt's event loop: one per process, registered before the first connection, pumped by one native thread.

Without it running, closed connections go unnoticed and no event arrives.
"""

from __future__ import annotations

import logging
import threading

import libvirt

_log = logging.getLogger(__name__)
_lock = threading.Lock()
_thread: threading.Thread | None = None


def ensure_event_loop() -> None:
    """Starts the loop where it is not running yet."""
    global _thread  # noqa: PLW0603  libvirt itself has one loop per process
    with _lock:
        if _thread is not None:
            return
        libvirt.virEventRegisterDefaultImpl()
        # libvirt prints errors to stderr besides raising them; they reach our log through our own errors.
        libvirt.registerErrorHandler(_ignore_error, None)
        _thread = threading.Thread(target=_pump, name="libvirt event loop", daemon=True)
        _thread.start()


def _ignore_error(_context: object, _error: object) -> None:
    return


def _pump() -> None:
    while True:
        try:
            libvirt.virEventRunDefaultImpl()
        except libvirt.libvirtError:
            _log.exception("libvirt's event loop reported an error; it goes on")
