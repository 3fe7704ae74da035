"""Processors, memory, network interfaces and storage of a system: what each shows, and how they hang together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from hawkfish.api.documents import Document
from hawkfish.api.resources.ethernet_interfaces import ethernet_interface_documents
from hawkfish.api.resources.memory import memory_documents
from hawkfish.api.resources.processors import processor_documents
from hawkfish.api.resources.storage import controller_documents, drive_documents, storage_documents
from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.systems import System
from tests.api.installation import GIB, Api

SYSTEMS = "/redfish/v1/Systems"


@pytest.fixture(scope="module")
def system(api: Api) -> dict[str, Any]:
    """A system with disks on two buses and two network interfaces."""
    return api.system(
        f"parts-{uuid4().hex[:8]}",
        CPU=3,
        MemoryMiB=768,
        DiskGiB=5,
        Disks=[{"CapacityGiB": 1, "Bus": "sata", "Format": "raw"}, {"CapacityGiB": 2}],
        NetworkInterfaces=[
            {"UserMode": True, "MACAddress": "52:54:00:AA:CC:01", "Model": "e1000e"},
            {"UserMode": True},
        ],
        PowerOn=True,
    )


def members(api: Api, address: str) -> list[dict[str, Any]]:
    """The members of a collection, its count being theirs."""
    collection = api.get(address)
    assert collection.status_code == 200, collection.text
    assert collection.json["@odata.id"] == address
    found = [api.get(item["@odata.id"]).json for item in collection.json["Members"]]
    assert collection.json["Members@odata.count"] == len(found)
    return found


def identities(items: list[dict[str, Any]]) -> list[str]:
    return [item["@odata.id"] for item in items]


def test_the_processor_has_all_virtual_processors_as_its_cores(api: Api, system: dict[str, Any]) -> None:
    (processor,) = members(api, system["Processors"]["@odata.id"])
    assert (processor["Id"], processor["ProcessorType"]) == ("CPU1", "CPU")
    assert (processor["TotalCores"], processor["TotalThreads"]) == (3, 3)
    assert (processor["ProcessorArchitecture"], processor["InstructionSet"]) == ("x86", "x86-64")
    assert processor["Status"] == {"State": "Enabled", "Health": "OK"}
    assert system["ProcessorSummary"] == {"Count": 1, "CoreCount": 3, "LogicalProcessorCount": 3}


def test_the_memory_is_one_module(api: Api, system: dict[str, Any]) -> None:
    (memory,) = members(api, system["Memory"]["@odata.id"])
    assert (memory["CapacityMiB"], memory["MemoryType"]) == (768, "DRAM")
    assert system["MemorySummary"]["TotalSystemMemoryGiB"] == 0.75


def test_figures_follow_a_change(api: Api) -> None:
    changed = api.system(f"parts-{uuid4().hex[:8]}")
    address = changed["@odata.id"]
    before = api.get(f"{address}/Processors/CPU1").headers["ETag"]
    answer = api.finish(api.patch(address, {"Oem": {"HawkFish": {"CPU": 2, "MemoryMiB": 1024}}}))
    assert answer.status_code == 200, answer.text
    processor = api.get(f"{address}/Processors/CPU1")
    assert (processor.json["TotalCores"], processor.headers["ETag"] != before) == (2, True)
    assert api.get(f"{address}/Memory/RAM1").json["CapacityMiB"] == 1024


def test_network_interfaces_have_their_addresses(api: Api, system: dict[str, Any]) -> None:
    first, second = members(api, system["EthernetInterfaces"]["@odata.id"])
    assert [first["Id"], second["Id"]] == ["NIC1", "NIC2"]
    assert first["MACAddress"] == first["PermanentMACAddress"] == "52:54:00:aa:cc:01"
    assert second["MACAddress"] == system["Oem"]["HawkFish"]["NetworkInterfaces"][1]["MACAddress"]
    assert first["Oem"]["HawkFish"]["Model"] == "e1000e"
    assert first["Oem"]["HawkFish"]["UserMode"] is True
    # Nobody has looked at the link or at its speed.
    assert not {"LinkStatus", "SpeedMbps"} & first.keys()


def test_storage_has_a_subsystem_for_each_bus(api: Api, system: dict[str, Any]) -> None:
    subsystems = {item["Id"]: item for item in members(api, system["Storage"]["@odata.id"])}
    disks = system["Oem"]["HawkFish"]["Disks"]
    assert list(subsystems) == ["virtio", "sata"]
    for bus, protocol in (("virtio", "OEM"), ("sata", "SATA")):
        storage = subsystems[bus]
        drives = [api.get(item["@odata.id"]).json for item in storage["Drives"]]
        own = [disk for disk in disks if disk["Bus"] == bus]
        assert storage["Drives@odata.count"] == len(drives)
        assert [drive["Id"] for drive in drives] == [disk["Id"] for disk in own]
        assert [drive["CapacityBytes"] for drive in drives] == [disk["CapacityBytes"] for disk in own]
        assert {drive["Protocol"] for drive in drives} == {protocol}
        assert [drive["SerialNumber"] for drive in drives] == [disk["Id"] for disk in own]
        (controller,) = members(api, storage["Controllers"]["@odata.id"])
        assert controller["SupportedDeviceProtocols"] == [protocol]
        assert members(api, storage["Volumes"]["@odata.id"]) == []
    assert [disk["CapacityBytes"] for disk in disks] == [5 * GIB, GIB, 2 * GIB]


def test_a_system_without_disks_and_interfaces_has_empty_collections(api: Api) -> None:
    body = {"Name": f"parts-{uuid4().hex[:8]}", "CPU": 1, "MemoryMiB": 512, "NetworkInterfaces": []}
    bare = api.finish(api.post(SYSTEMS, body)).json
    assert members(api, f"{bare['@odata.id']}/Storage") == []
    assert members(api, f"{bare['@odata.id']}/EthernetInterfaces") == []


def test_links_lead_there_and_back(api: Api, system: dict[str, Any]) -> None:
    chassis = api.get(f"/redfish/v1/Chassis/{system['Id']}").json
    manager = api.get(f"/redfish/v1/Managers/{system['Id']}").json
    here = {"@odata.id": chassis["@odata.id"]}
    assert system["Links"]["Chassis"] == manager["Links"]["ManagerForChassis"] == [here]
    assert manager["Links"]["ManagerInChassis"] == here
    assert (
        chassis["Links"]["ComputerSystems"]
        == manager["Links"]["ManagerForServers"]
        == [{"@odata.id": system["@odata.id"]}]
    )
    there = [{"@odata.id": manager["@odata.id"]}]
    assert (
        system["Links"]["ManagedBy"] == chassis["Links"]["ManagedBy"] == chassis["Links"]["ManagersInChassis"] == there
    )
    processors = members(api, system["Processors"]["@odata.id"])
    subsystems = members(api, system["Storage"]["@odata.id"])
    drives = [api.get(item["@odata.id"]).json for storage in subsystems for item in storage["Drives"]]
    parts = (
        processors
        + drives
        + members(api, system["Memory"]["@odata.id"])
        + members(api, system["EthernetInterfaces"]["@odata.id"])
    )
    assert {part["Links"]["Chassis"]["@odata.id"] for part in parts} == {here["@odata.id"]}
    assert [item["@odata.id"] for item in chassis["Links"]["Processors"]] == identities(processors)
    assert [item["@odata.id"] for item in chassis["Links"]["Storage"]] == identities(subsystems)
    assert {item["@odata.id"] for item in chassis["Links"]["Drives"]} == set(identities(drives))
    assert set(identities(members(api, chassis["Drives"]["@odata.id"]))) == set(identities(drives))
    for storage in subsystems:
        assert storage["Links"]["Enclosures"] == [here]
        own = [item["@odata.id"] for item in storage["Drives"]]
        assert [
            drive["@odata.id"] for drive in drives if drive["Links"]["Storage"]["@odata.id"] == storage["@odata.id"]
        ] == own
    assert chassis["UUID"] == system["UUID"]
    assert manager["ServiceEntryPointUUID"] == api.get("/redfish/v1/").json["UUID"]


PARTS = ("Processors/CPU1", "Memory/RAM1", "EthernetInterfaces/NIC1", "Storage/virtio", "Storage/virtio/Controllers/1")
COLLECTIONS = (
    "Processors",
    "Memory",
    "EthernetInterfaces",
    "Storage",
    "Storage/sata/Controllers",
    "Storage/sata/Volumes",
)


@pytest.mark.parametrize("part", PARTS + COLLECTIONS)
def test_all_answer_alike(api: Api, system: dict[str, Any], part: str) -> None:
    address = f"{system['@odata.id']}/{part}"
    answer = api.get(address)
    assert answer.status_code == 200
    taken = ["GET", "HEAD", *(["POST"] if part.endswith("/Volumes") else [])]
    assert answer.headers["Allow"] == ", ".join(taken)
    assert answer.json["@odata.type"].removeprefix("#").rpartition(".")[0] in answer.headers["Link"]
    head = api.call("HEAD", address)
    assert (head.status_code, head.content, head.headers["ETag"]) == (200, b"", answer.headers["ETag"])
    assert api.get(address, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    for method in {"POST", "PATCH", "PUT", "DELETE"} - set(taken):
        refused = api.call(method, address, {})
        assert (refused.status_code, refused.headers["Allow"]) == (405, ", ".join(taken))
    by_name = api.get(f"{SYSTEMS}/{system['Name']}/{part}")
    assert (by_name.status_code, by_name.headers["Location"]) == (307, address)
    assert api.anonymous().get(address).status_code == 401
    assert api.get(f"{SYSTEMS}/{uuid4()}/{part}").status_code == 404


@pytest.mark.parametrize(
    "part",
    [
        *(
            "Processors/CPU2",
            "Processors/cpu1",
            "Memory/RAM2",
            "EthernetInterfaces/NIC9",
            "EthernetInterfaces/52:54:00",
        ),
        *("Storage/scsi", "Storage/scsi/Controllers", "Storage/scsi/Volumes", "Storage/sata/Controllers/2"),
        *("Storage/sata/Volumes/1", "Storage/virtio/Drives"),
    ],
)
def test_what_is_not_there_is_not_found(api: Api, system: dict[str, Any], part: str) -> None:
    answer = api.get(f"{system['@odata.id']}/{part}")
    assert answer.status_code == 404
    assert answer.json["error"]["@Message.ExtendedInfo"]


def test_drives_stand_below_the_chassis(api: Api, system: dict[str, Any]) -> None:
    drives = f"/redfish/v1/Chassis/{system['Id']}/Drives"
    found = members(api, drives)
    assert [drive["Id"] for drive in found] == [disk["Id"] for disk in system["Oem"]["HawkFish"]["Disks"]]
    for drive in found:
        assert api.get(drive["@odata.id"]).json == drive
    assert api.get(f"{drives}/none").status_code == 404
    by_name = api.get(f"/redfish/v1/Chassis/{system['Name']}/Drives/{found[0]['Id']}")
    assert (by_name.status_code, by_name.headers["Location"]) == (307, found[0]["@odata.id"])
    # The address that is deprecated is no second one.
    assert api.get(f"{system['@odata.id']}/Storage/virtio/Drives/{found[0]['Id']}").status_code == 404


def test_collections_are_paged(api: Api, system: dict[str, Any]) -> None:
    address = system["EthernetInterfaces"]["@odata.id"]
    page = api.get(address, query_string="$top=1").json
    assert (len(page["Members"]), page["Members@odata.count"]) == (1, 2)
    path, _, query = page["Members@odata.nextLink"].partition("?")
    rest = api.get(path, query_string=query).json
    assert [item["@odata.id"] for item in page["Members"] + rest["Members"]] == [f"{address}/NIC1", f"{address}/NIC2"]
    assert "Members@odata.nextLink" not in rest
    only = api.get(system["Memory"]["@odata.id"], query_string="only").json
    assert only["Id"] == "RAM1"


@pytest.mark.parametrize(
    "documents",
    [
        processor_documents,
        memory_documents,
        ethernet_interface_documents,
        storage_documents,
        controller_documents,
        drive_documents,
    ],
)
def test_parts_of_a_system_whose_host_is_lost_say_so(
    api: Api, system: dict[str, Any], documents: Callable[[System], list[Document]]
) -> None:
    lost = replace(api.application.systems.get(SYSTEM_ACTOR, system["Id"]), stale=True)
    for document in documents(lost):
        assert document.body["Status"] == {"State": "UnavailableOffline", "Health": "Warning"}


def test_a_raid_volume_is_asked_for_in_vain_and_told_why(api: Api, system: dict[str, Any]) -> None:
    address = f"{system['@odata.id']}/Storage/virtio"
    assert api.get(f"{address}/Controllers/1").json["SupportedRAIDTypes"] == []
    refused = api.post(f"{address}/Volumes", {"RAIDType": "RAID1", "CapacityBytes": GIB})
    assert refused.status_code == 400
    assert "no RAID" in refused.json["error"]["message"]
    assert members(api, f"{address}/Volumes") == []
    assert api.post(f"{system['@odata.id']}/Storage/scsi/Volumes", {}).status_code == 404
    log = api.get(f"/redfish/v1/Managers/{system['Id']}/LogServices/Audit/Entries").json["Members"]
    assert any("volumes.create" in entry["Message"] for entry in log)
