"""A guest lives on while something is done to its machine: it ends, falls asleep or opens its drive, and others act on it too.

What happens happens here right before libvirt is asked for something. Ends are those of a crash, of which libvirt hears within the
answer, and where libvirt would not ask QEMU, those that it makes itself.
"""

import time

import pytest
from hawkfish_libvirt.guest import Guest

from hawkfish.domain.machines import DiskSpec, DriveKind, DriveSpec, MachineEventKind, PowerState
from hawkfish.domain.storage import VolumeFormat
from hawkfish.errors import Conflict
from hawkfish.testing.waiting import wait_until
from hawkfish_libvirt import disks
from tests.libvirt.conftest import BOOT_SECONDS, kill_machine, upload, wait_for_state
from tests.support.iso import iso

pytestmark = [pytest.mark.needs_libvirt, pytest.mark.timeout(300)]

SLEEPS = bytes((0xFA, 0xBA, 0x04, 0x06, 0xB8, 0x00, 0x24, 0xEF, 0xF4, 0xEB, 0xFD))
"""cli; mov dx, 0x604 (ACPI's PM1 control); mov ax, 0x2400 (sleep, S3); out dx, ax; hlt, for good."""

PAUSED = MachineEventKind.PAUSED

OPEN_TRAY = '{"execute": "blockdev-open-tray", "arguments": {"id": "ua-Cd"}}'


@pytest.fixture
def before(monkeypatch):
    """A callable that has something done right before a method of the guest's."""

    def have(method, act):
        original = getattr(Guest, method)

        def wrapped(*arguments, **given):
            monkeypatch.setattr(Guest, method, original)
            act()
            return original(*arguments, **given)

        monkeypatch.setattr(Guest, method, wrapped)

    return have


@pytest.fixture
def media(driver, pool, tmp_path):
    def new(label):
        (tmp_path / label).write_bytes(iso(label))
        return upload(driver, pool, label, tmp_path / label)

    return new("ONE"), new("TWO")


@pytest.fixture
def machine(driver, new_machine):
    """One that runs, with nothing in it."""
    drives = (DriveSpec(id="Cd"), DriveSpec(id="Usb", kind=DriveKind.USB))
    spec = new_machine(drives=drives, graphics=True, memory_mib=32)
    driver.start_machine(spec.id)
    return spec


def new_disk(driver, pool, tmp_path, content=b"", name="data"):
    (tmp_path / name).write_bytes(content.ljust(510, b"\0") + b"\x55\xaa" + bytes(2**20 - 512))
    return DiskSpec(id=name, connection=upload(driver, pool, name, tmp_path / name), format=VolumeFormat.RAW)


def test_a_drive_has_its_medium_though_the_machine_ends_within_the_change(driver, libvirt_host, machine, media, before):
    for drive, method in (("Cd", "update_drive"), ("Usb", "attach")):
        before(method, lambda: kill_machine(libvirt_host, machine))
        driver.change_medium(machine.id, drive, media[0])
        wait_for_state(driver, machine, PowerState.OFF)
        driver.start_machine(machine.id)
        assert dict(driver.find_machine(machine.id).media)[drive] == str(media[0].path)
    before("detach", lambda: kill_machine(libvirt_host, machine))
    driver.change_medium(machine.id, "Usb", None)
    assert driver.find_machine(machine.id).media == (("Cd", str(media[0].path)), ("Usb", None))


def test_a_disk_comes_and_goes_though_the_machine_ends_within_that(  # noqa: PLR0917  fixtures
    driver, libvirt_host, machine, pool, tmp_path, before, monkeypatch
):
    disk = new_disk(driver, pool, tmp_path)
    before("attach", lambda: kill_machine(libvirt_host, machine))
    driver.attach_disk(machine.id, disk)
    wait_for_state(driver, machine, PowerState.OFF)
    driver.start_machine(machine.id)
    assert driver.find_machine(machine.id).disk_ids == ("data",)
    asked = Guest.detach

    def detach(guest, disk, *, live):
        """A guest that boots does not hear that; one that is asked again goes off."""
        monkeypatch.setattr(Guest, "detach", asked)
        before("detach", lambda: kill_machine(libvirt_host, machine))

    monkeypatch.setattr(Guest, "detach", detach)
    monkeypatch.setattr(disks, "_ASK_AGAIN_SECONDS", 0.1)
    began = time.monotonic()
    driver.detach_disk(machine.id, "data", BOOT_SECONDS)
    assert time.monotonic() - began < BOOT_SECONDS / 2, "nothing lets go of a disk any more"
    assert driver.find_machine(machine.id).disk_ids == ()


def test_a_definition_changes_and_a_start_is_one_though_the_machine_ends_at_once(driver, libvirt_host, machine, before):
    before("stamp_running", lambda: libvirt_host.virsh("destroy", machine.name))
    assert driver.define_machine(machine).power_state is PowerState.OFF
    before("write_run", lambda: libvirt_host.virsh("destroy", machine.name))
    assert driver.start_machine(machine.id).power_state is PowerState.OFF


def test_what_needs_a_running_machine_says_that_it_is_off(driver, libvirt_host, machine, before):
    for method, act in (("reset", driver.reset_machine), ("screenshot", driver.take_screenshot)):
        before(method, lambda: kill_machine(libvirt_host, machine))
        with pytest.raises(Conflict, match=r"it is off\. Start it first\."):
            act(machine.id)
        wait_for_state(driver, machine, PowerState.OFF)
        driver.start_machine(machine.id)
    before("shut_down", lambda: kill_machine(libvirt_host, machine))
    driver.request_shutdown(machine.id)


def test_a_machine_that_somebody_starts_meanwhile_is_started(driver, libvirt_host, machine, before):
    driver.power_off_machine(machine.id)
    before("start_from", lambda: libvirt_host.virsh("start", machine.name))
    assert driver.start_machine(machine.id).power_state is PowerState.ON


def test_what_is_seen_is_of_one_moment(driver, libvirt_host, machine, monkeypatch):
    live = Guest.live
    runs = driver.find_machine(machine.id).run_id

    def look(meanwhile):
        with monkeypatch.context() as patch:
            patch.setattr(Guest, "live", lambda guest: (live(guest), meanwhile())[0])
            seen = driver.find_machine(machine.id)
        return seen.power_state, seen.run_id

    assert look(lambda: libvirt_host.virsh("destroy", machine.name)) == (PowerState.OFF, None)
    assert look(lambda: libvirt_host.virsh("start", machine.name)) == (PowerState.OFF, None)
    now = driver.find_machine(machine.id)
    assert now.power_state is PowerState.ON
    assert now.run_id not in {None, runs}


def test_a_guest_that_sleeps_is_woken_by_resume(driver, pool, new_machine, tmp_path):
    kinds = []
    driver.subscribe(lambda event: kinds.append(event.kind))
    spec = new_machine(disks=(new_disk(driver, pool, tmp_path, SLEEPS),), memory_mib=32)
    driver.start_machine(spec.id)
    wait_until(lambda: kinds.count(PAUSED) == 2, "it sleeps; it was started paused", BOOT_SECONDS)
    driver.pause_machine(spec.id)  # it is so already
    driver.resume_machine(spec.id)
    wait_until(
        lambda: kinds.count(PAUSED) == 3, "it goes on: firmware starts it anew, and it sleeps again", BOOT_SECONDS
    )


def test_a_medium_that_the_guest_has_ejected_is_put_in_again(driver, libvirt_host, machine, media):
    driver.change_medium(machine.id, "Cd", media[0])
    libvirt_host.virsh("qemu-monitor-command", machine.name, OPEN_TRAY)
    driver.change_medium(machine.id, "Cd", media[0])
    assert "tray closed" in libvirt_host.virsh("qemu-monitor-command", "--hmp", machine.name, "info block")
