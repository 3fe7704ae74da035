"""A worker killed while it downloads, copies and prunes images: what was accepted is finished, nothing is left over."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator

import pytest

from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.images import ImageState, NewImage
from hawkfish.domain.systems import NewDisk, NewSystem
from hawkfish.domain.tasks import Task, TaskState
from hawkfish.services.accepted import Accepted
from tests.crash.points import kill_at, step_points, trace
from tests.support.file_server import FileServer, Plan
from tests.support.service import Service

pytestmark = pytest.mark.slow


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as running:
        yield running


class Images:
    """Adds images, each with a content of its own."""

    def __init__(self, service: Service, server: FileServer, prefix: str) -> None:
        self.prefix = prefix
        self.service = service
        self.server = server
        self.number = 0

    def submit(self) -> Accepted:
        self.number += 1
        path = f"/{self.number}.img"
        self.server.plans[path] = Plan(f"{self.prefix}{self.number} ".encode() * 60_000, etag=f'"{self.number}"')
        new = NewImage(name=f"{self.prefix}{self.number}", url=self.server.url(path))
        return self.service.application.images.add(SYSTEM_ACTOR, new)

    def check(self, task: Task) -> list[str]:
        found = [] if task.state is TaskState.COMPLETED else [f"{task.state}: {task.error}"]
        image = self.service.application.images.get(SYSTEM_ACTOR, task.arguments["image_id"])
        wanted = hashlib.sha256(f"{self.prefix}{self.number} ".encode() * 60_000).hexdigest()
        if image.state is not ImageState.AVAILABLE or image.content is None or image.content.digest != wanted:
            found.append(f"it reads {image}")
        return found + strays(self.service)


def strays(service: Service) -> list[str]:
    """Files of the store that no content or task has."""
    folder = service.application.settings.image_store
    with service.application.database.read() as uow:
        known = {path.name for path in folder.glob("sha256/*/*") if uow.images.find_content(path.name) is not None}
    files = {path.name for path in folder.rglob("*") if path.is_file()}
    return [f"stray file {name} in the store" for name in files - known]


def test_an_image_is_added_wherever_the_worker_dies(service: Service, server: FileServer) -> None:
    images = Images(service, server, "added")
    points = trace(service, images.submit)
    assert step_points(service, "image.add") <= set(points)
    kill_at(service, points, images.submit, images.check)


def test_a_download_goes_on_after_its_worker_was_killed_in_the_middle(service: Service, server: FileServer) -> None:
    half, gate = threading.Event(), threading.Event()
    content = b"resumed " * 100_000
    plan = server.plans["/disk.img"] = Plan(content, etag='"v1"', half=half, gate=gate)
    service.kill_worker()
    service.start_ready_worker()
    accepted = service.application.images.add(SYSTEM_ACTOR, NewImage(name="resumed", url=server.url("/disk.img")))
    assert half.wait(60)
    service.kill_worker()
    plan.gate = None
    gate.set()
    service.start_ready_worker()
    task = service.wait(accepted.task)
    assert task.state is TaskState.COMPLETED, task.error
    image = service.application.images.get(SYSTEM_ACTOR, accepted.subject_id)
    assert image.content is not None
    assert image.content.digest == hashlib.sha256(content).hexdigest()
    assert server.count("/disk.img") == 2
    assert strays(service) == []


def test_a_prune_is_finished_wherever_the_worker_dies(service: Service, server: FileServer) -> None:
    images = Images(service, server, "pruned")

    def submit() -> Accepted:
        service.start_ready_worker()
        image = images.submit()
        service.wait(image.task)
        new = NewSystem(
            name=f"pruned{images.number}", vcpus=1, memory_mib=16, disks=(NewDisk(image_id=str(image.subject_id)),)
        )
        system = service.application.systems.create(SYSTEM_ACTOR, new)
        assert service.wait(system.task).error is None
        service.wait(service.application.systems.delete(SYSTEM_ACTOR, system.subject_id).task)
        service.kill_worker()
        return service.application.images.delete(SYSTEM_ACTOR, image.subject_id)

    def check(task: Task) -> list[str]:
        found = [] if task.state is TaskState.COMPLETED else [f"{task.state}: {task.error}"]
        copies = [name for name in service.volumes() if name.startswith("image-")]
        return [*found, *strays(service), *[f"the copy {name}" for name in copies]]

    points = trace(service, submit)
    assert step_points(service, "image.prune") <= set(points)
    kill_at(service, points, submit, check)
