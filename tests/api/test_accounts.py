"""Accounts, sessions and roles over the API."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.api.installation import PASSWORD, Api
from tests.api.test_protocol import basic, message_ids

ACCOUNTS = "/redfish/v1/AccountService/Accounts"
SESSIONS = "/redfish/v1/SessionService/Sessions"
OTHER = "Distant-Meadow-77"


def account(api: Api, role: str = "Operator", **more: Any) -> dict[str, Any]:
    body = {"UserName": f"user-{uuid4().hex[:8]}", "Password": OTHER, "RoleId": role, **more}
    answer = api.post(ACCOUNTS, body)
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == answer.json["@odata.id"]
    made: dict[str, Any] = answer.json
    return made


def test_a_login_and_a_logout(api: Api) -> None:
    for path in (SESSIONS, f"{SESSIONS}/Members"):
        answer = api.anonymous().post(path, {"UserName": "admin", "Password": PASSWORD})
        assert answer.status_code == 201
        token = answer.headers["X-Auth-Token"]
        assert int(token, 16)
        assert "Set-Cookie" not in answer.headers
        body = answer.json
        assert {"@odata.id", "@odata.type", "Id", "Name", "UserName"} <= body.keys()
        assert answer.headers["Location"] == body["@odata.id"]
        assert body["Password"] is None
        assert PASSWORD not in answer.text
        assert token not in answer.text
        mine = Api(api.application, api.client, {"X-Auth-Token": token})
        assert mine.get(body["@odata.id"]).json["UserName"] == "admin"
        assert mine.delete(body["@odata.id"]).status_code == 204
        assert mine.get("/redfish/v1/Systems").status_code == 401


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"UserName": "admin", "Password": "wrong-password"}, 401),
        ({"UserName": "nobody", "Password": PASSWORD}, 401),
        ({"UserName": "", "Password": ""}, 401),
        ({"UserName": "admin"}, 400),
        ({"UserName": "admin", "Password": None}, 400),
        ({"UserName": "admin", "Password": 5}, 400),
        ({"UserName": ["admin"], "Password": PASSWORD}, 400),
        ({"UserName": "admin", "Password": "x" * 5000}, 400),
    ],
)
def test_logins_that_fail(api: Api, body: dict[str, Any], status: int) -> None:
    answer = api.anonymous().post(SESSIONS, body)
    assert answer.status_code == status
    assert "X-Auth-Token" not in answer.headers
    assert "Location" not in answer.headers
    assert "wrong-password" not in answer.text
    assert "x" * 20 not in answer.text


def test_an_account_is_made_changed_and_deleted(api: Api) -> None:
    made = account(api)
    path = made["@odata.id"]
    assert (made["RoleId"], made["Enabled"], made["Locked"], made["Password"]) == ("Operator", True, False, None)
    assert made["Links"]["Role"]["@odata.id"] == "/redfish/v1/AccountService/Roles/Operator"
    etags = {made["@odata.etag"]}
    for change in ({"RoleId": "ReadOnly"}, {"Enabled": False}, {"Enabled": True}, {"Password": "Another-Harbour-3"}):
        answer = api.patch(path, change)
        assert answer.status_code == 200
        assert answer.headers["ETag"] == answer.json["@odata.etag"]
        etags.add(answer.headers["ETag"])
    assert len(etags) == 5
    assert api.get(path).headers["ETag"] in etags
    api.anonymous().login(made["UserName"], "Another-Harbour-3")
    assert api.delete(path).status_code == 204
    assert api.get(path).status_code == 404


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"Password": "short"}, "Password"),
        ({"Password": None}, "Password"),
        ({"UserName": "a b"}, "UserName"),
        ({"UserName": "x" * 200}, "UserName"),
        ({"RoleId": "Emperor"}, "RoleId"),
        ({"Enabled": "yes"}, "Enabled"),
        ({"Locked": True}, "Locked"),
        ({"AccountTypes": ["SNMP"]}, "AccountTypes/0"),
        ({"Foo": 1}, "Foo"),
    ],
)
def test_an_account_that_cannot_be(api: Api, change: dict[str, Any], place: str) -> None:
    body = {"UserName": f"u{uuid4().hex[:8]}", "Password": OTHER, "RoleId": "Operator", **change}
    answer = api.post(ACCOUNTS, body)
    assert answer.status_code == 400, answer.text
    assert answer.json["error"]["@Message.ExtendedInfo"][0]["RelatedProperties"] == [f"#/{place}"]
    assert "short" not in answer.text


def test_a_taken_name_is_a_conflict(api: Api) -> None:
    answer = api.post(ACCOUNTS, {"UserName": "ADMIN", "Password": OTHER, "RoleId": "Operator"})
    assert (answer.status_code, message_ids(answer)) == (409, ["Base.1.22.ResourceAlreadyExists"])


def test_lost_updates_are_refused(api: Api) -> None:
    path = account(api)["@odata.id"]
    etag = api.get(path).headers["ETag"]
    assert api.patch(path, {"RoleId": "ReadOnly"}, headers={"If-Match": etag}).status_code == 200
    lost = api.patch(path, {"RoleId": "Operator"}, headers={"If-Match": etag})
    assert (lost.status_code, message_ids(lost)) == (412, ["Base.1.22.PreconditionFailed"])
    assert api.get(path).json["RoleId"] == "ReadOnly"
    assert api.delete(path, headers={"If-Match": etag}).status_code == 412


def test_what_each_role_may_do(api: Api) -> None:
    reader, operator = account(api, "ReadOnly"), account(api, "Operator")
    as_reader = api.anonymous().login(reader["UserName"], OTHER)
    as_operator = api.anonymous().login(operator["UserName"], OTHER)
    body = {"Name": f"vm-{uuid4().hex[:8]}", "CPU": 1, "MemoryMiB": 64}
    refused = as_reader.post("/redfish/v1/Systems", body)
    assert (refused.status_code, message_ids(refused)) == (403, ["Base.1.22.InsufficientPrivilege"])
    assert api.finish(as_operator.post("/redfish/v1/Systems", body)).status_code == 201
    for path in ("/redfish/v1/Systems", "/redfish/v1/TaskService/Tasks", "/redfish/v1/AccountService"):
        assert as_reader.get(path).status_code == 200
    # What one may not see is not there.
    assert as_reader.get(operator["@odata.id"]).status_code == 404
    assert as_reader.patch(operator["@odata.id"], {"Password": "Stolen-Harbour-1"}).status_code == 404
    assert as_reader.get(ACCOUNTS).json["Members@odata.count"] == 1
    assert as_reader.patch(reader["@odata.id"], {"RoleId": "Administrator"}).status_code == 403
    assert as_reader.patch(reader["@odata.id"], {"Password": "Changed-Harbour-1"}).status_code == 200
    assert (
        as_operator.post("/redfish/v1/Oem/HawkFish/Hosts", {"Name": "h", "Driver": "simulated", "URI": "x"}).status_code
        == 403
    )
    assert as_operator.post(ACCOUNTS, {"UserName": "u", "Password": OTHER, "RoleId": "Operator"}).status_code == 403


def test_the_password_must_be_changed_first_where_that_is_said(api: Api) -> None:
    made = account(api, PasswordChangeRequired=True)
    login = api.anonymous().post(SESSIONS, {"UserName": made["UserName"], "Password": OTHER})
    assert login.status_code == 201
    info = login.json["@Message.ExtendedInfo"][0]
    assert (info["MessageId"], info["MessageArgs"]) == ("Base.1.22.PasswordChangeRequired", [made["@odata.id"]])
    mine = Api(api.application, api.client, {"X-Auth-Token": login.headers["X-Auth-Token"]})
    for path in ("/redfish/v1/Systems", "/redfish/v1/SessionService", ACCOUNTS, "/redfish/v1/Oem/HawkFish/Plugins"):
        answer = mine.get(path)
        assert (answer.status_code, message_ids(answer)) == (403, ["Base.1.22.PasswordChangeRequired"])
    assert mine.get(made["@odata.id"]).status_code == 200
    assert mine.patch(made["@odata.id"], {"RoleId": "Administrator"}).status_code == 403
    assert mine.patch(made["@odata.id"], {"Password": "New-Harbour-12345"}).status_code == 200
    assert mine.get("/redfish/v1/Systems").status_code == 200
    assert mine.get(made["@odata.id"]).json["PasswordChangeRequired"] is False


def test_the_standard_roles_are_there_to_stay(api: Api) -> None:
    roles = "/redfish/v1/AccountService/Roles"
    expected = {
        "Administrator": {"Login", "ConfigureManager", "ConfigureUsers", "ConfigureComponents", "ConfigureSelf"},
        "Operator": {"Login", "ConfigureComponents", "ConfigureSelf"},
        "ReadOnly": {"Login", "ConfigureSelf"},
    }
    for name, privileges in expected.items():
        role = api.get(f"{roles}/{name}").json
        assert set(role["AssignedPrivileges"]) == privileges
        assert role["IsPredefined"] is True
        assert api.patch(f"{roles}/{name}", {"AssignedPrivileges": []}).status_code == 405
        assert api.delete(f"{roles}/{name}").status_code == 405


def test_the_last_administrator_stays(api: Api) -> None:
    accounts = [api.get(member["@odata.id"]).json for member in api.get(ACCOUNTS).json["Members"]]
    mine = next(account["@odata.id"] for account in accounts if account["UserName"] == "admin")
    for other in accounts:
        if other["RoleId"] == "Administrator" and other["@odata.id"] != mine:  # of another test
            assert api.delete(other["@odata.id"]).status_code == 204
    for answer in (api.delete(mine), api.patch(mine, {"Enabled": False}), api.patch(mine, {"RoleId": "ReadOnly"})):
        assert answer.status_code == 409
        assert "administrator" in answer.text


def test_basic_over_plain_http_is_for_this_machine_only_while_tls_is_on(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dataclasses

    from falcon.testing import TestClient

    from hawkfish.api.app import create_app

    with_tls = dataclasses.replace(api.application, settings=dataclasses.replace(api.application.settings, tls=True))
    client = TestClient(create_app(with_tls))

    def status(scheme: str, address: str) -> int:
        answer = client.simulate_get(
            "/redfish/v1/Systems", headers=basic("admin", PASSWORD), protocol=scheme, remote_addr=address
        )
        return int(answer.status_code)

    assert status("https", "192.0.2.7") == 200
    assert status("http", "127.0.0.1") == 200
    assert status("http", "::1") == 200
    assert status("http", "192.0.2.7") == 401
