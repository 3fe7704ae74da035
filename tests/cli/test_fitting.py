"""Lists at a terminal: what is copied from them stays in one piece."""

import pytest
from cliff import utils
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hawkfish.cli.audit import AUDIT_COLUMNS, ListAudit
from hawkfish.cli.events import EVENT_COLUMNS, ListEvents
from hawkfish.cli.fitting import Column, columns_with_room, fitting_widths, worthy_columns
from hawkfish.cli.subscriptions import DELIVERY_COLUMNS, Redeliver, SubscriptionHistory, TestSubscription

from .fake import SYSTEM_ID, TASK_ID, Fake, ok, run, task

pytestmark = pytest.mark.usefixtures("logged_in")

NAME = "Insert installer.iso into Cd of web1"
TASK = task(Name=NAME)
STARTED = TASK["StartTime"]
TASKS = Fake({"GET /redfish/v1/TaskService/Tasks": ok({"Members": [TASK]})})


def listed(width, *more):
    return run(TASKS, "tasks", "ls", "--max-width", str(width), *more).out.splitlines()


@pytest.mark.parametrize("width", [110, 120, 140])
def test_identities_and_moments_are_not_cut(width):
    lines = listed(width)
    assert max(len(line) for line in lines) <= width
    assert any(TASK_ID in line and STARTED in line for line in lines)


def test_a_narrow_terminal_keeps_the_identity():
    lines = listed(100)
    assert max(len(line) for line in lines) <= 100
    assert any(TASK_ID in line for line in lines)
    assert not any(STARTED in line for line in lines)


def test_what_a_usual_terminal_has_no_room_for_is_left_out_and_named():
    *lines, note = listed(80)
    assert max(len(line) for line in lines) <= 80
    assert any(TASK_ID in line for line in lines)
    assert "Subject" not in "".join(lines)
    assert note == "No room for: Subject, Started. Choose columns with -c, or use a wider terminal."
    assert any(TASK_ID in line and STARTED in line for line in listed(80, "-c", "ID", "-c", "Started"))


def test_columns_that_were_chosen_are_all_there():
    lines = listed(80, *(part for name in ("ID", "Name", "Percent", "Subject", "Started") for part in ("-c", name)))
    assert [name for name in ("ID", "Name", "Percent", "Subject", "Started") if name in lines[1]] == [
        "ID",
        "Name",
        "Percent",
        "Subject",
        "Started",
    ]


def test_a_terminal_too_narrow_for_an_identity_gets_all_of_it_folded():
    lines = listed(40)
    assert "Started" in lines[1]
    assert not any(TASK_ID in line for line in lines)


def test_a_file_or_a_pipe_gets_the_whole_table():
    lines = run(TASKS, "tasks", "ls").out.splitlines()
    assert any(NAME in line and f"system:{SYSTEM_ID}" in line for line in lines)


def test_a_terminal_is_asked_for_its_width(monkeypatch):
    monkeypatch.setattr(utils, "terminal_width", lambda: 110)
    lines = run(TASKS, "tasks", "ls", "--fit-width").out.splitlines()
    assert max(len(line) for line in lines) <= 110


def columns(draw):
    names = draw(st.lists(st.text("abc", min_size=1, max_size=14), min_size=1, max_size=10, unique=True))
    return [
        Column(
            name=name,
            width=max(len(name), draw(st.integers(1, 90))),
            is_identity=draw(st.booleans()),
            is_moment=draw(st.booleans()),
            unbroken=draw(st.integers(1, 90)),
        )
        for name in names
    ]


# The function touches nothing of the fixture.
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(everything=st.composite(columns)(), room=st.integers(0, 300))
def test_the_room_is_used_and_not_exceeded(everything, room):
    shown = columns_with_room(everything, room)
    widths = fitting_widths(shown, room)
    borders = 3 * len(shown) + 1
    assert all(column.least <= width <= column.width for column, width in zip(shown, widths, strict=True))
    if sum(column.width for column in shown) + borders <= room:
        assert widths == [column.width for column in shown]
    elif sum(column.least for column in shown) + borders <= room:
        assert sum(widths) + borders <= room
    if len(shown) < len(everything):
        identity = next(column for column in everything if column.is_identity)
        for copied in {everything[0].name: everything[0], identity.name: identity}.values():
            assert widths[shown.index(copied)] == copied.width


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(everything=st.composite(columns)(), room=st.integers(0, 300), draw=st.data())
def test_what_is_worth_more_has_room_before_what_is_worth_less(everything, room, draw):
    worth = draw.draw(st.permutations([column.name for column in everything]))
    shown = worthy_columns(everything, worth, room)
    assert shown == [column for column in everything if column in shown], "in their order"
    needs = 3 * len(shown) + 1 + sum(column.least for column in shown)
    if needs > room:
        assert shown == everything, "not even two have room, and so all are folded"
        return
    assert 3 * len(shown) + 1 + sum(fitting_widths(shown, room)) <= room
    for column in everything:
        if column not in shown:
            before = [item for item in shown if worth.index(item.name) < worth.index(column.name)]
            assert 3 * (len(before) + 1) + 1 + sum(item.least for item in [*before, column]) > room


SUBJECT = f"system:{SYSTEM_ID}"
RECORD = {
    "Id": "20",
    "At": STARTED,
    "UserName": "(unknown)",
    "Verb": "sessions.create",
    "Subject": SUBJECT,
    "Outcome": "allowed",
    "Address": "127.0.0.1",
    "Details": [{"Name": "reason", "Value": "wrong name or password"}],
}
TRAIL = Fake({"GET /redfish/v1/Oem/HawkFish/Audit": ok({"Members": [RECORD]})})


def trail(width, *more):
    return run(TRAIL, "audit", "ls", "--max-width", str(width), *more).out.splitlines()


def test_the_audit_trail_has_a_line_for_each_record_at_a_usual_terminal():
    _, head, _, line, _, note = trail(80)
    assert [name.strip() for name in head.strip("|").split("|")] == ["ID", "At", "User", "Verb", "Outcome"]
    assert [text.strip() for text in line.strip("|").split("|")] == [
        "20",
        STARTED,
        "(unknown)",
        "sessions.create",
        "allowed",
    ]
    assert note == "No room for: Subject, Address, Details. Choose columns with -c, or use a wider terminal."


def test_where_there_is_room_it_has_more_and_breaks_no_word():
    lines = trail(145)
    assert max(len(line) for line in lines) <= 145
    assert any(SUBJECT in line for line in lines)
    assert any("reason=wrong" in line for line in lines)
    assert lines[-1].startswith("No room for: Address.")


def test_columns_of_it_that_were_chosen_are_all_there():
    lines = trail(80, "-c", "ID", "-c", "Subject", "-c", "Details")
    assert "Details" in lines[1]
    assert not lines[-1].startswith("No room")


@pytest.mark.parametrize(
    ("command", "columns"),
    [
        (ListAudit, AUDIT_COLUMNS),
        (ListEvents, EVENT_COLUMNS),
        *((command, DELIVERY_COLUMNS) for command in (TestSubscription, SubscriptionHistory, Redeliver)),
    ],
)
def test_every_column_of_a_list_of_what_happened_has_its_worth(command, columns):
    assert sorted(command.worth) == sorted(columns)
