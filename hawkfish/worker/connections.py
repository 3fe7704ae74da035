"""Connections to the API: none may be held by a client that says nothing, or too little too slowly."""

from __future__ import annotations

from collections.abc import Callable
from http.client import HTTPException
from typing import Any

from gevent import GreenletExit, Timeout
from geventwebsocket.handler import WebSocketHandler
from gunicorn.workers.ggevent import PyWSGIServer

HANDSHAKE_SECONDS = 20.0
"""For TLS to be agreed on; a client on the far side of the world needs one."""
HEAD_SECONDS = 20.0
"""From the connection, or the first byte of a later request, to the end of the headers."""
IDLE_SECONDS = 75.0
"""Between two requests of one connection."""
BODY_SECONDS = 30.0
"""For a body of JSON, and for each mebibyte of an image that is uploaded."""
EXPECTATION = "100-continue"


class Server(PyWSGIServer):  # type: ignore[misc]  # gunicorn has no types
    """The server of gunicorn's worker class, which does not wait for TLS for ever."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Takes what gevent's server takes, which sets the method for TLS on each object."""
        super().__init__(*arguments, **options)
        if self.ssl_enabled:
            self.wrap_socket = _in_time(self.wrap_socket)  # type: ignore[has-type]  # gevent has no types


def _in_time(wrap_socket: Callable[..., Any]) -> Callable[..., Any]:
    def wrap(client: Any, **options: Any) -> Any:
        try:
            with Timeout(HANDSHAKE_SECONDS):
                return wrap_socket(client, **options)
        except Timeout:
            client.close()
            raise ConnectionAbortedError("No TLS was agreed on in time.") from None

    return wrap


class Handler(WebSocketHandler):  # type: ignore[misc]  # geventwebsocket has no types
    """The handler of gunicorn's worker class, with limits of time and for headers."""

    _answered = False

    def read_requestline(self) -> str:
        """Reads the first line of a request; empty, so that the connection is closed, if none comes in time."""
        try:
            with Timeout(IDLE_SECONDS if self._answered else HEAD_SECONDS):
                line: str = super().read_requestline()
        except Timeout:
            return ""
        self._answered = True
        return line

    def read_request(self, raw_requestline: str) -> bool:
        """Reads the request line and the headers.

        Raises:
            ValueError: They cannot be used, such as more than a hundred headers, or came too slowly. That is the client's fault
                and not the server's: the answer is 400, and the log has one line.
        """
        try:
            with Timeout(HEAD_SECONDS):
                is_read = bool(super().read_request(raw_requestline))
        except HTTPException as error:
            raise ValueError(str(error)) from error
        except Timeout:
            raise ValueError(f"The headers took more than {HEAD_SECONDS:.0f} seconds.") from None
        if is_read and self.headers.get("Expect", "").lower() == EXPECTATION:
            # gevent knows it in small letters only, and Java's client waits for it.
            self.headers.replace_header("Expect", EXPECTATION)
        return is_read

    def run_application(self) -> None:
        """Has the application answer, at once where the client speaks of no other protocol."""
        if "HTTP_UPGRADE" in self.environ:
            super().run_application()
        else:
            super(WebSocketHandler, self).run_application()

    def handle_error(self, kind: type[BaseException], error: Any, trace: Any) -> None:
        """Answers what went wrong, unless this process ends: clients ask again where nothing was answered, and not after 500."""
        if issubclass(kind, GreenletExit):
            self.close_connection = True
        else:
            super().handle_error(kind, error, trace)

    def log_request(self) -> None:
        """Writes nothing: the application has written its line, with more in it."""

    def get_environ(self) -> dict[str, Any]:
        """What the application is given."""
        environ: dict[str, Any] = super().get_environ()
        if not self.server.started:  # this process ends soon; the client goes on with another one
            environ["HTTP_CONNECTION"], self.close_connection = "close", True
        body = TimedReader(self)
        self.wsgi_input.rfile = body
        if environ["wsgi.input"] is self.rfile:
            # Somebody speaks of an upgrade, and is given the bare connection. It is one only with a WebSocket: proxies that are
            # set up for these say so with every request, whose body still ends where its headers say.
            is_websocket = environ.get("HTTP_UPGRADE", "").lower() == "websocket"
            environ["wsgi.input"] = body if is_websocket else self.wsgi_input
        return environ


class TimedReader:
    """Reads a body from a connection, each piece within a time."""

    def __init__(self, handler: Any) -> None:
        """Reads what the handler's connection brings."""
        self._handler = handler
        self._late = False

    def read(self, size: int = -1) -> bytes:
        """Reads so many bytes.

        Raises:
            TimeoutError: They did not come in time; no more is read, and the connection ends with this request.
        """
        return self._in_time(self._handler.rfile.read, size)

    def readline(self, size: int = -1) -> bytes:
        """Reads a line; see `read`."""
        return self._in_time(self._handler.rfile.readline, size)

    def _in_time(self, read: Callable[[int], bytes], size: int) -> bytes:
        if not self._late:
            try:
                with Timeout(BODY_SECONDS):
                    return read(size)
            except Timeout:
                self._late = self._handler.close_connection = True
        raise TimeoutError("The body came too slowly.")
