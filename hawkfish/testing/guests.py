"""The contract of drivers whose machines run a guest: subclass `GuestContract` where there is one to boot.

Example::

    class TestAcmeGuests(GuestContract):
        @pytest.fixture
        def provides(self): ...

        @pytest.fixture
        def new_driver(self): ...

        @pytest.fixture
        def guest_image(self):
            return Path("guest.img")  # a raw image that boots as a disk, and says GUEST-READY on its first serial port
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import pytest

from hawkfish.domain.hosts import ComputeCapability
from hawkfish.domain.machines import DiskSpec, MachineSpec, PowerState
from hawkfish.domain.storage import FilePath, VolumeFormat, VolumeSpec
from hawkfish.errors import Conflict
from hawkfish.testing.driver_fixtures import DriverFixtures, SpecFactory
from hawkfish.testing.gates import needs
from hawkfish.testing.volumes import MIB
from hawkfish.testing.waiting import wait_until

Capability = ComputeCapability
GUEST_READY = b"GUEST-READY"
LOG_LIMIT = 2**22
ASK_AGAIN_SECONDS = 5.0


class GuestContract(DriverFixtures):
    """What a driver and a running guest do together."""

    READY_SECONDS: ClassVar[float] = 180.0
    """How long a guest may take to come up, and to go down."""

    @pytest.fixture
    def guest_image(self) -> Path | None:
        """Supply this: a raw image that boots as a disk; None where machines run a guest without one."""
        pytest.fail("The subclass of GuestContract must have a fixture guest_image.")

    @pytest.fixture
    def guest(self, driver: Any, pool: str, machine_spec: SpecFactory, guest_image: Path | None) -> MachineSpec:
        """A machine with a guest and a spare disk, defined and off."""
        disks = [] if guest_image is None else [self._disk(driver, pool, "root", guest_image.stat().st_size)]
        if guest_image is not None:
            with guest_image.open("rb") as content:
                driver.upload_volume(pool, "root", content, guest_image.stat().st_size)
        spec = machine_spec(memory_mib=256, disks=(*disks, self._disk(driver, pool, "data", 8 * MIB)))
        driver.define_machine(spec)
        return spec

    def _disk(self, driver: Any, pool: str, name: str, capacity: int) -> DiskSpec:
        spec = VolumeSpec(name=name, capacity_bytes=capacity, format=VolumeFormat.RAW)
        facts = driver.create_volume(pool, spec)
        return DiskSpec(id=name, connection=FilePath(path=PurePosixPath(facts.path)), format=facts.format)

    def _boots(self, driver: Any, spec: MachineSpec, times: int = 1) -> None:
        wait_until(
            lambda: driver.read_serial_log(spec.id, 0, LOG_LIMIT).count(GUEST_READY) >= times,
            f"GUEST-READY number {times} on the serial port",
            self.READY_SECONDS,
        )

    @needs(Capability.SERIAL_LOG, Capability.GRACEFUL_SHUTDOWN, Capability.RESET, Capability.HOST_STORAGE)
    def test_a_guest_boots_is_reset_and_obeys_the_power_button(self, driver: Any, guest: MachineSpec) -> None:
        run_id = driver.start_machine(guest.id).run_id
        self._boots(driver, guest)
        driver.reset_machine(guest.id)
        self._boots(driver, guest, 2)
        assert driver.find_machine(guest.id).run_id == run_id, "a reset is no new run"
        asked_at = -ASK_AGAIN_SECONDS

        def obeys() -> bool:
            nonlocal asked_at
            if time.monotonic() - asked_at >= ASK_AGAIN_SECONDS:  # a guest that is still starting does not hear it
                asked_at = time.monotonic()
                with suppress(Conflict):  # it went off in this very moment
                    driver.request_shutdown(guest.id)
            return bool(driver.find_machine(guest.id).power_state is PowerState.OFF)

        wait_until(obeys, "the guest's shutdown", self.READY_SECONDS)

    @needs(Capability.SERIAL_LOG, Capability.DISK_HOTPLUG, Capability.HOST_STORAGE)
    def test_a_guest_releases_a_disk(self, driver: Any, guest: MachineSpec) -> None:
        before = tuple(disk.id for disk in guest.disks if disk.id != "data")
        driver.start_machine(guest.id)
        self._boots(driver, guest)
        driver.detach_disk(guest.id, "data", self.READY_SECONDS)
        assert driver.find_machine(guest.id).disk_ids == before
        driver.power_off_machine(guest.id)
        assert driver.find_machine(guest.id).disk_ids == before
