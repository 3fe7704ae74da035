"""A whole service in a folder of its own: a simulator, workers that can be killed, and an application to ask through."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from hawkfish.bootstrap import Application
from hawkfish.builtin.simulated.control import SimulatorControl
from hawkfish.builtin.simulated.settings import SOCKET_NAME, STATE_NAME
from hawkfish.config import load_settings
from hawkfish.db.models.systems import SystemRow, VolumeRow
from hawkfish.db.models.tasks import TaskLimitRow, TaskLockRow
from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.machines import Firmware
from hawkfish.domain.systems import NewDisk, NewSystem, ResetType, System, SystemState
from hawkfish.domain.tasks import Task
from hawkfish.errors import NotFound
from hawkfish.plugins.compute import HostStorage

ROOT = Path(__file__).parents[2]
START_SECONDS = 60.0
NO_HOST = UUID(int=0)


def new_system(
    name: str,
    *,
    power_on: bool = False,
    image: str | None = None,
    empty_bytes: int | None = None,
    memory_mib: int = 16,
    host: str | None = None,
) -> NewSystem:
    """What tests ask for: a small machine that needs no operating system."""
    disks = [] if image is None else [NewDisk(image=image, capacity_bytes=8 << 20)]
    if empty_bytes is not None:
        disks.append(NewDisk(capacity_bytes=empty_bytes))
    return NewSystem(
        name=name,
        vcpus=1,
        memory_mib=memory_mib,
        firmware=Firmware.BIOS,
        disks=tuple(disks),
        power_on=power_on,
        host=host,
    )


class SimulatorProcess:
    """A simulator in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._command = [
            *(sys.executable, "-m", "hawkfish.builtin.simulated.server"),
            *("--socket", str(folder / SOCKET_NAME), "--state", str(folder / STATE_NAME)),
        ]
        self.start()

    def start(self) -> None:
        """Starts it (again) and waits until it answers."""
        with (self.folder / "simulator.log").open("a") as log:
            self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self._process.stdout is not None
        assert "answers" in self._process.stdout.readline()

    def kill(self) -> None:
        """Ends it as a power cut would."""
        self._process.kill()
        self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def control(self) -> SimulatorControl:
        """A client that can ask for faults."""
        return SimulatorControl(self.folder / SOCKET_NAME)


