"""A whole installation in the process of a test: database, simulator, a worker's thread, and the services as a library."""

from __future__ import annotations

import io
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hawkfish.bootstrap import Application
from hawkfish.builtin.simulated.control import SimulatorControl
from hawkfish.config import load_settings
from hawkfish.domain.accounts import SYSTEM_ACTOR, Actor, Role
from hawkfish.domain.hosts import Host
from hawkfish.domain.machines import MachineObservation, PowerState
from hawkfish.domain.systems import NewDisk, NewSystem, ResetType, System
from hawkfish.domain.tasks import Task, TaskState
from hawkfish.errors import HawkFishError
from hawkfish.plugins.compute import HostStorage, SupportsSerialLog
from hawkfish.plugins.files import write_empty_qcow2
from hawkfish.services.accepted import Accepted
from hawkfish.testing.simulator import running_simulator
from hawkfish.testing.waiting import wait_until
from hawkfish.worker import main as worker
from tests.support.postgresql import TEMPLATE

START_SECONDS = 120.0
PATIENT_LEASE = 120.0
"""A worker whose beat is late ends its process, which here is that of the tests: a loaded machine must not bring that about."""
GUEST = "boot_seconds=0.05&shutdown_seconds=0.05"
READER = Actor(user_name="reader", role=Role.READ_ONLY)
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


@dataclass
class Installation:
    """The services, and shortcuts that a test would otherwise repeat; everything is done as the service itself."""

    application: Application
    control: SimulatorControl
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def images(self) -> Path:
        return self.application.settings.image_folders[0]

    def name(self, stem: str = "web") -> str:
        """A name that no other test uses."""
        return f"{stem}{next(self.numbers)}"

    # --- tasks ---------------------------------------------------------------------------------------------------

    def ended(self, accepted: Accepted) -> Task:
        assert accepted.task is not None
        task = self.application.tasks.wait(SYSTEM_ACTOR, accepted.task.id, START_SECONDS)
        assert task.ended, task
        return task

    def done(self, accepted: Accepted) -> Task:
        task = self.ended(accepted)
        assert task.state is TaskState.COMPLETED, task.error
        return task

    def failed(self, accepted: Accepted) -> HawkFishError:
        task = self.ended(accepted)
        assert task.state is not TaskState.COMPLETED
        return self.application.tasks.error_of(task)

    # --- hosts ---------------------------------------------------------------------------------------------------

    def host(self, query: str = GUEST, name: str | None = None) -> Host:
        """A new simulated host with settings of its own."""
        name = name or self.name("rack")
        accepted = self.application.hosts.add(SYSTEM_ACTOR, name, "simulated", f"simulated:///{name}?{query}")
        self.done(accepted)
        return self.application.hosts.get(SYSTEM_ACTOR, name)

    def volumes(self, host: str = "rack") -> set[str]:
        """Names of the volumes that are really on a host."""
        with self.application.database.read() as uow:
            found = uow.hosts.get(host)
            pools = uow.pools.on_host(found.id)
        driver = self.application.drivers.driver(found.id)
        assert isinstance(driver, HostStorage)
        return {volume.name for pool in pools for volume in driver.list_volumes(f"hawkfish-{pool.id}")}

    def machines(self, host: str = "rack") -> set[str]:
        """Names of the machines that are really on a host."""
        found = self.application.hosts.get(SYSTEM_ACTOR, host)
        return {machine.name for machine in self.application.drivers.driver(found.id).list_machines()}

    # --- systems -------------------------------------------------------------------------------------------------

    def new(self, **options: Any) -> NewSystem:
        """A small system with one small disk, on the host that all tests share, unless it is said otherwise."""
        given: dict[str, Any] = {
            "name": self.name(),
            "vcpus": 1,
            "memory_mib": 128,
            "host": "rack",
            "disks": (NewDisk(capacity_bytes=MIB),),
        }
        return NewSystem(**given | options)

    def create(self, **options: Any) -> System:
        accepted = self.application.systems.create(SYSTEM_ACTOR, self.new(**options))
        self.done(accepted)
        return self.get(accepted)

    def get(self, system: System | Accepted) -> System:
        system_id = system.id if isinstance(system, System) else system.subject_id
        return self.application.systems.get(SYSTEM_ACTOR, system_id)

    def reset(self, system: System, reset_type: ResetType) -> Accepted:
        return self.application.systems.reset(SYSTEM_ACTOR, system.id, reset_type)

    def start(self, system: System) -> System:
        """Starts it, and waits until its guest is up."""
        self.done(self.reset(system, ResetType.ON))
        wait_until(lambda: self.serial(system).rstrip().endswith("GUEST-READY"), f"{system.name} is up")
        return self.get(system)

    def machine(self, system: System) -> MachineObservation:
        found = self.application.drivers.driver(system.host_id).find_machine(system.id)
        assert found is not None
        return found

    def serial(self, system: System) -> str:
        driver = self.application.drivers.driver(system.host_id)
        assert isinstance(driver, SupportsSerialLog)
        return driver.read_serial_log(system.id).decode()

    def boots(self, system: System) -> list[str]:
        """What each boot of the guest went for, such as `network`, or `` where nothing was bootable."""
        firsts = []
        for boot in self.serial(system).split("HawkFish simulated ")[1:]:
            tried = [line for line in boot.splitlines() if line.startswith(("Trying ", "Booting from "))]
            firsts.append(tried[0].removeprefix("Trying ").removeprefix("Booting from ").split(":")[0] if tried else "")
        return firsts

    def shows(self, system: System, power: PowerState) -> None:
        """Waits until the system shows the power state."""
        wait_until(lambda: self.get(system).power_state is power, f"{system.name} shows {power}")

    # --- the audit trail -----------------------------------------------------------------------------------------

    def audited(self, subject: str) -> list[tuple[str, str]]:
        """Verbs and outcomes on a subject, oldest first."""
        rows = self.application.audit.list(SYSTEM_ACTOR, limit=1000)
        return [(row.verb, row.outcome.value) for row in reversed(rows) if row.subject == subject]


