"""A drive whose medium changes while the guest reads it."""

import pytest

from hawkfish.domain.machines import DiskSpec, DriveSpec
from hawkfish.domain.storage import VolumeFormat
from hawkfish.testing.waiting import wait_until
from tests.libvirt.conftest import BOOT_SECONDS, serial, upload, wait_for_guest
from tests.support.guest import guest_folder, make_iso, why_not
from tests.support.iso import iso

pytestmark = [pytest.mark.needs_libvirt, pytest.mark.timeout(900)]

ROUNDS = 30
"""Without another attempt, one change in twenty fails."""


def test_a_guest_that_always_reads_the_drive_does_not_keep_a_medium_out(driver, pool, new_machine, tmp_path):
    reason = why_not()
    if reason:
        pytest.skip(reason)
    image = make_iso(guest_folder("linux-image-amd64") / "guest.iso", tmp_path, "hf.reader")
    media = []
    for label in ("ONE", "TWO"):
        (tmp_path / label).write_bytes(iso(label))
        media.append(upload(driver, pool, label, tmp_path / label))
    root = DiskSpec(id="root", connection=upload(driver, pool, "root", image), format=VolumeFormat.RAW)
    spec = new_machine(disks=(root,), drives=(DriveSpec(id="Cd"),), memory_mib=384)
    driver.start_machine(spec.id)
    wait_for_guest(driver, spec)
    wait_until(lambda: b"tick" in serial(driver, spec), "the guest reading its drive", BOOT_SECONDS)
    for medium in (*media, None) * ROUNDS:
        driver.change_medium(spec.id, "Cd", medium)
    driver.change_medium(spec.id, "Cd", media[1])
    wait_until(lambda: serial(driver, spec).rpartition(b"MEDIUM ")[2].startswith(b"TWO"), "the last one", BOOT_SECONDS)
