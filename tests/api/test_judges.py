"""What DMTF's protocol validator and the clients look at, and no other test holds."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from hawkfish.api.app import ROUTES
from tests.api.installation import PASSWORD, Api

ROOT = "/redfish/v1/"
ACCOUNTS = "/redfish/v1/AccountService/Accounts"
SESSIONS = "/redfish/v1/SessionService/Sessions"


@pytest.fixture
def account(api: Api) -> str:
    """The address of an account."""
    body = {"UserName": f"u{uuid4().hex[:8]}", "Password": "Distant-Meadow-77", "RoleId": "Operator"}
    made = api.post(ACCOUNTS, body)
    assert (made.status_code, made.headers["Location"]) == (201, made.json["@odata.id"])
    return str(made.headers["Location"])


@pytest.fixture(scope="module")
def system(api: Api) -> dict[str, Any]:
    """A system that is off."""
    return api.system(f"judged-{uuid4().hex[:8]}")


def test_what_can_be_made_can_be_deleted() -> None:
    collections = [path for path, resource in ROUTES.items() if resource.collection and "POST" in resource.allow]
    assert {"/redfish/v1/Systems", ACCOUNTS, SESSIONS} <= set(collections)
    for path in collections:
        if not path.endswith(("/Members", "/Volumes")):  # no volume can be made
            (member,) = (
                resource for known, resource in ROUTES.items() if known.rpartition("/{")[0] == path and known[-1] == "}"
            )
            assert "DELETE" in member.allow, path


@pytest.mark.parametrize("accept", ["application/*;charset=utf-8", "application/json; charset=UTF-8", "text/html"])
def test_whatever_is_accepted_the_answer_is_json(api: Api, accept: str) -> None:
    answer = api.get(ROOT, headers={"Accept": accept})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")


@pytest.mark.parametrize("accept", ["application/xml", "application/xml;charset=utf-8", "application/*", "*/*"])
def test_metadata_is_xml(api: Api, accept: str) -> None:
    answer = api.anonymous().get("/redfish/v1/$metadata", headers={"Accept": accept})
    assert answer.headers["Content-Type"].startswith("application/xml")
    assert answer.headers["OData-Version"] == "4.0"


def test_headers_of_browsers_and_a_body_change_nothing(api: Api) -> None:
    headers = {"Origin": "https://elsewhere.test", "Host": "elsewhere.test", "User-Agent": "x" * 2000}
    plain = api.get(ROOT)
    assert api.get(ROOT, headers=headers).json == plain.json
    assert api.call("GET", ROOT, {"Name": "x"}).json == plain.json


def test_the_etag_of_an_account_is_stable_until_it_is_written(api: Api, account: str) -> None:
    first = api.get(account)
    assert first.headers["ETag"] == first.json["@odata.etag"] == api.get(account).headers["ETag"]
    condition = {"If-None-Match": first.headers["ETag"]}
    assert api.get(account, headers=condition).status_code == 304
    assert api.anonymous().get(account, headers=condition).status_code == 401
    assert api.patch(account, {"RoleId": "ReadOnly"}, headers={"If-Match": first.headers["ETag"]}).status_code == 200
    assert api.get(account, headers=condition).json["RoleId"] == "ReadOnly"
    # A password is not shown, and yet the account is another one with another.
    before = api.get(account).headers["ETag"]
    api.patch(account, {"Password": "Another-Meadow-78"})
    assert api.get(account).headers["ETag"] != before


@pytest.mark.parametrize("body", [{"RoleId": "ReadOnly", "Unheard": 1}, {"Unheard": 1}, {"Id": "x"}, {}])
def test_a_patch_that_is_wrong_in_part_changes_nothing(api: Api, account: str, body: dict[str, Any]) -> None:
    before = api.get(account).json
    refused = api.patch(account, body)
    assert refused.status_code == 400
    assert refused.json["error"]["@Message.ExtendedInfo"]
    assert api.get(account).json == before


def test_refusals_tell_what_is_wrong_in_the_form_of_redfish(api: Api) -> None:
    error = api.post(ACCOUNTS, {"UserName": "x"}).json["error"]
    assert error["code"].startswith("Base.1.")
    assert error["message"]
    for info in error["@Message.ExtendedInfo"]:
        assert info["MessageId"].startswith("Base.1.")
        assert {"Message", "MessageArgs", "MessageSeverity", "Resolution"} <= info.keys()


def test_sessions_are_where_the_root_says(api: Api) -> None:
    root = api.get(ROOT).json
    service = api.get(root["SessionService"]["@odata.id"]).json
    assert root["Links"]["Sessions"] == service["Sessions"] == {"@odata.id": SESSIONS}
    assert root["Tasks"]["@odata.id"] == "/redfish/v1/TaskService"
    made = api.anonymous().post(SESSIONS, {"UserName": "admin", "Password": PASSWORD})
    assert made.json["Id"] == made.headers["Location"].rpartition("/")[2]
    token = {"X-Auth-Token": made.headers["X-Auth-Token"]}
    assert api.client.simulate_delete(made.headers["Location"], headers=token).status_code == 204


def test_a_system_shows_what_clients_want_to_set(api: Api, system: dict[str, Any]) -> None:
    assert "AssetTag" in system
    boot = system["Boot"]
    assert boot["BootSourceOverrideTarget"] in boot["BootSourceOverrideTarget@Redfish.AllowableValues"]
    assert {"Cd", "Pxe", "Hdd"} <= set(boot["BootSourceOverrideTarget@Redfish.AllowableValues"])
    assert {"Once", "Continuous", "Disabled"} == set(boot["BootSourceOverrideEnabled@Redfish.AllowableValues"])
    assert boot["BootSourceOverrideMode"] == "UEFI"
    assert "HttpBootUri" not in boot
    assert (system["Manufacturer"], system["Status"]["Health"]) == ("HawkFish", "OK")
    assert "Storage" in system


def test_a_reset_to_the_state_that_is_reached_is_no_error(api: Api, system: dict[str, Any]) -> None:
    target = system["Actions"]["#ComputerSystem.Reset"]["target"]
    for _ in range(2):
        assert api.finish(api.post(target, {"ResetType": "ForceOff"})).status_code == 204


def test_an_accepted_request_has_no_time_in_digits(api: Api, system: dict[str, Any]) -> None:
    answer = api.post(
        system["Actions"]["#ComputerSystem.Reset"]["target"],
        {"ResetType": "On"},
        headers={"Prefer": "respond-async"},
    )
    assert answer.status_code == 202
    assert "Retry-After" not in answer.headers
    assert api.get(system["@odata.id"]).json["PowerState"] in {"PoweringOn", "On"}
    assert api.finish(answer).status_code == 204
