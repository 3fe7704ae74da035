"""Managers: their reset, and the network of the service that stands in their place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psutil
import pytest

from hawkfish.services.managers import listening_interfaces
from tests.api.installation import PASSWORD, Api


@pytest.fixture(scope="module")
def system(api: Api) -> dict[str, Any]:
    """A system that is on."""
    return api.system(f"managed-{uuid4().hex[:8]}", PowerOn=True)


@pytest.fixture
def manager(api: Api, system: dict[str, Any]) -> dict[str, Any]:
    """Its manager."""
    shown: dict[str, Any] = api.get(system["Links"]["ManagedBy"][0]["@odata.id"]).json
    return shown


def account(api: Api, role: str) -> Api:
    name = f"m{uuid4().hex[:8]}"
    body = {"UserName": name, "Password": PASSWORD, "RoleId": role}
    assert api.post("/redfish/v1/AccountService/Accounts", body).status_code == 201
    return api.login(name, PASSWORD)


@pytest.mark.parametrize("body", [{"ResetType": "GracefulRestart"}, {"ResetType": "ForceRestart"}, None])
def test_a_reset_drops_the_sessions_of_who_asks_and_harms_nothing(
    api: Api, system: dict[str, Any], manager: dict[str, Any], body: dict[str, str] | None
) -> None:
    mine = account(api, "Administrator")
    name = mine.get("/redfish/v1/SessionService/Sessions").json["Members"][-1]["@odata.id"]
    user = mine.get(name).json["UserName"]
    other_session = mine.login(user, PASSWORD)
    action = manager["Actions"]["#Manager.Reset"]
    assert action["ResetType@Redfish.AllowableValues"] == ["GracefulRestart", "ForceRestart"]
    reset = system["Actions"]["#ComputerSystem.Reset"]["target"]
    accepted = api.post(reset, {"ResetType": "PowerCycle"}, headers={"Prefer": "respond-async"})
    assert mine.post(action["target"], body).status_code == 204
    assert mine.get(manager["@odata.id"]).status_code == other_session.get(manager["@odata.id"]).status_code == 401
    # It is back at once, for whoever logs in again and for everybody else.
    back = mine.login(user, PASSWORD).get(manager["@odata.id"]).json
    assert back["Status"]["State"] == "Enabled"
    assert back["LastResetTime"] >= manager.get("LastResetTime", "")
    assert api.finish(accepted).status_code == 204
    assert api.get(system["@odata.id"]).json["PowerState"] == "On"
    entries = api.get(f"{system['@odata.id']}/LogServices/Events/Entries").json["Members"]
    (told,) = [entry["Message"] for entry in entries if entry.get("Username") == user]
    wanted = (body or {"ResetType": "GracefulRestart"})["ResetType"]
    assert told == f"Manager `{system['Name']}` performed a '{wanted}' type of reset."


def test_a_reset_is_for_administrators_and_of_a_kind_that_is_known(api: Api, manager: dict[str, Any]) -> None:
    target = manager["Actions"]["#Manager.Reset"]["target"]
    operator = account(api, "Operator")
    assert operator.post(target, {"ResetType": "ForceRestart"}).status_code == 403
    assert operator.get(manager["@odata.id"]).status_code == 200
    assert api.post(target, {"ResetType": "PowerCycle"}).status_code == 400
    assert api.post("/redfish/v1/Managers/nobody/Actions/Manager.Reset", {}).status_code == 404


@pytest.fixture
def identified(api: Api, manager: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The same, with nothing said of what tells the service from others, before and afterwards."""
    api.patch(manager["@odata.id"], {"ServiceIdentification": None})
    yield api.get(manager["@odata.id"]).json
    api.patch(manager["@odata.id"], {"ServiceIdentification": None})


def test_what_tells_the_service_from_others_is_one_text_of_all_managers_and_of_the_root(
    api: Api, identified: dict[str, Any]
) -> None:
    other = api.system(f"managed-{uuid4().hex[:8]}")["Links"]["ManagedBy"][0]["@odata.id"]
    path, root = identified["@odata.id"], api.anonymous().get("/redfish/v1/")
    assert identified["ServiceIdentification"] == ""
    assert "ServiceIdentification" not in root.json, "it has a value or is not there"
    text = "Rack 7, left \u2014 \u00e9tage 2"
    changed = api.patch(path, {"ServiceIdentification": text})
    assert (changed.status_code, changed.json["ServiceIdentification"]) == (200, text)
    assert changed.headers["ETag"] == api.get(path).headers["ETag"] != identified["@odata.etag"]
    assert api.get(other).json["ServiceIdentification"] == text
    named = api.anonymous().get("/redfish/v1/")
    assert (named.json["ServiceIdentification"], named.headers["ETag"] != root.headers["ETag"]) == (text, True)
    members = api.get("/redfish/v1/Managers?$expand=.").json["Members"]
    assert {member["ServiceIdentification"] for member in members} == {text}
    again = api.patch(path, {"ServiceIdentification": text})
    assert (again.status_code, again.headers["ETag"]) == (200, changed.headers["ETag"])
    for empty in (None, ""):
        assert api.patch(path, {"ServiceIdentification": empty}).json["ServiceIdentification"] == ""
        assert "ServiceIdentification" not in api.anonymous().get("/redfish/v1/").json


