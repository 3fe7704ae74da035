"""The part of the compute drivers' contract that speaks of media, disks, screens, serial ports and events."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from PIL import Image

from hawkfish.domain.hosts import ComputeCapability
from hawkfish.domain.machines import (
    DRIVES,
    BootDevice,
    DiskSpec,
    DriveKind,
    DriveSpec,
    Firmware,
    MachineEvent,
    MachineEventKind,
    PowerState,
    StartOptions,
)
from hawkfish.domain.storage import FilePath, VolumeFormat, VolumeSpec
from hawkfish.errors import BackendTimeout, Conflict, HawkFishError, MachineNotFound, NotSupported
from hawkfish.testing.driver_fixtures import DriverFixtures, SpecFactory
from hawkfish.testing.gates import needs
from hawkfish.testing.volumes import MIB, random_bytes
from hawkfish.testing.waiting import wait_until

Capability = ComputeCapability


class DeviceContract(DriverFixtures):
    """Devices of machines, and what machines say. Part of `ComputeDriverContract`; not for use alone."""

    EVENT_SECONDS: ClassVar[float] = 30.0
    """How long an event may take."""

    def _disk(self, driver: Any, pool: str, name: str = "data", capacity: int = 8 * MIB) -> DiskSpec:
        facts = driver.create_volume(pool, VolumeSpec(name=name, capacity_bytes=capacity))
        return DiskSpec(id=name, connection=FilePath(path=PurePosixPath(facts.path)), format=facts.format)

    def _medium(self, driver: Any, pool: str, name: str = "medium.iso") -> FilePath:
        content = random_bytes(MIB)
        facts = driver.create_volume(pool, VolumeSpec(name=name, capacity_bytes=MIB, format=VolumeFormat.RAW))
        driver.upload_volume(pool, name, io.BytesIO(content), MIB)
        return FilePath(path=PurePosixPath(facts.path))

    # --- screen and serial port --------------------------------------------------------------------------------------

    @needs(Capability.SCREENSHOT)
    def test_a_screenshot_is_a_picture(self, driver: Any, machine_spec: SpecFactory) -> None:
        spec = machine_spec()
        driver.define_machine(spec)
        with pytest.raises(Conflict):
            driver.take_screenshot(spec.id)
        driver.start_machine(spec.id)
        shot = driver.take_screenshot(spec.id)
        assert shot.media_type.startswith("image/")
        with Image.open(io.BytesIO(shot.data)) as picture:
            picture.load()
            assert picture.width >= 16
            assert picture.height >= 16

    @needs(Capability.SERIAL_LOG)
    def test_the_serial_log_is_kept_and_read_in_pieces(self, driver: Any, machine_spec: SpecFactory) -> None:
        spec = machine_spec()
        driver.define_machine(spec)
        driver.start_machine(spec.id)
        driver.power_off_machine(spec.id)
        whole = driver.read_serial_log(spec.id)
        assert driver.read_serial_log(spec.id, 0, 7) == whole[:7]
        assert driver.read_serial_log(spec.id, 7, 65536) == whole[7:]
        assert driver.read_serial_log(spec.id, len(whole) + 1000) == b""
        assert driver.read_serial_log(spec.id, -5, 65536) == whole[-5:]

    @needs(Capability.SERIAL_LOG)
    def test_an_absent_machine_has_no_serial_log(self, driver: Any) -> None:
        with pytest.raises(MachineNotFound):
            driver.read_serial_log(uuid4())

    # --- boot --------------------------------------------------------------------------------------------------------

    @needs(Capability.BOOT_OVERRIDE)
    @pytest.mark.parametrize("once", [True, False])
    def test_a_boot_override_leaves_the_definition_as_it_is(
        self, driver: Any, machine_spec: SpecFactory, once: bool
    ) -> None:
        spec = machine_spec()
        defined = driver.define_machine(spec)
        started = driver.start_machine(spec.id, StartOptions(boot_first=BootDevice.NETWORK, once=once))
        assert started.power_state is PowerState.ON
        driver.power_off_machine(spec.id)
        assert driver.find_machine(spec.id) == defined
        assert driver.start_machine(spec.id).power_state is PowerState.ON
        assert driver.boot_override_mechanism

    @needs(Capability.BOOT_OVERRIDE)
    def test_the_set_up_menu_is_entered_where_the_host_says_that_it_can_be(
        self, driver: Any, machine_spec: SpecFactory
    ) -> None:
        spec, menu = machine_spec(firmware=Firmware.UEFI), StartOptions(boot_first=BootDevice.SETUP)
        if Firmware.UEFI in driver.probe().firmwares:
            defined = driver.define_machine(spec)
            if driver.probe().setup_menu:
                for once in (True, False):
                    started = driver.start_machine(spec.id, replace(menu, once=once))
                    assert started.power_state is PowerState.ON
                    assert started.boot_devices == defined.boot_devices, "the next reset tries what it usually does"
                    assert driver.start_machine(spec.id, menu) == started, "a running machine is left alone"
                    driver.power_off_machine(spec.id)
                    assert driver.find_machine(spec.id) == defined
                assert driver.start_machine(spec.id).power_state is PowerState.ON
                driver.power_off_machine(spec.id)
            else:
                with pytest.raises(NotSupported):
                    driver.start_machine(spec.id, menu)
        if Firmware.BIOS in driver.probe().firmwares:
            driver.define_machine(replace(spec, firmware=Firmware.BIOS))
            with pytest.raises(NotSupported):
                driver.start_machine(spec.id, menu)
            assert driver.find_machine(spec.id).power_state is PowerState.OFF

    @needs(Capability.BOOT_OVERRIDE)
    def test_devices_are_tried_in_the_order_that_was_asked_for(self, driver: Any, machine_spec: SpecFactory) -> None:
        spec = machine_spec(drives=(DriveSpec(id="Cd"),))
        (nic,) = (interface.id for interface in spec.network_interfaces)
        assert driver.define_machine(spec).boot_devices == ("Cd", nic)
        changed = replace(spec, boot_devices=(nic, "Cd"))
        for _ in range(2):
            assert driver.define_machine(changed).boot_devices == (nic, "Cd")
        assert driver.start_machine(spec.id).boot_devices == (nic, "Cd")
        driver.define_machine(spec)
        assert driver.find_machine(spec.id).boot_devices == (nic, "Cd"), "a run keeps its order"
        driver.power_off_machine(spec.id)
        assert driver.find_machine(spec.id).boot_devices == ("Cd", nic)
        partly = driver.define_machine(replace(spec, boot_devices=(nic, "absent")))
        assert partly.boot_devices == (nic, "Cd"), "what is not named follows, and what is not there is passed over"

    @needs(Capability.BOOT_OVERRIDE)
    @pytest.mark.parametrize("once", [True, False])
    def test_a_run_says_what_its_next_boot_tries(self, driver: Any, machine_spec: SpecFactory, once: bool) -> None:
        spec = machine_spec(drives=(DriveSpec(id="Cd"),))
        (nic,) = (interface.id for interface in spec.network_interfaces)
        driver.define_machine(spec)
        started = driver.start_machine(spec.id, StartOptions(boot_first=BootDevice.NETWORK, once=once))
        assert started.boot_devices == (("Cd", nic) if once else (nic, "Cd"))
        assert driver.find_machine(spec.id) == started

    # --- media -------------------------------------------------------------------------------------------------------

    @needs(Capability.MEDIA, Capability.HOST_STORAGE)
    @pytest.mark.parametrize("running", [False, True], ids=["off", "running"])
    def test_a_medium_is_inserted_changed_and_ejected(
        self, driver: Any, machine_spec: SpecFactory, pool: str, running: bool
    ) -> None:
        first, second = self._medium(driver, pool), self._medium(driver, pool, "second.iso")
        spec = machine_spec(drives=(DriveSpec(id="Cd"),))
        driver.define_machine(spec)
        if running:
            driver.start_machine(spec.id)
        for medium in (first, first, second, None, None, second):
            driver.change_medium(spec.id, "Cd", medium)
            expected = None if medium is None else str(medium.path)
            assert dict(driver.find_machine(spec.id).media) == {"Cd": expected}
        driver.power_off_machine(spec.id)
        assert dict(driver.find_machine(spec.id).media) == {"Cd": str(second.path)}

    @needs(Capability.MEDIA, Capability.HOST_STORAGE)
    @pytest.mark.parametrize("running", [False, True], ids=["off", "running"])
    def test_a_usb_stick_is_plugged_in_and_pulled_out(
        self, driver: Any, machine_spec: SpecFactory, pool: str, running: bool
    ) -> None:
        if DriveKind.USB not in driver.probe().drives:
            return
        first, second = self._medium(driver, pool), self._medium(driver, pool, "second.iso")
        spec = machine_spec(drives=DRIVES, boot_devices=("Usb", "Cd"))
        (nic,) = (interface.id for interface in spec.network_interfaces)
        defined = driver.define_machine(spec)
        assert (dict(defined.media), defined.disk_ids) == ({"Cd": None, "Usb": None}, ())
        assert defined.boot_devices == ("Usb", "Cd", nic), "it has its place also while it is not there"
        if running:
            driver.start_machine(spec.id)
        for medium in (first, first, second, None, None, second):
            driver.change_medium(spec.id, "Usb", medium)
            found, expected = driver.find_machine(spec.id), None if medium is None else str(medium.path)
            assert (dict(found.media), found.disk_ids) == ({"Cd": None, "Usb": expected}, ())
            assert found.boot_devices == ("Usb", "Cd", nic)
        driver.power_off_machine(spec.id)
        held = replace(spec, drives=tuple(replace(drive, medium=second) for drive in DRIVES))
        for definition, stick in ((held, str(second.path)), (spec, None)):
            assert dict(driver.define_machine(definition).media)["Usb"] == stick
            started = driver.start_machine(spec.id, StartOptions(boot_first=BootDevice.USB))
            assert (dict(started.media)["Usb"], started.boot_devices) == (stick, ("Usb", "Cd", nic))
            driver.power_off_machine(spec.id)

    @needs(Capability.MEDIA, Capability.HOST_STORAGE)
    def test_what_cannot_be_inserted_leaves_the_medium(self, driver: Any, machine_spec: SpecFactory, pool: str) -> None:
        medium = self._medium(driver, pool)
        spec = machine_spec(drives=(DriveSpec(id="Cd", medium=medium),))
        driver.define_machine(spec)
        driver.start_machine(spec.id)
        with pytest.raises(HawkFishError):
            driver.change_medium(spec.id, "NoSuchDrive", medium)
        with pytest.raises(HawkFishError):
            driver.change_medium(spec.id, "Cd", FilePath(path=medium.path.with_name("absent.iso")))
        assert dict(driver.find_machine(spec.id).media) == {"Cd": str(medium.path)}

    # --- disks -------------------------------------------------------------------------------------------------------

    @needs(Capability.HOST_STORAGE)
    def test_a_machine_has_its_disks_and_leaves_them_behind(
        self, driver: Any, machine_spec: SpecFactory, pool: str
    ) -> None:
        spec = machine_spec(disks=(self._disk(driver, pool, "root"), self._disk(driver, pool, "data")))
        assert driver.define_machine(spec).disk_ids == ("root", "data")
        assert driver.start_machine(spec.id).disk_ids == ("root", "data")
        driver.power_off_machine(spec.id)
        driver.remove_machine(spec.id)
        assert {volume.name for volume in driver.list_volumes(pool)} == {"root", "data"}

    @needs(Capability.HOST_STORAGE)
    def test_a_machine_whose_disk_is_absent_does_not_start(
        self, driver: Any, machine_spec: SpecFactory, pool: str
    ) -> None:
        spec = machine_spec(disks=(self._disk(driver, pool, "root"),))
        driver.define_machine(spec)
        driver.delete_volume(pool, "root")
        with pytest.raises(HawkFishError):
            driver.start_machine(spec.id)
        assert driver.find_machine(spec.id).power_state is PowerState.OFF

    @needs(Capability.DISK_HOTPLUG, Capability.HOST_STORAGE)
    @pytest.mark.parametrize("running", [False, True], ids=["off", "running"])
    def test_a_disk_is_attached_twice_as_once(
        self, driver: Any, machine_spec: SpecFactory, pool: str, running: bool
    ) -> None:
        disk = self._disk(driver, pool)
        spec = machine_spec()
        driver.define_machine(spec)
        if running:
            driver.start_machine(spec.id)
        for _ in range(2):
            driver.attach_disk(spec.id, disk)
            assert driver.find_machine(spec.id).disk_ids == ("data",)
        driver.power_off_machine(spec.id)
        assert driver.find_machine(spec.id).disk_ids == ("data",)

    @needs(Capability.DISK_HOTPLUG, Capability.HOST_STORAGE)
    def test_a_disk_of_a_machine_that_is_off_is_detached(
        self, driver: Any, machine_spec: SpecFactory, pool: str
    ) -> None:
        spec = machine_spec(disks=(self._disk(driver, pool),))
        driver.define_machine(spec)
        for _ in range(2):
            driver.detach_disk(spec.id, "data", 10.0)
            assert driver.find_machine(spec.id).disk_ids == ()
        assert driver.find_volume(pool, "data") is not None

    @needs(Capability.DISK_HOTPLUG, Capability.HOST_STORAGE)
    def test_a_disk_that_the_guest_keeps_is_kept(
        self, driver: Any, machine_spec: SpecFactory, pool: str, boots_guest: bool
    ) -> None:
        spec = machine_spec(disks=(self._disk(driver, pool),))
        driver.define_machine(spec)
        driver.start_machine(spec.id)
        if not boots_guest:
            with pytest.raises(BackendTimeout):
                driver.detach_disk(spec.id, "data", 1.0)
            assert driver.find_machine(spec.id).disk_ids == ("data",)
        driver.power_off_machine(spec.id)
        assert driver.find_machine(spec.id).disk_ids == ("data",)

    @needs(Capability.DISK_HOTPLUG, Capability.HOST_STORAGE)
    def test_a_disk_in_use_grows_and_never_shrinks(self, driver: Any, machine_spec: SpecFactory, pool: str) -> None:
        spec = machine_spec(disks=(self._disk(driver, pool),))
        driver.define_machine(spec)
        driver.start_machine(spec.id)
        for _ in range(2):
            driver.resize_attached_disk(spec.id, "data", 16 * MIB)
        with pytest.raises(HawkFishError):
            driver.resize_attached_disk(spec.id, "data", 8 * MIB)
        driver.power_off_machine(spec.id)
        assert driver.find_volume(pool, "data").capacity_bytes == 16 * MIB

    # --- events ------------------------------------------------------------------------------------------------------

    @needs(Capability.EVENTS)
    def test_a_life_is_reported(self, driver: Any, machine_spec: SpecFactory) -> None:
        seen: list[MachineEvent] = []
        unsubscribe = driver.subscribe(seen.append)
        spec = machine_spec()

        def kinds() -> list[MachineEventKind]:
            return [event.kind for event in seen if event.machine_id == spec.id]

        driver.define_machine(spec)
        wait_until(lambda: MachineEventKind.DEFINED in kinds(), "DEFINED", self.EVENT_SECONDS)
        driver.start_machine(spec.id)
        wait_until(lambda: MachineEventKind.STARTED in kinds(), "STARTED", self.EVENT_SECONDS)
        driver.power_off_machine(spec.id)
        wait_until(lambda: MachineEventKind.STOPPED in kinds(), "STOPPED", self.EVENT_SECONDS)
        driver.remove_machine(spec.id)
        wait_until(lambda: MachineEventKind.UNDEFINED in kinds(), "UNDEFINED", self.EVENT_SECONDS)
        order = [
            MachineEventKind.DEFINED,
            MachineEventKind.STARTED,
            MachineEventKind.STOPPED,
            MachineEventKind.UNDEFINED,
        ]
        assert [kind for kind in kinds() if kind in order] == order
        assert all(event.at.tzinfo is not None for event in seen)
        unsubscribe()
        unsubscribe()

    @needs(Capability.EVENTS)
    def test_listeners_are_called_from_another_thread_and_may_call_the_driver(
        self, driver: Any, machine_spec: SpecFactory
    ) -> None:
        spec = machine_spec()
        heard = threading.Event()
        threads: set[int] = set()

        def broken(event: MachineEvent) -> None:
            raise ValueError(f"a listener that fails on {event.kind}")

        def listener(event: MachineEvent) -> None:
            if event.machine_id == spec.id and driver.find_machine(spec.id) is not None:
                threads.add(threading.get_ident())
                heard.set()

        stop_broken, stop = driver.subscribe(broken), driver.subscribe(listener)
        driver.define_machine(spec)
        assert heard.wait(self.EVENT_SECONDS), "a listener behind one that fails hears too"
        assert threading.get_ident() not in threads
        stop_broken()
        stop()

    @needs(Capability.EVENTS)
    def test_what_another_does_is_reported(
        self, driver: Any, machine_spec: SpecFactory, new_driver: Callable[..., Any]
    ) -> None:
        spec = machine_spec()
        driver.define_machine(spec)
        seen: list[MachineEvent] = []
        unsubscribe = driver.subscribe(seen.append)
        new_driver().start_machine(spec.id)
        wait_until(
            lambda: [event for event in seen if (event.machine_id, event.kind) == (spec.id, MachineEventKind.STARTED)],
            "STARTED by another driver",
            self.EVENT_SECONDS,
        )
        unsubscribe()
