"""The language of $filter: what it means to resources, and that the database gives it the same meaning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from hawkfish.api.filters import matches, parse_filter, translate
from hawkfish.api.resources.systems_body import SYSTEM_FIELDS, system_document
from hawkfish.bootstrap import Application
from hawkfish.db.models.systems import SystemRow
from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.hosts import Host
from hawkfish.domain.machines import Firmware
from hawkfish.domain.pages import AllOf, AnyOf, Comparison, Condition, Not, Operator, PageRequest
from hawkfish.domain.systems import System
from hawkfish.errors import QueryInvalid
from tests.api.installation import prepare

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


@settings(max_examples=120, deadline=None)
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


@dataclass
class Fleet:
    """Systems in all sorts of states, and what they show; no worker is there that would put them right."""

    application: Application
    shown: list[tuple[System, dict[str, Any]]]


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs_postgresql)])
def fleet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """The fleet, once on each database."""
    url = None
    if request.param == "postgresql":
        server = request.getfixturevalue("postgresql")
        url = server.url(server.create())
    application = Application.open(prepare(tmp_path_factory.mktemp("fleet"), url))
    host = Host(id=uuid4(), name="rack1", driver="simulated", uri="simulated:///rack1")
    records: list[dict[str, Any]] = [
        {"state": "ready", "power_state": "Off", "stale": True, "asset_tag": "it's"},
        {"state": "failed", "failure": "no disk", "description": "x\\y"},
        {"state": "ready", "failure": "gone", "boot_enabled": "Once", "boot_device": "cd", "asset_tag": "100%"},
        {"state": "deleting", "stale": True, "power_state": "Off"},
        {"state": "creating", "vcpus": 4, "memory_mib": 256},
        {"state": "ready", "power_state": "On", "firmware": "BIOS", "memory_mib": 2560, "description": "ä"},
        {"state": "ready", "power_state": "On", "power_transition": "PoweringOff", "power_task_id": "t"},
    ]
    labels = [{"site": "berlin"}, {"site": "ä"}, {}, {"other": "berlin"}, {"site": "it's"}, {"site": ""}, {}]
    names = ("filter-a", "filter-B", "Filter-c", "filter_d", "filter-e", "filter.f", "filterg")
    with application.database.write() as uow:
        uow.hosts.add(host)
        for name, values, given in zip(names, records, labels, strict=True):
            system = System(
                id=uuid4(),
                name=name,
                host_id=host.id,
                host_name=host.name,
                vcpus=1,
                memory_mib=512,
                firmware=Firmware.UEFI,
                labels=given,
            )
            uow.systems.add(system, created_by="test")
            uow.session.execute(update(SystemRow).where(SystemRow.id == str(system.id)).values(**values))
    systems = application.systems.page(SYSTEM_ACTOR).items
    yield Fleet(application, [(system, system_document(system).body) for system in systems])
    application.close()


@settings(max_examples=120, deadline=None)
@given(condition=conditions)
def test_the_database_gives_a_condition_the_meaning_that_it_has_for_resources(
    fleet: Fleet, condition: Condition
) -> None:
    known = translate(condition, SYSTEM_FIELDS)
    assert known is not None
    found = fleet.application.systems.references(SYSTEM_ACTOR, PageRequest(condition=known))
    expected = [system.id for system, body in fleet.shown if matches(condition, body)]
    assert found.items == expected
    assert found.total == len(expected)


def test_a_property_that_is_not_indexed_is_no_condition_for_the_database() -> None:
    for text in ("Model eq 'x'", "Name eq 'a' or Model eq 'x'", "not Model eq 'x'", "Oem/HawkFish/Disks/Bus eq 'x'"):
        assert translate(parse_filter(text), SYSTEM_FIELDS) is None
