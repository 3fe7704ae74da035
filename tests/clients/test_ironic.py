"""A real Ironic takes a real machine from its enrolment to its deployment and back; after each step a plain GET says the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hawkfish.testing.waiting import wait_until
from tests.api.installation import PASSWORD
from tests.api.live import free_port
from tests.clients.conftest import Machine, Served
from tests.support.ironic import Ironic, Node, running_ironic

# The first run installs Ironic.
pytestmark = [pytest.mark.needs_libvirt, pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture
def ironic(tmp_path: Path) -> Iterator[Ironic]:
    """With nothing enrolled."""
    with running_ironic(tmp_path, free_port()) as running:
        yield running


def test_from_enrolment_to_deployment_and_back(
    served: Served, new_machine: Callable[[str, str], Machine], ironic: Ironic, cd_url: str
) -> None:
    machine = new_machine("ironic", "BIOS")
    node = ironic.enroll(
        "node1",
        redfish_address=served.url,
        redfish_system_id=machine.path,
        redfish_username="admin",
        redfish_password=PASSWORD,
        redfish_verify_ca=str(served.ca_file),
    )
    node.provision("manage", "manageable")
    assert node.show()["power_state"] == "power off"
    boot_devices_are_set(node, machine)
    it_is_inspected(node, machine)
    media_come_and_go(node, machine, cd_url, ironic.media_url)
    node.power("power on", "power on")
    assert machine.boots(1) == ["disk by bios"]

    node.provision("provide", "available")
    # Its inspection has noted the other mode.
    node.set(**{"properties/capabilities": "boot_mode:uefi", "instance_info/boot_iso": cd_url})
    node.provision("active", "active")
    assert machine.boots(2)[1] == "cd by uefi"
    image, inserted = machine.medium()
    assert image is not None
    assert image.startswith(ironic.media_url)
    assert (inserted, machine.boot(), machine.read()["PowerState"]) == (True, ("Continuous", "Cd"), "On")

    node.power("rebooting", "power on")
    assert machine.boots(3)[2] == "cd by uefi", "set for good, it holds at each power-on"

    node.provision("deleted", "available")
    assert (machine.medium(), machine.read()["PowerState"]) == ((None, False), "Off")
    assert machine.boot() == ("Continuous", "Cd"), "Ironic leaves it"
    node.power("power on", "power on")
    assert machine.boots(4)[3] == "disk by uefi", "an empty drive is no reason not to start"
    assert ironic.lost_requests() == []


def boot_devices_are_set(node: Node, machine: Machine) -> None:
    for device, persistent, shown in (
        ("pxe", False, ("Once", "Pxe")),
        ("cdrom", True, ("Continuous", "Cd")),
        ("disk", True, ("Continuous", "Hdd")),
    ):
        node.call("PUT", "/management/boot_device", {"boot_device": device, "persistent": persistent})
        assert machine.boot() == shown
        said = node.call("GET", "/management/boot_device")
        assert (said["boot_device"], said["persistent"]) == (device, persistent)


def it_is_inspected(node: Node, machine: Machine) -> None:
    node.provision("inspect", "manageable")
    found = node.show()["properties"]
    system = machine.read()
    assert found["memory_mb"] == system["MemorySummary"]["TotalSystemMemoryGiB"] * 1024 == 1024
    (storage,) = machine.read("/Storage")["Members"]
    (drive,) = machine.client.get(storage["@odata.id"]).json()["Drives"]
    capacity = machine.client.get(drive["@odata.id"]).json()["CapacityBytes"]
    # Ironic leaves one GiB of the largest disk to partition tables.
    assert found["local_gb"] == capacity // 1024**3 - 1 == 4
    (interface,) = machine.read("/EthernetInterfaces")["Members"]
    address = machine.client.get(interface["@odata.id"]).json()["MACAddress"]
    ports = node.ports()
    assert [port["address"] for port in ports] == [address.lower()]
    inventory = node.call("GET", "/inventory")["inventory"]
    assert (inventory["cpu"]["count"], inventory["cpu"]["architecture"]) == (1, "x86_64")
    assert inventory["boot"]["current_boot_mode"] == "bios"


def media_come_and_go(node: Node, machine: Machine, cd_url: str, media_url: str) -> None:
    node.call("POST", "/vmedia", {"device_type": "cdrom", "image_url": cd_url})
    node.settle()
    image, _ = machine.medium()
    assert image is not None, "what was accepted reads back at once"
    assert image.startswith(media_url), "Ironic gives the address of its own copy"
    wait_until(lambda: machine.medium() == (image, True), "the image in the drive", 60)
    (shown,) = [drive for drive in node.call("GET", "/vmedia") if drive["inserted"]]
    assert shown["image"] == image
    node.call("DELETE", "/vmedia")
    node.settle()
    wait_until(lambda: machine.medium() == (None, False), "the empty drive", 60)