@contextmanager
def working(application: Application) -> Iterator[None]:
    """A worker of the installation, in a thread."""
    stop, ready = threading.Event(), threading.Event()
    thread = threading.Thread(target=worker.run, args=(application.settings, stop, ready.set), name="worker")
    thread.start()
    try:
        assert ready.wait(START_SECONDS), "the worker did not start"
        yield
    finally:
        stop.set()
        thread.join(START_SECONDS)
        assert not thread.is_alive()


@contextmanager
def open_installation(folder: Path, database_url: str, **settings: Any) -> Iterator[Installation]:
    """An installation on a migrated database, with a worker and the simulated host `rack`."""
    given: dict[str, Any] = {
        # On a loaded machine what is well takes seconds, too; tests of guests, hosts and servers that are not well ask for less.
        "graceful_timeout": 8,
        "driver_timeout": 30.0,
        "download_stall_seconds": 20.0,
        "task_lease_seconds": PATIENT_LEASE,
        "sweep_seconds": 0.5,
        "host_down_seconds": 1.0,
        "host_reserved_memory": 0,
        "image_max_bytes": 8 * MIB,
        "media_max_bytes": 8 * MIB,
    }
    chosen = load_settings({}, data_dir=folder, database_url=database_url, **given | settings)
    chosen.image_folders[0].mkdir(exist_ok=True)
    application = Application.open(chosen)
    try:
        with running_simulator(folder) as control, working(application):
            installation = Installation(application, control)
            installation.host(name="rack")
            yield installation
    finally:
        application.close()


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs_postgresql)])
def shared_installation(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """An installation of the tests of a module, once on each database."""
    folder = tmp_path_factory.mktemp("installation")
    if request.param == "sqlite":
        path = folder / "hawkfish.db"
        path.write_bytes(request.getfixturevalue("sqlite_template").read_bytes())
        with open_installation(folder, f"sqlite:///{path}") as installation:
            yield installation
        return
    server = request.getfixturevalue("postgresql")
    name = server.create(template=TEMPLATE)
    try:
        with open_installation(folder, server.url(name)) as installation:
            yield installation
    finally:
        server.drop(name)


@pytest.fixture
def installation(shared_installation: Installation) -> Iterator[Installation]:
    """The same, without faults that an earlier test left."""
    shared_installation.control.clear_faults()
    yield shared_installation
    shared_installation.control.clear_faults()


def empty_qcow2(virtual_bytes: int) -> bytes:
    """A qcow2 image without data."""
    stream = io.BytesIO()
    write_empty_qcow2(stream, virtual_bytes)
    return stream.getvalue()
