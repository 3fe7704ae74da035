"""The API under gunicorn: what only a real server shows."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import pytest

from tests.api.installation import PASSWORD

SYSTEMS = "/redfish/v1/Systems"


@pytest.mark.slow
def test_head_has_the_headers_of_get_and_no_body(client: httpx.Client) -> None:
    for path in ("/redfish/v1/", SYSTEMS):
        got, head = client.get(path), client.head(path)
        assert head.status_code == 200
        assert head.content == b""
        for name in ("ETag", "Content-Length", "Allow", "Link", "OData-Version"):
            assert head.headers[name] == got.headers[name]


@pytest.mark.slow
def test_an_unknown_method_is_answered_by_the_application(client: httpx.Client) -> None:
    answer = client.request("FAKEMETHODFORTEST", "/redfish/v1/")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.slow
def test_a_body_that_is_too_large_is_refused_before_it_is_read(url: str, client: httpx.Client) -> None:
    address = urlsplit(url)
    token = client.post(
        "/redfish/v1/SessionService/Sessions", json={"UserName": "admin", "Password": PASSWORD}
    ).headers["X-Auth-Token"]
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        head = (
            f"POST {SYSTEMS} HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {100 * 1024 * 1024}\r\n\r\n"
        )
        connection.sendall(head.encode())
        # Nothing of the body was sent, and the answer is here.
        assert b" 413 " in connection.recv(1000).splitlines()[0]


@pytest.mark.slow
@pytest.mark.parametrize("size", [2 * 1024 * 1024, 100 * 1024 * 1024])
def test_a_chunked_body_without_end_is_refused(client: httpx.Client, size: int) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(size // 65536):
            yield b" " * 65536

    headers = {"Content-Type": "application/json"}
    try:
        answer = client.post(SYSTEMS, content=pieces(), headers=headers)
    except (httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
        return  # the server may close while the client is still sending
    assert answer.status_code == 413


@pytest.mark.slow
def test_a_small_chunked_body_is_read_whole(client: httpx.Client) -> None:
    answer = client.post(SYSTEMS, content=iter([b'{"Na', b'me": "a/b"}']), headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert "Name must be" in answer.text


@pytest.mark.slow
def test_a_slow_task_stops_nobody_else(client: httpx.Client, url: str) -> None:
    """Requests that wait for their tasks do not use up what answers the others."""
    made = [
        client.post(SYSTEMS, json={"Name": f"slow-{number}", "CPU": 1, "MemoryMiB": 64, "PowerOn": True})
        for number in range(12)
    ]
    addresses = [answer.headers["Location"] for answer in made if answer.status_code == 201]
    assert addresses

    def shut_down(address: str) -> int:
        with httpx.Client(base_url=url, auth=client.auth, timeout=30, trust_env=False) as own:
            action = f"{address}/Actions/ComputerSystem.Reset"
            return own.post(action, json={"ResetType": "GracefulShutdown"}).status_code

    with ThreadPoolExecutor(24) as pool:
        waiting = [pool.submit(shut_down, address) for address in addresses * 2]
        slowest = 0.0
        while not all(item.done() for item in waiting):
            began = time.monotonic()
            assert client.get("/redfish/v1/SessionService").status_code == 200
            slowest = max(slowest, time.monotonic() - began)
        assert {item.result() for item in waiting} <= {202, 204}
    assert slowest < 0.7
