"""The API under gunicorn: what only a real server shows."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from hawkfish.testing.waiting import wait_until
from tests.api.installation import PASSWORD
from tests.api.live import gunicorn
from tests.support.file_server import FileServer, Plan
from tests.support.iso import iso

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
    with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
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
def test_a_slow_task_stops_nobody_else(client: httpx.Client, served: Path) -> None:
    """Requests that wait for their tasks do not use up what answers the others."""

    def make(number: int) -> str:
        answer = client.post(SYSTEMS, json={"Name": f"slow-{number}", "CPU": 1, "MemoryMiB": 64})
        while answer.status_code == httpx.codes.ACCEPTED:
            answer = client.get(answer.headers["Location"])
        return f"{answer.raise_for_status().json()['@odata.id']}/VirtualMedia/Cd"

    drives = [make(number) for number in range(6)]
    gate = threading.Event()
    # Each waits for its task, all tasks wait for one image, and the image waits for us.
    with (
        FileServer() as server,
        gunicorn(served, HF_SYNC_WAIT_MS="120000") as url,
        httpx.Client(base_url=url, auth=client.auth, timeout=150, trust_env=False) as patient,
        ThreadPoolExecutor(24) as pool,
    ):
        server.plans["/slow.iso"] = Plan(iso("slow"), gate=gate)

        def insert(drive: str) -> int:
            action = f"{drive}/Actions/VirtualMedia.InsertMedia"
            return patient.post(action, json={"Image": server.url("/slow.iso")}).status_code

        def is_accepted(drive: str) -> bool:
            return bool(patient.get(drive).json()["Image"])

        try:
            waiting = [pool.submit(insert, drive) for drive in drives * 4]
            for drive in drives:
                wait_until(partial(is_accepted, drive), "the request is accepted")
            for _ in range(20):
                assert patient.get("/redfish/v1/SessionService").status_code == 200
            assert not any(item.done() for item in waiting)
        finally:
            gate.set()
        assert {item.result() for item in waiting} == {204}
