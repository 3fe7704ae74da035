"""The Bios of systems over the wire, as provisioning tools set it before they deploy."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.api.installation import PASSWORD, Api

REGISTRY = "HawkFishBiosAttributeRegistry.v1_0_0"


@pytest.fixture(scope="module")
def system(api: Api) -> dict[str, Any]:
    """A system that runs."""
    return api.system(f"bios-{uuid4().hex[:8]}", PowerOn=True)


def reset(api: Api, system: dict[str, Any], reset_type: str) -> None:
    target = f"{system['@odata.id']}/Actions/ComputerSystem.Reset"
    assert api.finish(api.post(target, {"ResetType": reset_type})).status_code == 204


def test_attributes_are_set_for_the_next_start(api: Api, system: dict[str, Any]) -> None:
    address = system["Bios"]["@odata.id"]
    bios = api.get(address).json
    assert bios["AttributeRegistry"] == REGISTRY
    assert bios["Attributes"]["CpuModel"] == bios["Oem"]["HawkFish"]["CPUModels"][0]
    settings = bios["@Redfish.Settings"]
    assert settings["SupportedApplyTimes"] == ["OnReset"]
    assert not {"Time", "ETag"} & set(settings)
    pending = api.get(settings["SettingsObject"]["@odata.id"])
    assert pending.json["Attributes"] == bios["Attributes"]
    body = {
        "Attributes": {"CpuModel": "simulated-small", "NetworkBoot": "Disabled"},
        "@Redfish.SettingsApplyTime": {
            "@odata.type": "#Settings.v1_1_0.PreferredApplyTime",
            "ApplyTime": "OnReset",
        },
    }
    condition = {"If-Match": pending.headers["ETag"]}
    changed = api.patch(settings["SettingsObject"]["@odata.id"], body, headers=condition)
    assert changed.status_code == 200
    assert changed.json["Attributes"] == bios["Attributes"] | body["Attributes"]
    assert api.get(address).json["Attributes"] == bios["Attributes"]
    lost = api.patch(settings["SettingsObject"]["@odata.id"], body, headers=condition)
    assert lost.status_code == 412
    version = api.get(system["@odata.id"]).json["@odata.etag"]
    again = api.patch(settings["SettingsObject"]["@odata.id"], body, headers={"If-Match": changed.headers["ETag"]})
    assert (again.status_code, again.headers["ETag"]) == (200, changed.headers["ETag"])
    assert api.get(system["@odata.id"]).json["@odata.etag"] == version, "what is there already is no change"
    reset(api, system, "ForceRestart")
    now = api.get(address).json
    assert now["Attributes"] == changed.json["Attributes"]
    (message,) = now["@Redfish.Settings"]["Messages"]
    assert (message["MessageId"], message["Severity"]) == ("Base.1.22.Success", "OK")
    assert now["@Redfish.Settings"]["Time"]
    assert (
        now["@Redfish.Settings"]["ETag"]
        == now["@odata.etag"]
        == api.get(address).headers["ETag"]
        != bios["@odata.etag"]
    )
    assert api.patch(system["@odata.id"], {"AssetTag": "other"}).status_code == 200
    assert api.get(address).json == now, "nothing of it has changed"
    assert api.post(now["Actions"]["#Bios.ResetBios"]["target"]).status_code == 204
    assert api.get(settings["SettingsObject"]["@odata.id"]).json["Attributes"] == bios["Attributes"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"Attributes": {"CpuModel": "i486"}}, "PropertyValueNotInList"),
        ({"Attributes": {"Turbo": "Enabled"}}, "PropertyUnknown"),
        ({"Attributes": {"NetworkBoot": True}}, "PropertyValueTypeError"),
        ({"Attributes": {}, "@Redfish.SettingsApplyTime": {"ApplyTime": "Immediate"}}, "PropertyValueNotInList"),
        ({"AttributeRegistry": "mine"}, "PropertyNotWritable"),
    ],
)
def test_what_cannot_be_is_refused(api: Api, system: dict[str, Any], body: Any, message: str) -> None:
    address = f"{system['Bios']['@odata.id']}/Settings"
    before = api.get(address).json
    refused = api.patch(address, body)
    assert refused.status_code == 400
    assert refused.json["error"]["@Message.ExtendedInfo"][0]["MessageId"].endswith(f".{message}")
    assert api.get(address).json == before
    assert api.patch(system["Bios"]["@odata.id"], body).status_code == 405


def test_who_only_reads_sets_nothing(api: Api, system: dict[str, Any]) -> None:
    name = f"r{uuid4().hex[:8]}"
    api.post("/redfish/v1/AccountService/Accounts", {"UserName": name, "Password": PASSWORD, "RoleId": "ReadOnly"})
    reader = api.login(name, PASSWORD)
    address = system["Bios"]["@odata.id"]
    assert reader.get(address).status_code == 200
    assert reader.patch(f"{address}/Settings", {"Attributes": {"NetworkBoot": "Enabled"}}).status_code == 403
    assert reader.post(f"{address}/Actions/Bios.ResetBios").status_code == 403


def test_the_registry_says_what_each_attribute_can_be(api: Api, system: dict[str, Any]) -> None:
    file = api.get(f"/redfish/v1/Registries/{REGISTRY}").json
    assert file["Registry"] == REGISTRY
    (location,) = file["Location"]
    registry = api.get(location["Uri"]).json
    assert (registry["Id"], registry["OwningEntity"]) == (REGISTRY, "HawkFish")
    entries = {item["AttributeName"]: item for item in registry["RegistryEntries"]["Attributes"]}
    for name, value in api.get(system["Bios"]["@odata.id"]).json["Attributes"].items():
        values = [item["ValueName"] for item in entries[name].get("Value", ())]
        assert value in values if values else entries[name]["Type"] == "String"
    assert api.get(f"/redfish/v1/Registries/{REGISTRY}/other.json").status_code == 404
