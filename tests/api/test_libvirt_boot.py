"""What a real machine starts from, asked for through the API, while everything around it is restarted."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from PIL import Image

from hawkfish.config import Settings
from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.storage import FilePath
from hawkfish.plugins.compute import SupportsMedia
from hawkfish.testing.waiting import wait_until
from tests.api.installation import Api, add_libvirt_host, opened, prepare, running_worker
from tests.support.libvirt_host import LibvirtHostBed

pytestmark = [pytest.mark.needs_libvirt, pytest.mark.slow, pytest.mark.timeout(900)]

BOOT_SECONDS = 400.0


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, libvirt_host: LibvirtHostBed, guest_iso: Path) -> Settings:
    """Of an installation with a libvirt host."""
    folder = tmp_path_factory.mktemp("boot")
    (folder / "images").mkdir()
    shutil.copyfile(guest_iso, folder / "images" / "guest.img")
    chosen = prepare(folder, sync_wait_ms=60_000, tls=False)
    with running_worker(chosen), opened(chosen) as api:
        add_libvirt_host(api.application, libvirt_host, libvirt_host.data / "boot-pool")
    return chosen


@pytest.fixture
def system(settings: Settings) -> Iterator[dict[str, Any]]:
    """A system that is off, with the guest on its disk."""
    body = {"Name": "boots", "CPU": 1, "MemoryMiB": 256, "Firmware": "BIOS", "Disks": [{"Image": "guest.img"}]}
    with running_worker(settings), opened(settings) as api:
        answer = api.finish(api.post("/redfish/v1/Systems", body))
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json
    yield made
    with running_worker(settings), opened(settings) as api:
        reset(api, made, "ForceOff")
        assert api.finish(api.delete(made["@odata.id"])).status_code == 204


def reset(api: Api, system: dict[str, Any], reset_type: str) -> None:
    answer = api.finish(api.post(f"{system['@odata.id']}/Actions/ComputerSystem.Reset", {"ResetType": reset_type}))
    assert answer.status_code == 204, answer.text


def usual_colour(api: Api, system: dict[str, Any]) -> tuple[int, ...]:
    """The colour that most of the screen has."""
    taken = api.finish(api.post(f"{system['@odata.id']}/Actions/Oem/HawkFishSystem.Screenshot"))
    with Image.open(io.BytesIO(api.get(taken.json["ImageURI"]).content)) as picture:
        colours = picture.convert("RGB").getcolors(picture.width * picture.height)
    assert colours is not None
    number, colour = max(colours)
    assert number > sum(count for count, _ in colours) / 2
    assert isinstance(colour, tuple)
    return colour


def boots(api: Api, system: dict[str, Any], number: int) -> list[str]:
    """By what firmware and with what words the guest came up, once it has so many times."""

    def found() -> list[str] | None:
        *lines, _unfinished = api.serial_log(system["@odata.id"]).split("\n")
        seen = [line for line in lines if line.startswith("BOOTED by ")]
        return seen if len(seen) >= number else None

    lines: list[str] = wait_until(found, f"boot number {number}", number * BOOT_SECONDS)
    return lines


def hardware(libvirt_host: LibvirtHostBed, system: dict[str, Any]) -> list[str | None]:
    """What a change of firmware must leave: the UUID, the disks and the addresses."""
    root = ET.fromstring(libvirt_host.virsh("dumpxml", "--inactive", system["Id"]))
    disks = [ET.tostring(disk, "unicode") for disk in root.findall("devices/disk")]
    macs = [item.get("address") for item in root.findall("devices/interface/mac")]
    return [root.findtext("uuid"), *disks, *macs]


def test_the_firmware_goes_there_and_back(
    settings: Settings, system: dict[str, Any], libvirt_host: LibvirtHostBed
) -> None:
    """As libvirt tells it; what guests say of it is seen in tests/clients."""
    before = hardware(libvirt_host, system)
    with running_worker(settings), opened(settings) as api:
        for number, mode in enumerate(("UEFI", "Legacy", "UEFI"), start=1):
            live = None if number == 1 else libvirt_host.virsh("dumpxml", system["Id"])
            answer = api.patch(system["@odata.id"], {"Boot": {"BootSourceOverrideMode": mode}})
            assert answer.json["Boot"]["BootSourceOverrideMode"] == mode
            if live is not None:
                assert libvirt_host.virsh("dumpxml", system["Id"]) == live, "a running machine is not touched"
            # A machine that runs is switched by a forced restart, which is a stop and a start then.
            reset(api, system, "On" if number == 1 else "ForceRestart")
            assert ("<loader" in libvirt_host.virsh("dumpxml", system["Id"])) == (mode == "UEFI")
            assert hardware(libvirt_host, system) == before


def test_once_holds_for_one_boot_while_everything_is_restarted(
    settings: Settings, system: dict[str, Any], libvirt_host: LibvirtHostBed, installer_iso: Path
) -> None:
    iso = libvirt_host.data / "installer.iso"
    shutil.copyfile(installer_iso, iso)
    with running_worker(settings), opened(settings) as api:
        found = api.application.systems.get(SYSTEM_ACTOR, system["Id"])
        driver = api.application.drivers.driver(found.host_id)
        assert isinstance(driver, SupportsMedia)
        driver.change_medium(found.id, "Cd", FilePath(path=PurePosixPath(iso)))
        once = {"Boot": {"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Cd"}}
        assert api.patch(system["@odata.id"], once).status_code == 200
    before = libvirt_host.virsh("dumpxml", "--inactive", system["Id"])
    libvirt_host.kill()
    libvirt_host.start()
    with running_worker(settings), opened(settings) as api:
        boot = api.get(system["@odata.id"]).json["Boot"]
        assert (boot["BootSourceOverrideEnabled"], boot["BootSourceOverrideTarget"]) == ("Once", "Cd")
        reset(api, system, "On")
        boot = api.get(system["@odata.id"]).json["Boot"]
        assert (boot["BootSourceOverrideEnabled"], boot["BootSourceOverrideTarget"]) == ("Disabled", "None")
    assert libvirt_host.virsh("dumpxml", "--inactive", system["Id"]) == before
    # Nobody is there to see the guest reboot.
    libvirt_host.kill()
    libvirt_host.start()
    with running_worker(settings), opened(settings) as api:
        first, second = boots(api, system, 2)
        assert "hf.reboot" in first
        assert "hf.reboot" not in second
    assert libvirt_host.virsh("dumpxml", "--inactive", system["Id"]) == before


def test_the_set_up_menu_of_uefi_is_entered_once(settings: Settings, system: dict[str, Any]) -> None:
    once = {"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "BiosSetup"}
    with running_worker(settings), opened(settings) as api:
        assert api.patch(system["@odata.id"], {"Boot": once}).status_code == 400, "a BIOS has none"
        assert api.patch(system["@odata.id"], {"Boot": once | {"BootSourceOverrideMode": "UEFI"}}).status_code == 200
        reset(api, system, "On")
        shown = api.get(system["@odata.id"]).json
        assert (shown["PowerState"], shown["Boot"]["BootSourceOverrideEnabled"]) == ("On", "Disabled")
        wait_until(
            lambda: all(word in api.serial_log(system["@odata.id"]) for word in ("Continue", "Select Entry")),
            "the menu",
            BOOT_SECONDS,
        )
        red, green, blue = usual_colour(api, system)
        assert min(red, green, blue) > 100, "the menu is on a light ground"
        before = api.serial_log(system["@odata.id"])
        assert "BOOTED" not in before
        reset(api, system, "ForceRestart")
        assert boots(api, system, 1)[0].startswith("BOOTED by uefi ")
        assert "Select Entry" not in api.serial_log(system["@odata.id"]).removeprefix(before)
        assert usual_colour(api, system) == (0, 0, 0)
