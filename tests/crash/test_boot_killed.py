"""A worker killed at every point of a start that brings other firmware and another set-up about, and uses an override once."""

from __future__ import annotations

import itertools

import pytest

from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.bios import CPU_MODEL, DISABLED, ENABLED, NETWORK_BOOT
from hawkfish.domain.machines import BootDevice, Firmware, PowerState, SecureBootKeys
from hawkfish.domain.systems import BootOverride, BootOverrideEnabled, ResetType, System, SystemChanges
from hawkfish.domain.tasks import Task, TaskState
from hawkfish.plugins.compute import SupportsSerialLog
from hawkfish.services.accepted import Accepted
from hawkfish.testing.waiting import wait_until
from tests.crash.conftest import IMAGE
from tests.crash.points import kill_at, step_points, trace
from tests.support.service import Service, new_system

pytestmark = pytest.mark.slow


class ChangedStart:
    """Starts one system again and again, with an override once: the set-up menu where it has UEFI, else the network.

    Each time it has the other firmware, another model of processor, network boot switched over, and where it has UEFI the other
    kind of secure boot and other keys.
    """

    def __init__(self, service: Service, reset_type: ResetType) -> None:
        self.service = service
        self.reset_type = reset_type
        self.verbs = service.application.systems
        made = self.verbs.create(SYSTEM_ACTOR, new_system(f"boots-{reset_type.lower()}", empty_bytes=1 << 20))
        service.wait(made.task)
        self.system_id = made.subject_id
        if reset_type is not ResetType.ON:
            service.wait(self.verbs.reset(SYSTEM_ACTOR, self.system_id, ResetType.ON).task)
        self.boots_before: list[str] = []
        self.models = itertools.cycle(self.system.cpu_models)
        next(self.models)  # the usual one, which it has
        self.network_boot = itertools.cycle([DISABLED, ENABLED])
        self.keys = itertools.cycle([SecureBootKeys.NONE, SecureBootKeys.FACTORY, SecureBootKeys.FACTORY])

    @property
    def system(self) -> System:
        return self.verbs.get(SYSTEM_ACTOR, self.system_id)

    def boots(self) -> list[str]:
        """Firmware, processor and secure boot of each boot, and what it tried first."""
        driver = self.service.application.drivers.driver(self.system.host_id)
        assert isinstance(driver, SupportsSerialLog)
        text = driver.read_serial_log(self.system_id, 0, 1 << 21).decode()
        boots = [boot.splitlines() for boot in text.split("HawkFish simulated ")[1:]]
        firsts = ("Booting from ", "Trying ", "Entering the set-up menu")
        tried = [next(line.split(";")[0] for line in boot if line.startswith(firsts)) for boot in boots]
        told = [[line for line in boot if line.startswith(("Processor model: ", "Secure boot: "))] for boot in boots]
        parts = zip(boots, told, tried, strict=True)
        return [f"{boot[0].split()[0]}, {', '.join(setup)}, {line.split()[-1]}" for boot, setup, line in parts]

    def submit(self) -> Accepted:
        """Asks for what the start is to bring about, and for the start."""
        self.boots_before = self.boots()
        other = Firmware.BIOS if self.system.firmware is Firmware.UEFI else Firmware.UEFI
        changes = SystemChanges(
            firmware=other,
            boot_enabled=BootOverrideEnabled.ONCE,
            boot_device=BootDevice.SETUP if other is Firmware.UEFI else BootDevice.NETWORK,
            boot_device_given=True,
        )
        self.verbs.update(SYSTEM_ACTOR, self.system_id, changes)
        attributes = {CPU_MODEL: next(self.models), NETWORK_BOOT: next(self.network_boot)}
        self.service.application.bios.update(SYSTEM_ACTOR, self.system_id, attributes)
        if other is Firmware.UEFI:
            secure, secure_boot = not self.system.setup.secure_boot, self.service.application.secure_boot
            secure_boot.update(SYSTEM_ACTOR, self.system_id, enabled=secure)
            secure_boot.reset_keys(SYSTEM_ACTOR, self.system_id, next(self.keys))
        return self.verbs.reset(SYSTEM_ACTOR, self.system_id, self.reset_type)

    def check(self, task: Task) -> list[str]:
        """What is wrong after the start."""
        found = [] if task.state is TaskState.COMPLETED else [f"{task.state}: {task.error}"]
        system, machine = self.system, self.service.machines()[self.system_id]
        if (machine.power_state, machine.firmware) != (PowerState.ON, system.firmware):
            found.append(f"its machine is {machine.power_state} with {machine.firmware}, not {system.firmware}")
        if machine.setup != system.setup:
            found.append(f"its machine has {machine.setup}, not {system.setup}")
        if system.setup_failure or system.awaits_start:
            found.append(f"it reads as if its set-up were not applied: {system.setup_failure}")
        if system.boot != BootOverride():
            found.append(f"its override is still {system.boot}")
        boots = self.boots()[len(self.boots_before) :]
        first = "menu" if system.firmware is Firmware.UEFI else system.network_interfaces[0].mac_address
        trusts = system.setup.secure_boot_keys is SecureBootKeys.FACTORY
        secured = system.firmware is Firmware.UEFI and system.setup.secure_boot and trusts
        model = system.setup.cpu_model or system.cpu_models[0]
        told = f"Processor model: {model}, Secure boot: {'enabled' if secured else 'disabled'}"
        wanted = f"{system.firmware}, {told}, {first}"
        if boots != [wanted]:
            found.append(f"it booted {boots}, not {wanted}")
        if self.reset_type is ResetType.ON:
            self.service.application.drivers.driver(system.host_id).power_off_machine(self.system_id)
        return found


