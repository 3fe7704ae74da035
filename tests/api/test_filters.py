"""The language of $filter: what it means to resources, and that the database gives it the same meaning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from hawkfish.api.filters import matches, parse_filter, translate
from hawkfish.api.resources.systems_body import SYSTEM_FIELDS, system_document
from hawkfish.db.models.systems import SystemRow
from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.pages import AllOf, AnyOf, Comparison, Condition, Not, Operator, PageRequest
from hawkfish.domain.systems import System
from hawkfish.errors import QueryInvalid
from tests.api.installation import Api

BODY = {
    "Name": "it's",
    "Count": 4,
    "Share": 0.5,
    "On": True,
    "Nothing": None,
    "Status": {"Health": "OK"},
    "Disks": [{"Bus": "virtio"}, {"Bus": "sata"}],
    "Oem": {"HawkFish": {"Labels": {"site": "berlin", "rack-2": "x"}}},
}


def write(condition: Condition) -> str:
    """The condition as a client would send it."""
    match condition:
        case AllOf(parts):
            return " and ".join(f"({write(part)})" for part in parts)
        case AnyOf(parts):
            return " or ".join(f"({write(part)})" for part in parts)
        case Not(part):
            return f"not ({write(part)})"
        case Comparison(path, operator, value):
            if isinstance(value, str):
                text = "'" + value.replace("'", "''") + "'"
            else:
                text = {None: "null", True: "true", False: "false"}.get(value) or repr(value)  # type: ignore[arg-type]  # 1 and True are told apart below
                text = repr(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else text
            return f"{'/'.join(path)} {operator} {text}"


@pytest.mark.parametrize(
    "text",
    [
        "Name eq 'it''s'",
        "Name ne 'its'",
        "Name gt 'it'",
        "Count eq 4",
        "Count eq 4.0",
        "Count ge 4 and Count le 4",
        "Count gt -1e3",
        "Share lt 0.75",
        "On eq true",
        "On ne false",
        "Nothing eq null",
        "Absent eq null",
        "Absent/Deeper eq null",
        "Absent ne 'x'",
        "Name ne null",
        "Status ne null",
        "Status/Health eq 'OK'",
        "not Status/Health eq 'Critical'",
        "not (Count lt 3 or Count gt 5)",
        "not not Count eq 4",
        "Count eq 1 or Count eq 4 and On eq true",
        "(Count eq 4 or Count eq 1) and On eq true",
        "  Count   eq\t4  ",
        "Count eq 4 and(On eq true)",
        "Disks/Bus eq 'sata'",
        "Disks/Bus ne 'sata'",
        "Oem/HawkFish/Labels/site eq 'berlin'",
        "Oem/HawkFish/Labels/rack-2 eq 'x'",
        "not (Count lt '5')",
        "Count ne '4'",
        "not (On gt false)",
    ],
)
def test_conditions_that_hold(text: str) -> None:
    assert matches(parse_filter(text), BODY)
    assert not matches(parse_filter(f"not ({text})"), BODY)


@pytest.mark.parametrize(
    "text",
    [
        "Name eq 'It''s'",
        "Absent lt 5",
        "Absent gt null",
        "Nothing ge null",
        "Count eq '4'",
        "Count eq true",
        "On eq 1",
        "On gt false",
        "Status eq 'OK'",
        "Count eq 4 and On eq false",
        "Disks/Bus eq 'scsi'",
        "Disks/Size lt 1",
    ],
)
def test_conditions_that_do_not_hold(text: str) -> None:
    assert not matches(parse_filter(text), BODY)


@pytest.mark.parametrize(
    "text",
    [
        "Name",
        "eq",
        "Name eq",
        "Name eq x",
        "Name eq 'x",
        "Name = 'x'",
        "Name eq 'x' 'y'",
        "Name eq 'x' and",
        "and Name eq 'x'",
        "Name EQ 'x'",
        "(Name eq 'x'",
        "Name eq 'x')",
        "()",
        "not",
        "Name/ eq 1",
        "/Name eq 1",
        "Name eq 1x",
        "Name eq 1.",
        "Name eq 10000000000000000",
        "Name eq 1e999",
        "Name eq 'a\0b'",
        "Name eq '\ud800'",
        "contains(Name,'x')",
        "5 lt Count",
        "true eq true",
        "not eq 1",
        "(" * 1000 + "Name eq 1" + ")" * 1000,
        "not " * 600 + "Name eq",
        " or ".join(["Name eq 1"] * 100),
        "Name eq '" + "x" * 3000 + "'",
    ],
)
def test_what_is_no_filter(text: str) -> None:
    with pytest.raises(QueryInvalid) as caught:
        parse_filter(text)
    assert caught.value.data["parameter"] == "$filter"
    assert len(caught.value.message) < 500


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="()'/ abNnotreqlgu0123456789.-\\\0\ud800ä", max_size=60))
def test_whatever_is_sent_is_read_or_refused(text: str) -> None:
    try:
        found = parse_filter(text)
    except QueryInvalid:
        return
    matches(found, BODY)


literals = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**15), 10**15),
    st.sampled_from([1, 2, 4, 512, 1024, 0.5, 0.25, 2.5]),
    st.sampled_from(
        ["", "Off", "On", "OK", "Warning", "Critical", "UEFI", "Legacy", "uefi", "bios", "Cd", "None", "Once", "rack1"]
    ),
    st.sampled_from(
        ["filter-a", "filter-B", "Filter-a", "ä", "it's", "100%", "_", "berlin", "ready", "Enabled", "x\\y"]
    ),
    st.text(st.characters(exclude_categories=("C", "Z")), max_size=5),
)
paths = st.sampled_from([*(name for name in SYSTEM_FIELDS if "*" not in name)] + ["Oem/HawkFish/Labels/site"] * 3)
comparisons = st.builds(
    Comparison, paths.map(lambda path: tuple(path.split("/"))), st.sampled_from(list(Operator)), literals
)
conditions = st.recursive(
    comparisons,
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(lambda parts: AllOf(tuple(parts)), st.lists(inner, min_size=2, max_size=3))
        | st.builds(lambda parts: AnyOf(tuple(parts)), st.lists(inner, min_size=2, max_size=3))
    ),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(conditions)
def test_what_is_written_is_read_back(condition: Condition) -> None:
    assert parse_filter(write(condition)) == condition


@pytest.fixture(scope="module")
def fleet(api: Api) -> Iterator[list[tuple[System, dict[str, Any]]]]:
    """Systems in all sorts of states; their records are written by hand, and no machine stands behind the changes."""
    made: list[dict[str, Any]] = [
        {"stale": True, "labels": {"site": "berlin"}, "asset_tag": "it's"},
        {"state": "failed", "failure": "no disk", "labels": {"site": "ä"}, "description": "x\\y"},
        {"failure": "gone", "boot_enabled": "Once", "boot_device": "cd", "asset_tag": "100%"},
        {"state": "deleting", "stale": True, "labels": {"other": "berlin"}},
        {"state": "creating", "power_state": None, "vcpus": 4, "memory_mib": 256},
        {"power_state": "On", "firmware": "BIOS", "memory_mib": 2560, "description": "ä"},
    ]
    ids = [api.system(name)["Id"] for name in ("filter-a", "filter-B", "Filter-c", "filter_d", "filter-e", "filter.f")]
    kept = {}
    with api.application.database.write() as uow:
        for identity, values in zip(ids, made, strict=True):
            row = uow.session.get(SystemRow, identity)
            kept[identity] = {name: getattr(row, name) for name in values}
            uow.session.execute(update(SystemRow).where(SystemRow.id == identity).values(**values))
    yield [(system, system_document(system).body) for system in api.application.systems.page(SYSTEM_ACTOR).items]
    with api.application.database.write() as uow:
        for identity, values in kept.items():
            uow.session.execute(update(SystemRow).where(SystemRow.id == identity).values(**values))
    for identity in ids:
        api.finish(api.delete(f"/redfish/v1/Systems/{identity}"))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(condition=conditions)
def test_the_database_gives_a_condition_the_meaning_that_it_has_for_resources(
    api: Api, fleet: list[tuple[System, dict[str, Any]]], condition: Condition
) -> None:
    known = translate(condition, SYSTEM_FIELDS)
    assert known is not None
    found = api.application.systems.references(SYSTEM_ACTOR, PageRequest(condition=known))
    expected = [system.id for system, body in fleet if matches(condition, body)]
    assert found.items == expected
    assert found.total == len(expected)


def test_a_property_that_is_not_indexed_is_no_condition_for_the_database() -> None:
    for text in ("Model eq 'x'", "Name eq 'a' or Model eq 'x'", "not Model eq 'x'", "Oem/HawkFish/Disks/Bus eq 'x'"):
        assert translate(parse_filter(text), SYSTEM_FIELDS) is None
