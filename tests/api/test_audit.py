"""The audit trail as administrators read it."""

from tests.api.installation import Api

AUDIT = "/redfish/v1/Oem/HawkFish/Audit"


def test_what_was_done_and_what_was_refused_is_found(api: Api) -> None:
    api.post(
        "/redfish/v1/AccountService/Accounts",
        {"UserName": "auditee", "Password": "Slow-Herons-Drift-7", "RoleId": "ReadOnly"},
    )
    reader = api.login("auditee", "Slow-Herons-Drift-7")
    body = {"UserName": "other", "Password": "Slow-Herons-Drift-7", "RoleId": "ReadOnly"}
    refused = reader.post("/redfish/v1/AccountService/Accounts", body, headers={"X-Request-Id": "audit-test-1"})
    assert refused.status_code == 403

    page = api.get(f"{AUDIT}?$filter=UserName eq 'auditee' and Outcome eq 'denied'&$expand=.").json
    (record,) = page["Members"]
    assert page["Members@odata.count"] == 1
    assert (record["Verb"], record["RequestId"]) == ("accounts.create", "audit-test-1")
    assert {"Name": "role", "Value": "ReadOnly"} in record["Details"]
    assert "Slow-Herons" not in str(api.get(f"{AUDIT}?$expand=.&$top=1000").json)
    assert api.get(record["@odata.id"]).json["Verb"] == "accounts.create"


def test_it_is_paged_from_the_newest_on(api: Api) -> None:
    first = api.get(f"{AUDIT}?$top=2").json
    assert len(first["Members"]) == 2
    numbers = [int(member["@odata.id"].rpartition("/")[2]) for member in first["Members"]]
    second = api.get(first["Members@odata.nextLink"]).json
    numbers += [int(member["@odata.id"].rpartition("/")[2]) for member in second["Members"]]
    assert numbers == sorted(set(numbers), reverse=True)


def test_only_administrators_see_it(api: Api) -> None:
    body = {"UserName": "curious", "Password": "Slow-Herons-Drift-7", "RoleId": "Operator"}
    assert api.post("/redfish/v1/AccountService/Accounts", body).status_code == 201
    operator = api.login("curious", "Slow-Herons-Drift-7")
    assert operator.get(AUDIT).status_code == 403
    assert operator.get(f"{AUDIT}/1").status_code == 403
    assert api.get(f"{AUDIT}/99999999999").status_code == 404
    assert api.get(f"{AUDIT}/x").status_code == 404
    for method in ("POST", "PATCH", "DELETE"):
        assert api.call(method, f"{AUDIT}/1", {}).status_code == 405, "it is only added to, and only by what happens"
