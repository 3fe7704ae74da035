"""One connection to libvirt that repairs itself, and the translation of libvirt's errors into ours."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import libvirt

from hawkfish.errors import (
    BackendError,
    BackendTimeout,
    Conflict,
    HawkFishError,
    HostUnavailable,
    MachineNotFound,
    NotFound,
    NotSupported,
    StorageFull,
)
from hawkfish_libvirt.calls import Beat, CallPool
from hawkfish_libvirt.eventloop import ensure_event_loop

_log = logging.getLogger(__name__)

Result = TypeVar("Result")

PING_SECONDS = 4.0
SILENCE_SECONDS = 8.0  # without an answer to a ping the connection is given up
_BACKOFF_START = 0.2
_BACKOFF_MOST = 2.5  # seconds; a restarted libvirtd is found again within 5 s
_OPEN_LIMIT = 60.0  # an attempt that takes longer is given up (its thread stays until libvirt returns)
_OPEN_ATTEMPTS_HANGING = 3

_NOT_REACHED = {
    libvirt.VIR_ERR_NO_CONNECT,
    libvirt.VIR_ERR_INVALID_CONN,
    libvirt.VIR_ERR_AUTH_FAILED,
    libvirt.VIR_ERR_AUTH_CANCELLED,
    libvirt.VIR_ERR_AUTH_UNAVAILABLE,
    libvirt.VIR_ERR_NO_CLIENT,
}
_NOT_FOUND = {libvirt.VIR_ERR_NO_STORAGE_POOL, libvirt.VIR_ERR_NO_STORAGE_VOL, libvirt.VIR_ERR_NO_NETWORK}
_NOT_SUPPORTED = {
    libvirt.VIR_ERR_NO_SUPPORT,
    libvirt.VIR_ERR_OPERATION_UNSUPPORTED,
    libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
    libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED,
}


def translate_error(  # noqa: PLR0911  one return a class
    error: libvirt.libvirtError, operation: str, host: str, *, alive: bool = True
) -> HawkFishError:
    """Our error for one of libvirt's.

    Args:
        error: What libvirt raised.
        operation: What was tried, in words.
        host: Name of the host.
        alive: Whether the connection still stands; an error on a dead one says nothing about the operation.
    """
    code, reason = error.get_error_code(), error.get_error_message() or "unknown error"
    data = {"operation": operation, "host": host, "reason": reason}
    said = f"{operation} on host {host} failed: {reason}."
    if not alive or error.get_error_domain() == libvirt.VIR_FROM_RPC or code in _NOT_REACHED:
        return HostUnavailable(f"{said} The connection to its libvirtd is down; see that it runs.", **data)
    if code == libvirt.VIR_ERR_NO_DOMAIN:
        return MachineNotFound(said, **data)
    if code in _NOT_FOUND:
        return NotFound(said, kind="storage", id=reason, **data)
    if code in _NOT_SUPPORTED:
        return NotSupported(said, **data)
    if code in {libvirt.VIR_ERR_OPERATION_TIMEOUT, libvirt.VIR_ERR_AGENT_UNRESPONSIVE}:
        return BackendTimeout(f"{said} Another operation on the same thing is still running; try again.", **data)
    if code == libvirt.VIR_ERR_OPERATION_INVALID:
        return Conflict(said, **data)
    if "No space left" in reason or "Not enough free space" in reason:
        return StorageFull(f"{said} Free some room or use another pool.", **data)
    return BackendError(said, **data)


class Connection:
    """A connection that is kept open: closed by the peer, or silent, it is given up and another is opened, with backoff.

    libvirt's own keepalive is not used. When it closes a connection on which several calls wait, libvirt (seen with 9.0) wakes one
    of them only, and the others crash the process as soon as the peer speaks again. So we ping: the calls on a silent connection
    hang on until the peer answers or the kernel gives it up, in bounded numbers, and the connection is closed behind the last.

    Args:
        host: Name of the host, for messages.
        uri: libvirt's URI.
        places: How many calls may be in flight. libvirtd reads no more than five requests of one client at a time.
        on_open: Called with each new raw connection, in a thread that may block; gives the numbers of the events that it
            has asked for, since each of them holds the connection.
        on_up: Called when a new connection can be used.
        on_lost: Called once when a connection that stood is gone.
    """

    def __init__(
        self,
        host: str,
        uri: str,
        *,
        places: int = 4,
        on_open: Callable[[libvirt.virConnect], list[int]] | None = None,
        on_up: Callable[[], None] | None = None,
        on_lost: Callable[[str], None] | None = None,
    ) -> None:
        self._host = host
        self._uri = uri
        self._on_open = on_open
        self._on_up = on_up
        self._on_lost = on_lost
        self._calls = CallPool(host, places)
        self._opening = CallPool(host, _OPEN_ATTEMPTS_HANGING)
        self._condition = threading.Condition()
        self._raw: libvirt.virConnect | None = None
        self._keeper: threading.Thread | None = None
        self._closed = True
        self._reason = "it does not answer"
        self._event_numbers: dict[libvirt.virConnect, list[int]] = {}
        self._users: Counter[libvirt.virConnect] = Counter()
        self._attempts = 0

    @property
    def is_up(self) -> bool:
        """Whether a connection stands now."""
        with self._condition:
            return self._raw is not None

    def open(self, seconds: float) -> None:
        """Opens it, and keeps it open from now on; waits at most `seconds` for the first success.

        Raises:
            HostUnavailable: The first attempt failed or takes too long; more follow in the background.
        """
        self.begin()
        self.wait_open(seconds)

    def begin(self) -> None:
        """Begins to open it, and keeps it open from now on."""
        ensure_event_loop()
        with self._condition:
            if self._closed:
                self._closed = False
                self._attempts = 0
                self._keeper = threading.Thread(target=self._keep, name=f"libvirt keeper {self._host}", daemon=True)
                self._keeper.start()

    def wait_open(self, seconds: float) -> None:
        """Waits at most `seconds` for the first success.

        Raises:
            HostUnavailable: The first attempt failed or takes too long; more follow in the background.
        """
        with self._condition:
            self._condition.wait_for(lambda: self._raw is not None or self._attempts or self._closed, seconds)
            if self._raw is None:
                raise self._unavailable("Connecting")

    def close(self) -> None:
        """Lets go; never raises."""
        with self._condition:
            self._closed = True
            raw, self._raw = self._raw, None
            self._reason = "closed"
            self._condition.notify_all()
        if raw is not None:
            self._let_go(raw)

    def call(
        self,
        operation: str,
        function: Callable[[libvirt.virConnect], Result],
        seconds: float,
        *,
        subject: str | None = None,
        owner: str | None = None,
    ) -> Result:
        """Runs `function(raw connection)` with a deadline; libvirt's errors come out as ours.

        `subject` names what is changed, and `owner` whose call it is: see `CallPool.run`.
        """
        return self.transfer(operation, lambda raw, _beat: function(raw), seconds, subject=subject, owner=owner)

    def transfer(
        self,
        operation: str,
        function: Callable[[libvirt.virConnect, Beat], Result],
        seconds: float,
        *,
        subject: str | None = None,
        owner: str | None = None,
    ) -> Result:
        """Like `call`, for work that may go on for as long as it calls `beat` at least every `seconds`."""
        with self._condition:
            raw = self._raw
        if raw is None:
            raise self._unavailable(operation)

        def run(beat: Beat) -> Result:
            self._enter(raw, operation)
            try:
                return function(raw, beat)
            except libvirt.libvirtError as error:
                alive = _is_alive(raw)
                if not alive:
                    self._lost(raw, error.get_error_message() or "closed")
                raise translate_error(error, operation, self._host, alive=alive) from error
            finally:
                self._leave(raw)

        return self._calls.run(operation, run, seconds, subject=subject, owner=owner)

    def _enter(self, raw: libvirt.virConnect, operation: str) -> None:
        with self._condition:
            if self._raw is not raw:
                raise self._unavailable(operation)
            self._users[raw] += 1

    def _leave(self, raw: libvirt.virConnect) -> None:
        with self._condition:
            self._users[raw] -= 1
            if not self._users[raw]:
                del self._users[raw]
            self._condition.notify_all()

    def _unavailable(self, operation: str) -> HostUnavailable:
        return HostUnavailable(
            f"{operation} on host {self._host} was not possible: {self._reason}. "
            "See that its libvirtd runs and can be reached; the connection is tried again by itself.",
            operation=operation,
            host=self._host,
            reason=self._reason,
        )

    def _keep(self) -> None:
        """Opens the connection whenever there is none, until closed."""
        delay = _BACKOFF_START
        me = threading.current_thread()
        while True:
            with self._condition:
                self._condition.wait_for(
                    lambda: self._closed or self._keeper is not me or self._raw is None, PING_SECONDS
                )
                if self._closed or self._keeper is not me:
                    return
                raw = self._raw
            if raw is not None:
                self._ping(raw)
                continue
            try:
                self._opening.run("Connecting", self._open_raw, _OPEN_LIMIT)
            except HawkFishError as error:
                with self._condition:
                    self._attempts += 1
                    self._reason = str(error.data.get("reason", error.message))
                    self._condition.notify_all()
                    # Closing ends the wait at once.
                    self._condition.wait_for(lambda: self._closed, delay * random.uniform(0.8, 1.0))  # noqa: S311  no secret
                delay = min(delay * 2, _BACKOFF_MOST)
                continue
            delay = _BACKOFF_START

    def _ping(self, raw: libvirt.virConnect) -> None:
        def ask(_beat: Beat) -> None:
            self._enter(raw, "A ping")
            try:
                raw.getLibVersion()
            except libvirt.libvirtError as error:
                if not _is_alive(raw):
                    self._lost(raw, error.get_error_message() or "closed")
            finally:
                self._leave(raw)

        try:
            self._opening.run("A ping", ask, SILENCE_SECONDS)
        except BackendTimeout:
            self._lost(raw, f"it has not answered for {SILENCE_SECONDS:.0f} s")
        except HawkFishError as error:
            _log.debug("no ping to host %s: %s", self._host, error)

    def _open_raw(self, _beat: Beat) -> None:
        started = time.monotonic()
        raw = None
        try:
            raw = libvirt.open(self._uri)
            raw.registerCloseCallback(self._on_close, None)
            if self._on_open is not None:
                self._event_numbers[raw] = self._on_open(raw)
        except libvirt.libvirtError as error:
            if raw is not None:
                self._let_go(raw)
            raise translate_error(error, "Connecting", self._host, alive=False) from error
        self._adopt(raw, time.monotonic() - started)

    def _adopt(self, raw: libvirt.virConnect, seconds: float) -> None:
        with self._condition:
            wanted = not self._closed and self._raw is None  # an attempt that was given up may succeed after all
            if wanted:
                self._raw = raw
                self._users[raw] += 1
                self._attempts += 1
                self._condition.notify_all()
        if not wanted:
            self._let_go(raw)
            return
        _log.info("connected to host %s in %.2f s", self._host, seconds)
        if self._on_up is not None:
            self._on_up()
        if not _is_alive(raw):  # it may have died before anybody listened
            self._lost(raw, "closed at once")
        self._leave(raw)

    def _on_close(self, raw: libvirt.virConnect, reason: int, _opaque: Any) -> None:
        names = {0: "error", 1: "end of file", 2: "keepalive", 3: "closed by the client"}
        self._lost(raw, f"the connection was lost ({names.get(reason, reason)})")

    def _let_go(self, raw: libvirt.virConnect) -> None:
        # Closing may block on a call that hangs, and the event loop's thread must not block.
        numbers = self._event_numbers.pop(raw, [])
        threading.Thread(target=self._close_raw, args=(raw, numbers), name="libvirt close", daemon=True).start()

    def _close_raw(self, raw: libvirt.virConnect, event_numbers: list[int]) -> None:
        for number in event_numbers:
            _quietly(partial(raw.domainEventDeregisterAny, number))
        _quietly(raw.unregisterCloseCallback)
        # Closing frees the connection under the calls that still use it, which crashes the process: wait for the last.
        with self._condition:
            self._condition.wait_for(lambda: raw not in self._users)
        _quietly(raw.close)

    def _lost(self, raw: libvirt.virConnect, reason: str) -> None:
        with self._condition:
            if self._raw is not raw or self._closed:
                return
            self._raw = None
            self._reason = reason
            self._condition.notify_all()
        self._calls.abandon()
        _log.warning("lost the connection to host %s: %s", self._host, reason)
        self._let_go(raw)
        if self._on_lost is not None:
            self._on_lost(reason)


def _is_alive(raw: libvirt.virConnect) -> bool:
    try:
        return bool(raw.isAlive())
    except libvirt.libvirtError:
        return False


def _quietly(step: Callable[[], object]) -> None:
    try:
        step()
    except libvirt.libvirtError as error:
        _log.debug("closing a libvirt connection: %s", error)