class Crew:
    """Forks workers and clients that can be told to die at a point; see `tests/crash/worker.py`."""

    def __init__(self, log: Path) -> None:
        self._log = log.open("a")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.worker"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        self._forked: queue.Queue[int] = queue.Queue()
        self._ready: set[int] = set()
        self._ended: dict[int, int] = {}
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            with self._news:
                if said["report"] == "forked":
                    # The numbers of processes come round; what is known is of one that had this number before.
                    self._ready.discard(said["pid"])
                    self._ended.pop(said["pid"], None)
                    self._forked.put(said["pid"])
                elif said["report"] == "ready":
                    self._ready.add(said["pid"])
                else:
                    self._ended[said["pid"]] = said["status"]
                self._news.notify_all()

    def fork(self, **request: Any) -> int:
        """Starts a process and gives its id."""
        assert self._process.stdin is not None
        self._process.stdin.write((json.dumps(request) + "\n").encode())
        self._process.stdin.flush()
        return self._forked.get(timeout=START_SECONDS)

    def wait_ready(self, pid: int) -> None:
        """Waits until a worker runs tasks."""
        with self._news:
            assert self._news.wait_for(lambda: pid in self._ready or pid in self._ended, START_SECONDS)
        assert pid in self._ready, f"the worker ended with {self._ended[pid]}"

    def wait_end(self, pid: int, seconds: float = 60.0, meant: str = "") -> int:
        """Waits for the end of a process and gives its status; -9 is SIGKILL. `meant` tells what was to end it."""
        with self._news:
            assert self._news.wait_for(lambda: pid in self._ended, seconds), (
                f"process {pid} lives on ({meant or 'killed'})"
            )
            return self._ended[pid]

    def kill(self, pid: int) -> None:
        """Ends a process as a power cut would."""
        if pid not in self._ended:
            os.kill(pid, signal.SIGKILL)
            self.wait_end(pid)

    def close(self) -> None:
        """Ends all."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._reader.join(30)
        self._process.stdout.close()
        self._log.close()


class Inspection:
    """What tests ask of an installation with one host, and how they see what is really there."""

    application: Application
    host_id: UUID
    foreign: frozenset[UUID]

    # --- asking --------------------------------------------------------------------------------------------------

    def add_host(self, driver: str, uri: str, **arguments: Any) -> None:
        """Takes in the one host; a worker must run."""
        accepted = self.application.hosts.add(SYSTEM_ACTOR, "host-1", driver, uri, **arguments)
        self.host_id = accepted.subject_id
        task = self.wait(accepted.task)
        assert task.error is None, task.error
        self.foreign = frozenset(self.machines())

    def wait(self, task: Task | None, seconds: float = 60.0) -> Task:
        """Waits for the end of a task."""
        assert task is not None
        ended = self.application.tasks.wait(SYSTEM_ACTOR, task.id, seconds)
        assert ended.ended, f"{ended.title} is {ended.state} after {seconds:g} s: {ended.message}"
        return ended

    def find(self, system_id: UUID) -> System | None:
        """A system as its users see it."""
        try:
            return self.application.systems.get(SYSTEM_ACTOR, system_id)
        except NotFound:
            return None

    # --- what is really there ------------------------------------------------------------------------------------

    def machines(self) -> dict[UUID, Any]:
        """The machines that the host has got since it was added, as its driver sees them."""
        found = self.application.drivers.driver(self.host_id).list_machines()
        assert len({machine.id for machine in found}) == len(found)
        return {machine.id: machine for machine in found if machine.id not in self.foreign}

    def volumes(self) -> set[str]:
        """Names of the volumes of the host's pools, as its driver sees them."""
        driver = self.application.drivers.driver(self.host_id)
        assert isinstance(driver, HostStorage)
        pools = self.application.hosts.pools(SYSTEM_ACTOR)
        return {volume.name for pool in pools for volume in driver.list_volumes(f"hawkfish-{pool.id}")}

    def remains(self) -> list[str]:
        """What should not be there once nothing is under way: strays of all sorts; empty if all is well."""
        found = []
        with self.application.database.read() as uow:
            for row in (TaskLockRow, TaskLimitRow):
                count = uow.session.scalar(select(func.count()).select_from(row))
                found += [f"{count} rows in {row.__tablename__}"] if count else []
            for system in uow.session.scalars(select(SystemRow)):
                if system.state is not SystemState.READY:
                    found.append(f"system {system.name} is {system.state}")
                if system.power_transition is not None or system.power_task_id is not None:
                    found.append(f"system {system.name} is on its way to {system.power_transition}")
            recorded = {UUID(item) for item in uow.session.scalars(select(SystemRow.id))}
            volumes = set(uow.session.scalars(select(VolumeRow.name)))
        if (machines := set(self.machines())) != recorded:
            found.append(f"machines {machines - recorded} too many, {recorded - machines} missing")
        if (there := self.volumes()) != volumes:
            found.append(f"volumes {there - volumes} too many, {volumes - there} missing")
        return found + [f"stray file {path}" for path in self.stray_files(volumes)]

    def stray_files(self, volumes: set[str]) -> list[Path]:
        """Files in the folders of the pools that are no recorded volume."""
        driver = self.application.drivers.driver(self.host_id)
        assert isinstance(driver, HostStorage)
        pools = self.application.hosts.pools(SYSTEM_ACTOR)
        folders = [Path(driver.pool_path(f"hawkfish-{pool.id}")) for pool in pools]
        assert all(folder.is_dir() for folder in folders), folders
        files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        return [path for path in files if path.name not in volumes]

    def delete_all(self) -> None:
        """Switches all off and deletes them; a worker must run."""
        verbs = self.application.systems
        found = verbs.page(SYSTEM_ACTOR).items
        for accepted in [verbs.reset(SYSTEM_ACTOR, system.id, ResetType.FORCE_OFF) for system in found]:
            self.wait(accepted.task)
        for accepted in [verbs.delete(SYSTEM_ACTOR, system.id) for system in found]:
            self.wait(accepted.task)
        assert verbs.page(SYSTEM_ACTOR).total == 0


@dataclass
class Service(Inspection):
    """One installation with one host."""

    folder: Path
    application: Application
    crew: Crew
    simulator: SimulatorProcess | None
    database_url: str
    settings: dict[str, Any]
    host_id: UUID = NO_HOST
    worker: int = 0
    foreign: frozenset[UUID] = frozenset()
    """Machines that the host had before."""

    @classmethod
    def open(cls, folder: Path, database_url: str, *, simulator: bool = True, **settings: Any) -> Service:
        """Starts it without a worker; its database is migrated."""
        # The lease is long: a worker whose beat is late ends itself, and on a loaded machine a beat may be seconds late.
        given = {"database_url": database_url, "data_dir": str(folder), "task_lease_seconds": 30.0, **settings}
        started = SimulatorProcess(folder) if simulator else None
        application = Application.open(load_settings({}, **{**given, "data_dir": folder}))
        crew = Crew(folder / "workers.log")
        return cls(folder, application, crew, started, database_url, given)

    def close(self) -> None:
        """Ends it."""
        self.application.close()
        self.crew.close()
        if self.simulator is not None:
            self.simulator.kill()

    # --- workers -------------------------------------------------------------------------------------------------

    def start_worker(self, **request: Any) -> int:
        """Starts a worker; `point` makes it die there."""
        self.worker = self.crew.fork(do="work", settings=self.settings, **request)
        return self.worker

    def start_ready_worker(self) -> int:
        """Starts a worker and waits until it works."""
        self.crew.wait_ready(self.start_worker())
        return self.worker

    def kill_worker(self) -> None:
        """Kills the worker that was started last."""
        self.crew.kill(self.worker)
