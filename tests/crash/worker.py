"""Processes to be killed: workers and clients that end themselves with SIGKILL at a point that they were given.

`python -m tests.crash.worker` imports everything once and then forks a process for each request on its standard input, so that
one costs milliseconds. Requests and reports are lines of JSON:

    {"do": "work", "settings": {...}, "point": "system.create/define/after-run", "trail": "/tmp/points"}
    {"do": "create", "settings": {...}, "point": "committed", "system": {...}, "key": null}

    {"report": "ready", "pid": 17}      a worker runs tasks from now on
    {"report": "ended", "pid": 17, "status": -9}

Points of a worker are `KIND/STEP/PLACE`, with the places before-run, run-call-N-OPERATION (after each request to the simulator, and
after each call by which libvirt changes something), run-during-N-OPERATION (while libvirtd is at one that takes long), after-run,
failed, record (in the transaction, all written and not committed), the same for undo, and KIND/end/record and KIND/end/committed.
A trail is a file to which each point that is reached is appended.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import hawkfish_libvirt.driver  # noqa: F401  imported before the fork, since it is slow
import libvirt
import libvirt_qemu
import structlog
from hawkfish_libvirt.calls import CallPool

from hawkfish.bootstrap import Application
from hawkfish.builtin.simulated.driver import SimulatedDriver
from hawkfish.builtin.simulated.transport import SocketTransport
from hawkfish.config import load_settings
from hawkfish.db.unit_of_work import UnitOfWork
from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.tasks import Step, TaskKind, TaskRegistry
from hawkfish.worker.main import run
from tests.support.service import new_system

LIBVIRT_CHANGES = (
    (libvirt.virConnect, ("createXML", "defineXML", "storagePoolCreateXML", "storagePoolDefineXML")),
    (libvirt.virDomain, ("destroy", "undefineFlags", "resume", "reset", "setMetadata")),
    (libvirt.virDomain, ("updateDeviceFlags", "attachDeviceFlags", "detachDeviceFlags")),
    (libvirt.virStoragePool, ("create", "createXML", "build", "refresh")),
    (libvirt.virStorageVol, ("upload", "delete")),
    (libvirt.virStream, ("send", "finish")),
    (libvirt_qemu, ("qemuMonitorCommand",)),
)
TAKES_LONG = {
    (libvirt.virConnect, "createXML"),
    (libvirt.virDomain, "destroy"),
    (libvirt.virDomain, "detachDeviceFlags"),
}
IN_THE_MIDDLE = 0.02
"""Seconds after which libvirtd is in the middle of what takes long."""


def die() -> None:
    """Ends this process as a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)


