"""Wake-ups between processes that share a database.

A signal carries nothing but its channel: who is woken reads the database. A signal may be lost, so every waiter also polls.
On SQLite each subscriber binds a datagram socket in a folder beside the database file; on PostgreSQL a signal is a NOTIFY and each
process with subscribers holds one listening connection. Waiting is a read on a socket, so it suits native threads and gevent alike.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Self

import psycopg
import structlog

from hawkfish.locks import close_descriptor, native_lock, start_native_thread

log = structlog.get_logger(__name__)

RECONNECT_SECONDS = 1.0
SOCKET_PATH_LIMIT = 100


class Subscription:
    """One waiter on one channel; a context manager."""

    def __init__(self, receiver: socket.socket, poke: Callable[[], None], close: Callable[[], None]) -> None:
        self._receiver = receiver
        self.poke = poke
        """Wakes this subscription from inside the process."""
        self._close = close

    def wait(self, timeout: float) -> bool:
        """Waits for a signal; several that came meanwhile count as one.

        Returns:
            Whether there was one within `timeout` seconds.
        """
        self._receiver.settimeout(max(timeout, 0.0001))
        try:
            self._receiver.recv(64)
            self._receiver.setblocking(False)
            while True:
                self._receiver.recv(64)
        except TimeoutError:
            return False
        except BlockingIOError:
            return True

    def close(self) -> None:
        """Ends the subscription."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Signals:
    """Sends and receives wake-ups for one database."""

    POSTGRESQL_CHANNEL = "hawkfish"

    def send(self, channels: AbstractSet[str]) -> None:
        """Wakes the subscribers of some channels; PostgreSQL does it by NOTIFY inside the transaction."""

    def subscribe(self, channel: str) -> Subscription:
        """A new waiter on `channel`."""
        raise TypeError(f"{type(self).__name__} cannot be subscribed to {channel!r}: there is no process to hear from")

    def close(self) -> None:
        """Ends what is shared by the subscriptions."""


class SocketSignals(Signals):
    """Signals through datagram sockets in a folder, for processes on one machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, channels: AbstractSet[str]) -> None:
        """Writes one byte to every socket whose name begins with one of the channels; dead sockets are removed."""
        try:
            names = [name for name in os.listdir(self._folder) if name.partition("~")[0] in channels]  # noqa: PTH208  speed
        except FileNotFoundError:
            return
        if not names:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            for name in names:
                self._send_one(sender, name)

    def _send_one(self, sender: socket.socket, name: str) -> None:
        with _reachable(self._folder, name) as address:
            try:
                sender.sendto(b"\1", address)
            except BlockingIOError:
                return  # its buffer is full of wake-ups already
            except ConnectionRefusedError:
                with contextlib.suppress(FileNotFoundError):
                    (self._folder / name).unlink()  # its process is gone
            except FileNotFoundError:
                return  # unsubscribed meanwhile

    def subscribe(self, channel: str) -> Subscription:
        """Binds a socket of its own."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        name = f"{channel}~{os.getpid()}-{uuid.uuid4().hex[:8]}"
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with _reachable(self._folder, name) as address:
            receiver.bind(address)

        def poke() -> None:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                self._send_one(sender, name)

        def close() -> None:
            receiver.close()
            with contextlib.suppress(FileNotFoundError):
                (self._folder / name).unlink()

        return Subscription(receiver, poke, close)


@contextlib.contextmanager
def _reachable(folder: Path, name: str) -> Iterator[str]:
    """An address for a socket file even where its path is longer than the 107 bytes that the kernel takes."""
    path = str(folder / name)
    if len(path.encode()) <= SOCKET_PATH_LIMIT:
        yield path
        return
    try:
        handle = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    except FileNotFoundError:
        yield path[:SOCKET_PATH_LIMIT]
        return
    try:
        yield f"/proc/self/fd/{handle}/{name}"
    finally:
        close_descriptor(handle)


class NotifySignals(Signals):
    """Signals through LISTEN and NOTIFY; one connection per process, opened when first needed and reopened when lost."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._lock = native_lock()
        self._senders: dict[str, set[socket.socket]] = {}
        self._owner: int | None = None
        self._closed = False

    def subscribe(self, channel: str) -> Subscription:
        """Registers a socket pair whose other end the listening thread writes to."""
        receiver, sender = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        sender.setblocking(False)
        with self._lock:
            self._senders.setdefault(channel, set()).add(sender)
            is_first = self._owner != os.getpid()  # or the first after a fork
            self._owner = os.getpid()
        if is_first:
            # As a greenlet it would belong to the thread that came first, and stand still whenever that one has nothing to do.
            start_native_thread(self._listen)

        def close() -> None:
            with self._lock:
                senders = self._senders.get(channel, set())
                senders.discard(sender)
                if not senders:
                    self._senders.pop(channel, None)
            sender.close()
            receiver.close()

        return Subscription(receiver, lambda: _write(sender), close)

    def close(self) -> None:
        """Has the listening thread end at its next turn."""
        self._closed = True

    def _listen(self) -> None:
        while not self._closed:
            try:
                with psycopg.connect(self._conninfo, autocommit=True) as connection:
                    connection.execute(f"LISTEN {self.POSTGRESQL_CHANNEL}")
                    self._wake(None)  # what was sent while nobody listened
                    while not self._closed:
                        for notification in connection.notifies(timeout=RECONNECT_SECONDS):
                            self._wake(notification.payload)
            except psycopg.Error as error:
                log.warning("signals.connection_lost", error=str(error).strip())
                time.sleep(RECONNECT_SECONDS)

    def _wake(self, channel: str | None) -> None:
        with self._lock:
            groups = list(self._senders.values()) if channel is None else [self._senders.get(channel, set())]
            for group in groups:
                for sender in group:
                    _write(sender)


def _write(sender: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError, OSError):  # full means woken already; closed means gone
        sender.send(b"\1")
