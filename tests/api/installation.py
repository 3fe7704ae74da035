"""A whole installation for API tests: database, simulator process, worker thread; the API itself runs in the test."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from falcon.testing import Result, TestClient

from hawkfish.api.app import create_app
from hawkfish.api.resources.streams import Frames
from hawkfish.bootstrap import Application
from hawkfish.config import Settings, load_settings
from hawkfish.db import Database
from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.services.accepted import Accepted
from hawkfish.worker import main as worker
from tests.support.installation import PATIENT_LEASE
from tests.support.libvirt_host import LibvirtHostBed

PASSWORD = "Quiet-Harbour-41"
GIB = 1024**3
START_SECONDS = 120.0
END_SECONDS = 60.0
LOOK_SECONDS = 1.0


@dataclass
class Api:
    """A client of the in-process API that is logged in as the administrator."""

    application: Application
    client: TestClient
    headers: dict[str, str] = field(default_factory=dict)
    looked: float = 0.0

    def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, **more: Any
    ) -> Result:
        if body is not None:
            more["json"] = body
        return self.client.simulate_request(method, path, headers={**self.headers, **(headers or {})}, **more)

    def get(self, path: str, **more: Any) -> Result:
        return self.call("GET", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> Result:
        return self.call("POST", path, body, **more)

    def patch(self, path: str, body: Any = None, **more: Any) -> Result:
        return self.call("PATCH", path, body, **more)

    def delete(self, path: str, **more: Any) -> Result:
        return self.call("DELETE", path, **more)

    def login(self, user_name: str, password: str) -> Api:
        answer = self.client.simulate_post(
            "/redfish/v1/SessionService/Sessions", json={"UserName": user_name, "Password": password}
        )
        assert answer.status_code == 201, answer.text
        return Api(self.application, self.client, {"X-Auth-Token": answer.headers["X-Auth-Token"]})

    def anonymous(self) -> Api:
        return Api(self.application, self.client)

    def finish(self, answer: Result) -> Result:
        """The final answer of a request, however long it takes."""
        if answer.status_code != 202:
            return answer
        monitor = answer.headers["Location"]
        self.application.tasks.wait(SYSTEM_ACTOR, monitor.rpartition("/")[2], START_SECONDS)
        return self.get(monitor)

    def serial_log(self, address: str) -> str:
        """What the guest of the system at that address has said.

        Who waits for a word asks again and again; each time is a task, which takes the guest's processor and is one more resource
        for the validators to look at. So no more than one look a second is made.
        """
        time.sleep(max(0.0, self.looked + LOOK_SECONDS - time.monotonic()))
        self.looked = time.monotonic()
        return str(self.finish(self.get(f"{address}/Oem/HawkFish/SerialLog")).json["Text"])

    def system(self, name: str, **more: Any) -> dict[str, Any]:
        body = {"Name": name, "CPU": 1, "MemoryMiB": 512, "DiskGiB": 1, **more}
        answer = self.finish(self.post("/redfish/v1/Systems", body))
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json
        return made


@contextmanager
def simulator(data_dir: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "hawkfish.builtin.simulated.server"]
    socket = data_dir / "simulator.sock"
    command += ["--socket", str(socket), "--state", str(data_dir / "simulator.state")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert "answers" in process.stdout.readline()
            yield
        finally:
            process.terminate()
            process.wait(END_SECONDS)


@contextmanager
def running_worker(settings: Settings) -> Iterator[None]:
    stop, ready = threading.Event(), threading.Event()
    thread = threading.Thread(target=worker.run, args=(settings, stop, ready.set), name="test-worker")
    thread.start()
    try:
        assert ready.wait(START_SECONDS), "the worker did not start"
        yield
    finally:
        stop.set()
        thread.join(END_SECONDS)
        assert not thread.is_alive(), "the worker did not end"


def prepare(data_dir: Path, database_url: str | None = None, **settings: Any) -> Settings:
    """A migrated database with the administrator in it."""
    given = {"task_lease_seconds": PATIENT_LEASE, **settings}
    chosen = load_settings({}, data_dir=data_dir, database_url=database_url, **given)
    database = Database(chosen.database_url)
    database.upgrade()
    database.close()
    application = Application.open(chosen)
    application.accounts.ensure_administrator(PASSWORD)
    application.close()
    return chosen


def add_host(application: Application) -> None:
    _added(
        application,
        application.hosts.add(
            SYSTEM_ACTOR, "rack1", "simulated", "simulated:///rack1?boot_seconds=0.1&shutdown_seconds=0.1"
        ),
    )


def add_libvirt_host(application: Application, bed: LibvirtHostBed, pool: Path) -> None:
    """Adds a real host, whose guests are emulated."""
    settings = {"virt_type": "qemu", "data_dir": str(bed.data)}
    _added(
        application,
        application.hosts.add(SYSTEM_ACTOR, "real", "libvirt", bed.uri, settings=settings, pool_path=str(pool)),
    )


def _added(application: Application, accepted: Accepted) -> None:
    assert accepted.task is not None
    task = application.tasks.wait(SYSTEM_ACTOR, accepted.task.id, START_SECONDS)
    assert task.state == "Completed", task.error


def _only_the_first(frames: Frames) -> bytes:
    """What a stream begins with: the client of these tests reads every answer to its end, and a stream has none."""
    opening, frames._opening = frames._opening, None
    if opening is None:
        frames.close()
        raise StopIteration
    return opening


@contextmanager
def installation(data_dir: Path, database_url: str | None = None, **settings: Any) -> Iterator[Api]:
    chosen = prepare(data_dir, database_url, **settings)
    with simulator(data_dir), running_worker(chosen), opened(chosen) as api:
        add_host(api.application)
        yield api


@contextmanager
def opened(settings: Settings) -> Iterator[Api]:
    """The API alone; logged in as the administrator."""
    application = Application.open(settings)
    try:
        with mock.patch.object(Frames, "__next__", _only_the_first):
            yield Api(application, TestClient(create_app(application))).login("admin", PASSWORD)
    finally:
        application.close()
