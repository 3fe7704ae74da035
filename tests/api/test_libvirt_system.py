"""What the API says of a machine on a real host, compared with what libvirt and the guest itself say."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from hawkfish.testing.waiting import wait_until
from tests.api.conformance import BASIC, BOTH, INTEROP, LIBVIRT, PROTOCOL, SERVICE, SESSION, tell
from tests.api.installation import Api, add_libvirt_host, opened, prepare, running_worker
from tests.api.live import gunicorn
from tests.api.validators import (
    ABSENT,
    REDFISH,
    run_interop_validator,
    run_protocol_validator,
    run_service_validator,
)
from tests.support.libvirt_host import LibvirtHostBed

pytestmark = [pytest.mark.needs_libvirt, pytest.mark.timeout(900)]

BOOT_SECONDS = 240.0


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, libvirt_host: LibvirtHostBed, guest_iso: Path) -> Iterator[Api]:
    """The API with a libvirt host."""
    folder = tmp_path_factory.mktemp("real")
    (folder / "images").mkdir()
    shutil.copyfile(guest_iso, folder / "images" / "guest.img")
    settings = prepare(folder, sync_wait_ms=60_000, tls=False)
    with running_worker(settings), opened(settings) as api:
        add_libvirt_host(api.application, libvirt_host, libvirt_host.data / "api-pool")
        yield api


@pytest.fixture(scope="module")
def tls_url(real: Api) -> Iterator[str]:
    """The same API over TLS."""
    with gunicorn(real.application.settings.data_dir, tls=True) as address:
        yield address


@pytest.fixture(scope="module")
def system(real: Api) -> Iterator[dict[str, Any]]:
    """A running guest with disks on three buses and two network interfaces."""
    body = {
        "Name": "inventory",
        "CPU": 2,
        "MemoryMiB": 320,
        "Firmware": "BIOS",
        "Disks": [
            {"Image": "guest.img"},
            {"CapacityGiB": 5, "Bus": "scsi"},
            {"CapacityGiB": 1, "Bus": "sata"},
        ],
        "NetworkInterfaces": [{"UserMode": True}, {"UserMode": True}],
        "PowerOn": True,
    }
    answer = real.finish(real.post("/redfish/v1/Systems", body))
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json
    yield made
    real.finish(real.post(f"{made['@odata.id']}/Actions/ComputerSystem.Reset", {"ResetType": "ForceOff"}))
    assert real.finish(real.delete(made["@odata.id"])).status_code == 204


@pytest.fixture(scope="module")
def judged(real: Api, system: dict[str, Any]) -> Iterator[str]:
    """The id of a system with UEFI, which is off, beside the guest that runs by BIOS: the validators look at both."""
    assert system
    made = real.system("judged", Firmware="UEFI")
    yield str(made["Id"])
    assert real.finish(real.delete(made["@odata.id"])).status_code == 204


def parts(api: Api, address: str) -> list[dict[str, Any]]:
    return [api.get(item["@odata.id"]).json for item in api.get(address).json["Members"]]


def drives(api: Api, system: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The drives by the id of their storage."""
    return {
        storage["Id"]: api.get(storage["Drives"][0]["@odata.id"]).json
        for storage in parts(api, f"{system['@odata.id']}/Storage")
    }


def test_libvirt_says_the_same(real: Api, system: dict[str, Any], libvirt_host: LibvirtHostBed) -> None:
    domain = ET.fromstring(libvirt_host.virsh("dumpxml", system["Id"]))
    address = system["@odata.id"]
    (processor,) = parts(real, f"{address}/Processors")
    topology = domain.find("cpu/topology")
    assert topology is not None
    assert topology.attrib.items() >= {"sockets": "1", "cores": "2", "threads": "1"}.items()
    assert processor["TotalCores"] == processor["TotalThreads"] == int(domain.findtext("vcpu", ""))
    (memory,) = parts(real, f"{address}/Memory")
    assert memory["CapacityMiB"] * 1024 == int(domain.findtext("memory", ""))
    macs = [item.get("address") for item in domain.findall("devices/interface/mac")]
    assert [item["MACAddress"] for item in parts(real, f"{address}/EthernetInterfaces")] == macs
    shown = drives(real, system)
    for disk in domain.findall("devices/disk[@device='disk']"):
        target = disk.find("target")
        assert target is not None
        drive = shown.pop(target.get("bus", ""))
        assert drive["SerialNumber"] == drive["Id"] == disk.findtext("serial")
        capacity = libvirt_host.virsh("domblkinfo", system["Id"], target.get("dev", ""))
        assert drive["CapacityBytes"] == int(re.search(r"Capacity:\s+(\d+)", capacity)[1])  # type: ignore[index]
    assert shown == {}
    assert domain.find("devices/controller[@type='scsi'][@model='virtio-scsi']") is not None


def test_the_guest_sees_the_same(real: Api, system: dict[str, Any]) -> None:
    address = system["@odata.id"]

    def named() -> set[str]:
        return set(re.findall(r"SERIAL (\w+):", real.serial_log(address)))

    wait_until(lambda: {"vda", "sda"} <= named(), "the guest naming its disks", BOOT_SECONDS)
    said = real.serial_log(address)
    machine = re.search(r"MACHINE cpus:(\d+) sockets:(\d+) memory:(\d+) macs:(.*)", said)
    assert machine is not None
    (processor,) = parts(real, f"{address}/Processors")
    assert int(machine[1]) == processor["TotalThreads"]
    assert int(machine[2]) == system["ProcessorSummary"]["Count"] == 1
    (memory,) = parts(real, f"{address}/Memory")
    # The kernel keeps some of it to itself.
    assert 0.75 * memory["CapacityMiB"] < int(machine[3]) / 1024 < memory["CapacityMiB"]
    assert set(machine[4].split()) == {item["MACAddress"] for item in parts(real, f"{address}/EthernetInterfaces")}
    shown = drives(real, system)
    for name, bus in (("vda", "virtio"), ("sda", "scsi")):
        assert f"SERIAL {name}:{shown[bus]['SerialNumber']}" in said
        assert f"{name}:{shown[bus]['CapacityBytes'] // 1024} " in said


@pytest.mark.slow
@pytest.mark.skipif(not REDFISH.is_dir(), reason=ABSENT)
@pytest.mark.parametrize("login", [SESSION, BASIC])
def test_the_service_validator_finds_nothing(tls_url: str, judged: str, tmp_path: Path, login: str) -> None:
    tell((SERVICE, LIBVIRT, login), run_service_validator(tls_url, tmp_path, login, includes=judged))


@pytest.mark.slow
@pytest.mark.skipif(not REDFISH.is_dir(), reason=ABSENT)
@pytest.mark.parametrize("login", [SESSION, BASIC])
def test_ironics_profile_is_met(tls_url: str, judged: str, tmp_path: Path, login: str) -> None:
    tell((INTEROP, LIBVIRT, login), run_interop_validator(tls_url, tmp_path, login, includes=judged))


@pytest.mark.slow
def test_the_protocol_validator_finds_nothing(tls_url: str, judged: str, tmp_path: Path) -> None:
    assert judged
    tell((PROTOCOL, LIBVIRT, BOTH), run_protocol_validator(tls_url, tmp_path))
