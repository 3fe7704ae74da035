"""What arrives at the socket of gunicorn and is no proper request: the service answers others all the while."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import requests

from hawkfish.worker.connections import BODY_SECONDS, HANDSHAKE_SECONDS, HEAD_SECONDS
from tests.api.installation import prepare
from tests.api.live import gunicorn

PATH = "/redfish/v1/"
PATIENCE_SECONDS = 15.0
"""Less than those have who say nothing: who waits for one of them waits longer."""
SLOW_CLIENTS = 50
SILENT_CLIENTS = 500


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of an API of this module's own, and its log."""
    data_dir: Path = tmp_path_factory.mktemp("hostile")
    prepare(data_dir, tls=False)
    with gunicorn(data_dir) as address:
        yield address, data_dir / "gunicorn.log"


@pytest.fixture(scope="module")
def served_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The same over TLS, with the settings that it is shipped with."""
    data_dir: Path = tmp_path_factory.mktemp("hostile_tls")
    prepare(data_dir)
    with gunicorn(data_dir, tls=True) as address:
        yield address, data_dir / "gunicorn.log"


def connect(url: str) -> socket.socket:
    address = urlsplit(url)
    return socket.create_connection((address.hostname, address.port), timeout=PATIENCE_SECONDS)


def exchange(url: str, content: bytes) -> bytes:
    """Sends bytes, and gives whatever comes until the other side closes or falls silent."""
    received = b""
    with connect(url) as connection, contextlib.suppress(OSError):
        connection.sendall(content)
        connection.shutdown(socket.SHUT_WR)
        while piece := connection.recv(65536):
            received += piece
    return received


def healthy(url: str) -> float:
    """Seconds that an ordinary request took, which must be answered."""
    began = time.monotonic()
    assert httpx.get(url + PATH, timeout=PATIENCE_SECONDS, trust_env=False, verify=False).status_code == 200
    return time.monotonic() - began


@pytest.mark.slow
@pytest.mark.parametrize(
    "content",
    [
        *(b"\r\n\r\n", b"GET\r\n\r\n", b"GET /redfish\r\n", b"GET /redfish HTTP/9.9\r\n\r\n", b"\x00" * 500),
        *(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xa5" * 500, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        b"GET " + b"/" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /redfish HTTP/1.1\r\n" + b"X-Flood: " + b"x" * 200_000 + b"\r\n\r\n",
        b"GET /redfish HTTP/1.1\r\n" + b"X-Many: x\r\n" * 20_000 + b"\r\n",
        b"GET /redfish HTTP/1.1\r\nHost: x\r\nno colon here\r\n\r\n",
        b"POST /redfish/v1/SessionService/Sessions HTTP/1.1\r\nHost: x\r\nContent-Length: minus one\r\n\r\n",
        b"POST /redfish/v1/SessionService/Sessions HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\nhello",
        b"POST /redfish/v1/SessionService/Sessions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /redfish/\xff\xfe HTTP/1.1\r\nHost: \xff\r\n\r\n",
    ],
    ids=lambda content: repr(content[:40]),
)
def test_a_broken_request_is_refused_and_leaves_no_traceback_of_ours(served: tuple[str, Path], content: bytes) -> None:
    url, log = served
    answer = exchange(url, content)
    assert b" 500 " not in answer[:40]
    assert b"Traceback" not in answer
    assert healthy(url) < PATIENCE_SECONDS
    # A plain gunicorn prints one for a request of more than a hundred headers, which never reaches the service.
    assert "/hawkfish/api/" not in log.read_text("utf-8", "replace")


@pytest.mark.slow
def test_a_body_with_two_lengths_hides_no_second_request(served: tuple[str, Path]) -> None:
    url, _ = served
    hidden = b"GET /redfish HTTP/1.1\r\nHost: hidden\r\nConnection: close\r\n\r\n"
    head = b"POST /redfish/v1/SessionService/Sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    for lengths in (
        b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n",
        b"Content-Length: 0\r\nContent-Length: 6\r\n",
    ):
        answer = exchange(url, head + lengths + b"\r\n0\r\n\r\nX" + hidden)
        assert b'"v1"' not in answer, lengths


@pytest.mark.slow
def test_pipelined_requests_are_answered_one_by_one(served: tuple[str, Path]) -> None:
    url, _ = served
    request = b"GET /redfish HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = exchange(url, request * 20 + request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert answer.count(b"HTTP/1.1 200") == 21


@pytest.mark.slow
def test_slow_clients_keep_nobody_waiting(served: tuple[str, Path]) -> None:
    url, _ = served
    with contextlib.ExitStack() as opened:
        slow = [opened.enter_context(connect(url)) for _ in range(SLOW_CLIENTS)]
        for connection in slow:
            connection.sendall(b"GET /redfish HTTP/1.1\r\nHost: x\r\n")
        for number in range(10):
            for connection in slow:
                connection.sendall(b"X-Slow-%d: x\r\n" % number)
            assert healthy(url) < PATIENCE_SECONDS


def client_hello() -> bytes:
    """The first bytes of a client that speaks TLS."""
    outgoing = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="hawkfish.example")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


@pytest.mark.slow
@pytest.mark.parametrize("end", ["closed", "reset"])
def test_what_is_no_tls_leaves_no_traceback(served_tls: tuple[str, Path], end: str) -> None:
    url, log = served_tls
    hello = client_hello()
    contents = [
        b"",
        b"GET /redfish HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x00" * 500,
        b"SSH-2.0-x\r\n",
        hello[: len(hello) // 2],
    ]
    contents += [os.urandom(size) for size in (1, 5, 600, 70_000)]
    contents += [hello[:5], hello, hello + os.urandom(500), hello[:40] + os.urandom(len(hello) - 40)]
    for content in contents:
        if end == "closed":
            exchange(url, content)
            continue
        with connect(url) as connection, contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(content)
    assert healthy(url) < PATIENCE_SECONDS
    assert "Traceback" not in log.read_text("utf-8", "replace")


@pytest.mark.slow
def test_clients_that_stop_in_the_middle_of_the_handshake_keep_nobody_waiting(served_tls: tuple[str, Path]) -> None:
    url, log = served_tls
    hello = client_hello()
    with contextlib.ExitStack() as opened:
        for number in range(SILENT_CLIENTS):
            connection = opened.enter_context(connect(url))
            connection.sendall(hello[: number % len(hello)])
        assert healthy(url) < PATIENCE_SECONDS
    assert healthy(url) < PATIENCE_SECONDS
    assert "Traceback" not in log.read_text("utf-8", "replace")


@pytest.mark.slow
def test_who_says_nothing_or_not_enough_is_shown_the_door(served_tls: tuple[str, Path]) -> None:
    url, log = served_tls
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with contextlib.ExitStack() as opened:
        silent, stuck = opened.enter_context(connect(url)), opened.enter_context(connect(url))
        stuck.sendall(client_hello()[:100])
        mute, slow, body, kept = (
            opened.enter_context(context.wrap_socket(opened.enter_context(connect(url)))) for _ in range(4)
        )
        slow.sendall(b"GET /redfish HTTP/1.1\r\nHost: x\r\n")
        kept.sendall(b"GET /redfish HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answered(kept).startswith(b"HTTP/1.1 200 ")
        body.sendall(b"POST /redfish/v1/SessionService/Sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        for connection in (silent, stuck, mute, slow, body):
            connection.settimeout(HANDSHAKE_SECONDS + HEAD_SECONDS + BODY_SECONDS)
        for connection in (silent, stuck, mute):
            assert ended(connection) == b""
        for connection in (slow, body):
            assert ended(connection).startswith(b"HTTP/1.1 400 ")
        kept.sendall(b"GET /redfish HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answered(kept).startswith(b"HTTP/1.1 200 ")  # a client that has asked properly may rest for longer
    assert "Traceback" not in log.read_text("utf-8", "replace")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET /redfish HTTP/1.1", 200),
        ("HEAD /redfish/v1/ HTTP/1.1", 200),
        ("GET /redfish HTTP/1.0", 200),
        ("GET /redfish/v1/Systems HTTP/1.1", 401),
        ("DELETE /redfish/v1/ HTTP/1.1", 405),
    ],
)
def test_the_last_answer_of_a_connection_says_so(
    served: tuple[str, Path], served_tls: tuple[str, Path], request_line: str, status: int
) -> None:
    """Clients such as sushy ask for the end of each connection, and still use it again if the answer does not agree."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for connection in (connect(served[0]), context.wrap_socket(connect(served_tls[0]))):
        with connection:
            connection.sendall(f"{request_line}\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            head = ended(connection).partition(b"\r\n\r\n")[0].lower()
        assert head.startswith(f"http/1.1 {status} ".encode())
        assert head.split(b"\r\n").count(b"connection: close") == 1


@pytest.mark.slow
def test_a_client_that_wants_a_connection_for_each_request_never_meets_an_ended_one(
    served_tls: tuple[str, Path],
) -> None:
    url, log = served_tls
    with requests.Session() as client:
        client.trust_env, client.verify = False, str(log.parent / "tls" / "ca.crt")
        client.headers["Connection"] = "close"
        for _ in range(100):
            assert client.get(url + "/redfish", timeout=PATIENCE_SECONDS).status_code == 200


def answered(connection: socket.socket) -> bytes:
    """An answer whose body is one small object."""
    received = b""
    while not received.endswith(b"}"):
        piece = connection.recv(65536)
        assert piece, received
        received += piece
    return received


def ended(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    received = b""
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while piece := connection.recv(65536):
            received += piece
    return received


@pytest.mark.slow
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_ends_where_it_says_so_though_a_proxy_speaks_of_an_upgrade(
    served_tls: tuple[str, Path], *, chunked: bool
) -> None:
    """A proxy that lets WebSockets through is mostly told to say so with every request."""
    url, _ = served_tls
    body = b'{"UserName": "nobody", "Password": "wrong"}'
    length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(connect(url)) as connection:
        connection.sendall(
            b"POST /redfish/v1/SessionService/Sessions HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\n"
            + (length + b"\r\n\r\n")
            + (b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body)
        )
        assert answered(connection).startswith(b"HTTP/1.1 401 ")
        connection.sendall(b"GET /redfish HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answered(connection).startswith(b"HTTP/1.1 200 ")


@pytest.mark.slow
def test_who_waits_to_be_asked_for_the_body_is_asked(served_tls: tuple[str, Path]) -> None:
    """Java's client waits without end, and begins the word with a capital."""
    url, _ = served_tls
    body = b'{"UserName": "nobody", "Password": "wrong"}'
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(connect(url)) as connection:
        connection.sendall(
            b"POST /redfish/v1/SessionService/Sessions HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body)
        )
        assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        assert answered(connection).startswith(b"HTTP/1.1 401 ")


@pytest.mark.slow
def test_a_client_is_told_to_leave_a_process_that_ends(tmp_path: Path) -> None:
    """Else a request is under way at its end, however long the process waits for that."""
    prepare(tmp_path)
    master = tmp_path / "gunicorn.pid"
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with gunicorn(tmp_path, tls=True, GUNICORN_CMD_ARGS=f"--pid {master}") as url:
        with context.wrap_socket(connect(url)) as connection:
            answers = []
            while not answers or b"connection: close" not in answers[-1].lower():
                connection.sendall(b"GET /redfish HTTP/1.1\r\nHost: x\r\n\r\n")
                answers.append(answered(connection))
                if len(answers) == 1:
                    os.kill(int(master.read_text()), signal.SIGHUP)
            assert ended(connection) == b""
        assert len(answers) > 1


@pytest.mark.slow
def test_a_broken_request_within_tls_is_one_line_of_the_log(served_tls: tuple[str, Path]) -> None:
    url, log = served_tls
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    many = b"GET /redfish HTTP/1.1\r\n" + b"X-Many: x\r\n" * 20_000 + b"\r\n"
    for content in (many, os.urandom(500), b"GET /redfish HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"GET"):
        with connect(url) as plain, context.wrap_socket(plain) as connection, contextlib.suppress(OSError):
            connection.sendall(content)
            connection.unwrap()
    with connect(url) as plain, context.wrap_socket(plain) as connection:
        connection.sendall(many[:11_000] + b"\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")
    assert healthy(url) < PATIENCE_SECONDS
    assert "Traceback" not in log.read_text("utf-8", "replace")
