"""Compare-and-write under real concurrency: several clients, two gunicorn workers, on each database."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from hawkfish.bootstrap import Application
from tests.api.installation import PASSWORD, add_host, prepare, running_worker, simulator
from tests.api.live import gunicorn

pytestmark = pytest.mark.slow

WRITERS = 4
ROUNDS = 8
INCREMENTS = 3

Body = dict[str, Any]


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs_postgresql)])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the API, once on each database."""
    if request.param == "sqlite":
        yield request.getfixturevalue("url")
        return
    server = request.getfixturevalue("postgresql")
    database_url, data_dir = server.url(server.create()), tmp_path_factory.mktemp("races")
    settings = prepare(data_dir, database_url, tls=False)
    served = gunicorn(data_dir, HF_DATABASE_URL=database_url)
    with simulator(data_dir), running_worker(settings), served as address:
        application = Application.open(settings)
        add_host(application)
        application.close()
        yield address


@pytest.fixture(scope="module")
def open_client(service: str) -> Iterator[Callable[[], httpx.Client]]:
    """Opens clients of one session, each with a connection of its own."""
    with ExitStack() as stack:
        first = stack.enter_context(httpx.Client(base_url=service, timeout=60, trust_env=False))
        session = {"UserName": "admin", "Password": PASSWORD}
        token = first.post("/redfish/v1/SessionService/Sessions", json=session).headers["X-Auth-Token"]

        def opened() -> httpx.Client:
            client = httpx.Client(base_url=service, headers={"X-Auth-Token": token}, timeout=60, trust_env=False)
            return stack.enter_context(client)

        yield opened


def an_account(client: httpx.Client) -> str:
    body = {"UserName": "racer", "Password": "Distant-Meadow-77", "RoleId": "Operator"}
    return str(client.post("/redfish/v1/AccountService/Accounts", json=body).headers["Location"])


def a_system(client: httpx.Client) -> str:
    body = {"Name": "racer", "CPU": 1, "MemoryMiB": 64}
    answer = client.post("/redfish/v1/Systems", json=body)
    while answer.status_code == httpx.codes.ACCEPTED:
        answer = client.get(answer.headers["Location"])
    return str(client.get("/redfish/v1/Systems/racer", follow_redirects=True).json()["@odata.id"])


def a_host(client: httpx.Client) -> str:
    return str(client.get("/redfish/v1/Oem/HawkFish/Hosts").json()["Members"][0]["@odata.id"])


def write_name(value: str) -> Body:
    return {"UserName": f"racer{value}"}


def read_name(body: Body) -> str:
    return str(body["UserName"]).removeprefix("racer")


def write_tag(value: str) -> Body:
    return {"AssetTag": value}


def read_tag(body: Body) -> str:
    return str(body["AssetTag"])


def write_label(value: str) -> Body:
    return {"Labels": {"race": value}}


def read_label(body: Body) -> str:
    return str(body["Labels"]["race"])


def a_manager(client: httpx.Client) -> str:
    return a_system(client).replace("/Systems/", "/Managers/")


def write_identification(value: str) -> Body:
    return {"ServiceIdentification": value}


def read_identification(body: Body) -> str:
    return str(body["ServiceIdentification"])


KINDS = [
    pytest.param(an_account, write_name, read_name, id="account"),
    pytest.param(a_system, write_tag, read_tag, id="system"),
    pytest.param(a_host, write_label, read_label, id="host"),
    pytest.param(a_manager, write_identification, read_identification, id="manager"),
]


@pytest.mark.parametrize(("find", "write", "read"), KINDS)
def test_of_simultaneous_writes_one_wins_and_none_is_lost(
    open_client: Callable[[], httpx.Client],
    find: Callable[[httpx.Client], str],
    write: Callable[[str], Body],
    read: Callable[[Body], str],
) -> None:
    writers = [open_client() for _ in range(WRITERS)]
    address = find(writers[0])
    barrier = threading.Barrier(WRITERS)

    def race(number: int, value: str, etag: str) -> int:
        barrier.wait(60)
        return writers[number].patch(address, json=write(value), headers={"If-Match": etag}).status_code

    def count(number: int) -> None:
        """Adds one at a time to what is there, as a client does that loses nothing."""
        barrier.wait(60)
        for _ in range(INCREMENTS):
            while True:
                found = writers[number].get(address)
                more, condition = str(int(read(found.json())) + 1), {"If-Match": found.headers["ETag"]}
                answer = writers[number].patch(address, json=write(more), headers=condition)
                if answer.status_code == httpx.codes.OK:
                    break
                assert answer.status_code == httpx.codes.PRECONDITION_FAILED, answer.text

    with ThreadPoolExecutor(WRITERS) as pool:
        for turn in range(ROUNDS):
            etag = writers[0].get(address).headers["ETag"]
            values = [f"{turn}{number}" for number in range(WRITERS)]
            found = list(pool.map(race, range(WRITERS), values, [etag] * WRITERS))
            assert sorted(found) == [200, 412, 412, 412]
            shown = writers[0].get(address)
            assert read(shown.json()) == values[found.index(200)]
            assert shown.headers["ETag"] != etag
        assert writers[0].patch(address, json=write("0")).status_code == httpx.codes.OK
        list(pool.map(count, range(WRITERS)))
    assert read(writers[0].get(address).json()) == str(WRITERS * INCREMENTS)
