"""The simulator's process: `python -m hawkfish.builtin.simulated.server --socket PATH --state PATH`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import logging
import os
import signal
import socket as sockets
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hawkfish.builtin.simulated.faults import Disconnected
from hawkfish.builtin.simulated.sessions import Session, Simulator
from hawkfish.builtin.simulated.wire import HEADER, lengths, pack, socket_address
from hawkfish.errors import ConfigurationError, HawkFishError

_log = logging.getLogger(__name__)

_LARGEST_BACKLOG = 64 * 2**20
"""Bytes that a client may leave unread before it is dropped; it then looks at everything anew."""

Ready = Callable[[], None]


class Server:
    """The simulator behind its unix socket.

    Args:
        socket: Where clients connect; made with mode 0600.
        state: The state file; hosts keep their files in the folder `simulated` beside it.
    """

    def __init__(self, socket: Path, state: Path) -> None:
        self._socket = socket
        self._state = state
        self._stop = asyncio.Event()
        self._connections: set[_Connection] = set()
        self._idle = asyncio.Event()

    def stop(self) -> None:
        """Ends `serve`; call it in the event loop."""
        self._stop.set()

    async def serve(self, ready: Ready) -> None:
        """Serves until `stop`; `ready` is called once clients can connect.

        Raises:
            ConfigurationError: Another simulator holds the state file.
        """
        self._state.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _exclusive(self._state):
            simulator = Simulator(self._state, self._state.parent.absolute() / "simulated")
            try:
                simulator.start()
                listener = _listen(self._socket)
                server = await asyncio.start_unix_server(
                    lambda reader, writer: self._connected(simulator, reader, writer), sock=listener
                )
                ready()
                await self._stop.wait()
                server.close()
                await self._drop_connections()
                self._socket.unlink(missing_ok=True)
            finally:
                simulator.close()

    async def _drop_connections(self) -> None:
        self._idle.clear()
        for connection in self._connections:
            connection.drop()
        if self._connections:
            await self._idle.wait()

    async def _connected(
        self, simulator: Simulator, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        connection = _Connection(simulator, reader, writer)
        self._connections.add(connection)
        try:
            await connection.serve()
        finally:
            self._connections.discard(connection)
            if not self._connections:
                self._idle.set()


class _Connection:
    """One client on the socket; its requests run side by side."""

    def __init__(self, simulator: Simulator, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._session = Session(simulator, self._send)
        self._requests: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        try:
            while True:
                text_length, blob_length = lengths(await self._reader.readexactly(HEADER.size))
                request = json.loads(await self._reader.readexactly(text_length))
                blob = await self._reader.readexactly(blob_length)
                task = asyncio.create_task(self._answer(request, blob))
                self._requests.add(task)
                task.add_done_callback(self._requests.discard)
        except (asyncio.IncompleteReadError, ConnectionError):
            _log.debug("A client has gone")
        except ValueError as error:
            _log.warning("A client is dropped: %s", error)
        finally:
            for task in self._requests:
                task.cancel()
            self._session.close()
            self._writer.close()
            with contextlib.suppress(ConnectionError):
                await self._writer.wait_closed()

    def drop(self) -> None:
        """Ends the connection; `serve` returns."""
        self._writer.transport.abort()

    async def _answer(self, request: dict[str, Any], blob: bytes) -> None:
        try:
            answer, data = await self._session.handle(request, blob)
        except Disconnected:
            self.drop()
            return
        self._send(answer, data)

    def _send(self, message: dict[str, Any], blob: bytes = b"") -> None:
        transport = self._writer.transport
        if transport.is_closing():
            return
        if transport.get_write_buffer_size() > _LARGEST_BACKLOG:
            _log.warning("A client that does not read is dropped")
            transport.abort()
            return
        self._writer.write(pack(message, blob))


@contextlib.contextmanager
def _exclusive(state: Path) -> Iterator[None]:
    """Holds the state file's lock, which dies with the process."""
    path = state.with_name(state.name + ".lock")
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigurationError(
                f"Another simulator holds {state}; stop it, or use another data directory.", setting="state"
            ) from error
        yield


def _listen(path: Path) -> sockets.socket:
    """A listening socket in place of what a dead simulator left behind; the state's lock says that it is dead."""
    path.unlink(missing_ok=True)
    listener = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        with socket_address(path) as address:
            listener.bind(address)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(before)
    listener.listen(1024)
    return listener


def run(socket: Path, state: Path, ready: Ready = lambda: None) -> None:
    """Runs the simulator in this thread until SIGTERM or SIGINT.

    Args:
        socket: Where clients connect.
        state: The state file, made if it is absent.
        ready: Called once clients can connect.

    Raises:
        ConfigurationError: Another simulator holds the state file.
    """

    async def serve() -> None:
        server = Server(socket, state)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.stop)
        await server.serve(ready)

    asyncio.run(serve())


def main(argv: Sequence[str] | None = None) -> int:
    """The command; prints one line once clients can connect."""
    parser = argparse.ArgumentParser(prog="hawkfish simulator", description="Runs simulated hosts and their machines.")
    parser.add_argument("--socket", type=Path, required=True, help="unix socket for clients")
    parser.add_argument("--state", type=Path, required=True, help="state file; hosts keep their files beside it")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s simulator %(levelname)s %(message)s")

    def ready() -> None:
        sys.stdout.write(f"The simulator answers at {options.socket}\n")
        sys.stdout.flush()

    try:
        run(options.socket, options.state, ready)
    except HawkFishError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
