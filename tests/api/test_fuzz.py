"""Whatever a stranger or a user sends: an answer, never a failure inside."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hawkfish.api.app import ROUTES
from tests.api.installation import Api

fuzz = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(
        ["On", "Once", "Cd", "admin", "Administrator", "52:54:00:00:00:01", "x" * 300, "\u0000", "\ud800"]
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = (
    *("Name", "CPU", "MemoryMiB", "DiskGiB", "UUID", "Firmware", "Disks", "NetworkInterfaces", "HostId", "Labels"),
    *("PowerOn", "Description", "AssetTag", "Boot", "Oem", "HawkFish", "ResetType", "UserName", "Password", "RoleId"),
    *("Enabled", "Locked", "AccountTypes", "Driver", "URI", "Settings", "PoolPath", "CapacityGiB", "Image", "Format"),
    *("BootSourceOverrideTarget", "BootSourceOverrideEnabled", "MACAddress", "Network", "Bridge", "@odata.id", "Id"),
)
bodies = st.dictionaries(
    st.sampled_from(NAMES) | st.text(max_size=10),
    values
    | st.dictionaries(st.sampled_from(NAMES), values, max_size=4)
    | st.lists(st.dictionaries(st.sampled_from(NAMES), values, max_size=3), max_size=3),
    max_size=8,
)
methods = st.sampled_from(["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"])
header_text = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60)
headers = st.dictionaries(
    st.sampled_from(
        [
            *("If-Match", "If-None-Match", "Prefer", "Accept", "OData-Version", "Idempotency-Key", "X-Request-Id"),
            *("Range", "Origin", "User-Agent", "Cookie", "X-Forwarded-For", "Accept-Encoding", "Expect", "Forwarded"),
        ]
    ),
    header_text,
    max_size=5,
)


@pytest.fixture(scope="package")
def member(api: Api) -> dict[str, str]:
    """Values for the places in addresses: things that are there."""
    system = api.system("fuzzed")
    tasks = api.get("/redfish/v1/TaskService/Tasks").json["Members"]
    return {
        "system_id": system["Id"],
        "task_id": tasks[0]["@odata.id"].rpartition("/")[2],
        "role_id": "Operator",
        "plugin_id": "core",
    }


def checked(answer: Any, sent: Any = None) -> None:
    assert answer.status_code < 500 or answer.status_code == 501, (answer.status_code, answer.text, sent)
    if answer.content and answer.headers["Content-Type"] == "application/json":
        json.loads(answer.text)
    if answer.status_code >= 400 and answer.content:
        assert answer.json["error"]["@Message.ExtendedInfo"]


@fuzz
@given(method=methods, path=st.text(st.characters(exclude_categories=["Cs"]), max_size=60), data=st.data())
def test_addresses(api: Api, method: str, path: str, data: st.DataObject) -> None:
    prefix = data.draw(
        st.sampled_from(["/", "/redfish/v1/", "/redfish/v1/Systems/", "/redfish/v1/AccountService/Accounts/"])
    )
    for caller in (api, api.anonymous()):
        checked(caller.client.simulate_request(method, prefix + quote(path), headers=caller.headers))


@fuzz
@given(
    sent=headers,
    method=st.sampled_from(["GET", "PATCH"]),
    query=st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#?"), max_size=40),
)
def test_headers_and_queries(api: Api, member: dict[str, str], sent: dict[str, str], method: str, query: str) -> None:
    path = f"/redfish/v1/Systems/{member['system_id']}"
    body = {"AssetTag": "fuzzed"} if method == "PATCH" else None
    checked(api.call(method, path, body, headers=sent, query_string=query), (sent, query))
    checked(api.get("/redfish/v1/Systems", headers=sent, query_string="$top=1&" + query), (sent, query))


@fuzz
@given(
    credentials=st.dictionaries(
        st.sampled_from(["X-Auth-Token", "Authorization"]),
        header_text | st.just("Basic AAAA") | st.just("Basic " + "/" * 40),
        min_size=1,
    )
)
def test_credentials(api: Api, credentials: dict[str, str]) -> None:
    answer = api.anonymous().get("/redfish/v1/Systems", headers=credentials)
    checked(answer)
    assert answer.status_code == 401


@fuzz
@given(route=st.sampled_from(sorted(ROUTES)), method=st.sampled_from(["POST", "PATCH"]), body=bodies | values)
def test_bodies(api: Api, member: dict[str, str], route: str, method: str, body: Any) -> None:
    path = route
    for name in (
        "system_id",
        "task_id",
        "role_id",
        "plugin_id",
        "session_id",
        "account_id",
        "host_id",
        "pool_id",
        "screenshot_id",
    ):
        path = path.replace(f"{{{name}}}", member.get(name, "none"))
    content = json.dumps(body).encode()
    answer = api.client.simulate_request(
        method,
        path,
        body=content,
        headers={**api.headers, "Content-Type": "application/json", "Prefer": "respond-async"},
    )
    checked(answer, (method, path, body))


@fuzz
@given(content=st.binary(max_size=200))
def test_bytes(api: Api, content: bytes) -> None:
    headers = {**api.headers, "Content-Type": "application/json"}
    for path in ("/redfish/v1/Systems", "/redfish/v1/SessionService/Sessions"):
        checked(api.client.simulate_post(path, body=content, headers=headers), content)
