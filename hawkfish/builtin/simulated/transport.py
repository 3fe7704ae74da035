"""How clients reach the simulator: over its socket, or within the process for unit tests. Called from native threads."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import socket
import struct
import threading
from abc import ABC, abstractmethod
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from typing import Any

from hawkfish.builtin.simulated.sessions import Session, Simulator
from hawkfish.builtin.simulated.wire import HEADER, lengths, pack, socket_address
from hawkfish.errors import BackendTimeout, HostUnavailable

_log = logging.getLogger(__name__)

Answer = tuple[dict[str, Any], bytes]

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0


class Listener(ABC):
    """What a transport tells its owner, always from one thread of its own."""

    @abstractmethod
    def event(self, message: dict[str, Any]) -> None:
        """The simulator reports something."""

    @abstractmethod
    def lost(self) -> None:
        """The connection is gone."""

    @abstractmethod
    def restored(self) -> None:
        """It is back, and the greeting was accepted."""


class Transport(ABC):
    """A way to the simulator."""

    @abstractmethod
    def open(self) -> None:
        """Connects and greets; harmless when open.

        Raises:
            HostUnavailable: Nobody answers; it goes on trying by itself until closed.
        """

    @abstractmethod
    def close(self) -> None:
        """Lets go of everything."""

    @abstractmethod
    def call(self, operation: str, params: dict[str, Any], blob: bytes, timeout: float) -> Answer:
        """Asks and waits for the answer.

        Raises:
            HostUnavailable: There is no connection, or it broke before the answer came.
            BackendTimeout: No answer came in time.
        """


def _timed_out(operation: str, host: str, timeout: float) -> BackendTimeout:
    return BackendTimeout(
        f"The simulator did not answer {operation} for {host} within {timeout:g} s; whether it took effect is not known. "
        "Look at the machine, then try again.",
        operation=operation,
        host=host,
        seconds=timeout,
    )


class SocketTransport(Transport):
    """Speaks to a simulator's process.

    One thread reads, and connects again with growing pauses when the connection is lost.

    Args:
        path: The simulator's socket.
        greeting: Parameters of `hello`; None to greet nobody (control).
        host: For messages.
        timeout: Seconds for connecting and greeting, and for handing a request to the kernel.
        listener: Whom to tell.
    """

    def __init__(
        self, path: Path, greeting: dict[str, Any] | None, host: str, timeout: float, listener: Listener | None = None
    ) -> None:
        self._path = path
        self._greeting = greeting
        self._host = host
        self._timeout = timeout
        self._listener = listener
        self._numbers = itertools.count(1)
        self._state = threading.Lock()
        self._writing = threading.Lock()
        self._socket: socket.socket | None = None
        self._waiting: dict[int, Future[Answer]] = {}
        self._closed = threading.Event()
        self._hurry = threading.Event()
        self._attempt: Future[None] = Future()
        self._thread: threading.Thread | None = None

    def open(self) -> None:  # noqa: D102
        with self._state:
            if self._thread is None:
                self._closed, self._attempt = threading.Event(), Future()
                self._hurry = threading.Event()
                self._thread = threading.Thread(
                    target=self._run, args=(self._closed,), name=f"simulator {self._host}", daemon=True
                )
                self._thread.start()
            elif self._socket is None and self._attempt.done():
                self._attempt = Future()
                self._hurry.set()
            attempt = self._attempt
        if self._socket is not None:
            return
        try:
            attempt.result(self._timeout * 2)
        except FutureTimeout as error:
            raise self._unavailable("does not answer") from error
        if self._socket is None:
            raise self._unavailable("is not reached")

    def close(self) -> None:  # noqa: D102
        with self._state:
            thread, self._thread = self._thread, None
            self._closed.set()
            self._hurry.set()
            connection = self._socket
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        if thread is not None and thread is not threading.current_thread():
            thread.join(self._timeout)

    def call(self, operation: str, params: dict[str, Any], blob: bytes, timeout: float) -> Answer:  # noqa: D102
        connection = self._socket
        if connection is None:
            raise self._unavailable("is not reached")
        return self._ask(connection, operation, params, blob, timeout)

    def _ask(
        self, connection: socket.socket, operation: str, params: dict[str, Any], blob: bytes, timeout: float
    ) -> Answer:
        number = next(self._numbers)
        waiter: Future[Answer] = Future()
        self._waiting[number] = waiter
        try:
            frame = pack({"id": number, "op": operation, "params": params}, blob)
            if not self._writing.acquire(timeout=timeout):
                raise _timed_out(operation, self._host, timeout)
            try:
                connection.sendall(frame)
            except OSError as error:
                # Part of the frame may have gone; nothing more can be said on this connection.
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                raise self._unavailable(f"broke off during {operation}; whether it acted is not known") from error
            finally:
                self._writing.release()
            if connection is not self._socket and operation != "hello":
                # The reader may have given up between the look and the send; then nobody would answer.
                raise self._unavailable(f"broke off during {operation}; whether it acted is not known")
            return waiter.result(timeout)
        except FutureTimeout as error:
            raise _timed_out(operation, self._host, timeout) from error
        finally:
            self._waiting.pop(number, None)

    # --- the reading thread ------------------------------------------------------------------------------------------

    def _run(self, closed: threading.Event) -> None:
        pause = _FIRST_PAUSE
        was_connected = False
        while not closed.is_set():
            try:
                connection = self._connect()
            except HostUnavailable as error:
                self._attempted(error)
                self._hurry.wait(pause)
                self._hurry.clear()
                pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            with self._state:
                if closed.is_set():
                    connection.close()
                    return
                self._socket = connection
            pause = _FIRST_PAUSE
            if self._listener is not None and was_connected:
                self._listener.restored()
            was_connected = True
            self._attempted(None)
            self._read(connection)
            self._drop(connection)
            if self._listener is not None and not closed.is_set():
                self._listener.lost()

    def _attempted(self, error: HostUnavailable | None) -> None:
        """Tells whoever waits in `open`."""
        with self._state:
            if self._attempt.done():
                return
            if error is None:
                self._attempt.set_result(None)
            else:
                self._attempt.set_exception(error)

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(self._timeout)
            with socket_address(self._path) as address:
                connection.connect(address)
            seconds = struct.pack("ll", max(1, int(self._timeout)), 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, seconds)
            if self._greeting is not None:
                connection.sendall(pack({"id": 0, "op": "hello", "params": self._greeting}))
                answer, _ = _receive(connection)
                if "error" in answer:
                    raise self._unavailable(f"refuses this client: {answer['error']['message']}")
            connection.settimeout(None)
        except (OSError, ValueError) as error:
            connection.close()
            raise self._unavailable("does not answer") from error
        except HostUnavailable:
            connection.close()
            raise
        return connection

    def _read(self, connection: socket.socket) -> None:
        try:
            while True:
                message, blob = _receive(connection)
                if "event" in message:
                    if self._listener is not None:
                        self._listener.event(message["event"])
                    continue
                waiter = self._waiting.get(message["id"])
                if waiter is not None and not waiter.done():
                    waiter.set_result((message, blob))
        except (OSError, ValueError) as error:
            _log.debug("The connection for %s ended: %s", self._host, error)

    def _drop(self, connection: socket.socket) -> None:
        self._socket = None
        connection.close()
        for waiter in list(self._waiting.values()):
            if not waiter.done():
                waiter.set_exception(self._unavailable("broke off before it answered; whether it acted is not known"))

    def _unavailable(self, what: str) -> HostUnavailable:
        return HostUnavailable(
            f"The simulator of {self._host} {what} (socket {self._path}); start it with `hawkfish simulator` or "
            "`hawkfish serve`.",
            operation="connect",
            host=self._host,
            reason=what,
        )


def _receive(connection: socket.socket) -> Answer:
    text_length, blob_length = lengths(_exactly(connection, HEADER.size))
    message = json.loads(_exactly(connection, text_length))
    return message, _exactly(connection, blob_length)


def _exactly(connection: socket.socket, length: int) -> bytes:
    data = bytearray(length)
    view = memoryview(data)
    done = 0
    while done < length:
        got = connection.recv_into(view[done:])
        if not got:
            raise ConnectionError("the other side closed the connection")
        done += got
    return bytes(data)


class InProcessTransport(Transport):
    """Speaks to a simulator in the same process, for unit tests.

    Args:
        simulator: The simulator.
        loop: The event loop that it runs in, of another thread.
        greeting: Parameters of `hello`; None to greet nobody.
        host: For messages.
        listener: Whom to tell.
    """

    def __init__(
        self,
        simulator: Simulator,
        loop: asyncio.AbstractEventLoop,
        greeting: dict[str, Any] | None,
        host: str,
        listener: Listener | None = None,
    ) -> None:
        self._simulator = simulator
        self._loop = loop
        self._greeting = greeting
        self._host = host
        self._listener = listener
        self._session: Session | None = None

    def open(self) -> None:  # noqa: D102
        if self._session is not None:
            return
        self._session = Session(self._simulator, self._event)
        if self._greeting is not None:
            self.call("hello", self._greeting, b"", 10.0)

    def _event(self, message: dict[str, Any]) -> None:
        if self._listener is not None:
            self._listener.event(message["event"])

    def close(self) -> None:  # noqa: D102
        session, self._session = self._session, None
        if session is not None and self._loop.is_running():
            self._loop.call_soon_threadsafe(session.close)

    def call(self, operation: str, params: dict[str, Any], blob: bytes, timeout: float) -> Answer:  # noqa: D102
        session = self._session
        if session is None or not self._loop.is_running():
            raise HostUnavailable(f"The simulator of {self._host} is not open.", operation=operation, host=self._host)
        request = {"id": 0, "op": operation, "params": params}
        future = asyncio.run_coroutine_threadsafe(session.handle(request, blob), self._loop)
        try:
            return future.result(timeout)
        except FutureTimeout as error:
            raise _timed_out(operation, self._host, timeout) from error
