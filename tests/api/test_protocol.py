"""The rules of the protocol that hold for every resource (DSP0266)."""

from __future__ import annotations

import base64
import json
import re
from xml.etree import ElementTree as ET

import pytest

from hawkfish.domain.accounts import SYSTEM_ACTOR
from tests.api.installation import PASSWORD, Api

ROOT = "/redfish/v1/"
PUBLIC = ["/redfish", "/redfish/v1", "/redfish/v1/", "/redfish/v1/odata", "/redfish/v1/$metadata"]
RESOURCES = [
    ROOT,
    "/redfish/v1/Systems",
    "/redfish/v1/Managers",
    "/redfish/v1/Chassis",
    "/redfish/v1/SessionService",
    "/redfish/v1/SessionService/Sessions",
    "/redfish/v1/AccountService",
    "/redfish/v1/AccountService/Accounts",
    "/redfish/v1/AccountService/Roles",
    "/redfish/v1/AccountService/Roles/Administrator",
    "/redfish/v1/TaskService",
    "/redfish/v1/TaskService/Tasks",
    "/redfish/v1/Oem/HawkFish/Hosts",
    "/redfish/v1/Oem/HawkFish/Plugins",
    "/redfish/v1/Oem/HawkFish/Plugins/core",
    "/redfish/v1/Oem/HawkFish/Storage/Pools",
]


def basic(user_name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user_name}:{password}".encode()).decode()}


def message_ids(answer: object) -> list[str]:
    return [info["MessageId"] for info in answer.json["error"]["@Message.ExtendedInfo"]]  # type: ignore[attr-defined]


def test_the_versions(api: Api) -> None:
    assert api.anonymous().get("/redfish").json == {"v1": "/redfish/v1/"}
    assert api.anonymous().get("/redfish/v1").json == api.anonymous().get("/redfish/v1/").json


@pytest.mark.parametrize("path", PUBLIC)
def test_anybody_may_read_these(api: Api, path: str) -> None:
    assert api.anonymous().get(path).status_code == 200
    wrong = api.anonymous().get(path, headers={"X-Auth-Token": "ab" * 32})
    assert wrong.status_code == 200


@pytest.mark.parametrize("path", [*RESOURCES[1:], "/redfish/v1/Nowhere", "/elsewhere", "/"])
def test_everything_else_asks_for_credentials_before_it_looks(api: Api, path: str) -> None:
    for headers in (
        {},
        {"X-Auth-Token": "ab" * 32},
        {"X-Auth-Token": "x"},
        basic("admin", "wrong"),
        {"Authorization": "Bearer x"},
    ):
        answer = api.anonymous().get(path, headers={**headers, "If-None-Match": "*"})
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")
        assert "Link" not in answer.headers
        for word in ("ab" * 32, "admin", "wrong"):
            assert word not in answer.text


@pytest.mark.parametrize("path", RESOURCES)
def test_headers_of_every_resource(api: Api, path: str) -> None:
    for method in ("GET", "HEAD"):
        answer = api.call(method, path)
        assert answer.status_code == 200
        assert answer.headers["OData-Version"] == "4.0"
        assert "no-cache" in answer.headers["Cache-Control"]
        assert answer.headers["Content-Type"] == "application/json"
        assert {"GET", "HEAD"} <= set(answer.headers["Allow"].split(", "))
        assert answer.headers["ETag"]
        if "Oem" not in path:
            assert answer.headers["Link"].endswith("; rel=describedby")
        if method == "HEAD":
            assert answer.content == b""
    body = api.get(path).json
    assert body["@odata.etag"] == api.get(path).headers["ETag"] == api.get(path).json["@odata.etag"]
    assert body["@odata.id"] == path
    if "Oem" not in path:
        named = re.search(r"/v1/(.*)\.json", api.get(path).headers["Link"])
        assert named is not None
        assert body["@odata.type"].startswith(f"#{named[1]}.")


@pytest.mark.parametrize("path", RESOURCES)
def test_no_link_leads_nowhere_and_no_address_needs_encoding(api: Api, path: str) -> None:
    for address in sorted(set(re.findall(r'"@odata\.id":\s*"([^"]+)"', api.get(path).text))):
        assert re.fullmatch(r"[A-Za-z0-9/._-]+", address)
        assert api.get(address).status_code == 200, address


