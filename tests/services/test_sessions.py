"""Sessions: tokens that hold in every process and after a restart, until they are ended."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from hawkfish.clock import PastClock
from hawkfish.db import Database
from hawkfish.domain.accounts import SYSTEM_ACTOR, AuditOutcome, Role
from hawkfish.errors import NotAuthenticated, NotFound, PasswordChangeRequired
from tests.services.access import ELSEWHERE, OFFICE, PASSWORD, Access, Statements, at_once, open_access
from tests.support.clocks import HOUR, SetClock

TIMEOUT = 600


@pytest.fixture
def access(database: Database, tmp_path: Path) -> Access:
    return open_access(database, tmp_path, session_timeout=TIMEOUT, max_sessions_per_account=3)


@pytest.fixture
def other(access: Access, tmp_path: Path) -> Iterator[Access]:
    """Another process on the same database."""
    database = Database(access.database.url.render_as_string(hide_password=False))
    opened = open_access(database, tmp_path, session_timeout=TIMEOUT, max_sessions_per_account=3)
    opened.clock = opened.sessions._clock = access.clock
    yield opened
    database.close()


def test_a_login_gives_a_session_and_a_token_that_only_the_client_knows(access: Access) -> None:
    account = access.account("ada", Role.READ_ONLY)
    session, token, actor = access.sessions.login("ADA", PASSWORD, OFFICE, "request-1")
    assert (session.user_name, session.account_id, session.address) == ("ada", account.id, OFFICE)
    assert (actor.session_id, actor.role, actor.request_id) == (session.id, Role.READ_ONLY, "request-1")
    assert re.fullmatch("[0-9a-f]{64}", token)
    assert token not in f"{session} {actor}"
    with access.database.read() as uow:
        row = uow.session.execute(text("SELECT * FROM hf_sessions")).one()
    assert token not in str(row)
    assert hashlib.sha256(token.encode()).hexdigest() in row


def test_a_token_holds_in_another_process_and_shows_the_account_as_it_is(access: Access, other: Access) -> None:
    account = access.account("ada")
    session, token, _ = access.sessions.login("ada", PASSWORD, OFFICE)
    actor = other.sessions.resume(token, ELSEWHERE, "request-2")
    assert (actor.account_id, actor.session_id, actor.role) == (account.id, session.id, Role.OPERATOR)
    assert (actor.address, actor.request_id) == (ELSEWHERE, "request-2")
    access.accounts.update(SYSTEM_ACTOR, account.id, user_name="bea", password_change_required=True)
    actor = other.sessions.resume(token, ELSEWHERE)
    assert (actor.user_name, actor.password_change_required) == ("bea", True)


def test_an_odd_address_breaks_nothing(access: Access) -> None:
    access.account("ada")
    session, token, actor = access.sessions.login("ada", PASSWORD, "a\0b\ud800" + "x" * 1000)
    assert session.address is not None
    assert session.address.startswith("a?b?x")
    access.sessions.resume(token, "\0")
    assert access.sessions.list(actor) == [session]


@pytest.mark.parametrize("token", ["", "0" * 64, "0" * 63, "G" * 64, "\0" * 64, "é" * 64, "\ud800" * 64, "0" * 100_000])
def test_other_tokens_are_refused(access: Access, token: str) -> None:
    with pytest.raises(NotAuthenticated) as caught:
        access.sessions.resume(token, OFFICE)
    assert not token or token not in caught.value.message


def test_the_id_of_a_session_is_not_its_token(access: Access) -> None:
    access.account("ada")
    session, token, _ = access.sessions.login("ada", PASSWORD, OFFICE)
    for guess in (session.id, session.id.replace("-", ""), hashlib.sha256(token.encode()).hexdigest()):
        with pytest.raises(NotAuthenticated):
            access.sessions.resume(guess, OFFICE)


def test_a_request_is_one_select_and_a_write_now_and_then(access: Access) -> None:
    access.account("ada")
    _, token, _ = access.sessions.login("ada", PASSWORD, OFFICE)
    for _ in range(3):
        with Statements(access.database) as sent:
            access.sessions.resume(token, OFFICE)
        assert [statement.split()[0] for statement in sent] == ["SELECT"]
    access.clock.pass_by(31)
    with Statements(access.database) as sent:
        access.sessions.resume(token, OFFICE)
        access.sessions.resume(token, OFFICE)
    assert [statement.split()[0] for statement in sent] == ["SELECT", "UPDATE", "SELECT"]


def test_a_session_ends_when_it_is_not_used_and_not_before(access: Access) -> None:
    access.account("ada")
    session, token, actor = access.sessions.login("ada", PASSWORD, OFFICE)
    for _ in range(5):
        access.clock.pass_by(TIMEOUT - 1)
        access.sessions.resume(token, OFFICE)
    access.clock.pass_by(TIMEOUT)
    with pytest.raises(NotAuthenticated):
        access.sessions.resume(token, OFFICE)
    assert access.sessions.list(actor) == []
    with pytest.raises(NotFound):
        access.sessions.get(actor, session.id)
    assert access.sessions.purge() == 1
    assert access.sessions.purge() == 0


def test_a_short_timeout_is_kept_in_spite_of_the_rare_writes(database: Database, tmp_path: Path) -> None:
    access = open_access(database, tmp_path, session_timeout=30)
    access.account("ada")
    _, token, _ = access.sessions.login("ada", PASSWORD, OFFICE)
    for _ in range(20):
        access.clock.pass_by(20)
        access.sessions.resume(token, OFFICE)


def test_beyond_the_cap_the_longest_idle_session_is_dropped(access: Access) -> None:
    access.account("ada")
    access.account("bea")
    _, bystander, _ = access.sessions.login("bea", PASSWORD, OFFICE)
    tokens = []
    for _ in range(3):
        tokens.append(access.sessions.login("ada", PASSWORD, OFFICE)[1])
        access.clock.pass_by(40)
    access.sessions.resume(tokens[0], OFFICE)  # the oldest, but in use
    tokens.append(access.sessions.login("ada", PASSWORD, OFFICE)[1])
    for token in (tokens[0], tokens[2], tokens[3], bystander):
        access.sessions.resume(token, OFFICE)
    with pytest.raises(NotAuthenticated):
        access.sessions.resume(tokens[1], OFFICE)
    assert access.records()[-1].details == {"sessions_ended": 1}


def test_logins_at_once_do_not_pass_the_cap(access: Access, other: Access) -> None:
    access.account("ada")
    works = [lambda process=process: process.sessions.login("ada", PASSWORD, OFFICE) for process in (access, other)] * 3
    outcomes = at_once(*works)
    assert all(isinstance(outcome, tuple) for outcome in outcomes)
    assert len(access.sessions.list(SYSTEM_ACTOR)) == 3


def test_expired_sessions_do_not_count(access: Access) -> None:
    access.account("ada")
    for _ in range(3):
        access.sessions.login("ada", PASSWORD, OFFICE)
    access.clock.pass_by(TIMEOUT)
    access.sessions.login("ada", PASSWORD, OFFICE)
    assert access.records()[-1].details == {}
    assert access.sessions.purge() == 0


@pytest.mark.parametrize(
    ("change", "ended"),
    [
        ({"password": "another staple"}, True),
        ({"role": Role.READ_ONLY}, True),
        ({"enabled": False}, True),
        ({"role": Role.OPERATOR}, False),
        ({"user_name": "bea"}, False),
        ({"enabled": True, "locked": False}, False),
    ],
    ids=str,
)
def test_a_change_of_weight_ends_the_sessions_of_the_account(
    access: Access, change: dict[str, object], ended: bool
) -> None:
    account = access.account("ada")
    access.account("bystander")
    _, token, _ = access.sessions.login("ada", PASSWORD, OFFICE)
    _, bystander, _ = access.sessions.login("bystander", PASSWORD, OFFICE)
    access.accounts.update(SYSTEM_ACTOR, account.id, **change)  # type: ignore[arg-type]
    access.sessions.resume(bystander, OFFICE)
    if ended:
        with pytest.raises(NotAuthenticated):
            access.sessions.resume(token, OFFICE)
        assert access.records()[-1].details["sessions_ended"] == 1
    else:
        access.sessions.resume(token, OFFICE)


def test_a_new_password_keeps_the_session_that_set_it(access: Access) -> None:
    account = access.account("ada")
    _, other_token, _ = access.sessions.login("ada", PASSWORD, ELSEWHERE)
    _, token, actor = access.sessions.login("ada", PASSWORD, OFFICE)
    access.accounts.update(actor, account.id, password="another staple")
    access.sessions.resume(token, OFFICE)
    with pytest.raises(NotAuthenticated):
        access.sessions.resume(other_token, ELSEWHERE)


def test_a_deleted_account_has_no_sessions(access: Access) -> None:
    account = access.account("ada")
    _, token, _ = access.sessions.login("ada", PASSWORD, OFFICE)
    access.accounts.delete(SYSTEM_ACTOR, account.id)
    with pytest.raises(NotAuthenticated):
        access.sessions.resume(token, OFFICE)


def test_a_login_that_crosses_a_new_password_gets_no_session(access: Access, other: Access) -> None:
    account = access.account("ada")
    verify = access.accounts.verify

    def slow(*arguments: str) -> object:
        found = verify(*arguments)
        other.accounts.update(SYSTEM_ACTOR, account.id, password="another staple")
        return found

    access.accounts.verify = slow  # type: ignore[assignment, method-assign]
    with pytest.raises(NotAuthenticated):
        access.sessions.login("ada", PASSWORD, OFFICE)
    assert access.sessions.list(SYSTEM_ACTOR) == []


def test_users_see_and_end_the_own_sessions_only(access: Access) -> None:
    access.account("ada")
    mine, token, actor = access.sessions.login("ada", PASSWORD, OFFICE)
    admin = access.actor("root", Role.ADMINISTRATOR)
    assert admin.session_id is not None
    assert access.sessions.list(actor) == [mine]
    assert access.sessions.get(actor, mine.id) == mine
    assert {found.id for found in access.sessions.list(admin)} == {mine.id, admin.session_id}
    for session_id in (admin.session_id, "0" * 36, "a\0b", "é", "x" * 5000):
        for verb in (access.sessions.get, access.sessions.end):
            with pytest.raises(NotFound):
                verb(actor, session_id)
    assert access.records()[-1].outcome is AuditOutcome.DENIED
    access.sessions.end(admin, mine.id)
    with pytest.raises(NotAuthenticated):
        access.sessions.resume(token, OFFICE)
    last = access.records()[-1]
    assert (last.verb, last.subject, last.outcome) == ("sessions.delete", f"session:{mine.id}", AuditOutcome.ALLOWED)
    with pytest.raises(NotFound):
        access.sessions.end(admin, mine.id)


def test_of_two_that_end_a_session_one_does(access: Access, other: Access) -> None:
    access.account("ada")
    session, _, actor = access.sessions.login("ada", PASSWORD, OFFICE)
    outcomes = at_once(lambda: access.sessions.end(actor, session.id), lambda: other.sessions.end(actor, session.id))
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType", "NotFound"]
    assert [record.verb for record in access.records()].count("sessions.delete") == 1


def test_whoever_must_change_the_password_can_log_in_and_out(access: Access) -> None:
    access.account("ada", password_change_required=True)
    session, token, _ = access.sessions.login("ada", PASSWORD, OFFICE)
    actor = access.sessions.resume(token, OFFICE)
    assert actor.password_change_required
    with pytest.raises(PasswordChangeRequired):
        access.sessions.list(actor)
    with pytest.raises(PasswordChangeRequired):
        access.sessions.get(actor, session.id)
    access.sessions.end(actor, session.id)


@pytest.mark.parametrize("jump", [5 * HOUR, -5 * HOUR], ids=["forward", "back"])
def test_a_clock_that_is_set_ends_no_session(database: Database, tmp_path: Path, jump: timedelta) -> None:
    access = open_access(database, tmp_path, session_timeout=TIMEOUT)
    hand = SetClock(access.clock())
    access.sessions._clock, access.sessions._ago = hand.now, PastClock(hand.wall, hand.steady).ago
    access.account("ada")
    _, token, actor = access.sessions.login("ada", PASSWORD, OFFICE)
    hand.pass_by(timedelta(seconds=TIMEOUT - 60))
    hand.set_by(jump)
    assert access.sessions.purge() == 0
    assert len(access.sessions.list(actor)) == 1
    assert access.sessions.resume(token, OFFICE).user_name == "ada"
    for _ in range(3):  # in use it goes on
        hand.pass_by(timedelta(seconds=TIMEOUT - 60))
        access.sessions.resume(token, OFFICE)
    if jump > timedelta():
        hand.pass_by(timedelta(seconds=TIMEOUT + 1))
        with pytest.raises(NotAuthenticated):
            access.sessions.resume(token, OFFICE)
