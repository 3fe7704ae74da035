"""Paging, $select, $expand and $filter of live resources."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pytest
from sqlalchemy import event

from tests.api.installation import PASSWORD, Api

SYSTEMS = "/redfish/v1/Systems"
ROLES = "/redfish/v1/AccountService/Roles"
NAMES = [f"page-{letter}" for letter in "abcdefg"]
MINE = "Name ge 'page-' and Name lt 'page.'"


@pytest.fixture(scope="module")
def systems(api: Api) -> Iterator[dict[str, dict[str, Any]]]:
    """Seven systems by name."""
    made = {name: api.system(name, AssetTag=f"tag-{name}", Labels={"row": name[-1]}) for name in NAMES}
    yield made
    for system in made.values():
        api.finish(api.delete(system["@odata.id"]))


def get(api: Api, address: str) -> dict[str, Any]:
    """Follows an address as it stands in an answer."""
    path, _, query = address.partition("?")
    answer = api.get(path, query_string=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json
    return found


def walk(api: Api, address: str) -> Iterator[dict[str, Any]]:
    """All pages from an address on."""
    following: str | None = address
    while following:
        page = get(api, following)
        yield page
        following = page.get("Members@odata.nextLink")


def names(page: dict[str, Any]) -> list[str]:
    return [member["Name"] for member in page["Members"]]


# --- paging ----------------------------------------------------------------------------------------------------------


def test_pages_hold_each_member_once(api: Api, systems: dict[str, Any]) -> None:
    pages = list(walk(api, f"{SYSTEMS}?$filter={MINE}&$top=3"))
    assert [len(page["Members"]) for page in pages] == [3, 3, 1]
    assert {page["Members@odata.count"] for page in pages} == {7}
    found = [member["@odata.id"] for page in pages for member in page["Members"]]
    assert found == [systems[name]["@odata.id"] for name in NAMES]


def test_what_comes_and_goes_meanwhile_moves_nothing(api: Api, systems: dict[str, Any]) -> None:
    first = get(api, f"{SYSTEMS}?$filter={MINE}&$top=3&$expand=.")
    assert names(first) == NAMES[:3]
    early, late = api.system("page-aa"), api.system("page-dd")
    gone = api.system("page-c0")
    assert api.finish(api.delete(gone["@odata.id"])).status_code == 204
    rest = [name for page in walk(api, first["Members@odata.nextLink"]) for name in names(page)]
    assert rest == [NAMES[3], "page-dd", *NAMES[4:]]
    # The place itself may go, too.
    last = get(api, f"{SYSTEMS}?$filter={MINE}&$top=2&$expand=.")
    assert names(last) == [NAMES[0], "page-aa"]
    for system in (early, late):
        assert api.finish(api.delete(system["@odata.id"])).status_code == 204
    assert names(get(api, last["Members@odata.nextLink"])) == NAMES[1:3]


def test_skip_is_for_those_who_want_it(api: Api, systems: dict[str, Any]) -> None:
    found = get(api, f"{SYSTEMS}?$filter={MINE}&$skip=2&$top=2&$expand=.")
    assert names(found) == NAMES[2:4]
    assert "$skip=" not in found["Members@odata.nextLink"]
    assert names(get(api, found["Members@odata.nextLink"])) == NAMES[4:6]
    assert "Members@odata.nextLink" not in get(api, f"{SYSTEMS}?$filter={MINE}&$skip=5&$top=2")
    assert get(api, f"{SYSTEMS}?$skip=2147483647")["Members"] == []


def test_the_next_link_keeps_what_was_asked_for(api: Api, systems: dict[str, Any]) -> None:
    address = f"{SYSTEMS}?$filter={MINE} and AssetTag ne 'it''s %26 more'&$top=2&$select=Name,Status/Health&$expand=.($levels=1)"
    pages = list(walk(api, address))
    assert len(pages) == 4
    for page in pages:
        for member in page["Members"]:
            assert set(member) == {"@odata.id", "@odata.type", "@odata.etag", "Name", "Status"}
            assert set(member["Status"]) == {"Health"}
    assert "it''s & more" in unquote(pages[0]["Members@odata.nextLink"]).replace("%26", "&")


def test_tasks_come_newest_first_page_by_page(api: Api, systems: dict[str, Any]) -> None:
    path = "/redfish/v1/TaskService/Tasks"
    whole = [member["@odata.id"] for member in get(api, path)["Members"]]
    pieces = [member["@odata.id"] for page in walk(api, f"{path}?$top=3") for member in page["Members"]]
    assert pieces == whole
    done = list(walk(api, f"{path}?$filter=TaskState eq 'Completed'&$top=2"))
    found = [member["@odata.id"] for page in done for member in page["Members"]]
    assert found == [address for address in whole if get(api, address)["TaskState"] == "Completed"]


@pytest.mark.parametrize(
    "path",
    [
        ROLES,
        "/redfish/v1/AccountService/Accounts",
        "/redfish/v1/SessionService/Sessions",
        "/redfish/v1/Oem/HawkFish/Plugins",
        "/redfish/v1/Oem/HawkFish/Hosts",
        "/redfish/v1/Oem/HawkFish/Storage/Pools",
        "/redfish/v1/Managers",
        "/redfish/v1/Chassis",
    ],
)
def test_each_collection_pages_and_expands(api: Api, systems: dict[str, Any], path: str) -> None:
    whole = get(api, path)
    pages = list(walk(api, f"{path}?$top=1"))
    assert [member for page in pages for member in page["Members"]] == whole["Members"]
    expanded = get(api, f"{path}?$expand=.")
    assert [member["@odata.id"] for member in expanded["Members"]] == [item["@odata.id"] for item in whole["Members"]]
    clock = {"DateTime": None}  # of a manager, which goes on
    for member in expanded["Members"][:5]:
        assert member | clock == get(api, member["@odata.id"]) | clock
    one = expanded["Members"][0]
    found = get(api, f"{path}?$filter=Id eq '{one['Id']}'")
    assert [member["@odata.id"] for member in found["Members"]] == [one["@odata.id"]]
    assert found["Members@odata.count"] == 1


# --- $filter ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("Name eq 'page-c'", ["page-c"]),
        ("AssetTag gt 'tag-page-f'", ["page-g"]),
        ("Oem/HawkFish/Labels/row le 'b'", ["page-a", "page-b"]),
        ("PowerState eq 'Off' and not (Name gt 'page-a')", ["page-a"]),
        ("(Name eq 'page-b' or Name eq 'page-d') and Status/Health eq 'OK'", ["page-b", "page-d"]),
        ("MemorySummary/TotalSystemMemoryGiB lt 0.5", []),
        ("MemorySummary/TotalSystemMemoryGiB ge 0.5 and ProcessorSummary/Count eq 1", NAMES),
        # These are not indexed; every member is looked at.
        ("Oem/HawkFish/Disks/CapacityBytes eq 1073741824", NAMES),
        ("Model eq 'none' or Name eq 'page-g'", ["page-g"]),
        ("NoSuchProperty eq null and Name lt 'page-b'", ["page-a"]),
        ("NoSuchProperty eq 'x'", []),
    ],
)
def test_filters(api: Api, systems: dict[str, Any], condition: str, expected: list[str]) -> None:
    found = get(api, f"{SYSTEMS}?$filter=({condition}) and {MINE}&$expand=.")
    assert (names(found), found["Members@odata.count"]) == (expected, len(expected))
    paged = [
        name
        for page in walk(api, f"{SYSTEMS}?$filter=({condition}) and {MINE}&$top=1&$expand=.")
        for name in names(page)
    ]
    assert paged == expected


def test_a_look_at_every_member_has_a_limit(api: Api, systems: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hawkfish.api.resources.base.MOST_SIFTED", 6)
    answer = api.get(SYSTEMS, query_string="$filter=Model eq 'x'")
    assert answer.status_code == 400
    assert "Status/Health" in answer.json["error"]["message"]
    assert api.get(SYSTEMS, query_string="$filter=Name eq 'x'").status_code == 200


# --- $select ---------------------------------------------------------------------------------------------------------


def test_select_shows_what_is_named_and_what_identifies(api: Api, systems: dict[str, Any]) -> None:
    address = systems["page-a"]["@odata.id"]
    whole = get(api, address)
    found = get(api, f"{address}?$select=Name,Status/Health,Oem/HawkFish/CPU,Absent,Boot/BootSourceOverrideTarget")
    assert found == {
        **{name: whole[name] for name in ("@odata.etag", "@odata.id", "@odata.type", "Name")},
        "Status": {"Health": "OK"},
        "Boot": {name: value for name, value in whole["Boot"].items() if name.startswith("BootSourceOverrideTarget")},
        "Oem": {"HawkFish": {"@odata.type": "#HawkFishSystem.v1_0_0.System", "CPU": 1}},
    }
    answer = api.get(address, query_string="$select=Name")
    assert answer.headers["ETag"] == whole["@odata.etag"]
    assert (
        api.get(address, query_string="$select=Name", headers={"If-None-Match": whole["@odata.etag"]}).status_code
        == 304
    )
    assert api.call("HEAD", address, query_string="$select=Name").status_code == 200
    # A null is a value; what is not there is not shown.
    assert "Password" in get(
        api, f"{get(api, '/redfish/v1/AccountService/Accounts')['Members'][0]['@odata.id']}?$select=Password"
    )


def test_select_of_a_collection(api: Api, systems: dict[str, Any]) -> None:
    found = get(api, f"{ROLES}?$select=Members")
    assert set(found) == {"@odata.etag", "@odata.id", "@odata.type", "Members", "Members@odata.count"}
    assert set(get(api, f"{ROLES}?$select=Name")) == {"@odata.etag", "@odata.id", "@odata.type", "Name"}
    for path in ("RoleId", "Members/RoleId"):
        expanded = get(api, f"{ROLES}?$expand=.&$select={path}")
        assert expanded["Members@odata.count"] == 3
        assert [member["RoleId"] for member in expanded["Members"]] == ["Administrator", "Operator", "ReadOnly"]
        assert {len(member) for member in expanded["Members"]} == {4}
    only = get(api, "/redfish/v1/Oem/HawkFish/Hosts?only&$select=Name")
    assert set(only) == {"@odata.etag", "@odata.id", "@odata.type", "Name"}


# --- $expand ---------------------------------------------------------------------------------------------------------


def test_expand_of_a_resource(api: Api, systems: dict[str, Any]) -> None:
    address = systems["page-a"]["@odata.id"]
    whole = get(api, address)
    host = get(api, whole["Oem"]["HawkFish"]["Host"]["@odata.id"])
    chassis = get(api, whole["Links"]["Chassis"][0]["@odata.id"])
    near = get(api, f"{address}?$expand=.")
    assert near["Oem"]["HawkFish"]["Host"] == host
    assert near["Links"] == whole["Links"]
    assert near["@odata.etag"] == whole["@odata.etag"]
    linked = get(api, f"{address}?$expand=~")
    assert linked["Links"]["Chassis"] == [chassis]
    assert linked["Oem"] == whole["Oem"]
    both = get(api, f"{address}?$expand=*")
    assert (both["Oem"]["HawkFish"]["Host"], both["Links"]["Chassis"]) == (host, [chassis])


def test_expand_goes_as_deep_as_it_is_asked_to(api: Api) -> None:
    path = "/redfish/v1/AccountService"
    one = get(api, f"{path}?$expand=.")
    assert one["Roles"] == get(api, ROLES)
    two = get(api, f"{path}?$expand=.($levels=2)")
    assert two["Roles"]["Members"][0] == get(api, f"{ROLES}/Administrator")
    round_and_round = get(api, f"{SYSTEMS}?$expand=*($levels=3)&$top=1")
    (system,) = round_and_round["Members"]
    (manager,) = system["Links"]["ManagedBy"]
    (again,) = manager["Links"]["ManagerForServers"]
    assert again["@odata.id"] == system["@odata.id"]
    assert set(again["Links"]["ManagedBy"][0]) == {"@odata.id"}


def test_an_expanded_answer_has_an_etag_that_changes_with_what_is_in_it(api: Api, systems: dict[str, Any]) -> None:
    query = f"$expand=.&$filter={MINE}"
    before = api.get(SYSTEMS, query_string=query).headers["ETag"]
    assert api.get(SYSTEMS, query_string=query, headers={"If-None-Match": before}).status_code == 304
    api.finish(api.patch(systems["page-b"]["@odata.id"], {"AssetTag": "changed"}))
    assert api.get(SYSTEMS, query_string=query, headers={"If-None-Match": before}).status_code == 200
    api.finish(api.patch(systems["page-b"]["@odata.id"], {"AssetTag": "tag-page-b"}))


def test_whole_members_are_what_a_get_of_each_shows_whatever_was_asked_before(
    api: Api, systems: dict[str, Any]
) -> None:
    address = f"{SYSTEMS}?$filter={MINE}&$expand=."
    for tag in ("first", "second"):
        changed = systems["page-c"]["@odata.id"]
        assert api.patch(changed, json={"AssetTag": tag}).status_code == 200
        members = get(api, address)["Members"]
        assert members == [get(api, systems[name]["@odata.id"]) for name in NAMES]
        assert members[2]["AssetTag"] == tag


def test_expand_has_a_limit(api: Api, systems: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hawkfish.api.shapes.MOST_READS", 5)
    answer = api.get(SYSTEMS, query_string="$expand=*($levels=2)")
    assert answer.status_code == 400
    assert "$top" in answer.json["error"]["message"]
    assert api.get(SYSTEMS, query_string="$expand=.").status_code == 200


def test_links_that_the_caller_may_not_follow_stay_links(api: Api) -> None:
    made = api.post(
        "/redfish/v1/AccountService/Accounts",
        {"UserName": "onlooker", "Password": "Distant-Meadow-77", "RoleId": "ReadOnly"},
    )
    onlooker = api.login("onlooker", "Distant-Meadow-77")
    found = get(onlooker, "/redfish/v1/AccountService?$expand=.($levels=2)")
    accounts = found["Accounts"]
    assert [member["UserName"] for member in accounts["Members"]] == ["onlooker"]
    assert api.delete(made.headers["Location"]).status_code == 204


def test_a_page_of_whole_members_takes_as_many_statements_as_two_members(api: Api, systems: dict[str, Any]) -> None:
    statements: list[str] = []
    engine = api.application.database.engine

    def count(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        statements.append(statement)

    def needed(query: str) -> int:
        statements.clear()
        assert fresh.get(SYSTEMS, query_string=query).status_code == 200
        return len([item for item in statements if item.lstrip().upper().startswith("SELECT")])

    fresh = api.login("admin", PASSWORD)  # now and then it is noted that a session is in use, which takes one more
    all_of_them, two_of_them = f"$expand=.&$filter={MINE}", "$expand=.&$filter=Name eq 'page-a' or Name eq 'page-b'"
    event.listen(engine, "before_cursor_execute", count)
    try:
        figures = []
        for tag, query in enumerate((all_of_them, two_of_them)):
            for system in systems.values():  # what is kept ready of them is old news
                assert fresh.patch(system["@odata.id"], {"AssetTag": f"counted-{tag}"}).status_code == 200
            figures.append((needed(query), needed(query)))
        assert figures[0] == figures[1]
        assert figures[0][0] > figures[0][1], "what is kept ready is not read again"
    finally:
        event.remove(engine, "before_cursor_execute", count)
        for name, system in systems.items():
            api.patch(system["@odata.id"], {"AssetTag": f"tag-{name}"})