def test_a_change_of_it_is_told_and_written_down_once(api: Api, identified: dict[str, Any]) -> None:
    path, system = identified["@odata.id"], identified["Links"]["ManagerForServers"][0]["@odata.id"]
    other = account(api, "Administrator")
    for _ in range(2):
        assert other.patch(path, {"ServiceIdentification": "lab 1"}).status_code == 200
    user = api.get(other.get("/redfish/v1/SessionService/Sessions").json["Members"][-1]["@odata.id"]).json["UserName"]
    for log, message in (
        (f"{path}/LogServices/Audit", "HawkFish.1.0.RequestAllowed"),
        (f"{system}/LogServices/Events", "ResourceEvent.1.4.ResourceChanged"),
    ):
        entries = api.get(f"{log}/Entries").json["Members"]
        assert [entry["MessageId"] for entry in entries if entry.get("Username") == user] == [message]


def test_it_is_for_administrators_and_overwrites_nothing_that_was_not_seen(
    api: Api, identified: dict[str, Any]
) -> None:
    path = identified["@odata.id"]
    operator = account(api, "Operator")
    assert operator.patch(path, {"ServiceIdentification": "mine"}).status_code == 403
    seen = {"If-Match": identified["@odata.etag"]}
    assert api.patch(path, {"ServiceIdentification": "first"}, headers=seen).status_code == 200
    assert api.patch(path, {"ServiceIdentification": "second"}, headers=seen).status_code == 412
    assert api.patch(path, {"ServiceIdentification": "third"}, headers={"If-Match": "*"}).status_code == 200
    assert api.get(path).json["ServiceIdentification"] == "third"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"ServiceIdentification": "x" * 256}, "PropertyValueOutOfRange"),
        ({"ServiceIdentification": "a\nb"}, "PropertyValueFormatError"),
        ({"ServiceIdentification": 7}, "PropertyValueTypeError"),
        ({"DateTime": "2020-01-01T00:00:00Z"}, "PropertyNotWritable"),
        ({"FirmwareVersion": "9"}, "PropertyNotWritable"),
        ({"Colour": "red"}, "PropertyUnknown"),
        ({}, "NoOperation"),
    ],
)
def test_nothing_else_of_a_manager_can_be_set(
    api: Api, identified: dict[str, Any], body: dict[str, Any], message: str
) -> None:
    refused = api.patch(identified["@odata.id"], body)
    told = [item["MessageId"] for item in refused.json["error"]["@Message.ExtendedInfo"]]
    assert (refused.status_code, told) == (400, [f"Base.1.22.{message}"])
    assert api.get(identified["@odata.id"]).json["ServiceIdentification"] == ""


def test_the_network_is_that_of_the_service(api: Api, manager: dict[str, Any]) -> None:
    interfaces = api.get(manager["EthernetInterfaces"]["@odata.id"]).json
    (address,) = (item["@odata.id"] for item in interfaces["Members"])
    shown = api.get(address).json  # bound to loopback, as an installation is unless told otherwise
    assert (shown["LinkStatus"], shown["InterfaceEnabled"]) == ("LinkUp", True)
    assert {"Address": "127.0.0.1", "SubnetMask": "255.0.0.0"} in shown["IPv4Addresses"]
    assert "MACAddress" not in shown
    assert shown["MTUSize"] == psutil.net_if_stats()[shown["Id"]].mtu
    assert api.get(f"{manager['EthernetInterfaces']['@odata.id']}/nothing").status_code == 404


@pytest.mark.parametrize(("scheme", "port"), [("http", 8000), ("https", 8443)])
def test_protocols_are_those_that_are_served(api: Api, manager: dict[str, Any], scheme: str, port: int) -> None:
    # The client may know the service by another name and port than those that it listens at.
    extras = {"SERVER_PORT": str(port)}
    shown = api.get(manager["NetworkProtocol"]["@odata.id"], protocol=scheme, host="bmc.test", extras=extras).json
    served, other = ("HTTPS", "HTTP") if scheme == "https" else ("HTTP", "HTTPS")
    assert shown[served] == {"ProtocolEnabled": True, "Port": port}
    assert shown[other] == shown["SSDP"] == {"ProtocolEnabled": False}
    assert shown["HostName"]


def test_all_addresses_mean_all_interfaces_that_have_one() -> None:
    everywhere = {item.name: item for item in listening_interfaces("0.0.0.0")}
    with_addresses = {
        name
        for name, items in psutil.net_if_addrs().items()
        if any(item.family != psutil.AF_LINK for item in items) and name in psutil.net_if_stats()
    }
    assert set(everywhere) == with_addresses
    assert listening_interfaces("no.such.name.invalid") == ()
    for item in everywhere.values():
        assert item.mac_address != "00:00:00:00:00:00"
        assert all("%" not in address.address for address in item.ipv6)
        for address in item.ipv4:
            assert [one.name for one in listening_interfaces(address.address)].count(item.name) == 1
