"""Bodies made from the published schemas, and against them: refused without a trace, or accepted and done."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkfish.api import links
from hawkfish.api.app import ROUTES
from tests.api.fuzz.bodies import anything, damaged, encoded, reads_a_body, schemas_of, spoiled, valid
from tests.api.fuzz.conftest import examples
from tests.api.fuzz.judging import ask
from tests.api.fuzz.world import World

pytestmark = [
    pytest.mark.slow,  # about a minute of processor time for each database
    pytest.mark.filterwarnings("ignore:Generating overly large repr"),
]

WRITES = [
    (route, method)
    for route in sorted(ROUTES)
    for method in ("POST", "PATCH", "PUT")
    if reads_a_body(ROUTES[route], method)
]
ANYBODY_LOGS_IN = frozenset({links.SESSIONS, f"{links.SESSIONS}/Members"})


def test_the_schemas_of_all_bodies_are_known() -> None:
    assert WRITES
    assert [(route, method) for route, method in WRITES if not schemas_of(ROUTES[route], method)] == []


@pytest.mark.parametrize(("route", "method"), WRITES)
def test_bodies(world: World, route: str, method: str) -> None:
    (schema,) = schemas_of(ROUTES[route], method)
    known = world.known_values()

    @examples(12)
    @given(
        content=st.one_of(valid(schema(), known), spoiled(schema(), known), anything).map(encoded),
        role=st.sampled_from(["Administrator", "Operator"]),
    )
    def of_every_kind(content: bytes, role: str) -> None:
        if world.changed:
            world.restore()
        headers = {"Prefer": "respond-async"}
        caller = world.roles.get(role, world.api)
        ask(world, method, world.address(route), caller=caller, content=content, headers=headers)

    @examples(6)
    @given(content=damaged(schema(), known))
    def damaged_on_the_way(content: bytes) -> None:
        if world.changed:
            world.restore()
        ask(world, method, world.address(route), content=content)

    of_every_kind()
    damaged_on_the_way()


@pytest.mark.parametrize(("route", "method"), WRITES)
def test_who_may_only_read_changes_nothing(world: World, route: str, method: str) -> None:
    (schema,) = schemas_of(ROUTES[route], method)

    @examples(4)
    @given(content=valid(schema(), world.known_values()).map(encoded))
    def send(content: bytes) -> None:
        refusals = {400, 401, 403, 404, 409, 412, 413}
        answer = ask(world, method, world.address(route), caller=world.roles["ReadOnly"], content=content)
        # Some verbs look at the body first and some at the right; neither lets it through.
        assert answer.status_code in refusals or route in ANYBODY_LOGS_IN, answer.text
        answer = ask(world, method, world.address(route), caller=world.api.anonymous(), content=content)
        assert answer.status_code == 401 or route in ANYBODY_LOGS_IN, answer.text

    send()


@pytest.mark.parametrize("route", sorted(route for route in ROUTES if "DELETE" in ROUTES[route].allow))
def test_who_may_only_read_deletes_nothing(world: World, route: str) -> None:
    assert ask(world, "DELETE", world.address(route), caller=world.roles["ReadOnly"]).status_code in {403, 404}
    assert ask(world, "DELETE", world.address(route), caller=world.api.anonymous()).status_code == 401


@pytest.mark.parametrize("headers", [{"Content-Type": "text/plain"}, {"Content-Type": "é"}, {"Content-Encoding": "br"}])
@pytest.mark.parametrize("content", [b"{}", b"\xff" * 100, b" " * (2 * 1024 * 1024), b"[" * 1_000_000])
def test_bodies_of_other_types_and_sizes(world: World, headers: dict[str, Any], content: bytes) -> None:
    for path in (links.SYSTEMS, links.SESSIONS):
        assert ask(world, "POST", path, content=content, headers=headers).status_code in {400, 413, 415}
