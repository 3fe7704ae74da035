"""Hosts over the API: how much of them may be given, where systems go, and why they do not."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.api.installation import GIB, Api

SYSTEMS = "/redfish/v1/Systems"
HOSTS = "/redfish/v1/Oem/HawkFish/Hosts"
POOLS = "/redfish/v1/Oem/HawkFish/Storage/Pools"


@pytest.fixture
def host(api: Api) -> dict[str, Any]:
    """A host with 1000 MiB and a label that no other has."""
    name = f"rack-{uuid4().hex[:8]}"
    body = {
        "Name": name,
        "Driver": "simulated",
        "URI": f"simulated:///{name}?memory_mib=1000",
        "Labels": {"only": name},
        "Settings": {"boot_seconds": 0.1, "ReservedMemoryMiB": 200, "VCPUOvercommit": 2},
    }
    made = api.finish(api.post(HOSTS, body))
    assert made.status_code == 201, made.text
    found: dict[str, Any] = made.json
    return found


def create(api: Api, host: dict[str, Any], **options: Any) -> Any:
    body = {"Name": f"vm-{uuid4().hex[:8]}", "CPU": 1, "MemoryMiB": 100, "HostId": host["Name"]}
    return api.finish(api.post(SYSTEMS, body | options))


def test_a_host_shows_what_may_be_given_of_it_and_what_is(api: Api, host: dict[str, Any]) -> None:
    assert host["Settings"] == {
        "boot_seconds": 0.1,
        "VCPUOvercommit": 2.0,
        "MemoryOvercommit": 1.0,
        "ReservedVCPUs": 0,
        "ReservedMemoryMiB": 200,
    }
    assert host["Capacity"]["MemoryMiB"] == {"Capacity": 800, "Given": 0, "Free": 800}
    assert host["Capacity"]["VCPUs"] == {"Capacity": 128, "Given": 0, "Free": 128}
    assert create(api, host, DiskGiB=3).status_code == 201
    now = api.get(host["@odata.id"]).json
    assert now["Capacity"]["MemoryMiB"] == {"Capacity": 800, "Given": 100, "Free": 700}
    (pool,) = now["Capacity"]["Pools"]
    assert (pool["GivenBytes"], pool["Overcommit"]) == (3 * GIB, 10.0)
    assert pool["FreeBytes"] == 10 * pool["CapacityBytes"] - 3 * GIB
    assert now["@odata.etag"] != host["@odata.etag"]


def test_limits_and_labels_are_changed_by_patch(api: Api, host: dict[str, Any]) -> None:
    body = {"Schedulable": False, "Labels": {"a": "b"}, "Settings": {"MemoryOvercommit": 1.5, "VCPUOvercommit": None}}
    stale = api.patch(host["@odata.id"], body, headers={"If-Match": '"0-0"'})
    assert stale.status_code == 412
    done = api.patch(host["@odata.id"], body, headers={"If-Match": host["@odata.etag"]})
    assert done.status_code == 200, done.text
    shown = api.get(host["@odata.id"]).json
    assert shown == done.json
    assert (shown["Schedulable"], shown["Labels"]) == (False, {"a": "b"})
    assert shown["Settings"] == host["Settings"] | {"MemoryOvercommit": 1.5, "VCPUOvercommit": None}
    assert shown["Capacity"]["MemoryMiB"]["Capacity"] == 1200
    assert shown["Capacity"]["VCPUs"]["Free"] is None
    again = api.patch(host["@odata.id"], body, headers={"If-Match": host["@odata.etag"]})
    assert again.status_code == 412, "what was read has changed"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"Settings": {"MemoryOvercommit": 0}}, "PropertyValueOutOfRange"),
        ({"Settings": {"MemoryOvercommit": None}}, "PropertyValueTypeError"),
        ({"Settings": {"MemoryOvercommit": True}}, "PropertyValueTypeError"),
        ({"Settings": {"ReservedVCPUs": 0.5}}, "PropertyValueTypeError"),
        ({"Settings": {"ReservedMemoryMiB": -1}}, "PropertyValueOutOfRange"),
        ({"Settings": {"boot_seconds": 1}}, "PropertyNotWritable"),
        ({"Name": "other"}, "PropertyNotWritable"),
        ({"Rack": "a"}, "PropertyUnknown"),
        ({}, "NoOperation"),
    ],
)
def test_a_patch_that_makes_no_sense_changes_nothing(api: Api, host: dict[str, Any], body: Any, message: str) -> None:
    answer = api.patch(host["@odata.id"], body)
    assert answer.status_code == 400
    assert answer.json["error"]["code"].endswith(f".{message}"), answer.text
    assert api.get(host["@odata.id"]).json == host


def test_a_request_that_no_host_can_take_is_answered_with_all_that_each_is_short_of(
    api: Api, host: dict[str, Any]
) -> None:
    answer = create(api, host, MemoryMiB=801, CPU=65, DiskGiB=65536)
    assert answer.status_code == 409
    (info,) = answer.json["error"]["@Message.ExtendedInfo"]
    assert info["MessageId"].endswith(".ResourceExhaustion")
    assert (
        f"{host['Name']}: needs 65 vCPUs, it has 64 processors, needs 801 MiB of memory, 800 MiB of 800 MiB free"
        in (info["Message"])
    )
    assert "(1000 MiB, over-commit 1, 200 MiB kept for the host)" in info["Message"]


def test_a_pool_gives_more_or_less_as_it_is_told(api: Api, host: dict[str, Any]) -> None:
    (room,) = host["Capacity"]["Pools"]
    address = room["Pool"]["@odata.id"]
    pool = api.get(address).json
    assert pool["Overcommit"] == 10.0
    try:
        done = api.patch(address, {"Overcommit": 0.5}, headers={"If-Match": pool["@odata.etag"]})
        assert (done.status_code, done.json["Overcommit"]) == (200, 0.5)
        refused = create(api, host, DiskGiB=5121)
        assert "disk 1 needs 5.01 TiB, 5 TiB of 10 TiB free in the pool local (over-commit 0.5)" in refused.text
    finally:
        assert api.patch(address, {"Overcommit": 10}).status_code == 200
    for body, status in (({"Overcommit": 0}, 400), ({}, 400), ({"Name": "x"}, 400)):
        assert api.patch(address, body).status_code == status


def test_a_system_is_placed_by_labels_and_strategy_and_a_dry_run_says_where(api: Api, host: dict[str, Any]) -> None:
    other = f"rack-{uuid4().hex[:8]}"
    body = {
        "Name": other,
        "Driver": "simulated",
        "URI": f"simulated:///{other}?memory_mib=2000",
        "Labels": host["Labels"],
    }
    assert api.finish(api.post(HOSTS, body)).status_code == 201
    wanted = {"Name": f"vm-{uuid4().hex[:8]}", "CPU": 1, "MemoryMiB": 700, "Placement": {"Labels": host["Labels"]}}
    before = api.get(SYSTEMS).json["Members@odata.count"]
    told = api.post(SYSTEMS, {**wanted, "DryRun": True})
    assert (told.status_code, told.json["HostName"], told.json["Fitting"]) == (200, other, [other, host["Name"]])
    assert {refused["HostName"] for refused in told.json["Refused"]} >= {"rack1"}
    assert all("needs the label only=" in ", ".join(refused["Reasons"]) for refused in told.json["Refused"])
    assert api.get(SYSTEMS).json["Members@odata.count"] == before
    wanted["Placement"]["Strategy"] = "Pack"
    made = api.finish(api.post(SYSTEMS, wanted))
    assert made.json["Oem"]["HawkFish"]["HostName"] == host["Name"]
    full = api.post(SYSTEMS, {**wanted, "MemoryMiB": 2001, "DryRun": True})
    assert (full.status_code, f"{other}: needs 2001 MiB" in full.text) == (409, True)
    for rule in ({"Strategy": "spread"}, {"Rack": "a"}, {"Labels": ["a"]}, []):
        assert api.post(SYSTEMS, {**wanted, "Placement": rule}).status_code == 400


def test_only_a_host_that_is_gone_can_be_forgotten_and_its_name_must_be_given(api: Api, host: dict[str, Any]) -> None:
    action = f"{host['@odata.id']}/Actions/HawkFishHost.Forget"
    assert "Actions" not in host, "it is offered only where it can be done"
    assert api.post(action, {}).status_code == 400
    assert api.post(action, {"Name": "other"}).status_code == 400
    refused = api.post(action, {"Name": host["Name"]})
    assert refused.status_code == 409
    assert "only one that does not answer is forgotten" in refused.text
    assert api.get(host["@odata.id"]).status_code == 200
