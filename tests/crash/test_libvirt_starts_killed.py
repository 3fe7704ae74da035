"""A worker killed in the middle of starts on real libvirt, and of changes of media: between steps, and between libvirt's calls.

Which start it is, is what it was accepted with: an override once (UEFI's set-up menu, a CD), other firmware, other keys. The guests
have empty disks: what their firmware was given is looked at, and the menu is read on the serial port where firmware was quicker.

A few points of each are seen each time; `make kills` sees all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.machines import BootDevice, Firmware, SecureBootKeys
from hawkfish.domain.media import MediaRequest
from hawkfish.domain.systems import BootOverrideEnabled, ResetType, SystemChanges
from hawkfish.domain.tasks import Task, TaskState
from hawkfish.services.accepted import Accepted
from hawkfish.testing.waiting import wait_until
from tests.crash.libvirt_machine import Machine
from tests.crash.points import kill_at, step_points, trace
from tests.support.file_server import FileServer, Plan
from tests.support.iso import iso
from tests.support.libvirt_host import LibvirtHostBed
from tests.support.service import Service

pytestmark = [pytest.mark.slow, pytest.mark.needs_libvirt]

EACH = "HF_KILLS" in os.environ
"""Whether each point is seen, which takes about an hour."""
MENU_SECONDS = 120.0
KIND_OF = {ResetType.ON: "system.power-on", ResetType.FORCE_RESTART: "system.restart"}


@pytest.fixture(scope="module")
def service(open_service: Callable[..., Service], libvirt_host: LibvirtHostBed) -> Service:
    service = open_service(simulator=False, sweep_seconds=5.0, driver_timeout=30.0, host_starts=8)
    service.start_ready_worker()
    service.add_host(
        "libvirt",
        libvirt_host.uri,
        settings={"virt_type": "qemu", "data_dir": str(libvirt_host.data)},
        pool_path=str(libvirt_host.data / "starts-pool"),
    )
    return service


@pytest.fixture(scope="module")
def server() -> Iterator[FileServer]:
    with FileServer() as running:
        running.plans["/first.iso"] = Plan(iso("first"), etag='"first"')
        yield running


class Start:
    """Starts a machine again and again, with what `ask` has accepted before."""

    def __init__(self, machine: Machine, reset_type: ResetType, ask: Ask) -> None:
        self.machine, self.service, self.reset_type, self.ask = machine, machine.service, reset_type, ask
        self.task: Task | None = None
        self.override: BootDevice | None = None
        self.starts_before, self.serial_before = 0, ""

    def submit(self) -> Accepted:
        self.ask(self.machine)
        self.starts_before = self.machine.bed.starts(self.machine.system)
        self.serial_before = self.machine.serial()
        accepted = self.machine.verbs.reset(SYSTEM_ACTOR, self.machine.system_id, self.reset_type)
        self.task, self.override = accepted.task, self.machine.system.boot.device
        return accepted

    def check(self, task: Task) -> list[str]:
        machine = self.machine
        found = [] if task.state is TaskState.COMPLETED else [f"{task.state}: {task.error}"]
        found += machine.check_running(first="Cd" if self.override is BootDevice.CD else machine.usual_order[0])
        if self.override is BootDevice.SETUP and not self._enters_menu():
            found.append("the menu was not entered")
        if self.override is not BootDevice.SETUP:
            starts = machine.bed.starts(machine.system) - self.starts_before
            if starts != 1:
                found.append(f"it was started {starts} times")
        found += machine.bed.strays([machine.system])
        if self.override is BootDevice.SETUP:
            found += machine.check_plain_start()
        if self.reset_type is ResetType.ON:
            found += machine.reset(ResetType.FORCE_OFF)
            found += machine.bed.strays([machine.system])
        return found

    def _enters_menu(self) -> bool:
        if self.machine.bed.asks_for_menu(self.machine.system):
            return True
        said = lambda: self.machine.serial().removeprefix(self.serial_before)  # noqa: E731
        try:
            wait_until(lambda: "Select Entry" in said(), "the menu", MENU_SECONDS)
        except AssertionError:
            return False
        return True

    def points(self) -> list[str]:
        """All that one reaches; it is looked at whether all is well when nobody is killed."""
        if self.ask is menu:
            # The first makes the variables; a plain start takes back what it may have left in them.
            trace(self.service, self.submit)
            self.service.start_ready_worker()
            assert self.machine.check_plain_start() == []
            if self.reset_type is ResetType.ON:
                assert self.machine.reset(ResetType.FORCE_OFF) == []
        points = trace(self.service, self.submit)
        assert self.task is not None
        assert step_points(self.service, self.task.kind) <= set(points)
        self.service.start_ready_worker()
        assert self.check(self.service.wait(self.task)) == []
        return points


Ask = Callable[[Machine], None]


def menu(machine: Machine) -> None:
    override(machine, BootDevice.SETUP)


def menu_without_variables(machine: Machine) -> None:
    machine.bed.variables(machine.system).unlink(missing_ok=True)
    machine.bed.forget_variables()
    override(machine, BootDevice.SETUP)


def menu_with_new_keys(machine: Machine) -> None:
    secure_boot = machine.service.application.secure_boot
    if not machine.system.setup.secure_boot:
        secure_boot.update(SYSTEM_ACTOR, machine.system_id, enabled=True)
    machine.bed.forget_variables()
    secure_boot.reset_keys(SYSTEM_ACTOR, machine.system_id, SecureBootKeys.FACTORY)
    override(machine, BootDevice.SETUP)


def cd(machine: Machine) -> None:
    override(machine, BootDevice.CD)


def other_firmware(machine: Machine) -> None:
    """BIOS and a CD, or UEFI, with secure boot each other time."""
    other = Firmware.BIOS if machine.system.firmware is Firmware.UEFI else Firmware.UEFI
    override(machine, BootDevice.CD, firmware=other)
    if other is Firmware.UEFI:
        secure = not machine.system.setup.secure_boot
        machine.service.application.secure_boot.update(SYSTEM_ACTOR, machine.system_id, enabled=secure)


def override(machine: Machine, device: BootDevice, **changes: Any) -> None:
    once = SystemChanges(boot_enabled=BootOverrideEnabled.ONCE, boot_device=device, boot_device_given=True, **changes)
    machine.verbs.update(SYSTEM_ACTOR, machine.system_id, once)


@pytest.fixture
def new_machine(service: Service, libvirt_host: LibvirtHostBed, server: FileServer) -> Iterator[Callable[..., Machine]]:
    made = []

    def new(firmware: Firmware) -> Machine:
        made.append(Machine(service, libvirt_host, server, firmware))
        return made[-1]

    yield new
    for machine in made:
        machine.close()


STARTS: list[tuple[Ask, Firmware, ResetType, tuple[str, ...]]] = [
    # What is asked for before the start, the firmware that the machine is made with, and the points that are seen each time.
    (menu, Firmware.UEFI, ResetType.ON, ()),
    (menu, Firmware.UEFI, ResetType.FORCE_RESTART, ()),
    (menu_without_variables, Firmware.UEFI, ResetType.ON, ()),
    (
        menu_with_new_keys,
        Firmware.UEFI,
        ResetType.ON,
        ("run-call-2-createXML", "run-call-11-finish", "run-call-13-resume"),
    ),
    (menu_with_new_keys, Firmware.UEFI, ResetType.FORCE_RESTART, ()),
    (cd, Firmware.BIOS, ResetType.ON, ()),
    (cd, Firmware.BIOS, ResetType.FORCE_RESTART, ("run-call-2-createXML", "after-run")),
    (cd, Firmware.UEFI, ResetType.ON, ()),
    (other_firmware, Firmware.BIOS, ResetType.ON, ("run-call-1-defineXML",)),
    (other_firmware, Firmware.BIOS, ResetType.FORCE_RESTART, ()),
]


@pytest.mark.parametrize(("ask", "firmware", "reset_type", "few"), [each for each in STARTS if EACH or each[-1]])
def test_a_start_does_what_was_accepted_wherever_the_worker_dies(
    new_machine: Callable[..., Machine], ask: Ask, firmware: Firmware, reset_type: ResetType, few: tuple[str, ...]
) -> None:
    machine = new_machine(firmware)
    if reset_type is not ResetType.ON:
        assert machine.reset(ResetType.ON) == []
    start = Start(machine, reset_type, ask)
    points: Iterable[str] = [f"{KIND_OF[reset_type]}/act/{place}" for place in few]
    if EACH:
        points = start.points()
        if ask is other_firmware:  # there and back
            points = in_turn(points, start.points())
    kill_at(machine.service, points, start.submit, start.check)


def in_turn(there: list[str], back: list[str]) -> Iterator[str]:
    """The points of both, one of each at a time, until either was seen whole."""
    for number in range(max(len(there), len(back))):
        yield there[number % len(there)]
        yield back[number % len(back)]


class Media:
    """Inserts a new image into a drive, and ejects it."""

    def __init__(self, machine: Machine, drive: str, kind: str) -> None:
        self.machine, self.service, self.drive, self.kind = machine, machine.service, drive, kind
        self.verbs = machine.service.application.media
        self.number = 0
        self.content = b""
        self.task: Task | None = None
        self.before = self._power()

    def _power(self) -> tuple[Any, ...]:
        system = self.machine.system
        machine = self.service.machines()[system.id]
        starts = self.machine.bed.starts(system)
        return system.power_state, machine.power_state, system.run_id, machine.run_id, starts

    def _insert(self) -> Accepted:
        self.number += 1
        label = f"{self.kind[-6:]}-{self.drive}-{self.number}"
        self.content = iso(label) if self.drive == "Cd" else bytes(510) + b"\x55\xaa" + label.encode().ljust(65024)
        self.machine.server.plans[f"/{label}"] = Plan(self.content, etag=f'"{label}"')
        request = MediaRequest(image=self.machine.server.url(f"/{label}"))
        return self.verbs.insert(SYSTEM_ACTOR, self.machine.system_id, self.drive, request)

    def submit(self) -> Accepted:
        """Gives the task of that kind: the insertion, one that it waits for, or the ejection."""
        if self.kind == "media.eject":
            self.service.start_ready_worker()
            assert self.service.wait(self._insert().task).error is None
            self.service.kill_worker()
            accepted = self.verbs.eject(SYSTEM_ACTOR, self.machine.system_id, self.drive)
            self.task = accepted.task
            return accepted
        accepted = self._insert()
        self.task = task = accepted.task
        while task is not None and task.kind != self.kind:
            assert task.after_id is not None
            task = self.service.application.tasks.get(SYSTEM_ACTOR, task.after_id)
        return Accepted(accepted.subject_id, task)

    def check(self, task: Task) -> list[str]:
        task = self.service.wait(self.task)
        found = [] if task.state is TaskState.COMPLETED else [f"{task.state}: {task.error}"]
        found += self._check_drive(None if self.kind == "media.eject" else self.content)
        if self.kind != "media.eject":
            ejected = self.service.wait(self.verbs.eject(SYSTEM_ACTOR, self.machine.system_id, self.drive).task)
            found += [] if ejected.error is None else [f"the ejection: {ejected.error}"]
            found += self._check_drive(None)
        if self._power() != self.before:
            found.append(f"its power was {self.before} and is {self._power()}")
        with self.service.application.database.read() as uow:
            digests, unready = uow.media.digests(), uow.media.unready_copies(self.service.host_id)
        copies = self.machine.bed.copies()
        found += [f"half a copy {name}" for name in unready]
        found += [f"unknown copy {name}" for name in copies - {f"{digest}.iso" for digest in digests}]
        return found + self.machine.bed.strays([self.machine.system])

    def points(self) -> list[str]:
        """All that one reaches; it is looked at whether all is well when nobody is killed."""
        points = trace(self.service, self.submit)
        assert step_points(self.service, self.kind) <= set(points)
        self.service.start_ready_worker()
        assert self.check(self.service.wait(self.task)) == []
        return points

    def _check_drive(self, content: bytes | None) -> list[str]:
        system, guest = self.machine.system, self.machine.bed.guest(self.machine.system)
        view, found = self.verbs.get(SYSTEM_ACTOR, system.id, self.drive), []
        if view.inserted != (content is not None) or view.in_flight:
            found.append(f"the drive reads {view.media}")
        for what, machine in (("run", guest.live()), ("definition", guest.definition())):
            (held,) = [item.source for item in machine.disks if item.id == self.drive] or [None]
            path = None if held is None else Path(held.text)
            if (None if path is None else path.read_bytes()) != content:
                found.append(f"in its {what} the drive holds {path}")
        if guest.definition().boot_devices != self.machine.usual_order:
            found.append(f"its definition has the order {guest.definition().boot_devices}")
        return found + (self.machine.check_next_order() if guest.is_active else [])


CHANGES: list[tuple[str, str, bool, tuple[str, ...]]] = [
    # The task, the drive, whether the machine runs, and the points that are seen each time.
    ("media.copy", "Cd", False, ()),
    ("media.insert", "Cd", False, ()),
    ("media.insert", "Cd", True, ()),
    ("media.insert", "Usb", False, ()),
    ("media.insert", "Usb", True, ("insert/run-call-1-attachDeviceFlags",)),
    ("media.eject", "Cd", False, ()),
    ("media.eject", "Cd", True, ()),
    ("media.eject", "Usb", False, ()),
    ("media.eject", "Usb", True, ("eject/run-call-1-detachDeviceFlags",)),
]


@pytest.mark.parametrize(("kind", "drive", "running", "few"), [each for each in CHANGES if EACH or each[-1]])
def test_a_drive_gets_what_was_accepted_wherever_the_worker_dies(
    new_machine: Callable[..., Machine], kind: str, drive: str, running: bool, few: tuple[str, ...]
) -> None:
    machine = new_machine(Firmware.BIOS)
    if drive == "Cd":
        ejected = machine.service.application.media.eject(SYSTEM_ACTOR, machine.system_id, drive)
        assert machine.service.wait(ejected.task).error is None
    if running:
        assert machine.reset(ResetType.ON) == []
    media = Media(machine, drive, kind)
    points = media.points() if EACH else [f"{kind}/{place}" for place in few]
    kill_at(machine.service, points, media.submit, media.check)
