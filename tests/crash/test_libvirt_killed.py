"""The same on real libvirt: a worker killed between the steps, and libvirtd killed under load."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import pytest
from hawkfish_libvirt.storage import LibvirtStorage

from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.hosts import HostState
from hawkfish.domain.machines import PowerState
from hawkfish.domain.systems import ResetType
from hawkfish.domain.tasks import TaskState
from hawkfish.errors import HawkFishError
from hawkfish.services.accepted import Accepted
from hawkfish.testing.waiting import wait_until
from tests.crash.points import Creation, Deletion, kill_at, step_points, trace
from tests.support.libvirt_host import LibvirtHostBed
from tests.support.service import Service, new_system

pytestmark = [pytest.mark.slow, pytest.mark.needs_libvirt]

SMALL: dict[str, Any] = {"power_on": True, "empty_bytes": 16 << 20}
OUR_ERRORS = {"HostUnavailable", "BackendTimeout", "BackendError", "Aborted"}


@pytest.fixture(scope="module")
def service(open_service: Callable[..., Service], libvirt_host: LibvirtHostBed) -> Service:
    service = open_service(simulator=False, sweep_seconds=5.0, driver_timeout=10.0, host_starts=8)
    service.start_ready_worker()
    service.add_host(
        "libvirt",
        libvirt_host.uri,
        settings={"virt_type": "qemu", "data_dir": str(libvirt_host.data)},
        pool_path=str(libvirt_host.data / "crash-pool"),
    )
    return service


class FirstCreation(Creation):
    """Creates systems, each as if it were the first of its host: the folder and the pool of the serial logs are made with it."""

    def submit(self) -> Accepted:
        """Asks for one; those that were made before are off."""
        application = self.service.application
        with application.database.read() as uow:
            installation = str(uow.accounts.installation_id())[:8]
        driver = application.drivers.driver(self.service.host_id)
        assert isinstance(driver, LibvirtStorage)
        driver.remove_pool(f"hawkfish-serial-{installation}")
        shutil.rmtree(self.logs / installation, ignore_errors=True)
        return super().submit()

    @property
    def logs(self) -> Path:
        """The folder of the logs."""
        host = self.service.application.hosts.get(SYSTEM_ACTOR, self.service.host_id)
        return Path(str(host.settings["data_dir"])) / "serial"


# About forty kills, each with a start on real libvirt: a minute and a half where nothing else runs.
@pytest.mark.timeout(900)
def test_a_creation_is_finished_wherever_the_worker_dies(service: Service) -> None:
    creation = FirstCreation(service, prefix="made", **SMALL)
    points = trace(service, creation.submit)
    # What is to be on is looked at by its start; test_worker_killed.py has one that stays off.
    assert step_points(service, "system.create", without="observe") <= set(points)
    kill_at(service, points, creation.submit, creation.check_made)
    service.delete_all()


def test_a_deletion_is_finished_wherever_the_worker_dies(service: Service) -> None:
    creation = Creation(service, prefix="doomed", empty_bytes=16 << 20)
    points = trace(service, Deletion(service, creation, 1).submit)
    assert step_points(service, "system.delete") <= set(points)
    deletion = Deletion(service, creation, len(points))
    kill_at(service, points, deletion.submit, deletion.check)


class Load:
    """Clients that read all the time and switch one system each on and off."""

    def __init__(self, service: Service, systems: list[UUID]) -> None:
        self.service = service
        self.stop = threading.Event()
        self.reads = 0
        self.resets: dict[UUID, list[tuple[ResetType, TaskState]]] = {system: [] for system in systems}
        self.wrong: list[str] = []
        self.threads = [threading.Thread(target=self._try, args=(self._read, system)) for system in systems]
        self.threads += [threading.Thread(target=self._try, args=(self._switch, system)) for system in systems]

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive()

    def _try(self, act: Callable[[UUID], None], system: UUID) -> None:
        try:
            while not self.stop.is_set():
                act(system)
        except Exception as error:  # noqa: BLE001  whatever a client meets is told by the test
            self.wrong.append(f"{act.__name__}: {error!r}")

    def _read(self, system: UUID) -> None:
        page = self.service.application.systems.page(SYSTEM_ACTOR)
        systems, count = page.items, page.total
        assert len(systems) == count
        self.service.application.systems.get(SYSTEM_ACTOR, system)
        self.reads += 1
        self.stop.wait(0.02)

    def _switch(self, system: UUID) -> None:
        for reset_type in (ResetType.ON, ResetType.FORCE_OFF):
            try:
                accepted = self.service.application.systems.reset(SYSTEM_ACTOR, system, reset_type)
            except HawkFishError as error:
                self.wrong.append(f"{reset_type} was refused: {error!r}")
                return
            assert accepted.task is not None
            task = self.service.application.tasks.wait(SYSTEM_ACTOR, accepted.task.id, 30)
            self.resets[system].append((reset_type, task.state))
            if not task.ended:
                self.wrong.append(f"{task.title} is {task.state}: {task.message}")
            if task.error is not None and task.error.name not in OUR_ERRORS:
                self.wrong.append(f"{task.title}: {task.error}")
            self.stop.wait(0.1)


def test_libvirtd_killed_under_load_is_met_without_lies(service: Service, libvirt_host: LibvirtHostBed) -> None:
    made = [
        service.application.systems.create(
            SYSTEM_ACTOR, new_system(f"load{number}", power_on=number == 0, empty_bytes=16 << 20)
        )
        for number in range(3)
    ]
    for accepted in made:
        assert service.wait(accepted.task).state is TaskState.COMPLETED
    steady, *switched = [accepted.subject_id for accepted in made]
    read = service.application.systems.get
    hosts = service.application.hosts
    before = read(SYSTEM_ACTOR, steady)
    with Load(service, switched) as load:
        wait_until(lambda: all(len(done) >= 4 for done in load.resets.values()), "some resets")
        libvirt_host.kill()
        try:
            wait_until(lambda: read(SYSTEM_ACTOR, steady).stale, "a stale system")
            wait_until(lambda: hosts.get(SYSTEM_ACTOR, service.host_id).state is not HostState.UP, "a host not Up")
            assert read(SYSTEM_ACTOR, steady).power_state is PowerState.ON
            wait_until(lambda: all(done[-1][1] is TaskState.FAILED for done in load.resets.values()), "failed resets")
        finally:
            libvirt_host.start()
        wait_until(lambda: hosts.get(SYSTEM_ACTOR, service.host_id).state is HostState.UP, "the host Up")
        wait_until(lambda: not read(SYSTEM_ACTOR, steady).stale, "a fresh system")
        wait_until(
            lambda: all(
                [state for _, state in done][-2:] == [TaskState.COMPLETED] * 2 for done in load.resets.values()
            ),
            "resets that succeed",
        )
    assert load.wrong == []
    assert load.reads > 30
    steady_now = read(SYSTEM_ACTOR, steady)
    assert (steady_now.power_state, steady_now.run_id) == (PowerState.ON, before.run_id)
    for system in (steady, *switched):
        machine = service.machines()[system]
        shown = read(SYSTEM_ACTOR, system)
        assert (shown.power_state, shown.run_id, shown.stale) == (machine.power_state, machine.run_id, False)
    assert service.remains() == []


def test_what_happened_while_libvirtd_was_dead_is_seen_when_it_is_back(
    service: Service, libvirt_host: LibvirtHostBed
) -> None:
    accepted = service.application.systems.create(SYSTEM_ACTOR, new_system("victim", power_on=True))
    assert service.wait(accepted.task).state is TaskState.COMPLETED
    (pid_file,) = Path(libvirt_host.folder / libvirt_host.name).rglob("qemu/*victim*.pid")
    libvirt_host.kill()
    os.kill(int(pid_file.read_text()), signal.SIGKILL)
    libvirt_host.start()

    def is_right() -> bool:
        system = service.application.systems.get(SYSTEM_ACTOR, accepted.subject_id)
        host = service.application.hosts.get(SYSTEM_ACTOR, service.host_id)
        return system.power_state is PowerState.OFF and not system.stale and host.state is HostState.UP

    wait_until(is_right, "the truth")
    service.delete_all()
    assert service.remains() == []