@pytest.mark.parametrize("reset_type", [ResetType.ON, ResetType.FORCE_RESTART])
def test_a_start_does_what_was_accepted_wherever_the_worker_dies(service: Service, reset_type: ResetType) -> None:
    service.kill_worker()
    service.start_ready_worker()
    start = ChangedStart(service, reset_type)
    points = trace(service, start.submit)
    if reset_type is ResetType.ON:
        service.application.drivers.driver(start.system.host_id).power_off_machine(start.system_id)
    kind = "system.power-on" if reset_type is ResetType.ON else "system.restart"
    assert step_points(service, kind) <= set(points)
    assert any("define_machine" in point for point in points)
    kill_at(service, points, start.submit, start.check)


def test_a_guest_is_asked_once_to_restart_wherever_the_worker_dies(service: Service) -> None:
    """The guest that the restart has started is not asked to end, which it may not hear before it has booted."""
    service.kill_worker()
    service.start_ready_worker()
    verbs, driver = service.application.systems, service.application.drivers.driver(service.host_id)
    assert isinstance(driver, SupportsSerialLog)
    made = verbs.create(SYSTEM_ACTOR, new_system("asked", image=IMAGE, power_on=True))
    assert service.wait(made.task).error is None
    boots: list[int] = []

    def submit() -> Accepted:
        log = lambda: driver.read_serial_log(made.subject_id, 0, 1 << 21).decode()  # noqa: E731
        wait_until(lambda: "GUEST-READY" in log().split("HawkFish simulated ")[-1], "a guest that hears")
        boots.append(log().count("HawkFish simulated "))
        return verbs.reset(SYSTEM_ACTOR, made.subject_id, ResetType.GRACEFUL_RESTART)

    def check(task: Task) -> list[str]:
        now = driver.read_serial_log(made.subject_id, 0, 1 << 21).decode().count("HawkFish simulated ")
        found = [] if task.state is TaskState.COMPLETED else [f"{task.state}: {task.error}"]
        return found if now == boots[-1] + 1 else [*found, f"it booted {now - boots[-1]} times"]

    kill_at(service, ["system.restart/act/after-run", "system.restart/act/record"], submit, check)
