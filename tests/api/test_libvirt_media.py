"""A real machine's drive: what is inserted and ejected over Redfish is seen by the guest that runs, and by the next start."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from falcon.testing import TestClient

from hawkfish.api.app import create_app
from hawkfish.bootstrap import Application
from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.testing.waiting import wait_until
from tests.api.installation import PASSWORD, START_SECONDS, Api, prepare, running_worker
from tests.support.file_server import FileServer, Plan
from tests.support.guest import guest_folder, why_not
from tests.support.iso import iso
from tests.support.libvirt_host import LibvirtHostBed

pytestmark = [pytest.mark.needs_libvirt, pytest.mark.timeout(900)]

BOOT_SECONDS = 240.0
KERNEL = "linux-image-amd64"


@pytest.fixture(scope="module")
def guest() -> Path:
    """A guest that sees CDs."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    return guest_folder(KERNEL) / "guest.iso"


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, libvirt_host: LibvirtHostBed, guest: Path) -> Iterator[Api]:
    """The API with a libvirt host."""
    folder = tmp_path_factory.mktemp("media")
    (folder / "images").mkdir()
    shutil.copyfile(guest, folder / "images" / "guest.img")
    settings = prepare(folder, sync_wait_ms=60_000, tls=False)
    with running_worker(settings):
        application = Application.open(settings)
        try:
            accepted = application.hosts.add(
                SYSTEM_ACTOR,
                "real",
                "libvirt",
                libvirt_host.uri,
                settings={"virt_type": "qemu", "data_dir": str(libvirt_host.data)},
                pool_path=str(libvirt_host.data / "media-test-pool"),
            )
            assert accepted.task is not None
            task = application.tasks.wait(SYSTEM_ACTOR, accepted.task.id, START_SECONDS)
            assert task.state == "Completed", task.error
            yield Api(application, TestClient(create_app(application))).login("admin", PASSWORD)
        finally:
            application.close()


@pytest.fixture
def system(real: Api, request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """A running guest."""
    firmware = getattr(request, "param", "BIOS")
    body = {"Name": "viewer", "CPU": 1, "MemoryMiB": 384, "Firmware": firmware, "Disks": [{"Image": "guest.img"}]}
    answer = real.finish(real.post("/redfish/v1/Systems", {**body, "PowerOn": True}))
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json
    yield made
    real.finish(real.post(f"{made['@odata.id']}/Actions/ComputerSystem.Reset", {"ResetType": "ForceOff"}))
    assert real.finish(real.delete(made["@odata.id"])).status_code == 204


def test_the_guest_sees_what_is_inserted_and_ejected(
    real: Api, system: dict[str, Any], libvirt_host: LibvirtHostBed
) -> None:
    drive = f"{system['@odata.id']}/VirtualMedia/Cd"

    def act(action: str, body: dict[str, Any]) -> None:
        answer = real.finish(real.post(f"{drive}/Actions/VirtualMedia.{action}", body))
        assert answer.status_code == 204, answer.text

    def seen() -> list[str]:
        log = real.serial_log(system["@odata.id"])
        return [line.removeprefix("MEDIUM ").strip() for line in log.splitlines() if line.startswith("MEDIUM ")]

    def sources() -> list[str | None]:
        """What libvirt says is in the drive, of the running machine and of its definition."""
        found = []
        for option in ((), ("--inactive",)):
            root = ET.fromstring(libvirt_host.virsh("dumpxml", *option, system["Id"]))
            disk = root.find("devices/disk[@device='cdrom']")
            assert disk is not None
            driver, source = disk.find("driver"), disk.find("source")
            assert driver is not None
            assert driver.get("type") == "raw", "never inspected"
            found.append(None if source is None else source.get("file"))
        return found

    with FileServer() as server:
        server.plans["/one.iso"] = Plan(iso("ONE"), etag='"1"')
        server.plans["/two.iso"] = Plan(iso("TWO", 1 << 20))
        act("InsertMedia", {"Image": server.url("/one.iso")})
        wait_until(lambda: seen()[-1:] == ["ONE"], "the guest sees the first image", BOOT_SECONDS)
        live, defined = sources()
        assert live == defined is not None
        act("EjectMedia", {})
        wait_until(lambda: seen()[-1:] == ["none"], "the guest sees that it is gone", BOOT_SECONDS)
        assert sources() == [None, None]
        server.plans["/one.iso"] = Plan(iso("NEW"), etag='"2"')
        act("InsertMedia", {"Image": server.url("/two.iso")})
        wait_until(lambda: seen()[-1:] == ["TWO"], "the guest sees the second image", BOOT_SECONDS)
        act("EjectMedia", {})
        act("InsertMedia", {"Image": server.url("/one.iso")})
        wait_until(lambda: seen()[-1:] == ["NEW"], "the guest sees what is new behind the old address", BOOT_SECONDS)
    boots = real.serial_log(system["@odata.id"]).count("GUEST-READY")
    assert boots == 1, "the power was left alone"
    libvirt_host.virsh("change-media", system["Id"], "sda", "--eject", "--live", "--config", "--force")
    wait_until(lambda: real.get(drive).json["Inserted"] is False, "what virsh does is shown", BOOT_SECONDS)


@pytest.mark.slow
@pytest.mark.parametrize("system", ["UEFI"], indirect=True)
def test_a_stick_is_seen_by_the_guest_and_booted_from_once(
    real: Api, system: dict[str, Any], installer_iso: Path
) -> None:
    address = system["@odata.id"]

    def act(target: str, body: dict[str, Any]) -> None:
        answer = real.finish(real.post(f"{address}/{target}", body))
        assert answer.status_code == 204, answer.text

    def said(word: str) -> list[str]:
        *lines, _unfinished = real.serial_log(address).split("\n")
        return [line for line in lines if line.startswith(word)]

    def has_stick() -> bool:
        return any("sda" in line for line in said("DISKS ")[-1:])

    insert, eject = (f"VirtualMedia/Usb/Actions/VirtualMedia.{action}Media" for action in ("Insert", "Eject"))
    with FileServer() as server:
        server.plans["/installer.img"] = Plan(installer_iso.read_bytes(), etag='"1"')
        wait_until(lambda: said("DISKS "), "the guest is up", BOOT_SECONDS)
        assert not has_stick(), "a stick without a medium is not there"
        act(insert, {"Image": server.url("/installer.img")})
        wait_until(has_stick, "the guest sees the stick", BOOT_SECONDS)
        act(eject, {})
        wait_until(lambda: not has_stick(), "the guest sees that it is gone", BOOT_SECONDS)
        act(insert, {"Image": server.url("/installer.img")})
    once = {"Boot": {"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Usb"}}
    assert real.patch(address, once).status_code == 200
    act("Actions/ComputerSystem.Reset", {"ResetType": "ForceRestart"})
    wait_until(lambda: len(said("BOOTED by ")) == 3, "the installer has rebooted by itself", 2 * BOOT_SECONDS)
    assert ["hf.reboot" in line for line in said("BOOTED by ")] == [False, True, False]
