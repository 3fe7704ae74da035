"""What a set-up of firmware does to a real guest: secure boot lets in what is signed, and processors are what was asked for."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace

import pytest

from hawkfish.domain.machines import DriveSpec, Firmware, FirmwareSetup, SecureBootKeys
from hawkfish.testing.waiting import wait_until
from tests.libvirt.conftest import BOOT_SECONDS, serial, upload
from tests.support.guest import READY
from tests.support.guest import SCRIPT as GUEST_SCRIPT

pytestmark = [pytest.mark.needs_libvirt, pytest.mark.slow, pytest.mark.timeout(900)]

SECURE = FirmwareSetup(secure_boot=True)
REFUSED = b"Access Denied"


@pytest.fixture(scope="session")
def signed_iso(guest_iso):
    """The guest on a CD whose loaders are signed; kept beside the guest."""
    made = guest_iso.with_name("signed.iso")
    if not made.exists():
        if shutil.which("apt-get") is None:
            pytest.skip("signed loaders are packages of Debian")
        making = made.with_suffix(".part")
        script = GUEST_SCRIPT.with_name("signed-guest")
        subprocess.run([script, guest_iso.parent, making], check=True, capture_output=True, timeout=120)
        making.rename(made)
    return made


def start(driver, spec, *words):
    """Starts the machine anew; gives what it says until all the words have been said."""
    driver.power_off_machine(spec.id)
    before = len(serial(driver, spec))
    driver.define_machine(spec)
    driver.start_machine(spec.id)
    wait_until(lambda: all(word in serial(driver, spec)[before:] for word in words), str(words), 2 * BOOT_SECONDS)
    return serial(driver, spec)[before:]


def test_secure_boot_lets_in_what_is_signed_and_nothing_else(driver, pool, new_machine, guest_iso, signed_iso):
    if not driver.probe().secure_boot:
        pytest.skip("the host has no firmware with secure boot (Debian: ovmf)")
    unsigned = DriveSpec(id="Cd", medium=upload(driver, pool, "unsigned", guest_iso))
    signed = DriveSpec(id="Cd", medium=upload(driver, pool, "signed", signed_iso))
    spec = new_machine(firmware=Firmware.UEFI, memory_mib=512, drives=(unsigned,))

    assert READY not in start(driver, replace(spec, setup=SECURE), REFUSED)
    named = next(name for name in ("Nehalem", "Penryn", "qemu64") if name in driver.probe().cpu_models)
    said = start(driver, replace(spec, drives=(signed,), setup=replace(SECURE, cpu_model=named)), READY)
    assert b"secureboot: Secure boot enabled" in said
    assert (named if named != "qemu64" else "QEMU Virtual CPU").encode() in said


@pytest.mark.parametrize(
    "setup",
    [FirmwareSetup(), replace(SECURE, secure_boot_keys=SecureBootKeys.NONE, keys_reset=1)],
    ids=["switched off", "without keys"],
)
def test_without_keys_or_without_secure_boot_everything_is_let_in(driver, pool, new_machine, guest_iso, setup):
    if not driver.probe().secure_boot:
        pytest.skip("the host has no firmware with secure boot (Debian: ovmf)")
    unsigned = DriveSpec(id="Cd", medium=upload(driver, pool, "unsigned", guest_iso))
    spec = new_machine(firmware=Firmware.UEFI, memory_mib=512, drives=(unsigned,), setup=SECURE)
    driver.start_machine(spec.id)  # its variables have keys from here on
    assert REFUSED not in start(driver, replace(spec, setup=setup), READY)
