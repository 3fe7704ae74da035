"""The order of media, boot and power, under clients in a hurry: no system starts with anything else than what was accepted before.

Clients insert, eject, set the boot target and the firmware, and switch on and off, each before the last thing is done; servers of
images are slow or fail, insertions are cancelled, workers are killed. What was accepted is gone through in its order afterwards, and
each boot that the machine has really made must be one that it allows.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from hawkfish.domain.accounts import SYSTEM_ACTOR, Actor, Role
from hawkfish.domain.machines import BootDevice, Firmware
from hawkfish.domain.media import MediaRequest
from hawkfish.domain.systems import BootOverrideEnabled, ResetType, SystemChanges
from hawkfish.domain.tasks import Task, TaskState
from hawkfish.errors import HawkFishError
from hawkfish.plugins.compute import SupportsSerialLog
from tests.support.file_server import FileServer, Plan
from tests.support.iso import iso
from tests.support.service import Service, new_system

pytestmark = pytest.mark.slow

EXAMPLES, STEPS = 8, 25
ACTORS = st.sampled_from([SYSTEM_ACTOR, Actor(user_name="ann", role=Role.OPERATOR)])
STARTS = (ResetType.ON, ResetType.FORCE_RESTART, ResetType.POWER_CYCLE)
USUAL = BootDevice.DISK
"""What is tried first in the normal order."""


@dataclass(frozen=True)
class Boot:
    """One boot: by what firmware, from what kind of device, with what in the drive."""

    firmware: str
    device: str
    medium: str | None


@dataclass
class Asked:
    """Something that was accepted, in the order of acceptance.

    Attributes:
        behind: The change of the drive that was surely still under way when this was accepted.
    """

    what: str
    value: Any = None
    task: Task | None = None
    behind: Task | None = None


@dataclass
class Allowed:
    """Boots that may come next: one of `boots`, so many times."""

    boots: set[Boot]
    least: int
    most: float


@dataclass
class Replay:
    """What was accepted, gone through in its order once all has ended."""

    firmware: Firmware
    on: bool = False
    enabled: BootOverrideEnabled = BootOverrideEnabled.DISABLED
    device: BootDevice | None = None
    used: bool | None = False
    medium: str | None = None
    missed: bool = False
    allowed: list[Allowed] = field(default_factory=list)

    def follow(self, asked: Asked, end: TaskState | None) -> None:
        """Goes one step further."""
        done = end is TaskState.COMPLETED
        if asked.what == "boot":
            self._set_boot(*asked.value)
        elif asked.what == "firmware":
            self.firmware = asked.value
        elif asked.what == "medium":
            self.medium = asked.value if done else self.medium
            self.missed = end is TaskState.FAILED
        elif asked.value is ResetType.FORCE_OFF:
            self.on = not done and self.on
        else:
            self._start(asked.value, end)

    def _set_boot(self, enabled: BootOverrideEnabled, device: BootDevice) -> None:
        # Asked for twice it is one override, unless a start was accepted in between: then it is another, for the next one.
        self.used = False
        self.enabled, self.device = enabled, device

    def _start(self, reset_type: ResetType, end: TaskState | None) -> None:
        if end is TaskState.FAILED:
            self.missed = False  # it has told so
            return
        if reset_type is ResetType.ON and self.on and end is TaskState.COMPLETED:
            return
        devices = set()
        if self.enabled is not BootOverrideEnabled.DISABLED and self.device is not None and self.used is not True:
            devices.add(self.device)
        if not devices or (self.enabled is BootOverrideEnabled.ONCE and self.used is None):
            devices.add(USUAL)
        boots = {Boot(self.firmware.value, device.value, self.medium) for device in devices}
        if self.missed and devices == {BootDevice.CD}:
            boots = set()  # whoever asked for that image has not heard that it is not there
        if end is TaskState.COMPLETED:
            # A worker that dies after a restart and before it has written that down restarts once more, with the same.
            self.allowed.append(Allowed(boots, 1, 1 if reset_type is ResetType.ON else float("inf")))
            self.on = True
        else:  # a cut of the power has overtaken it, sooner or later
            self.allowed.append(Allowed(boots, 0, float("inf")))
        if self.enabled is BootOverrideEnabled.ONCE:
            self.used = True if end is TaskState.COMPLETED else None


def explain(boots: list[Boot], allowed: list[Allowed]) -> bool:
    """Whether the boots are what was allowed, in this order."""
    if not allowed:
        return not boots
    now, rest = allowed[0], allowed[1:]
    for count in itertools.count():
        if count >= now.least and explain(boots[count:], rest):
            return True
        if count >= now.most or count >= len(boots) or boots[count] not in now.boots:
            return False
    raise AssertionError("never reached")


class Order(RuleBasedStateMachine):
    """One system and its clients."""

    def __init__(self, service: Service, server: FileServer, system_id: UUID) -> None:
        super().__init__()
        self.service, self.server, self.system_id = service, server, system_id
        self.systems, self.media = service.application.systems, service.application.media
        self.asked: list[Asked] = []
        self.gates: list[threading.Event] = []
        self.number = 0
        self.cancelled: set[str] = set()
        self.first = self.systems.get(SYSTEM_ACTOR, system_id).firmware

    # --- what clients do -----------------------------------------------------------------------------------------

    @rule(actor=ACTORS, way=st.sampled_from(["fast", "slow", "slow", "cut"]))
    def insert(self, actor: Actor, way: str) -> None:
        """Another image, if the drive takes one now."""
        self.number += 1
        path = f"/{self.system_id}-{self.number}.iso"
        content = iso(f"{self.number}-{self.system_id.hex[:12]}")
        gate = None
        if way != "fast":
            gate = threading.Event()
            self.gates.append(gate)
        cut = 40_000 if way == "cut" else None
        self.server.plans[path] = Plan(content, gate=gate, cut_after=cut, etag=f'"{path}"')
        self._insert(actor, path, content)

    @precondition(lambda self: self.number > 0)
    @rule(actor=ACTORS)
    def insert_again(self, actor: Actor) -> None:
        """The same once more, as clients do that have lost an answer."""
        path = f"/{self.system_id}-{self.number}.iso"
        self._insert(actor, path, self.server.plans[path].content)

    def _insert(self, actor: Actor, path: str, content: bytes) -> None:
        digest = hashlib.sha256(content).hexdigest()
        with suppress(HawkFishError):  # another image is inserted: nothing was accepted
            accepted = self.media.insert(actor, self.system_id, "Cd", MediaRequest(image=self.server.url(path)))
            self._note("medium", digest, accepted.task)

    @rule(actor=ACTORS)
    def eject(self, actor: Actor) -> None:
        """Whatever is in the drive or on its way."""
        self._note("medium", None, self.media.eject(actor, self.system_id, "Cd").task)

    @rule(
        actor=ACTORS,
        enabled=st.sampled_from([BootOverrideEnabled.ONCE, BootOverrideEnabled.ONCE, BootOverrideEnabled.CONTINUOUS]),
        device=st.sampled_from([BootDevice.CD, BootDevice.NETWORK]),
    )
    def set_boot(self, actor: Actor, enabled: BootOverrideEnabled, device: BootDevice) -> None:
        """An override, which reads back at once."""
        self._update(actor, boot_enabled=enabled, boot_device=device, boot_device_given=True)
        self.asked.append(Asked("boot", (enabled, device)))

    @rule(actor=ACTORS, firmware=st.sampled_from(Firmware))
    def set_firmware(self, actor: Actor, firmware: Firmware) -> None:
        """Another firmware, which reads back at once."""
        self._update(actor, firmware=firmware)
        assert self.systems.get(actor, self.system_id).firmware is firmware
        self.asked.append(Asked("firmware", firmware))

    def _update(self, actor: Actor, **changes: Any) -> None:
        assert self.systems.update(actor, self.system_id, SystemChanges(**changes)).task is None

    @rule(actor=ACTORS, reset_type=st.sampled_from([*STARTS, ResetType.ON, ResetType.FORCE_OFF]))
    def reset(self, actor: Actor, reset_type: ResetType) -> None:
        """Power."""
        self._note("power", reset_type, self.systems.reset(actor, self.system_id, reset_type).task)

    @rule()
    def cancel_an_insertion(self) -> None:
        """The last one, if it is not done."""
        changes = [each.task for each in self.asked if each.what == "medium" and each.task is not None]
        if changes:
            with suppress(HawkFishError):  # it has ended
                self.service.application.tasks.cancel(SYSTEM_ACTOR, changes[-1].id)
                self.cancelled.add(changes[-1].id)

    # --- what happens to them ------------------------------------------------------------------------------------

    @rule()
    def a_server_goes_on(self) -> None:
        """One that is slow."""
        if self.gates:
            self.gates.pop(0).set()

    @rule()
    def the_worker_is_killed(self) -> None:
        """And another takes over."""
        self.service.kill_worker()
        self.service.start_worker()

    @rule()
    def all_comes_to_an_end(self) -> None:
        """Nobody asks for more until everything is done; then all boots are looked at."""
        for gate in self.gates:
            gate.set()
        self.gates.clear()
        replay = Replay(self.first)
        for each in self.asked:
            task = None if each.task is None else self.service.wait(each.task)
            behind = None if each.behind is None else self.service.wait(each.behind)
            if each.value in STARTS and behind is not None and behind.state is TaskState.FAILED:
                assert task is not None
                assert task.state in {TaskState.FAILED, TaskState.CANCELLED}, "it started without what was accepted"
            replay.follow(each, None if task is None else task.state)
        self._check_what_an_ejection_has_cancelled()
        boots = self._boots()
        assert explain(boots, replay.allowed), f"booted {boots}, accepted {self._story()}, allowed {replay.allowed}"
        machine = self.service.machines()[self.system_id]
        medium = dict(machine.media)["Cd"]
        assert (None if medium is None else PurePosixPath(medium).stem) == replay.medium, self._story()

    def teardown(self) -> None:
        """Looks at the whole once more, and leaves the system off."""
        self.service.kill_worker()
        self.service.start_ready_worker()
        self.all_comes_to_an_end()
        self.service.wait(self.systems.reset(SYSTEM_ACTOR, self.system_id, ResetType.FORCE_OFF).task)

    def _check_what_an_ejection_has_cancelled(self) -> None:
        """Insertions that nobody cancelled were cancelled by an ejection, and no start was to find them there."""
        for place, each in enumerate(self.asked):
            if each.what != "medium" or each.value is None or each.task is None or each.task.id in self.cancelled:
                continue
            if self.service.wait(each.task).state is not TaskState.CANCELLED:
                continue
            later = self.asked[place + 1 :]
            ejected = next(
                (at for at, next_one in enumerate(later) if next_one.what == "medium" and not next_one.value), None
            )
            assert ejected is not None, f"nobody has ejected {each.task.title}"
            for between in later[:ejected]:
                if between.value in STARTS and between.task is not None:
                    assert self.service.wait(between.task).state is not TaskState.COMPLETED, (
                        "it started without its medium"
                    )

    # --- what is known of it -------------------------------------------------------------------------------------

    def _note(self, what: str, value: Any, task: Task | None) -> None:
        """Writes down what was accepted, unless it has joined something that was."""
        if task is not None and task.id in {each.task.id for each in self.asked if each.task is not None}:
            return
        changes = [each.task for each in self.asked if each.what == "medium" and each.task is not None]
        behind = None
        if what == "power" and changes:
            last = self.service.application.tasks.get(SYSTEM_ACTOR, changes[-1].id)
            behind = None if last.ended else last
        self.asked.append(Asked(what, value, task, behind))

    def _story(self) -> list[str]:
        ends = [None if each.task is None else self.service.wait(each.task).state for each in self.asked]
        return [f"{each.what} {each.value}: {end}" for each, end in zip(self.asked, ends, strict=True)]

    def _boots(self) -> list[Boot]:
        driver = self.service.application.drivers.driver(self.service.host_id)
        assert isinstance(driver, SupportsSerialLog)
        text = driver.read_serial_log(self.system_id, 0, 1 << 22).decode()
        return [_boot(part.splitlines()) for part in text.split("HawkFish simulated ")[1:]]


def _boot(lines: list[str]) -> Boot:
    drive = next(line for line in lines if line.startswith("Drive Cd: ")).removeprefix("Drive Cd: ")
    tried = next(line for line in lines if line.startswith(("Booting from ", "Trying ")))
    device = tried.removeprefix("Booting from ").removeprefix("Trying ").partition(":")[0]
    return Boot(lines[0].split()[0], device, None if drive == "empty" else PurePosixPath(drive).stem)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as running:
        yield running


@pytest.fixture
def systems(service_on_either: Service) -> Iterator[UUID]:
    """Systems that nobody has used yet."""
    service = service_on_either
    service.kill_worker()
    service.start_ready_worker()
    pattern = replace(new_system("order", empty_bytes=1 << 20), host=str(service.host_id))
    names = [f"order{number}" for number in range(EXAMPLES + 2)]
    task = service.wait(service.application.systems.create_batch(SYSTEM_ACTOR, pattern, names).task)
    assert task.state is TaskState.COMPLETED, task.error
    return iter([UUID(item) for item in task.arguments["system_ids"]])


def test_no_system_starts_without_what_was_accepted_before(
    service_on_either: Service, server: FileServer, systems: Iterator[UUID]
) -> None:
    make: Callable[[], RuleBasedStateMachine] = lambda: Order(service_on_either, server, next(systems))  # noqa: E731
    run_state_machine_as_test(
        make,  # type: ignore[arg-type]  # a callable does, as the kits of hawkfish.testing show
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=True,
            # What happens depends on the moment, too: a smaller example of a failure would be another.
            phases=[Phase.generate],
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
