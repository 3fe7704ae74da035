"""The audit trail: complete, in order, and not to be changed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from hawkfish.db import Database, UnitOfWork
from hawkfish.domain.accounts import SYSTEM_ACTOR, Actor, AuditOutcome, Role
from hawkfish.errors import Conflict, DatabaseUnavailable, NotAuthenticated, NotPermitted
from tests.services.access import ELSEWHERE, OFFICE, Access, Statements, open_access

ACTOR = Actor(user_name="ada", role=Role.OPERATOR, address=OFFICE, request_id="request-1")


@pytest.fixture
def access(database: Database, tmp_path: Path) -> Access:
    return open_access(database, tmp_path, audit_retention_days=10, lockout_threshold=0)


def write(access: Access, count: int = 1) -> None:
    for number in range(count):
        with access.database.write() as uow:
            access.audit.record(uow, ACTOR, "systems.reset", f"system:{number}", reset_type="On")


def said(logs: list[Any]) -> list[str]:
    """What the audit says in logs that all of this process write to."""
    return [entry["event"] for entry in logs if entry["event"].startswith("audit.")]


def test_a_record_says_who_what_when_and_from_where(access: Access) -> None:
    write(access)
    (record,) = access.records()
    assert (record.user_name, record.verb, record.subject) == ("ada", "systems.reset", "system:0")
    assert (record.address, record.request_id, record.session_id) == (OFFICE, "request-1", None)
    assert record.at == access.clock.now
    assert record.outcome is AuditOutcome.ALLOWED
    assert record.details == {"reset_type": "On"}


def test_a_record_goes_with_its_change(access: Access) -> None:
    def change_that_fails(uow: UnitOfWork) -> None:
        access.audit.record(uow, ACTOR, "systems.reset", "system:0")
        raise Conflict("The change cannot be made.")

    with pytest.raises(Conflict):
        access.database.run(change_that_fails)
    assert access.records() == []


def test_details_outside_the_list_are_a_mistake_of_the_program(access: Access) -> None:
    for key in ("password", "token", "secret", "body"):
        with pytest.raises(LookupError, match=key), access.database.write() as uow:
            access.audit.record(uow, ACTOR, "accounts.update", "account:1", **{key: "x"})
    assert access.records() == []


def test_texts_are_shortened_and_cannot_break_a_line_or_the_database(access: Access) -> None:
    nasty = "a\0b\r\nc\ud800" + "x" * 1000
    actor = Actor(user_name=nasty, role=Role.OPERATOR, address=nasty, request_id=nasty)
    access.audit.refused(actor, "systems.read", nasty, {"name": nasty, "changed": [nasty]})
    (record,) = access.records()
    for value in (record.user_name, record.address, record.request_id, record.subject, record.details["name"]):
        assert value.startswith("a?b??c?x")
        assert len(value) <= 255
    assert record.details["changed"] == [record.details["name"]]


def test_pages_are_newest_first_and_continue_where_the_last_one_ended(access: Access) -> None:
    write(access, 7)
    seen: list[str] = []
    before = None
    while page := access.audit.list(SYSTEM_ACTOR, limit=3, before_id=before):
        assert len(page) <= 3
        seen += [record.subject for record in page]
        before = page[-1].id
        if len(seen) == 3:
            write(access)  # a new record moves nothing
    assert seen == [f"system:{number}" for number in reversed(range(7))]


def test_administrators_only_read_the_trail(access: Access) -> None:
    access.audit.list(access.actor("root", Role.ADMINISTRATOR))
    with pytest.raises(NotPermitted):
        access.audit.list(access.actor("ada", Role.OPERATOR))
    assert access.records()[-1].verb == "audit.read"


@pytest.mark.parametrize(
    "statement", ["UPDATE hf_audit SET user_name = 'eve'", "DELETE FROM hf_audit", "TRUNCATE hf_audit"]
)
def test_the_database_itself_refuses_to_change_or_delete_records(access: Access, statement: str) -> None:
    if statement.startswith("TRUNCATE") and access.database.is_sqlite:
        return  # SQLite has no such statement
    write(access, 2)
    access.clock.pass_by(timedelta(days=11).total_seconds())
    write(access)
    for _ in range(2):  # before anything was ever purged, and after
        trail = access.records()
        with pytest.raises(DBAPIError), access.database.write() as uow:
            uow.session.execute(text(statement))
        assert access.records() == trail
        access.audit.purge()


def test_what_is_older_than_the_retention_is_purged_and_nothing_else(access: Access) -> None:
    write(access, 3)
    assert access.audit.purge() == 0
    access.clock.pass_by(timedelta(days=9).total_seconds())
    write(access)
    assert access.audit.purge() == 0
    access.clock.pass_by(timedelta(days=1, seconds=1).total_seconds())
    assert access.audit.purge() == 3
    assert len(access.records()) == 1
    first = access.records()[0].id
    write(access)
    assert access.records()[-1].id > first


def test_ids_are_not_given_twice_after_a_purge(access: Access) -> None:
    write(access, 3)
    last = access.records()[-1].id
    access.clock.pass_by(timedelta(days=11).total_seconds())
    assert access.audit.purge() == 3
    write(access)
    assert access.records()[0].id > last


def refuse(access: Access, count: int = 1, address: str = ELSEWHERE, request_id: str | None = None) -> None:
    for _ in range(count):
        access.audit.refused_stranger(
            "authenticate", "GET /x", reason="no credentials", address=address, request_id=request_id
        )


def test_of_the_refusals_of_a_stranger_ten_are_told_one_by_one_and_the_others_together(access: Access) -> None:
    began = access.clock.now
    with structlog.testing.capture_logs() as logs:
        refuse(access, 150)
        access.clock.pass_by(1800)
        refuse(access, 50)
    refuse(access, address=OFFICE, request_id="request-9")
    access.a_moment_passes()
    trail = access.records()
    assert [record.address for record in trail] == [ELSEWHERE] * 10 + [OFFICE]
    assert (trail[-1].user_name, trail[-1].request_id, trail[-1].subject) == ("(unknown)", "request-9", "GET /x")
    assert said(logs) == []
    assert access.audit.tell_refusals() == 0, "the hour is not over"
    access.clock.pass_by(1801)
    assert access.audit.tell_refusals() == 1, "of the office all was told"
    told = access.records()[-1]
    assert (told.user_name, told.address, told.verb, told.outcome) == (
        "(unknown)",
        ELSEWHERE,
        "authenticate",
        AuditOutcome.DENIED,
    )
    assert told.details == {
        "reason": "refused again, after the 10 times that are told one by one",
        "count": 190,
        "began": began.isoformat(timespec="seconds"),
        "ended": (began + timedelta(seconds=1800)).isoformat(timespec="seconds"),
    }
    access.clock.pass_by(3601)
    assert access.audit.tell_refusals() == 0
    refuse(access, 11)
    access.a_moment_passes()
    assert [record.address for record in access.records()[-11:]] == [ELSEWHERE] * 10 + [ELSEWHERE]


def test_a_stranger_who_asks_on_has_the_database_written_once_a_moment(access: Access) -> None:
    refuse(access, 10)
    with Statements(access.database) as sent:
        refuse(access, 500)
    assert sent == []
    assert len(access.waiting) == 1
    with Statements(access.database) as sent:
        access.a_moment_passes()
    assert 1 <= len(sent) <= 3


def test_refusals_are_counted_for_all_processes_and_over_their_ends(access: Access, tmp_path: Path) -> None:
    refuse(access, 17)
    access.audit.close()  # what was gathered is written
    other = open_access(access.database, tmp_path, lockout_threshold=0)
    refuse(other, 5)
    other.a_moment_passes()
    assert len(access.records()) == 10
    other.clock.pass_by(3601)
    assert other.audit.tell_refusals() == 1
    assert access.records()[-1].details["count"] == 12


def test_failed_logins_are_told_in_the_same_way_and_those_of_each_account_apart(access: Access) -> None:
    account = access.account("ada")
    for number in range(30):
        for name in (f"name{number}", "ada"):
            with pytest.raises(NotAuthenticated):
                access.accounts.authenticate(name, "wrong password", ELSEWHERE)
    access.a_moment_passes()
    access.clock.pass_by(3601)
    assert access.audit.tell_refusals() == 2
    failed = [record for record in access.records() if record.outcome is AuditOutcome.DENIED]
    subject = f"account:{account.id}"
    assert [record.subject for record in failed] == ["", subject] * 10 + ["", subject]
    assert [record.details["count"] for record in failed[-2:]] == [20, 20]


def test_sources_beyond_those_that_are_counted_apart_are_counted_together(
    access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hawkfish.services.strangers.APART", 3)
    sources = [f"2001:db8:{number}::/64" for number in range(1, 9)]
    for _ in range(11):
        for source in sources:
            refuse(access, address=source.replace("/64", "1"))
    access.a_moment_passes()
    assert len(access.records()) == 3 * 10 + 10
    access.clock.pass_by(3601)
    assert access.audit.tell_refusals() == 4
    assert {record.address: record.details["count"] for record in access.records()[-4:]} == {
        sources[0]: 1,
        sources[1]: 1,
        sources[2]: 1,
        "(others)": 5 * 11 - 10,
    }


def test_a_clock_that_is_set_back_closes_no_login_and_keeps_no_count_for_ever(access: Access) -> None:
    refuse(access, 11)
    access.clock.pass_by(-7200)
    refuse(access, 3)
    access.a_moment_passes()
    assert access.audit.tell_refusals() == 1
    assert access.records()[-1].details["count"] == 4
    refuse(access)
    access.a_moment_passes()
    assert access.records()[-1].at == access.clock.now


def test_known_callers_are_always_written(access: Access) -> None:
    for _ in range(70):
        access.audit.refused(ACTOR, "hosts.add", "hosts", {})
    assert len(access.records()) == 70


def test_a_refusal_stands_where_it_cannot_be_written(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise DatabaseUnavailable("The database does not answer.")

    monkeypatch.setattr(access.database, "write", fail)
    with structlog.testing.capture_logs() as logs, pytest.raises(NotPermitted):
        access.audit.authorize(ACTOR, "hosts.add", "hosts")
    assert said(logs) == ["audit.refusal_not_written"]


def test_so_does_one_of_a_stranger(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_work: object) -> None:
        raise DatabaseUnavailable("The database does not answer.")

    monkeypatch.setattr(access.database, "run", fail)
    with structlog.testing.capture_logs() as logs:
        refuse(access)
    assert said(logs) == ["audit.refusal_not_written"]
