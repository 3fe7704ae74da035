"""Every route with every method, and with addresses, queries and headers of every kind: an answer, and no change by a refusal."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkfish.api.app import ROUTES
from hawkfish.api.resources.base import METHODS
from tests.api.fuzz.bodies import anything, encoded
from tests.api.fuzz.conftest import examples
from tests.api.fuzz.judging import ask, judge
from tests.api.fuzz.world import World

# The checker of the test client knows the methods of RFC 2616 only.
pytestmark = [
    pytest.mark.slow,  # about a minute of processor time for each database
    pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD"),
    pytest.mark.filterwarnings("ignore:Generating overly large repr"),
]

PARAMETERS = sorted(set(re.findall(r"\{[a-z_]+\}", " ".join(ROUTES))))
UNKNOWN_METHODS = ("OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "FROBNICATE")
ELSEWHERE = ("/", "/redfish/v2", "/redfish/v1/Nowhere", "/redfish/v1/Systems/a/b/c", "/static/../../etc/passwd")

names = st.sampled_from(
    [
        *("none", "00000000-0000-0000-0000-000000000000", "0b5c7b9e-6a0e-4a1c-9d3b-5b8c2e9c7c11", "rack1", "victim"),
        *(
            "..",
            ".",
            "%2e%2e",
            "a%2Fb",
            "%00",
            "a%00b",
            "%ff",
            "%",
            "%zz",
            "{system_id}",
            "*",
            "-1",
            "1e400",
            "x" * 5000,
        ),
        *("%F0%9F%A6%85", "Systems", "%20", "a;b=c", "a:b", "'--", "9" * 400, "0" * 64, "%EF%BC%91", "CPU1 "),
    ]
) | st.text(max_size=20).map(lambda text: quote(text.encode("utf-8", "replace"), safe=""))

HUGE = (
    *("(" * 3000, "not " * 2000, "a/" * 3000, "Name eq '" + "'" * 3001, "1" * 5000, "a," * 4000, "0" * 5000),
    "0" * 12 + "9" * 20,
)


def _token(key: object) -> str:
    """A $skiptoken as this service would make it for that key."""
    return base64.urlsafe_b64encode(json.dumps([key]).encode()).rstrip(b"=").decode()


_word = st.sampled_from(
    [
        *("Name", "Id", "PowerState", "Status/Health", "@odata.id", "Oem/HawkFish/State", "Members", "*", ".", "~"),
        *("eq", "ne", "gt", "ge", "lt", "le", "and", "or", "not", "(", ")", "'", "'On'", "''", "1", "-1", "null"),
        *("true", ",", ";", "$levels=2", "$levels=99999999999", "(($expand=.))", "x" * 300, "%00", "%ff", "%27", "/"),
    ]
)
values = (
    st.lists(_word, max_size=12).map("%20".join)
    | st.sampled_from(
        [
            "(" * 3000,
            "not " * 2000,
            "a/" * 3000,
            "Name eq '" + "'" * 3001,
            "1" * 5000,
            "a," * 4000,
            "0" * 5000,
            "0" * 12 + "9" * 20,
        ]
    )
    | st.sampled_from([1, "x", "", 2**62, 10**30, None, [], "\0", "\ud800", {}, True, 1.5]).map(_token)
    | st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#?&"), max_size=30)
)
options = st.sampled_from(
    [
        *("$filter", "$select", "$expand", "$top", "$skip", "$skiptoken", "only", "excerpt", "$orderby", "$count"),
        *("$format", "$search", "$", "offset", "%24top", "$TOP", "", "\\"),
    ]
)
queries = st.lists(st.tuples(options, values).map("=".join) | options, max_size=4).map("&".join)

_header_text = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60)
headers = st.dictionaries(
    st.sampled_from(
        [
            *("If-Match", "If-None-Match", "Prefer", "Accept", "OData-Version", "OData-MaxVersion", "Idempotency-Key"),
            *(
                "X-Request-Id",
                "Range",
                "Origin",
                "User-Agent",
                "Cookie",
                "X-Forwarded-For",
                "Accept-Encoding",
                "Expect",
            ),
            *("Forwarded", "X-HTTP-Method-Override", "If-Modified-Since", "Upgrade", "Content-Encoding", "Host", "TE"),
        ]
    ),
    _header_text
    | st.sampled_from(["*", '"0-0"', 'W/"x"', "4.0", "respond-async", "a" * 9000, "é", "respond-async, wait=1e400"]),
    max_size=5,
)


@pytest.mark.parametrize("route", sorted(ROUTES))
def test_every_route_is_reached_where_something_is(world: World, route: str) -> None:
    """The tests below ask there; a new route whose parameters are not known fails here."""
    path = world.address(route)
    if "GET" in ROUTES[route].allow:
        # The monitor of a task answers as the request would have.
        assert world.api.get(path).status_code in ({200, 201, 204} if "Monitor" in route else {200})
    else:
        answer = world.api.get(path)
        assert answer.status_code == 405
        assert answer.headers["Allow"] == ", ".join(ROUTES[route].allow)


@dataclass(frozen=True)
class Plan:
    """A request to a route: what stands in it, apart from the addresses of what is there when it is sent."""

    method: str
    names: dict[str, str]
    content: bytes | None
    query: str
    headers: dict[str, str]


@st.composite
def plans(draw: st.DrawFn) -> list[Plan]:
    """A request with each method, and with one that there is not."""
    return [
        Plan(
            method,
            draw(st.just({}) | st.dictionaries(st.sampled_from(PARAMETERS), names)),
            None if method in {"GET", "HEAD"} else draw(st.none() | anything.map(encoded)),
            draw(st.just("") | queries),
            draw(st.just({}) | headers),
        )
        for method in (*METHODS, draw(st.sampled_from(UNKNOWN_METHODS)))
    ]


@pytest.mark.parametrize("route", sorted(ROUTES))
@examples(2)
@given(requests=plans())
def test_every_method_on_every_route(world: World, route: str, requests: list[Plan]) -> None:
    for plan in requests:
        if world.changed:
            world.restore()
        path = world.address(route)
        for parameter, name in plan.names.items():
            if parameter in route:
                path = _with_name(path, route, parameter, name)
        answer = ask(world, plan.method, path, content=plan.content, query=plan.query, headers=plan.headers)
        if plan.method not in ROUTES[route].allow:
            assert answer.status_code >= 400


def _with_name(path: str, route: str, parameter: str, name: str) -> str:
    """The address with another name in the place of a parameter."""
    parts = path.split("/")
    parts[route.split("/").index(parameter)] = name
    return "/".join(parts)


@examples(60)
@given(
    begin=st.sampled_from(["/", "/redfish/v1/", "/redfish/v1/Systems/", "/redfish/v1/AccountService/Accounts/"]),
    path=names,
    method=st.sampled_from([*METHODS, *UNKNOWN_METHODS]),
)
def test_addresses_that_no_route_has(world: World, begin: str, path: str, method: str) -> None:
    ask(world, method, begin + path)
    refused = ask(world, method, begin + path, caller=world.api.anonymous())
    assert refused.status_code in {401, 200, 405}, refused.text


@examples(120)
@given(route=st.sampled_from(sorted(route for route in ROUTES if ROUTES[route].collection)), query=queries)
def test_queries_on_collections(world: World, route: str, query: str) -> None:
    ask(world, "GET", world.address(route), query=query)


@examples(60)
@given(
    credentials=st.dictionaries(
        st.sampled_from(["X-Auth-Token", "Authorization"]),
        _header_text
        | st.sampled_from(
            ["Basic AAAA", "Basic " + "/" * 40, "Basic OjpB", "Basic", "Bearer x", "ab" * 32, "f" * 9000]
        ),
        min_size=1,
    ),
    route=st.sampled_from(sorted(ROUTES)),
    method=st.sampled_from(["GET", "POST", "PATCH", "DELETE"]),
)
def test_credentials(world: World, credentials: dict[str, str], route: str, method: str) -> None:
    if (method, route) == ("POST", "/redfish/v1/SessionService/Sessions"):
        return
    answer = ask(world, method, world.address(route), caller=world.api.anonymous(), headers=credentials)
    assert answer.status_code in {401, 400} or (answer.status_code in {200, 405, 412} and _is_public(route))


def _is_public(route: str) -> bool:
    return "{" not in route and len(route.split("/")) < 5


def test_a_method_that_falcon_keeps_for_itself(world: World) -> None:
    """It is refused before any middleware is asked, and in the words of Redfish all the same."""
    answer = ask(world, "WEBSOCKET", "/redfish/v1/Systems")
    assert answer.status_code == 400
    assert "WEBSOCKET" not in answer.headers.get("Allow", "")


@pytest.mark.parametrize("path", ELSEWHERE)
def test_elsewhere(world: World, path: str) -> None:
    for method in (*METHODS, *UNKNOWN_METHODS):
        answer: Any = world.api.client.simulate_request(method, path, headers=world.api.headers)
        judge(answer, method=method)
        assert answer.status_code in {404, 405}
