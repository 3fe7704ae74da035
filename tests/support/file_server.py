"""A real HTTP server on loopback that gives files as it is told: whole, cut off, for ever, drop by drop, from elsewhere."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from hawkfish.services.certificates import ServerCertificate
from tests.support.tls import server_context


@dataclass
class Plan:
    """What the server does with one path.

    Attributes:
        modified: Its date; to who asks for a newer one only, it is not given.
        any_range: A part is given to whoever asks for one, whatever `If-Range` says of the rest.
        cut_after: Bytes of an answer after which the connection is closed, or (`silent`) nothing more comes.
        lengthless: The end of the content is the end of the connection.
        babble: Sent again and again in place of an answer, until the connection ends.
        mute: The connection stays open and nothing is said on it.
        drip_seconds: Pause after each byte.
        after_cut: Called when an answer was cut off.
        gate: Waited for, once half of the answer was sent.
        sent: Bytes of bodies that were sent in all.
    """

    content: bytes
    status: int = 200
    etag: str | None = None
    modified: str | None = None
    any_range: bool = False
    location: str | None = None
    encoding: str | None = None
    chunked: bool = False
    endless: bool = False
    cut_after: int | None = None
    silent: bool = False
    babble: bytes | None = None
    mute: bool = False
    lengthless: bool = False
    drip_seconds: float = 0.0
    after_cut: Callable[[], None] | None = None
    gate: threading.Event | None = None
    half: threading.Event | None = None
    sent: int = 0


class FileServer:
    """The server; `plans` says what it has, `requests` what it was asked (the headers, each with `path`).

    Args:
        tls: Whether it speaks TLS, with a certificate that it has signed itself.
        certificate: What it speaks TLS with instead.
    """

    def __init__(self, *, tls: bool = False, certificate: ServerCertificate | None = None) -> None:
        self.plans: dict[str, Plan] = {}
        self.requests: list[dict[str, str]] = []
        self.stopping = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._tls = tls or certificate is not None
        context = None if certificate is None else server_context(certificate.certificate, certificate.key)
        if tls:
            with tempfile.TemporaryDirectory() as folder:
                key, signed = Path(folder) / "key", Path(folder) / "crt"
                command = [
                    "openssl",
                    "req",
                    "-x509",
                    "-newkey",
                    "rsa:2048",
                    "-nodes",
                    "-days",
                    "2",
                    "-subj",
                    "/CN=test",
                ]
                subprocess.run([*command, "-keyout", key, "-out", signed], check=True, capture_output=True)
                context = server_context(signed, key)
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def url(self, path: str) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._server.server_address[1]}{path}"

    def count(self, path: str) -> int:
        """How often a path was asked for."""
        return sum(request["path"] == path for request in self.requests)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _is_newer(date: str, other: str) -> bool:
    return parsedate_to_datetime(date) > parsedate_to_datetime(other)


def _handler(server: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            server.requests.append({**dict(self.headers.items()), "path": path})
            self.close_connection = True
            plan = server.plans.get(path, Plan(b"", status=404))
            with contextlib.suppress(OSError):
                self._answer(plan)

        def do_HEAD(self) -> None:
            """What cautious clients ask first; it is not counted."""
            plan = server.plans.get(self.path.partition("?")[0], Plan(b"", status=404))
            self.send_response(plan.status)
            self.send_header("Content-Length", str(len(plan.content)))
            self.end_headers()

        def _answer(self, plan: Plan) -> None:
            if plan.mute:
                server.stopping.wait(30)
                return
            if plan.babble is not None:
                while not server.stopping.wait(0.05):
                    self.wfile.write(plan.babble)
                return
            etag, content, status = plan.etag, plan.content, plan.status
            if status == 200 and etag is not None and self.headers.get("If-None-Match") == etag:
                self.send_response(304)
                self.end_headers()
                return
            since = self.headers.get("If-Modified-Since")
            if since is not None and plan.modified is not None and not _is_newer(plan.modified, since):
                self.send_response(304)
                self.end_headers()
                return
            start = self._start(plan)
            self.send_response(206 if start else status)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            for name, value in (
                ("ETag", etag),
                ("Last-Modified", plan.modified),
                ("Location", plan.location),
                ("Content-Encoding", plan.encoding),
            ):
                if value is not None:
                    self.send_header(name, value)
            if plan.chunked or plan.endless:
                self.send_header("Transfer-Encoding", "chunked")
            elif status != 204 and not plan.lengthless:
                self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            self._send(plan, content[start:])

        def _start(self, plan: Plan) -> int:
            given = self.headers.get("Range")
            is_same = plan.etag is not None and self.headers.get("If-Range") == plan.etag
            if given is None or not (is_same or plan.any_range):
                return 0
            return int(given.removeprefix("bytes=").removesuffix("-"))

        def _send(self, plan: Plan, body: bytes) -> None:
            if plan.endless:
                while not server.stopping.is_set():
                    self._write(plan, body)
            elif plan.drip_seconds:
                for byte in body:
                    if server.stopping.wait(plan.drip_seconds):
                        return
                    self._write(plan, bytes([byte]))
            elif plan.cut_after is not None and plan.cut_after < len(body):
                self._write(plan, body[: plan.cut_after])
                if plan.silent:
                    server.stopping.wait(30)
                elif plan.after_cut is not None:
                    plan.after_cut()
            else:
                self._write(plan, body[: len(body) // 2])
                if plan.half is not None:
                    plan.half.set()
                if plan.gate is not None:
                    while not plan.gate.wait(0.05) and not server.stopping.is_set():
                        time.sleep(0)
                self._write(plan, body[len(body) // 2 :])
                if plan.chunked:
                    self.wfile.write(b"0\r\n\r\n")

        def _write(self, plan: Plan, body: bytes) -> None:
            if plan.chunked or plan.endless:
                self.wfile.write(f"{len(body):x}\r\n".encode() + body + b"\r\n")
            else:
                self.wfile.write(body)
            self.wfile.flush()
            plan.sent += len(body)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler
