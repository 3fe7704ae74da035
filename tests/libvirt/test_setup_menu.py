"""Starts into the set-up menu of UEFI that die on the way, on a real host: what they leave is finished, or taken back."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hawkfish_libvirt.guest import Guest
from hawkfish_libvirt.uefi_variables import request_setup

from hawkfish.domain.machines import BootDevice, Firmware, FirmwareSetup, PowerState, StartOptions
from hawkfish.errors import BackendError, Conflict, HawkFishError
from hawkfish_libvirt import boot, setup_menu

pytestmark = pytest.mark.needs_libvirt

MENU = StartOptions(boot_first=BootDevice.SETUP)


def variables(host, spec):
    """The file of a machine's variables."""
    return Path(f"/proc/{host.pid}/root/var/lib/libvirt/qemu/nvram/{spec.name}_VARS.fd")


def asks(host, spec):
    """Whether a machine's variables ask for the menu."""
    return request_setup(variables(host, spec).read_bytes(), wanted=True) is None


class Killed(BaseException):
    """The process ends here."""


STEPS = {
    "variables made": (Guest, "power_off"),
    "definition marked": (setup_menu, "_mark"),
    "variables changed": (setup_menu, "write_at"),
    "started": (boot, "_let_run"),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "after", "goes_on"),
    [
        ("variables made", False, True),
        ("variables made", True, False),
        ("definition marked", True, False),
        ("variables changed", False, True),
        ("variables changed", True, False),
        ("started", False, False),
    ],
)
def test_a_start_that_dies_on_the_way_is_finished_or_taken_back(  # noqa: PLR0917  fixtures
    driver, libvirt_host, new_machine, monkeypatch, step, after, goes_on
):
    spec = new_machine(firmware=Firmware.UEFI, setup=FirmwareSetup(secure_boot=driver.probe().secure_boot))
    defined = driver.find_machine(spec.id)
    holder, name = STEPS[step]
    function = getattr(holder, name)

    def dies(*arguments, **options):
        if after:
            function(*arguments, **options)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(holder, name, dies)
        with pytest.raises(Killed):
            driver.start_machine(spec.id, MENU)
    left = driver.find_machine(spec.id)
    assert left.power_state is PowerState.OFF or step == "started"
    if step == "started":
        driver.power_off_machine(spec.id)
    assert driver.find_machine(spec.id) == defined
    monkeypatch.setattr(
        boot, "_let_run", lambda *_: None
    )  # firmware does not run, so that what it finds can be looked at
    driver.start_machine(spec.id, MENU if goes_on else None)
    assert asks(libvirt_host, spec) is goes_on
    assert ("asks-for-setup" in libvirt_host.virsh("dumpxml", "--inactive", spec.name)) is goes_on


@pytest.mark.slow
def test_what_died_while_variables_were_made_can_be_removed(driver, libvirt_host, new_machine, monkeypatch):
    spec = new_machine(firmware=Firmware.UEFI)

    def dies(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Guest, "power_off", dies)
        with pytest.raises(Killed):
            driver.start_machine(spec.id, MENU)
    assert spec.name in libvirt_host.virsh("list", "--name")
    assert driver.find_machine(spec.id).run_id is None
    with pytest.raises(Conflict):
        driver.resume_machine(spec.id)
    driver.remove_machine(spec.id)
    assert spec.name not in libvirt_host.virsh("list", "--all", "--name")
    assert not variables(libvirt_host, spec).exists()


@pytest.mark.slow
def test_variables_that_were_replaced_keep_no_machine_from_starting(driver, libvirt_host, new_machine, monkeypatch):
    spec = new_machine(firmware=Firmware.UEFI)
    monkeypatch.setattr(boot, "_let_run", lambda *_: None)
    driver.start_machine(spec.id, MENU)
    driver.power_off_machine(spec.id)
    file = variables(libvirt_host, spec)
    file.write_bytes(bytes(file.stat().st_size))
    with pytest.raises(BackendError, match="no firmware volume"):
        driver.start_machine(spec.id, MENU)
    assert spec.name not in libvirt_host.virsh("list", "--name")
    driver.start_machine(spec.id)
    assert spec.name in libvirt_host.virsh("list", "--name")
    assert "asks-for-setup" not in libvirt_host.virsh("dumpxml", "--inactive", spec.name)


@pytest.mark.slow
def test_storage_that_hangs_keeps_no_machine_waiting(driver, new_machine, monkeypatch):
    waiting, goes_on = threading.Semaphore(0), threading.Event()

    def hangs(*_):
        waiting.release()
        goes_on.wait(30)

    monkeypatch.setattr(setup_menu, "_volume", hangs)
    specs = [new_machine(firmware=Firmware.UEFI) for _ in range(4)]  # as many calls as a connection takes
    with ThreadPoolExecutor(len(specs)) as pool:
        starts = [pool.submit(driver.start_machine, spec.id, MENU) for spec in specs]
        try:
            assert waiting.acquire(timeout=30)
            assert all(driver.find_machine(spec.id).power_state is PowerState.OFF for spec in specs)
        finally:
            goes_on.set()
        for start in starts:
            with pytest.raises(HawkFishError):
                start.result(60)


@pytest.mark.slow
def test_a_run_that_is_not_its_own_is_left_alone(driver, libvirt_host, new_machine, monkeypatch):
    """Somebody else ends the preparation and starts the machine in the same moment."""
    spec = new_machine(firmware=Firmware.UEFI)
    end_preparation, prepared = Guest.end_preparation, []

    def overtaken(guest):
        if guest.is_active and not prepared:
            prepared.append(spec.id)
            libvirt_host.virsh("destroy", spec.name)
            libvirt_host.virsh("start", spec.name)
        end_preparation(guest)

    monkeypatch.setattr(Guest, "end_preparation", overtaken)
    with pytest.raises(Conflict, match="started by somebody else"):
        driver.start_machine(spec.id, MENU)
    assert prepared
    assert spec.name in libvirt_host.virsh("list", "--name")
    assert not asks(libvirt_host, spec)