class Killer:
    """Wraps kinds of task so that the process dies at one point, or notes all points that are reached."""

    def __init__(self, point: str | None, trail: str | None) -> None:
        self._point = point
        self._trail = trail
        self._here = threading.local()

    def reach(self, point: str) -> None:
        """To be called at each point."""
        if self._is_to_die_at(point):
            die()

    def _is_to_die_at(self, point: str) -> bool:
        if self._trail is not None:
            with Path(self._trail).open("a") as file:
                file.write(f"{point}\n")
        return point == self._point

    def kind(self, kind: TaskKind) -> TaskKind:
        """The kind with points in each step and at its end."""

        def with_points(end: Callable[..., None] | None) -> Callable[..., None]:
            def ended(uow: UnitOfWork, *arguments: Any) -> None:
                if end is not None:
                    end(uow, *arguments)
                self.reach(f"{kind.name}/end/record")
                uow.on_commit(lambda: self.reach(f"{kind.name}/end/committed"))

            return ended

        return replace(
            kind,
            steps=tuple(self._step(f"{kind.name}/{step.name}", step) for step in kind.steps),
            on_success=with_points(kind.on_success),
            on_failure=with_points(kind.on_failure),
        )

    def _step(self, place: str, step: Step) -> Step:
        def record(uow: UnitOfWork, ctx: Any, result: Any) -> None:
            if step.record is not None:
                step.record(uow, ctx, result)
            self.reach(f"{place}/record")

        def record_undo(uow: UnitOfWork, ctx: Any) -> None:
            if step.record_undo is not None:
                step.record_undo(uow, ctx)
            self.reach(f"{place}/record-undo")

        return replace(
            step,
            run=self._around(f"{place}", "run", step.run),
            undo=None if step.undo is None else self._around(place, "undo", step.undo),
            record=record,
            record_undo=record_undo,
        )

    def _around(self, place: str, what: str, act: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def acts(ctx: Any) -> Any:
            self.reach(f"{place}/before-{what}")
            with self._counting(f"{place}/{what}"):
                try:
                    result = act(ctx)
                except Exception:
                    self.reach(f"{place}/failed-{what}")
                    raise
            self.reach(f"{place}/after-{what}")
            return result

        return acts

    @contextmanager
    def _counting(self, place: str) -> Iterator[None]:
        self._here.calls = Calls(place)
        try:
            yield
        finally:
            self._here.calls = None

    def called(self, operation: str) -> None:
        """To be called after each request to a hypervisor, by whatever thread."""
        calls: Calls | None = getattr(self._here, "calls", None)
        if calls is not None:
            calls.number += 1
            self.reach(f"{calls.place}-call-{calls.number}-{operation}")

    def during(self, operation: str) -> None:
        """To be called before a request that takes long."""
        calls: Calls | None = getattr(self._here, "calls", None)
        if calls is not None and self._is_to_die_at(f"{calls.place}-during-{calls.number + 1}-{operation}"):
            threading.Timer(IN_THE_MIDDLE, die).start()

    def carried(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function as another thread runs it for this one: the requests of both are counted together."""
        calls = getattr(self._here, "calls", None)

        def runs(*arguments: Any) -> Any:
            self._here.calls = calls
            return function(*arguments)

        return runs


@dataclass
class Calls:
    """The requests that a step has made so far."""

    place: str
    number: int = 0


def work(request: dict[str, Any]) -> None:
    """A worker that dies at a point; without one it works until it is ended."""
    killer = Killer(request.get("point"), request.get("trail"))
    register, call = TaskRegistry.register, SocketTransport.call

    def called(
        self: SocketTransport, operation: str, params: dict[str, Any], blob: bytes, timeout: float
    ) -> tuple[dict[str, Any], bytes]:
        answer = call(self, operation, params, blob, timeout)
        killer.called(operation)
        return answer

    if request.get("point") or request.get("trail"):
        TaskRegistry.register = lambda self, kind: register(self, killer.kind(kind))  # type: ignore[method-assign]
        SocketTransport.call = called  # type: ignore[method-assign]
        watch_libvirt(killer)
    if request.get("starts"):
        note_starts(Path(request["starts"]))
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    sys.exit(run(load_settings({}, **_paths(request)), stop, lambda: report("ready", pid=os.getpid())))


def watch_libvirt(killer: Killer) -> None:
    """Has the calls by which libvirt changes something be points."""
    run = CallPool.run

    def carrying(self: CallPool, operation: str, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        return run(self, operation, killer.carried(function), *arguments, **options)

    def watched(holder: Any, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def calls(*arguments: Any, **options: Any) -> Any:
            if (holder, name) in TAKES_LONG:
                killer.during(name)
            answer = call(*arguments, **options)
            killer.called(name)
            return answer

        return calls

    CallPool.run = carrying  # type: ignore[method-assign]
    for holder, names in LIBVIRT_CHANGES:
        for name in names:
            setattr(holder, name, watched(holder, name, getattr(holder, name)))


def note_starts(file: Path) -> None:
    """Writes down each start and reset of a simulated machine as it begins: its task, and what is in the drive then."""

    def noting(act: Callable[..., Any]) -> Callable[..., Any]:
        def acts(self: SimulatedDriver, machine_id: UUID, *arguments: Any) -> Any:
            machine = self.find_machine(machine_id)
            medium = None if machine is None else dict(machine.media)["Cd"]
            line = {"task": structlog.contextvars.get_contextvars().get("task"), "medium": medium}
            with file.open("a") as notes:
                notes.write(json.dumps(line) + "\n")
            return act(self, machine_id, *arguments)

        return acts

    SimulatedDriver.start_machine = noting(SimulatedDriver.start_machine)  # type: ignore[method-assign]
    SimulatedDriver.reset_machine = noting(SimulatedDriver.reset_machine)  # type: ignore[method-assign]


def create(request: dict[str, Any]) -> None:
    """A client inside the API that dies right after its request was committed, or right before it would answer."""
    if request["point"] == "committed":
        UnitOfWork.committed = lambda self: die()  # type: ignore[method-assign]  # nobody was woken yet
    application = Application.open(load_settings({}, **_paths(request)))
    application.systems.create(SYSTEM_ACTOR, new_system(**request["system"]), idempotency_key=request["key"])
    die()


def _paths(request: dict[str, Any]) -> dict[str, Any]:
    return {**request["settings"], "data_dir": Path(request["settings"]["data_dir"])}


def report(what: str, **details: Any) -> None:
    """Writes one line; the pipe keeps lines of several processes whole."""
    os.write(1, (json.dumps({"report": what, **details}) + "\n").encode())


def serve() -> None:
    """Forks for each request until the input ends; then ends the children that are left."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    children: set[int] = set()
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    lines = b""
    while True:
        readable, _, _ = select.select([0, woken], [], [])
        if woken in readable:
            os.read(woken, 4096)
            while children:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    break
                children.discard(pid)
                report("ended", pid=pid, status=os.waitstatus_to_exitcode(status))
        if 0 in readable:
            data = os.read(0, 65536)
            if not data:
                break
            *whole, lines = (lines + data).split(b"\n")
            for line in whole:
                children.add(_fork(json.loads(line)))
    for pid in children:
        os.kill(pid, signal.SIGKILL)


def _fork(request: dict[str, Any]) -> int:
    told, tell = os.pipe()
    pid = os.fork()
    if pid:
        report("forked", pid=pid)
        os.close(told)
        os.close(tell)
        return pid
    os.close(tell)
    os.read(told, 1)  # ends once the parent has told of it: all else that is told of this process comes after
    os.close(told)
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        {"work": work, "create": create}[request["do"]](request)
        status = 0
    except SystemExit as error:
        status = int(error.code or 0)
    except BaseException:  # noqa: BLE001  the log and the status tell it
        structlog.get_logger().exception("the process failed")
    finally:
        os._exit(status)


if __name__ == "__main__":
    serve()
