"""A real HTTP server on loopback that takes deliveries of events, or does whatever bad receivers do."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from hawkfish.services.certificates import ServerCertificate
from hawkfish.testing.waiting import wait_until
from tests.support.tls import server_context

MOST_SECONDS = 30.0


@dataclass(frozen=True)
class Post:
    """One delivery that came."""

    path: str
    headers: dict[str, str]
    content: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.content)

    @property
    def records(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.body["Events"]
        return found


@dataclass
class Receiver:
    """The server.

    Attributes:
        status: What it answers.
        certificate: What it speaks TLS with; None for plain HTTP.
        mode: `answer`, or `hang` (nothing is said), `endless` (a body without an end), `drip` (a head that never ends).
        posts: What came, in order, whatever was answered.
    """

    status: int = 200
    mode: str = "answer"
    certificate: ServerCertificate | None = None
    posts: list[Post] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    on_post: Callable[[Post], None] = lambda _: None

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        if self.certificate is not None:
            context = server_context(self.certificate.certificate, self.certificate.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        scheme = "http" if self.certificate is None else "https"
        return f"{scheme}://127.0.0.1:{self._server.server_address[1]}/events"

    @property
    def records(self) -> list[dict[str, Any]]:
        """All records that came, in order."""
        return [record for post in self.posts for record in post.records]

    @property
    def origins(self) -> list[str]:
        """What they are about, by the last part of the address."""
        found = [record.get("OriginOfCondition", {}).get("@odata.id", "") for record in self.records]
        return [address.rpartition("/")[2] for address in found]

    def wait_for(self, count: int) -> list[dict[str, Any]]:
        """Waits for so many records."""
        wait_until(lambda: len(self.records) >= count, f"{count} events arrive", MOST_SECONDS)
        return self.records


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            post = Post(self.path, {name.lower(): value for name, value in self.headers.items()}, content)
            receiver.posts.append(post)
            receiver.on_post(post)
            with contextlib.suppress(OSError):
                self._answer()

        def _answer(self) -> None:
            if receiver.mode == "hang":
                receiver.stopping.wait(MOST_SECONDS)
                return
            if receiver.mode == "drip":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                while not receiver.stopping.wait(0.05):
                    self.wfile.write(b"x")
                return
            self.send_response(receiver.status)
            if receiver.status in {301, 302, 307, 308}:
                self.send_header("Location", "/elsewhere")
            if receiver.mode == "endless":
                self.end_headers()
                while not receiver.stopping.is_set():
                    self.wfile.write(b"x" * 65536)
                return
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    return Handler
