"""A worker killed at every step of an insertion and an ejection: the drive gets what was accepted, and what follows waits for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.media import MediaRequest
from hawkfish.domain.systems import ResetType
from hawkfish.domain.tasks import Task, TaskState
from hawkfish.services.accepted import Accepted
from hawkfish.testing.volumes import assert_content
from hawkfish.testing.waiting import wait_until
from tests.crash.points import kill_at, step_points
from tests.support.file_server import FileServer, Plan
from tests.support.iso import iso
from tests.support.service import Service, new_system

pytestmark = pytest.mark.slow

SYSTEMS = 48


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as running:
        yield running


@pytest.fixture(scope="module")
def systems(service: Service) -> list[UUID]:
    """Systems that nobody has used yet."""
    names = [f"media{number}" for number in range(SYSTEMS)]
    pattern = replace(new_system("media"), host=str(service.host_id), disks=())
    task = service.wait(service.application.systems.create_batch(SYSTEM_ACTOR, pattern, names).task)
    assert task.state is TaskState.COMPLETED, task.error
    return [UUID(item) for item in task.arguments["system_ids"]]


class Media:
    """Inserts an image into a system that is then switched on, and ejects it."""

    def __init__(self, service: Service, server: FileServer, systems: list[UUID]) -> None:
        self.service = service
        self.server = server
        self.systems = systems
        self.number = 0
        self.start: Task | None = None

    def insert(self) -> Accepted:
        self.number += 1
        path = f"/{self.number}.iso"
        self.server.plans[path] = Plan(iso(str(self.number)), etag=f'"{self.number}"')
        request = MediaRequest(image=self.server.url(path))
        system_id = self.systems.pop()
        return self.service.application.media.insert(SYSTEM_ACTOR, system_id, "Cd", request)

    def insert_and_start(self, kind: str) -> Accepted:
        """Gives the task of that kind: the insertion, or one that it waits for."""
        accepted = self.insert()
        on = self.service.application.systems.reset(SYSTEM_ACTOR, accepted.subject_id, ResetType.ON)
        self.start = on.task
        task = accepted.task
        while task is not None and task.kind != kind:
            assert task.after_id is not None
            task = self.service.application.tasks.get(SYSTEM_ACTOR, task.after_id)
        return Accepted(accepted.subject_id, task)

    def eject(self) -> Accepted:
        self.service.start_ready_worker()
        inserted = self.insert()
        assert self.service.wait(inserted.task).error is None
        self.service.kill_worker()
        return self.service.application.media.eject(SYSTEM_ACTOR, inserted.subject_id, "Cd")

    def check_inserted(self, task: Task) -> list[str]:
        found = [] if task.state is TaskState.COMPLETED else [f"{task.state}: {task.error}"]
        started = self.service.wait(self.start)
        found += [] if started.state is TaskState.COMPLETED else [f"the start is {started.state}: {started.error}"]
        system_id = UUID(started.arguments["system_id"])
        medium = self.medium(system_id)
        if medium is None or medium.read_bytes() != iso(str(self.number)):
            found.append(f"in the drive is {medium}")
        # It has no disk: had the drive been empty, there would have been nothing to boot from.
        if "Booting from cd: Cd" not in self.serial(system_id):
            found.append(f"it was started without its medium: {self.serial(system_id)}")
        view = self.service.application.media.get(SYSTEM_ACTOR, system_id, "Cd")
        if not view.inserted or view.in_flight:
            found.append(f"the drive reads {view.media}")
        self.service.wait(self.service.application.systems.reset(SYSTEM_ACTOR, system_id, ResetType.FORCE_OFF).task)
        return found + strays(self.service)

    def check_ejected(self, task: Task) -> list[str]:
        found = [] if task.state is TaskState.COMPLETED else [f"{task.state}: {task.error}"]
        system_id = UUID(task.arguments["system_id"])
        view = self.service.application.media.get(SYSTEM_ACTOR, system_id, "Cd")
        if self.medium(system_id) is not None or view.inserted or view.source is not None:
            found.append(f"the drive reads {view.media}, and in it is {self.medium(system_id)}")
        return found + strays(self.service)

    def medium(self, system_id: UUID) -> Path | None:
        path = dict(self.service.machines()[system_id].media)["Cd"]
        return None if path is None else Path(path)

    def serial(self, system_id: UUID) -> str:
        driver = self.service.application.drivers.driver(self.service.host_id)
        return str(driver.read_serial_log(system_id).decode())  # type: ignore[attr-defined]  # the simulated one has it


def strays(service: Service) -> list[str]:
    """Files of the cache and copies on the host that nobody knows."""
    settings = service.application.settings
    with service.application.database.read() as uow:
        digests = uow.media.digests()
        unready = uow.media.unready_copies(service.host_id)
    files = {path.name for path in settings.media_cache.rglob("*") if path.is_file()}
    copies = {path.stem for path in settings.data_dir.glob("simulated/*/pools/media-*/*")}
    found = [f"stray file {name} in the cache" for name in files - digests]
    return [
        *found,
        *[f"unknown copy {name}" for name in copies - digests],
        *[f"half a copy {name}" for name in unready],
    ]


@pytest.mark.parametrize("kind", ["media.fetch", "media.copy", "media.insert"])
def test_an_insertion_is_finished_wherever_the_worker_dies(
    service: Service, server: FileServer, systems: list[UUID], kind: str
) -> None:
    media = Media(service, server, systems)
    points = sorted(step_points(service, kind))
    kill_at(service, points, lambda: media.insert_and_start(kind), media.check_inserted)


def test_an_ejection_is_finished_wherever_the_worker_dies(
    service: Service, server: FileServer, systems: list[UUID]
) -> None:
    media = Media(service, server, systems)
    kill_at(service, sorted(step_points(service, "media.eject")), media.eject, media.check_ejected)


def test_a_download_goes_on_after_its_worker_was_killed_in_the_middle(
    service: Service, server: FileServer, systems: list[UUID]
) -> None:
    half, gate = threading.Event(), threading.Event()
    media = Media(service, server, systems)
    service.kill_worker()
    accepted = media.insert_and_start("media.insert")
    plan = server.plans["/1.iso"] = Plan(iso("1", 1 << 20), etag='"1"', half=half, gate=gate)
    service.start_ready_worker()
    assert half.wait(60)
    cache = service.application.settings.media_cache
    wait_until(lambda: sum(path.stat().st_size for path in cache.glob("partial/*")) > 1 << 16, "a part is there")
    service.kill_worker()
    plan.gate = None
    gate.set()
    service.start_ready_worker()
    assert service.wait(accepted.task).error is None
    assert_content(media.medium(accepted.subject_id).read_bytes(), iso("1", 1 << 20))
    assert ["Range" in request for request in server.requests] == [False, True]
    assert strays(service) == []
