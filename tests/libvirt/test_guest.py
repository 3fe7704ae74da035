"""A guest that really runs: it boots, speaks, is seen, obeys and goes."""

import io
from pathlib import PurePosixPath

import pytest
from PIL import Image

from hawkfish.domain.machines import (
    BootDevice,
    DiskSpec,
    DriveSpec,
    Firmware,
    MachineEventKind,
    PowerState,
    StartOptions,
)
from hawkfish.domain.storage import FilePath, VolumeSpec
from hawkfish.testing.waiting import wait_until
from hawkfish_libvirt import boot
from tests.libvirt.conftest import BOOT_SECONDS, serial, wait_for_guest, wait_for_state

pytestmark = [pytest.mark.needs_libvirt, pytest.mark.timeout(900)]  # several boots, on a machine that may be busy

FIRMWARES = pytest.mark.parametrize("firmware", list(Firmware))


@FIRMWARES
def test_the_life_of_a_guest(driver, new_machine, guest_disk, firmware):
    events = []
    driver.subscribe(events.append)
    spec = new_machine(firmware=firmware, disks=(guest_disk,))
    assert driver.find_machine(spec.id).firmware is firmware

    run_id = driver.start_machine(spec.id).run_id
    wait_for_guest(driver, spec)
    wait_until(lambda: b"DISKS vda:" in serial(driver, spec), "the guest naming its disk", BOOT_SECONDS)
    with Image.open(io.BytesIO(driver.take_screenshot(spec.id).data)) as picture:
        picture.load()
        assert len(picture.convert("RGB").getcolors(2**24)) > 1, "something is written on the screen"

    driver.pause_machine(spec.id)
    still = serial(driver, spec)
    driver.send_nmi(spec.id)
    assert serial(driver, spec) == still, "a paused guest says nothing"
    driver.resume_machine(spec.id)
    wait_until(lambda: len(serial(driver, spec)) > len(still), "the guest going on", BOOT_SECONDS)

    driver.reset_machine(spec.id)
    wait_for_guest(driver, spec, times=2)
    assert driver.find_machine(spec.id).run_id == run_id

    # The guest listens to its power button a moment after it says that it is ready.
    wait_until(
        lambda: b"tick 1" in serial(driver, spec).rpartition(b"GUEST-READY")[2], "the guest settling", BOOT_SECONDS
    )
    driver.request_shutdown(spec.id)
    wait_for_state(driver, spec, PowerState.OFF)
    assert b"POWER BUTTON" in serial(driver, spec)
    wait_until(lambda: MachineEventKind.STOPPED in {event.kind for event in events}, "STOPPED")
    assert MachineEventKind.REBOOTED in {event.kind for event in events}

    driver.remove_machine(spec.id)
    assert driver.find_machine(spec.id) is None


def test_a_continuous_override_holds_through_a_reset_and_not_through_a_power_cycle(
    driver, new_machine, guest_disk, medium
):
    spec = new_machine(disks=(guest_disk,), drives=(DriveSpec(medium=medium),))
    driver.start_machine(spec.id, StartOptions(boot_first=BootDevice.CD, once=False))
    first = wait_for_guest(driver, spec)
    driver.reset_machine(spec.id)
    both = wait_for_guest(driver, spec, times=2)
    assert both.count(b"CD-BOOT") == 2 * first.count(b"CD-BOOT") > 0
    driver.power_off_machine(spec.id)
    driver.start_machine(spec.id)
    assert wait_for_guest(driver, spec, times=3).count(b"CD-BOOT") == both.count(b"CD-BOOT")


def test_a_start_that_was_cut_short_is_finished_by_the_next(driver, new_machine, guest_disk, medium, monkeypatch):
    spec = new_machine(disks=(guest_disk,), drives=(DriveSpec(medium=medium),))

    def dies(*_arguments):
        raise RuntimeError("killed here")

    with monkeypatch.context() as patch:
        patch.setattr(boot, "set_order", dies)
        with pytest.raises(RuntimeError):
            driver.start_machine(spec.id, StartOptions(boot_first=BootDevice.CD))
    assert driver.find_machine(spec.id).power_state is PowerState.PAUSED, "nothing ran with an order that stays"

    driver.start_machine(spec.id, StartOptions(boot_first=BootDevice.CD))
    first = wait_for_guest(driver, spec)
    assert b"CD-BOOT" in first
    driver.reset_machine(spec.id)
    assert b"CD-BOOT" not in wait_for_guest(driver, spec, times=2)[len(first) :]


def test_a_plain_start_that_was_cut_short_is_finished_by_the_next(driver, new_machine, guest_disk, monkeypatch):
    spec = new_machine(disks=(guest_disk,))

    def dies(*_arguments):
        raise RuntimeError("killed here")

    with monkeypatch.context() as patch:
        patch.setattr(boot.Guest, "resume", dies)
        with pytest.raises(RuntimeError):
            driver.start_machine(spec.id)
    interrupted = driver.find_machine(spec.id)
    assert interrupted.power_state is PowerState.PAUSED
    finished = driver.start_machine(spec.id)
    assert (finished.power_state, finished.run_id) == (PowerState.ON, interrupted.run_id)
    wait_for_guest(driver, spec)


@pytest.mark.parametrize("options", [None, StartOptions(boot_first=BootDevice.CD)])
def test_a_machine_paused_by_its_user_is_not_woken_by_a_start(driver, new_machine, options):
    spec = new_machine()
    driver.start_machine(spec.id, options)
    driver.pause_machine(spec.id)
    assert driver.start_machine(spec.id).power_state is PowerState.PAUSED


@FIRMWARES
def test_a_disk_comes_grows_and_goes_while_the_guest_runs(driver, new_machine, guest_disk, pool, firmware):
    spec = new_machine(firmware=firmware, disks=(guest_disk,))
    driver.start_machine(spec.id)
    wait_for_guest(driver, spec)
    facts = driver.create_volume(pool, VolumeSpec(name="data", capacity_bytes=8 * 2**20))
    data = DiskSpec(id="data", connection=FilePath(path=PurePosixPath(facts.path)))

    def guest_says(words):
        wait_until(lambda: serial(driver, spec).rpartition(b"DISKS")[2].count(words), words, BOOT_SECONDS)

    for _ in range(2):
        driver.attach_disk(spec.id, data)
    guest_says(b"vdb:8192 ")
    driver.resize_attached_disk(spec.id, "data", 16 * 2**20)
    guest_says(b"vdb:16384 ")
    assert driver.find_machine(spec.id).disk_ids == ("root", "data")
    for _ in range(2):
        driver.detach_disk(spec.id, "data", BOOT_SECONDS)
    assert driver.find_machine(spec.id).disk_ids == ("root",)
    wait_until(lambda: b"vdb" not in serial(driver, spec).rpartition(b"DISKS")[2], "the disk's going", BOOT_SECONDS)
    driver.attach_disk(spec.id, data)
    guest_says(b"vdb:16384 ")
    driver.power_off_machine(spec.id)
    assert driver.find_machine(spec.id).disk_ids == ("root", "data")
