"""LogServices of systems and managers, as clients read and clear them."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from hawkfish.domain.messages import RESOURCE_POWERED_ON, RESOURCE_STATUS_WARNING
from hawkfish.testing.waiting import wait_until
from tests.api.installation import Api

SYSTEMS = "/redfish/v1/Systems"


@pytest.fixture
def system(api: Api) -> dict[str, Any]:
    """A system whose log of events is empty."""
    made = api.system(f"logs-{uuid4().hex[:8]}")
    assert clear(api, made).status_code == 204
    return made


def clear(api: Api, system: dict[str, Any]) -> Any:
    service = api.get(f"{system['@odata.id']}/LogServices/Events").json
    return api.post(service["Actions"]["#LogService.ClearLog"]["target"], {})


def add(api: Api, system: dict[str, Any], count: int = 1) -> None:
    with api.application.database.write() as uow:
        for _ in range(count):
            uow.events.add(RESOURCE_POWERED_ON, f"system:{system['Id']}", system["Name"], actor="admin")


def test_the_log_of_a_system_tells_what_happened(api: Api, system: dict[str, Any]) -> None:
    add(api, system)
    with api.application.database.write() as uow:
        uow.events.add(RESOURCE_STATUS_WARNING, f"system:{system['Id']}", system["Name"], "Warning")
    services = api.get(system["LogServices"]["@odata.id"]).json
    (address,) = (item["@odata.id"] for item in services["Members"])
    service = api.get(address).json
    assert (service["Id"], service["LogEntryType"], service["LogPurposes"]) == ("Events", "Event", ["Operations"])
    assert (service["OverWritePolicy"], service["MaxNumberOfRecords"]) == ("WrapsWhenFull", 100_000)
    assert service["DateTime"].endswith("Z")
    entries = api.get(service["Entries"]["@odata.id"]).json
    newest, oldest = entries["Members"]
    assert entries["Members@odata.count"] == 2
    assert newest["MessageId"] == "ResourceEvent.1.4.ResourceStatusChangedWarning"
    assert newest["MessageArgs"] == [system["Name"], "Warning"]
    assert newest["Message"] == f"The health of resource '{system['Name']}' has changed to Warning."
    assert (newest["Severity"], newest["EntryType"]) == ("Warning", "Event")
    assert (oldest["Message"], oldest["Username"]) == (f"The resource '{system['Name']}' has powered on.", "admin")
    for entry in (newest, oldest):
        assert entry["Links"]["OriginOfCondition"] == {"@odata.id": system["@odata.id"]}
        shown = api.get(entry["@odata.id"]).json
        assert shown.items() >= entry.items()
        assert shown["Id"] == entry["@odata.id"].rpartition("/")[2]


def test_what_really_happens_is_told(api: Api, system: dict[str, Any]) -> None:
    entries = f"{system['@odata.id']}/LogServices/Events/Entries"

    def told() -> list[str]:
        return [entry["MessageId"].rpartition(".")[2] for entry in reversed(api.get(entries).json["Members"])]

    for reset_type, message in (("On", "ResourcePoweredOn"), ("ForceOff", "ResourcePoweredOff")):
        target = f"{system['@odata.id']}/Actions/ComputerSystem.Reset"
        assert api.finish(api.post(target, {"ResetType": reset_type})).status_code == 204
        wait_until(lambda message=message: message in told(), message)  # type: ignore[misc]  # bound now
    assert told().index("ResourcePoweredOn") < told().index("ResourcePoweredOff")


def test_entries_are_paged(api: Api, system: dict[str, Any]) -> None:
    add(api, system, 5)
    address: str | None = f"{system['@odata.id']}/LogServices/Events/Entries?$top=2"
    seen, pages = [], 0
    while address is not None:
        path, _, query = address.partition("?")
        page = api.get(path, query_string=query).json
        assert page["Members@odata.count"] == 5 + pages
        seen += [int(entry["Id"]) for entry in page["Members"]]
        address, pages = page.get("Members@odata.nextLink"), pages + 1
        # What is new meanwhile stands before all that was read, and pushes nothing onto the next page again.
        add(api, system)
    assert pages == 3
    assert len(seen) == 5
    assert seen == sorted(set(seen), reverse=True)


def test_a_cleared_log_is_empty_and_goes_on(api: Api, system: dict[str, Any]) -> None:
    add(api, system, 2)
    entries = f"{system['@odata.id']}/LogServices/Events/Entries"
    old = api.get(entries).json["Members"][0]["@odata.id"]
    assert (clear(api, system).status_code, clear(api, system).content) == (204, b"")
    assert api.get(entries).json["Members"] == []
    assert api.get(old).status_code == 404
    add(api, system)
    assert api.get(entries).json["Members@odata.count"] == 1


def test_clearing_takes_no_parameters(api: Api, system: dict[str, Any]) -> None:
    target = f"{system['@odata.id']}/LogServices/Events/Actions/LogService.ClearLog"
    refused = api.post(target, {"LogEntriesETag": "x"})
    (told,) = refused.json["error"]["@Message.ExtendedInfo"]
    assert (refused.status_code, told["MessageArgs"]) == (400, ["LogService.ClearLog", "LogEntriesETag"])
    assert told["Message"] == "The action LogService.ClearLog has no parameter LogEntriesETag."
    assert api.post(target).status_code == 204
    assert api.get(target).status_code == 405


def test_the_etag_of_a_log_does_not_follow_its_clock(api: Api, system: dict[str, Any]) -> None:
    for address in (f"{system['@odata.id']}/LogServices/Events", f"/redfish/v1/Managers/{system['Id']}"):
        first = api.get(address)
        moment = first.json["DateTime"]
        while (later := api.get(address)).json["DateTime"] == moment:
            pass
        assert later.headers["ETag"] == first.headers["ETag"] == later.json["@odata.etag"]


def test_the_manager_shows_administrators_who_did_what(api: Api, system: dict[str, Any]) -> None:
    manager = api.get(f"/redfish/v1/Managers/{system['Id']}").json
    reader = api.post(
        "/redfish/v1/AccountService/Accounts",
        {"UserName": f"reader{uuid4().hex[:8]}", "Password": "Quiet-Harbour-41", "RoleId": "ReadOnly"},
    ).json
    reading = api.login(reader["UserName"], "Quiet-Harbour-41")
    refused = reading.patch(system["@odata.id"], {"AssetTag": "mine"})
    assert refused.status_code == 403
    (address,) = (item["@odata.id"] for item in api.get(manager["LogServices"]["@odata.id"]).json["Members"])
    service = api.get(address).json
    assert (service["Id"], service["LogEntryType"], service["LogPurposes"]) == ("Audit", "Event", ["Security"])
    entries = api.get(service["Entries"]["@odata.id"]).json["Members"]
    newest, oldest = entries[0], entries[-1]
    assert (newest["Username"], newest["Severity"]) == (reader["UserName"], "Warning")
    assert newest["MessageId"] == "HawkFish.1.0.RequestDenied"
    assert newest["Message"].startswith(f"'{reader['UserName']}' was refused 'systems.update'. (")
    assert newest["Message"].endswith("from 127.0.0.1)")
    assert (oldest["Username"], oldest["Severity"]) == ("admin", "OK")
    assert oldest["Message"].startswith("'admin' did 'systems.create'. (")
    assert api.get(newest["@odata.id"]).json["Message"] == newest["Message"]
    # It is nothing for others: not shown, not given, not cleared.
    assert reading.get(manager["LogServices"]["@odata.id"]).json["Members"] == []
    for method, path in (("GET", address), ("GET", f"{address}/Entries"), ("GET", newest["@odata.id"])):
        assert reading.call(method, path).status_code == 403
    assert reading.post(service["Actions"]["#LogService.ClearLog"]["target"]).status_code == 403
    log = f"{system['@odata.id']}/LogServices/Events"
    assert reading.get(f"{log}/Entries").status_code == 200
    assert reading.post(f"{log}/Actions/LogService.ClearLog").status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        *("Systems/{}/LogServices/Audit", "Managers/{}/LogServices/Events", "Systems/{}/LogServices/Events/Entries/0"),
        *("Systems/{}/LogServices/Events/Entries/x", "Systems/{}/LogServices/Events/Entries/00001"),
        *("Systems/{}/LogServices/Events/Entries/99999999999999999", "Systems/{}/LogServices/events"),
        "Systems/{}/LogServices/Events/Entries/99999999999999999999999999",
    ],
)
def test_what_is_not_there_is_not_found(api: Api, system: dict[str, Any], path: str) -> None:
    assert api.get(f"/redfish/v1/{path.format(system['Id'])}").status_code == 404


def test_addresses_with_a_name_redirect(api: Api, system: dict[str, Any]) -> None:
    for collection in (SYSTEMS, "/redfish/v1/Managers"):
        answer = api.get(f"{collection}/{system['Name']}/LogServices")
        assert (answer.status_code, answer.headers["Location"]) == (307, f"{collection}/{system['Id']}/LogServices")
