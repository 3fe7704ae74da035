"""Secure boot over the wire, as provisioning tools switch it before they deploy."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.api.installation import PASSWORD, Api


@pytest.fixture(scope="module")
def system(api: Api) -> dict[str, Any]:
    """A system that runs."""
    return api.system(f"secure-{uuid4().hex[:8]}", PowerOn=True, Firmware="UEFI")


def reset(api: Api, system: dict[str, Any]) -> None:
    target = f"{system['@odata.id']}/Actions/ComputerSystem.Reset"
    assert api.finish(api.post(target, {"ResetType": "ForceRestart"})).status_code == 204


def shown(api: Api, system: dict[str, Any]) -> tuple[Any, ...]:
    found = api.get(f"{system['@odata.id']}/SecureBoot").json
    return found["SecureBootEnable"], found["SecureBootCurrentBoot"], found.get("SecureBootMode")


def said(api: Api, system: dict[str, Any]) -> list[str]:
    """What firmware said of it at each boot."""
    text = api.finish(api.get(f"{system['@odata.id']}/Oem/HawkFish/SerialLog")).json["Text"]
    return [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith("Secure boot: ")]


def test_it_is_switched_by_the_next_start(api: Api, system: dict[str, Any]) -> None:
    address = system["SecureBoot"]["@odata.id"]
    first = api.get(address)
    assert shown(api, system) == (False, "Disabled", None)
    condition = {"If-Match": first.headers["ETag"]}
    switched = api.patch(address, {"SecureBootEnable": True}, headers=condition)
    assert switched.json["SecureBootEnable"] is True
    again = api.patch(address, {"SecureBootEnable": True}, headers={"If-Match": switched.headers["ETag"]})
    assert (again.status_code, again.headers["ETag"]) == (200, switched.headers["ETag"]), "it is no change"
    assert api.patch(address, {"SecureBootEnable": False}, headers=condition).status_code == 412
    assert shown(api, system) == (True, "Disabled", None)
    reset(api, system)
    assert shown(api, system) == (True, "Enabled", "UserMode")
    target = first.json["Actions"]["#SecureBoot.ResetKeys"]["target"]
    assert api.post(target, {"ResetKeysType": "DeleteAllKeys"}).status_code == 204
    assert shown(api, system) == (True, "Enabled", "UserMode")
    reset(api, system)
    assert shown(api, system) == (True, "Disabled", "SetupMode")
    assert api.post(target, {"ResetKeysType": "ResetAllKeysToDefault"}).status_code == 204
    reset(api, system)
    assert shown(api, system) == (True, "Enabled", "UserMode")
    # Neither the BIOS's reset nor its settings have a part in it.
    assert api.post(f"{system['@odata.id']}/Bios/Actions/Bios.ResetBios").status_code == 204
    reset(api, system)
    assert shown(api, system) == (True, "Enabled", "UserMode")
    assert api.patch(address, {"SecureBootEnable": False}).status_code == 200
    reset(api, system)
    assert shown(api, system) == (False, "Disabled", None)
    boots = ["disabled", "enabled", "disabled", "enabled", "disabled"]
    assert [
        word for word, before in zip(said(api, system), ["", *said(api, system)], strict=False) if word != before
    ] == boots


def test_a_system_with_bios_has_none(api: Api, system: dict[str, Any]) -> None:
    legacy = api.system(f"legacy-{uuid4().hex[:8]}", Firmware="BIOS")
    assert "SecureBoot" not in legacy
    assert api.get(f"{legacy['@odata.id']}/SecureBoot").status_code == 404
    assert api.patch(f"{legacy['@odata.id']}/SecureBoot", {"SecureBootEnable": True}).status_code == 404


@pytest.mark.parametrize("body", [{"SecureBootEnable": "yes"}, {"SecureBootMode": "UserMode"}, {}])
def test_what_cannot_be_is_refused(api: Api, system: dict[str, Any], body: Any) -> None:
    before = shown(api, system)
    assert api.patch(f"{system['@odata.id']}/SecureBoot", body).status_code == 400
    target = f"{system['@odata.id']}/SecureBoot/Actions/SecureBoot.ResetKeys"
    assert api.post(target, {"ResetKeysType": "DeletePK"}).status_code == 400
    assert shown(api, system) == before


def test_who_only_reads_switches_nothing(api: Api, system: dict[str, Any]) -> None:
    name = f"r{uuid4().hex[:8]}"
    api.post("/redfish/v1/AccountService/Accounts", {"UserName": name, "Password": PASSWORD, "RoleId": "ReadOnly"})
    reader = api.login(name, PASSWORD)
    address = f"{system['@odata.id']}/SecureBoot"
    assert reader.get(address).status_code == 200
    assert reader.patch(address, {"SecureBootEnable": True}).status_code == 403
    target = f"{address}/Actions/SecureBoot.ResetKeys"
    assert reader.post(target, {"ResetKeysType": "DeleteAllKeys"}).status_code == 403
