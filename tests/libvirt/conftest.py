"""Machines with the guest in them, on a real host."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from pathlib import PurePosixPath
from uuid import uuid4

import pytest

from hawkfish.domain.machines import DiskSpec, Firmware, MachineSpec, MachineStamp
from hawkfish.domain.storage import FilePath, PoolDefinition, PoolKind, VolumeFormat, VolumeSpec
from hawkfish.testing.waiting import wait_until
from tests.support.guest import READY
from tests.support.libvirt_host import INSTALLATION

BOOT_SECONDS = 240.0


@pytest.fixture
def driver(new_libvirt_driver):
    return new_libvirt_driver()


@pytest.fixture
def pool(driver, libvirt_host):
    """The name of a dir pool."""
    name = f"images-{uuid4().hex[:6]}"
    driver.define_pool(
        PoolDefinition(name=name, kind=PoolKind.DIRECTORY, target=PurePosixPath(libvirt_host.data / name))
    )
    driver.start_pool(name)
    yield name
    for volume in driver.list_volumes(name):
        driver.delete_volume(name, volume.name)
    driver.remove_pool(name)


@pytest.fixture
def guest_disk(driver, pool, guest_iso):
    """A disk whose content is the guest's image, which boots as a disk too."""
    return DiskSpec(id="root", connection=upload(driver, pool, "root", guest_iso), format=VolumeFormat.RAW)


@pytest.fixture
def medium(driver, pool, marked_iso):
    """That CD, on the host."""
    return upload(driver, pool, "marked", marked_iso)


def upload(driver, pool, name, path):
    """Makes a raw volume with a file's content."""
    size = path.stat().st_size
    facts = driver.create_volume(pool, VolumeSpec(name=name, capacity_bytes=size, format=VolumeFormat.RAW))
    with path.open("rb") as content:
        driver.upload_volume(pool, name, content, size)
    return FilePath(path=PurePosixPath(facts.path))


@pytest.fixture
def new_machine(driver):
    """A callable that defines a machine; all are destroyed after the test."""
    with ExitStack() as stack:

        def new(**changes):
            machine_id = uuid4()
            given = {
                "id": machine_id,
                "name": f"m-{machine_id.hex[:8]}",
                "vcpus": 1,
                "memory_mib": 256,
                "firmware": Firmware.BIOS,
                "stamp": MachineStamp(installation_id=INSTALLATION, task_id="task", epoch=1),
            }
            spec = MachineSpec(**given | changes)
            stack.callback(lambda: (driver.power_off_machine(spec.id), driver.remove_machine(spec.id)))
            driver.define_machine(spec)
            return spec

        yield new


def serial(driver, spec):
    """The whole serial log."""
    return driver.read_serial_log(spec.id, 0, 2**21)


def wait_for_guest(driver, spec, times=1):
    """Waits until the guest has come up so many times; gives the log."""
    wait_until(lambda: serial(driver, spec).count(READY) >= times, f"GUEST-READY number {times}", BOOT_SECONDS)
    return serial(driver, spec)


def wait_for_state(driver, spec, state, seconds=BOOT_SECONDS):
    """Waits until the machine is in a state."""
    wait_until(lambda: driver.find_machine(spec.id).power_state is state, f"power state {state}", seconds)


def kill_machine(libvirt_host, machine):
    """Ends the hypervisor's process of a machine, of which libvirt hears only by its end."""
    pid_file = libvirt_host.folder / libvirt_host.name / "run" / "qemu" / f"{machine.name}.pid"
    os.kill(int(pid_file.read_text()), signal.SIGKILL)
