"""Systems made from an uploaded image on a real host: the bytes of their disks, and the one copy that they come from."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hawkfish.testing.volumes import assert_content
from hawkfish.testing.waiting import wait_until
from tests.api.installation import GIB, Api, add_libvirt_host, opened, prepare, running_worker
from tests.support.guest import READY
from tests.support.libvirt_host import LibvirtHostBed

pytestmark = [pytest.mark.needs_libvirt, pytest.mark.timeout(900)]

IMAGES = "/redfish/v1/Oem/HawkFish/Images"
BOOT_SECONDS = 240.0


@pytest.fixture(scope="module")
def pool(libvirt_host: LibvirtHostBed) -> Path:
    """The folder of the host's pool."""
    return libvirt_host.data / "image-pool"


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, libvirt_host: LibvirtHostBed, pool: Path) -> Iterator[Api]:
    """The API with a libvirt host."""
    settings = prepare(tmp_path_factory.mktemp("real-images"), sync_wait_ms=60_000, tls=False)
    with running_worker(settings), opened(settings) as api:
        add_libvirt_host(api.application, libvirt_host, pool)
        yield api


def uploaded(api: Api, name: str, file: Path) -> dict[str, Any]:
    image = api.post(IMAGES, {"Name": name}).json
    filled = api.client.simulate_put(image["ContentURI"], body=file.read_bytes(), headers=api.headers)
    assert filled.status_code == 200, filled.text
    found: dict[str, Any] = filled.json
    return found


def made(api: Api, name: str, image: str, **more: Any) -> dict[str, Any]:
    body = {"Name": name, "CPU": 1, "MemoryMiB": 256, "Firmware": "BIOS", "ImageId": image, **more}
    answer = api.finish(api.post("/redfish/v1/Systems", body))
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json
    return found


def remove(api: Api, *addresses: str) -> None:
    for address in addresses:
        assert api.finish(api.delete(address)).status_code == 204


def disk_of(pool: Path, system: dict[str, Any]) -> Path:
    (disk,) = system["Oem"]["HawkFish"]["Disks"]
    return pool / str(disk["VolumeName"])


def copies(pool: Path) -> set[str]:
    return {path.name for path in pool.iterdir() if path.name.startswith("image-")}


def compare(one: Path, other: Path) -> None:
    """Has qemu-img compare what guests see of two images; what one is longer by must be zeroes."""
    done = subprocess.run(["qemu-img", "compare", "-U", one, other], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def qcow2(guest_iso: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The guest as qcow2."""
    path = tmp_path_factory.mktemp("guest") / "guest.qcow2"
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", guest_iso, path], check=True)
    return path


def test_a_system_of_an_uploaded_image_has_its_bytes_and_boots(real: Api, pool: Path, guest_iso: Path) -> None:
    image = uploaded(real, "guest-raw", guest_iso)
    system = made(real, "of-raw", "guest-raw")
    assert_content(disk_of(pool, system).read_bytes(), guest_iso.read_bytes())
    address = system["@odata.id"]
    reset = f"{address}/Actions/ComputerSystem.Reset"
    assert real.finish(real.post(reset, {"ResetType": "On"})).status_code == 204
    wait_until(lambda: READY.decode() in real.serial_log(address), "the guest being up", BOOT_SECONDS)
    # Its image and the copy may go: the disk of the running guest is whole by itself.
    remove(real, image["@odata.id"])
    assert copies(pool) == set()
    assert real.get(address).json["PowerState"] == "On"
    assert real.finish(real.post(reset, {"ResetType": "ForceOff"})).status_code == 204
    compare(disk_of(pool, system), guest_iso)
    remove(real, address)


def test_two_systems_of_one_image_cost_one_copy_and_pruning_harms_neither(real: Api, pool: Path, qcow2: Path) -> None:
    image = uploaded(real, "guest-qcow2", qcow2)
    systems = [made(real, "of-qcow2-1", "guest-qcow2"), made(real, "of-qcow2-2", "guest-qcow2", DiskGiB=1)]
    (copy,) = copies(pool)
    assert image["SHA256"] in copy
    inode, written = (pool / copy).stat().st_ino, (pool / copy).stat().st_mtime_ns
    third = made(real, "of-qcow2-3", "guest-qcow2")
    assert ((pool / copy).stat().st_ino, (pool / copy).stat().st_mtime_ns) == (inode, written)
    for system in (*systems, third):
        compare(disk_of(pool, system), qcow2)
    assert [system["Oem"]["HawkFish"]["Disks"][0]["CapacityBytes"] for system in systems] == [
        image["VirtualBytes"],
        GIB,
    ]
    prune = f"{IMAGES}/Actions/HawkFishImageCollection.Prune"
    assert real.finish(real.post(prune, {})).status_code == 204
    assert copies(pool) == {copy}, "the catalogue has its image"
    assert real.finish(real.post(prune, {"Copies": True})).status_code == 204
    assert copies(pool) == set()
    for system in systems:
        compare(disk_of(pool, system), qcow2)
    remove(real, *(system["@odata.id"] for system in (*systems, third)), image["@odata.id"])
    assert not any(disk_of(pool, system).exists() for system in (*systems, third))