def test_a_client_that_has_it_already_gets_304(api: Api) -> None:
    etag = api.get(ROOT).headers["ETag"]
    for value in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        answer = api.get(ROOT, headers={"If-None-Match": value})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["ETag"] == etag
    assert api.get(ROOT, headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize("version", ["4.1", "3.0", "", "x"])
def test_other_versions_of_odata_are_refused(api: Api, version: str) -> None:
    answer = api.get(ROOT, headers={"OData-Version": version})
    assert answer.status_code == 412
    assert message_ids(answer) == ["Base.1.22.HeaderInvalid"]
    assert api.get(ROOT, headers={"OData-Version": "4.0"}).status_code == 200


@pytest.mark.parametrize(
    "accept",
    [None, "application/json", "application/*", "*/*", "application/json;charset=utf-8", "*/*;charset=utf-8"],
)
def test_accept(api: Api, accept: str | None) -> None:
    headers = {} if accept is None else {"Accept": accept}
    for path in RESOURCES:
        assert api.get(path, headers=headers).headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_the_root_can_only_be_read(api: Api, method: str) -> None:
    answer = api.call(method, ROOT)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert message_ids(answer) == ["Base.1.22.OperationNotAllowed"]


@pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")
@pytest.mark.parametrize("method", ["FAKEMETHODFORTEST", "PROPFIND", "CONNECT", "get"])
def test_unknown_methods_are_told_what_is_allowed(api: Api, method: str) -> None:
    answer = api.client.simulate_request(method, "/redfish/v1/Systems", headers=api.headers)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD, POST")


def test_deleting_a_collection_is_not_allowed(api: Api) -> None:
    answer = api.delete("/redfish/v1/Oem/HawkFish/Hosts")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD, POST")


def test_query_options(api: Api) -> None:
    assert api.get("/redfish/v1/Systems", query_string="unknown=1&x").status_code == 200
    for option in ("$unknown", "$format=json", "$count=true", "$orderby=Name", "$search=x", "$"):
        answer = api.get("/redfish/v1/Systems", query_string=option)
        assert answer.status_code == 501
        assert option.partition("=")[0] in answer.json["error"]["@Message.ExtendedInfo"][0]["MessageArgs"][0]
    for option in (
        "only=foo",
        "$top=-1",
        "$top=x",
        "$skip=1.5",
        "$top=",
        "$skip=99999999999999999999",
        "$top=1&$top=2",
        "only&$top=1",
        "only&$filter=Name eq 'x'",
        "excerpt",
        "excerpt=foo",
        "$select=",
        "$select=Name,",
        "$select=Name//x",
        "$select=*",
        "$expand=",
        "$expand=Members",
        "$expand=.($levels=0)",
        "$expand=.($levels=4)",
        "$expand=.($levels=99999999999999999999)",
        "$expand=.&$expand=.",
        "$filter=",
        "$filter=Name",
        "$skiptoken=",
        "$skiptoken=x",
        "$skiptoken=WzFd",
        "$skiptoken=WyJceDAwIl0",
        "$skiptoken=WyJcdWQ4MDAiXQ",
        "$skiptoken=e30",
        "$skiptoken=W10",
    ):
        assert api.get("/redfish/v1/Systems", query_string=option).status_code == 400, option
    for option in ("only", "$top=1", "$skip=1", "$filter=Id eq 'x'", "$skiptoken=WyJ4Il0", "excerpt"):
        assert api.get("/redfish/v1/SessionService", query_string=option).status_code == 400
    for option in ("$top=1", "$select=Name", "$expand=.", "$filter=Name eq 'x'", "only", "excerpt"):
        assert api.post("/redfish/v1/Systems", {}, query_string=option).status_code == 400, option
    for path in PUBLIC[-2:]:
        assert api.get(path, query_string="$select=Name").status_code == 400


def test_paging_goes_over_all_members_once(api: Api) -> None:
    path = "/redfish/v1/AccountService/Roles"
    seen: list[str] = []
    following: str | None = f"{path}?$top=2"
    pages = 0
    while following:
        address, _, query = following.partition("?")
        page = api.get(address, query_string=query).json
        assert page["Members@odata.count"] == 3
        seen += [member["@odata.id"] for member in page["Members"]]
        following = page.get("Members@odata.nextLink")
        pages += 1
    assert pages == 2
    assert seen == [f"{path}/{role}" for role in ("Administrator", "Operator", "ReadOnly")]
    assert api.get(path, query_string="$top=0").json["Members"] == []
    assert api.get(path, query_string="$skip=7").json["Members"] == []


def test_only_gives_the_sole_member(api: Api) -> None:
    storage = f"{api.system('only')['@odata.id']}/Storage"
    (member,) = api.get(storage).json["Members"]
    assert api.get(storage, query_string="only").json["@odata.id"] == member["@odata.id"]
    several = api.get("/redfish/v1/AccountService/Roles", query_string="only").json
    assert several["Members@odata.count"] == 3


def test_only_what_is_supported_is_announced(api: Api) -> None:
    features = api.get(ROOT).json["ProtocolFeaturesSupported"]
    assert features["OnlyMemberQuery"] is True
    assert features["TopSkipQuery"] is True
    assert features["SelectQuery"] is True
    assert features["FilterQuery"] is True
    assert features["FilterQueryComparisonOperations"] is True
    assert features["FilterQueryCompoundOperations"] is True
    assert features["ExcerptQuery"] is False
    assert features["ExpandQuery"] == {
        "ExpandAll": True,
        "Levels": True,
        "Links": True,
        "NoLinks": True,
        "MaxLevels": 3,
    }


def test_metadata_and_service_document(api: Api) -> None:
    answer = api.anonymous().get("/redfish/v1/$metadata")
    assert answer.headers["Content-Type"].startswith("application/xml")
    tree = ET.fromstring(answer.text)
    assert tree.find(".//{http://docs.oasis-open.org/odata/ns/edm}EntityContainer") is not None
    namespaces = {item.get("Namespace") for item in tree.iter("{http://docs.oasis-open.org/odata/ns/edmx}Include")}
    for path in RESOURCES:
        if "Oem" not in path:
            assert api.get(path).json["@odata.type"].removeprefix("#").rpartition(".")[0] in namespaces
    document = api.anonymous().get("/redfish/v1/odata").json
    assert document["@odata.context"] == "/redfish/v1/$metadata"
    urls = {entry["url"] for entry in document["value"]}
    root = api.get(ROOT).json
    assert {
        ROOT,
        *(value["@odata.id"] for value in root.values() if isinstance(value, dict) and "@odata.id" in value),
    } <= urls


def test_basic_needs_no_session(api: Api) -> None:
    before = api.get("/redfish/v1/SessionService/Sessions").json["Members@odata.count"]
    for path in RESOURCES:
        assert api.anonymous().get(path, headers=basic("admin", PASSWORD)).status_code == 200
    assert api.get("/redfish/v1/SessionService/Sessions").json["Members@odata.count"] == before


@pytest.mark.parametrize(
    "value", ["Basic", "Basic !!!", "Basic YWRtaW4=", "Basic /////w==", "basic", "", "Basic " + "A" * 5000]
)
def test_basic_that_cannot_be_read(api: Api, value: str) -> None:
    assert api.anonymous().get("/redfish/v1/Systems", headers={"Authorization": value}).status_code == 401


def test_requests_have_ids(api: Api) -> None:
    assert re.fullmatch(r"[0-9a-f]{32}", api.get(ROOT).headers["X-Request-Id"])
    assert api.get(ROOT, headers={"X-Request-Id": "mine-1"}).headers["X-Request-Id"] == "mine-1"
    assert api.get(ROOT, headers={"X-Request-Id": "a b\x7f"}).headers["X-Request-Id"] != "a b\x7f"


@pytest.mark.parametrize(
    ("content", "headers", "status", "message"),
    [
        (b"", {}, 400, "MalformedJSON"),
        (b"   ", {}, 400, "MalformedJSON"),
        (b"{", {}, 400, "MalformedJSON"),
        (b"[]", {}, 400, "MalformedJSON"),
        (b"null", {}, 400, "MalformedJSON"),
        (b'"x"', {}, 400, "MalformedJSON"),
        (b"\xff\xfe", {}, 400, "MalformedJSON"),
        (b'{"Name": NaN}', {}, 400, "MalformedJSON"),
        (b'{"Name": -Infinity}', {}, 400, "MalformedJSON"),
        (b'{"Name": 1e999}', {}, 400, "MalformedJSON"),
        (b'{"Name": ' + b"9" * 5000 + b"}", {}, 400, "MalformedJSON"),
        (b"[" * 100_000, {}, 400, "MalformedJSON"),
        (b'{"a":' * 500 + b"1" + b"}" * 500, {}, 400, "MalformedJSON"),
        (b'{"Name": "a", "Name": "b"}', {}, 400, "PropertyDuplicate"),
        (b'{"Name": "\\ud800"}', {}, 400, "PropertyValueFormatError"),
        (b'{"Name": "\\u0000"}', {}, 400, "PropertyValueFormatError"),
        (b'{"\\ud800": 1}', {}, 400, "PropertyValueFormatError"),
        (b'{"@odata.type": "#X.X"}', {}, 400, None),
        (b"{}", {"Content-Type": "text/plain"}, 415, "HeaderInvalid"),
        (b"a=b", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "HeaderInvalid"),
        (b"{" + b" " * 2_000_000 + b"}", {}, 413, "PayloadTooLarge"),
    ],
    ids=range(21),
)
def test_bodies_that_cannot_be_read(
    api: Api, content: bytes, headers: dict[str, str], status: int, message: str | None
) -> None:
    answer = api.client.simulate_post(
        "/redfish/v1/Systems",
        body=content,
        headers={**api.headers, "Content-Type": "application/json", **headers},
    )
    assert answer.status_code == status, answer.text
    if message:
        assert message_ids(answer) == [f"Base.1.22.{message}"]
    assert "Location" not in answer.headers


@pytest.mark.parametrize(
    "path",
    [
        "/redfish/v1/Systems/a%2Fb",
        "/redfish/v1/Systems/%00",
        "/redfish/v1/Systems/%ff%fe",
        "/redfish/v1/Systems/%0d%0aSet-Cookie:x",
        "/redfish/v1/Systems/" + "a" * 5000,
        "/redfish/v1/Systems/..",
        "/redfish/v1/Systems/../../etc/passwd",
        "/redfish/v1//Systems",
        "/redfish/v1/AccountService/Accounts/1",
        "/redfish/v1/AccountService/Accounts/%C3%A9",
        "/redfish/v1/AccountService/Roles/administrator",
        "/redfish/v1/SessionService/Sessions/x",
        "/redfish/v1/TaskService/Tasks/42",
        "/redfish/v1/TaskService/TaskMonitors/42",
        "/redfish/v1/Oem/HawkFish/Hosts/none",
        "/redfish/v1/Oem/HawkFish/Plugins/none",
        "/redfish/v1/Oem/HawkFish/Storage/Pools/none",
        "/redfish/v1/Oem/HawkFish/Storage",
    ],
)
def test_addresses_where_nothing_is(api: Api, path: str) -> None:
    answer = api.get(path)
    assert answer.status_code == 404, answer.text
    json.dumps(answer.json)
    assert "\r" not in answer.text.replace("\\r", "")


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "no credentials"),
        ({"X-Auth-Token": "ab" * 32}, "no such session"),
        ({"Authorization": "Bearer x"}, "Only Basic is understood"),
        ({"Authorization": "Basic !!!"}, "cannot be read"),
    ],
)
def test_callers_that_nobody_knows_leave_a_record(api: Api, headers: dict[str, str], reason: str) -> None:
    source = "192.0.2.77"
    assert api.anonymous().get("/redfish/v1/Systems", headers=headers, remote_addr=source).status_code == 401
    record = api.application.audit.list(SYSTEM_ACTOR, limit=1)[0]
    assert (record.verb, record.subject, record.outcome) == ("authenticate", "GET /redfish/v1/Systems", "denied")
    assert record.address == source
    assert reason in record.details["reason"]
    assert "ab" * 32 not in str(record)
