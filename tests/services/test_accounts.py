"""Accounts as their users meet them: logging in, being locked out, changing and being changed."""

from __future__ import annotations

import statistics
import time
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
import structlog
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hawkfish.db import Database
from hawkfish.domain.accounts import SYSTEM_ACTOR, AuditOutcome, Role
from hawkfish.errors import (
    AlreadyExists,
    ConfigurationError,
    Conflict,
    HawkFishError,
    NoOperation,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    PasswordChangeRequired,
    PreconditionFailed,
    PropertyConflict,
    PropertyError,
    PropertyNotInList,
)
from hawkfish.services.passwords import (
    Passwords,
    check_password,
    check_user_name,
    generate_password,
    is_user_name,
)
from tests.services.access import ELSEWHERE, OFFICE, PASSWORD, Access, Statements, at_once, open_access

NEW_PASSWORD = "another staple entirely"


@pytest.fixture
def access(database: Database, tmp_path: Path) -> Access:
    return open_access(database, tmp_path, lockout_threshold=3, lockout_duration=60)


# --- rules -----------------------------------------------------------------------------------------------------------


@given(st.text(max_size=40))
@example("")
@example("a:b")
@example("a\0b")
@example(" a")
@example("\ud800")
@example("ﬁsh")
@example("a" * 33)
@example("a\u1680b")
def test_a_user_name_is_allowed_or_refused_with_its_property(name: str) -> None:
    if is_user_name(name):
        check_user_name(name)
        assert 1 <= len(name) <= 32
        assert name.isprintable()
        assert ":" not in name
    else:
        with pytest.raises(PropertyError) as caught:
            check_user_name(name)
        assert caught.value.data["property"] == "UserName"
        caught.value.message.encode()
        str(caught.value.data["value"]).encode()  # fit for an answer


@given(st.text(max_size=140), st.text(min_size=1, max_size=32))
@example("admin123", "ADMIN123")
@example("\ud800" * 8, "a")
@example("1234567", "a")
@example("p" * 129, "a")
def test_a_password_is_allowed_or_refused_and_never_told(password: str, user_name: str) -> None:
    refusal: PropertyError | None = None
    try:
        check_password(password, user_name)
    except PropertyError as error:
        refusal = error
    if refusal is None:
        assert 8 <= len(password) <= 128
        assert password.casefold() != user_name.casefold()
        password.encode()
    else:
        assert refusal.data == {"property": "Password"}
        assert len(password) < 8 or password not in refusal.message


def test_generated_passwords_are_allowed_and_differ() -> None:
    made = {generate_password() for _ in range(100)}
    assert len(made) == 100
    for password in made:
        check_password(password, "admin")
        assert len(password) == 20


# --- logging in ------------------------------------------------------------------------------------------------------


def test_the_right_password_gives_the_actor_of_the_account(access: Access) -> None:
    account = access.account("Ada", Role.OPERATOR)
    actor = access.accounts.authenticate("ada", PASSWORD, OFFICE, "request-1")
    assert (actor.user_name, actor.role, actor.account_id) == ("Ada", Role.OPERATOR, account.id)
    assert (actor.session_id, actor.address, actor.request_id) == (None, OFFICE, "request-1")


def test_every_wrong_login_is_refused_with_the_same_words(access: Access) -> None:
    access.account("ada")
    access.account("off", enabled=False)
    messages = set()
    for user_name, password in [
        ("ada", "wrong password"),
        ("nobody", PASSWORD),
        ("off", PASSWORD),
        ("", ""),
        ("a:b", "x"),
    ]:
        with pytest.raises(NotAuthenticated) as caught:
            access.accounts.authenticate(user_name, password, OFFICE)
        messages.add(caught.value.message)
        assert not caught.value.data
    assert len(messages) == 1


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.text(max_size=200), st.text(max_size=200), st.none() | st.text(max_size=80))
@example("a\0b", "\0", "\0")
@example("\ud800", "\ud800", "\ud800")
@example("x" * 10_000, "y" * 100_000, "z" * 10_000)
def test_whatever_is_sent_is_refused_and_breaks_nothing(
    access: Access, user_name: str, password: str, address: str | None
) -> None:
    with pytest.raises(NotAuthenticated):
        access.accounts.authenticate(user_name, password, address)


def test_a_name_that_is_not_there_takes_as_long_as_a_wrong_password(database: Database, tmp_path: Path) -> None:
    access = open_access(database, tmp_path, passwords=Passwords(), lockout_threshold=0)
    access.account("ada")

    def cost(user_name: str) -> float:
        began = time.thread_time()
        with pytest.raises(NotAuthenticated):
            access.accounts.authenticate(user_name, "wrong password", OFFICE)
        return time.thread_time() - began

    there, absent = [], []
    for _ in range(9):  # by turns, so that a change of the machine's speed meets both
        there.append(cost("ada"))
        absent.append(cost("nobody"))
    assert 0.7 < statistics.median(absent) / statistics.median(there) < 1.4


def test_a_login_reads_once_and_writes_nothing(access: Access) -> None:
    access.account("ada")
    with Statements(access.database) as sent:
        access.accounts.authenticate("ada", PASSWORD, OFFICE)
    assert len(sent) == 1
    assert sent[0].startswith("SELECT")


def test_failures_from_one_address_lock_that_address_out_and_no_other(access: Access) -> None:
    access.account("admin2", Role.ADMINISTRATOR)
    for _ in range(3):
        with pytest.raises(NotAuthenticated):
            access.accounts.authenticate("admin2", "wrong password", ELSEWHERE)
    with pytest.raises(NotAuthenticated):
        access.accounts.authenticate("admin2", PASSWORD, ELSEWHERE)
    assert access.accounts.authenticate("ADMIN2", PASSWORD, OFFICE).user_name == "admin2"
    access.clock.pass_by(61)
    assert access.accounts.authenticate("admin2", PASSWORD, ELSEWHERE).user_name == "admin2"


def test_all_of_an_ipv6_network_counts_as_one_source(access: Access) -> None:
    access.account("ada")
    for host in range(3):
        with pytest.raises(NotAuthenticated):
            access.accounts.authenticate("ada", "wrong password", f"2001:db8:1:2::{host}")
    with pytest.raises(NotAuthenticated):
        access.accounts.authenticate("ada", PASSWORD, "2001:db8:1:2:ffff::9")
    access.accounts.authenticate("ada", PASSWORD, "2001:db8:1:3::1")


def test_the_right_password_forgets_the_failures_before_it(access: Access) -> None:
    access.account("ada")
    for _ in range(3):
        for _ in range(2):
            with pytest.raises(NotAuthenticated):
                access.accounts.authenticate("ada", "wrong password", OFFICE)
        access.accounts.authenticate("ada", PASSWORD, OFFICE)


def test_failures_are_counted_in_all_processes_together(access: Access, tmp_path: Path) -> None:
    other_database = Database(access.database.url.render_as_string(hide_password=False))
    other = open_access(other_database, tmp_path, lockout_threshold=3)
    access.account("ada")
    other.accounts.authenticate("ada", PASSWORD, OFFICE)  # and known to the other's memory
    works = [
        lambda process=process: process.accounts.authenticate("ada", "wrong password", OFFICE)
        for process in (access, other, access)
    ]
    assert all(isinstance(outcome, NotAuthenticated) for outcome in at_once(*works))
    for process in (access, other):
        with pytest.raises(NotAuthenticated):
            process.accounts.authenticate("ada", PASSWORD, OFFICE)
    other_database.close()


def test_an_administrator_sees_a_lockout_and_ends_it(access: Access) -> None:
    account = access.account("ada")
    for _ in range(3):
        with pytest.raises(NotAuthenticated):
            access.accounts.authenticate("ada", "wrong password", OFFICE)
    seen = access.accounts.get(SYSTEM_ACTOR, account.id)
    assert (seen.locked, seen.version) == (True, account.version)
    assert [found.locked for found in access.accounts.list(SYSTEM_ACTOR)] == [True]
    assert not access.accounts.update(SYSTEM_ACTOR, account.id, locked=False).locked
    access.accounts.authenticate("ada", PASSWORD, OFFICE)
    with pytest.raises(PropertyNotInList):
        access.accounts.update(SYSTEM_ACTOR, account.id, locked=True)


def test_a_lockout_refuses_names_that_are_not_there_alike(access: Access) -> None:
    for _ in range(5):
        with pytest.raises(NotAuthenticated):
            access.accounts.authenticate("nobody", "wrong password", OFFICE)
    reasons = [record.details["reason"] for record in access.records()]
    assert reasons == ["wrong name or password"] * 3 + ["locked out"] * 2


def test_a_lockout_of_an_account_leaves_a_record_however_many_refusals_there_were(access: Access) -> None:
    account = access.account("ada")
    for turn in range(1, 7):
        for _ in range(4):
            with pytest.raises(NotAuthenticated):
                access.accounts.authenticate("ada", "wrong password", OFFICE)
        locked = [record for record in access.records() if record.details.get("locked")]
        assert [record.subject for record in locked] == [f"account:{account.id}"] * turn
        access.clock.pass_by(61)
    access.a_moment_passes()
    assert len([record for record in access.records() if record.outcome is AuditOutcome.DENIED]) == 10 + turn


def test_lockouts_from_however_many_addresses_fill_nothing(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hawkfish.services.strangers.APART", 4)
    account = access.account("ada")
    for number in range(1, 21):
        for _ in range(3):
            with pytest.raises(NotAuthenticated):
                access.accounts.authenticate("ada", "wrong password", f"2001:db8:{number}::1")
    access.a_moment_passes()
    locked = [record.address for record in access.records() if record.details.get("locked")]
    # Of two addresses lockouts and refusals are counted apart; of the others ten lockouts are told one by one.
    assert locked == [f"2001:db8:{number}::1" for number in range(1, 13)]
    access.clock.pass_by(3601)
    access.audit.tell_refusals()
    (told,) = [record for record in access.records() if record.verb == "sessions.lockout"]
    assert (told.address, told.subject, told.details["count"]) == ("(others)", "", 8)
    assert {record.subject for record in access.records() if record.address == "2001:db8:1::1"} == {
        f"account:{account.id}"
    }


def test_a_threshold_of_zero_locks_nobody_out(database: Database, tmp_path: Path) -> None:
    access = open_access(database, tmp_path, lockout_threshold=0)
    access.account("ada")
    for _ in range(20):
        with pytest.raises(NotAuthenticated):
            access.accounts.authenticate("ada", "wrong password", OFFICE)
    access.accounts.authenticate("ada", PASSWORD, OFFICE)


class CountingPasswords(Passwords):
    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_kib=8)
        self.checks = 0

    def verify(self, password_hash: str | None, password: str) -> bool:
        self.checks += 1
        return super().verify(password_hash, password)


def test_a_right_password_is_remembered_for_a_short_time_only(database: Database, tmp_path: Path) -> None:
    passwords = CountingPasswords()
    access = open_access(database, tmp_path, passwords, basic_cache_seconds=60)
    access.account("ada")
    for _ in range(5):
        access.accounts.authenticate("ada", PASSWORD, OFFICE)
        access.clock.pass_by(10)
    assert passwords.checks == 1
    access.clock.pass_by(11)
    access.accounts.authenticate("ada", PASSWORD, OFFICE)
    assert passwords.checks == 2
    with pytest.raises(NotAuthenticated):
        access.accounts.authenticate("ada", PASSWORD + "!", OFFICE)


@pytest.mark.parametrize(
    "change",
    [{"password": NEW_PASSWORD}, {"enabled": False}, {"user_name": "bea"}],
    ids=lambda change: next(iter(change)),
)
def test_what_is_remembered_ends_with_a_change_made_in_another_process(
    access: Access, tmp_path: Path, change: dict[str, object]
) -> None:
    account = access.account("ada")
    access.accounts.authenticate("ada", PASSWORD, OFFICE)
    other_database = Database(access.database.url.render_as_string(hide_password=False))
    open_access(other_database, tmp_path).accounts.update(SYSTEM_ACTOR, account.id, **change)  # type: ignore[arg-type]
    other_database.close()
    with pytest.raises(NotAuthenticated):
        access.accounts.authenticate("ada", PASSWORD, OFFICE)


def test_the_memory_holds_no_password_and_does_not_grow_for_ever(access: Access) -> None:
    verified = access.accounts._verified
    account_id = uuid4()
    for number in range(3000):
        verified.remember("ada", f"secret {number}", account_id, 1)
    assert verified.knows("ada", "secret 2999", account_id, 1)
    assert not verified.knows("ada", "secret 2999", account_id, 2)
    assert not verified.knows("bea", "secret 2999", account_id, 1)
    assert len(verified._entries) <= 1024
    assert "secret" not in repr(verified._entries)


def test_a_hash_of_old_cost_is_renewed_at_the_next_login(access: Access, tmp_path: Path) -> None:
    account = access.account("ada")
    stronger = open_access(access.database, tmp_path, Passwords(time_cost=2, memory_kib=16))
    stronger.accounts.authenticate("ada", PASSWORD, OFFICE)
    with access.database.read() as uow:
        assert "m=16,t=2" in str(uow.accounts.password_hash(account.id))
    assert access.accounts.get(SYSTEM_ACTOR, account.id).version == account.version


# --- changing --------------------------------------------------------------------------------------------------------


def test_an_account_is_made_read_changed_and_deleted(access: Access) -> None:
    made = access.account("Ada", Role.READ_ONLY)
    assert access.accounts.get(SYSTEM_ACTOR, made.id) == made
    changed = access.accounts.update(SYSTEM_ACTOR, made.id, role=Role.OPERATOR, user_name="Bea", expected_version=1)
    assert changed == replace(made, role=Role.OPERATOR, user_name="Bea", version=2)
    assert access.accounts.list(SYSTEM_ACTOR) == [changed]
    access.accounts.delete(SYSTEM_ACTOR, made.id, expected_version=2)
    for work in (
        lambda: access.accounts.get(SYSTEM_ACTOR, made.id),
        lambda: access.accounts.update(SYSTEM_ACTOR, made.id, enabled=False),
        lambda: access.accounts.delete(SYSTEM_ACTOR, made.id),
    ):
        with pytest.raises(NotFound):
            work()


def test_a_name_is_taken_whatever_its_case(access: Access) -> None:
    access.account("Ada")
    other = access.account("bea")
    with pytest.raises(AlreadyExists) as caught:
        access.account("aDA")
    assert caught.value.data == {"kind": "ManagerAccount", "property": "UserName", "value": "aDA"}
    with pytest.raises(AlreadyExists):
        access.accounts.update(SYSTEM_ACTOR, other.id, user_name="ADA")
    assert access.accounts.update(SYSTEM_ACTOR, other.id, user_name="BEA").user_name == "BEA"


def test_a_refused_request_changes_nothing(access: Access) -> None:
    account = access.account("ada")
    trail = access.records()
    for change in (
        {"password": "short"},
        {"password": "ada"},
        {"user_name": "a:b"},
        {"user_name": "bea", "password": "bea"},
        {"role": Role.READ_ONLY, "expected_version": 7},
    ):
        with pytest.raises((PropertyError, PreconditionFailed)):
            access.accounts.update(SYSTEM_ACTOR, account.id, **change)  # type: ignore[arg-type]
    with pytest.raises(NoOperation):
        access.accounts.update(SYSTEM_ACTOR, account.id)
    with pytest.raises(PreconditionFailed):
        access.accounts.delete(SYSTEM_ACTOR, account.id, expected_version=7)
    with pytest.raises(PropertyError):
        access.accounts.create(SYSTEM_ACTOR, "new", "short", Role.OPERATOR)
    assert access.accounts.list(SYSTEM_ACTOR) == [account]
    assert access.records() == trail


def test_of_four_changes_to_one_version_one_wins(access: Access, tmp_path: Path) -> None:
    account = access.account("ada")
    other_database = Database(access.database.url.render_as_string(hide_password=False))
    processes = [access, open_access(other_database, tmp_path)] * 2
    works = [
        lambda process=process, role=role: process.accounts.update(
            SYSTEM_ACTOR, account.id, role=role, expected_version=account.version
        )
        for process, role in zip(processes, [Role.READ_ONLY, Role.OPERATOR] * 2, strict=True)
    ]
    outcomes = at_once(*works)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Account"] + ["PreconditionFailed"] * 3
    assert access.accounts.get(SYSTEM_ACTOR, account.id).version == account.version + 1
    assert [record.verb for record in access.records()] == ["accounts.create", "accounts.update"]
    other_database.close()


@pytest.mark.parametrize(
    "change", [{"role": Role.OPERATOR}, {"enabled": False}, None], ids=["role", "enabled", "delete"]
)
def test_the_last_enabled_administrator_stays(access: Access, change: dict[str, object] | None) -> None:
    last = access.account("ada", Role.ADMINISTRATOR)
    access.account("off", Role.ADMINISTRATOR, enabled=False)

    def take_away(account_id: object) -> None:
        if change is None:
            access.accounts.delete(SYSTEM_ACTOR, account_id)  # type: ignore[arg-type]
        else:
            access.accounts.update(SYSTEM_ACTOR, account_id, **change)  # type: ignore[arg-type]

    with pytest.raises(Conflict):
        take_away(last.id)
    assert access.accounts.get(SYSTEM_ACTOR, last.id) == last
    access.account("bea", Role.ADMINISTRATOR)
    take_away(last.id)


def test_two_administrators_cannot_take_each_other_away_at_once(access: Access, tmp_path: Path) -> None:
    other_database = Database(access.database.url.render_as_string(hide_password=False))
    other = open_access(other_database, tmp_path)
    ada, bea = access.actor("ada", Role.ADMINISTRATOR), access.actor("bea", Role.ADMINISTRATOR)
    assert ada.account_id is not None
    assert bea.account_id is not None
    outcomes = at_once(
        lambda: access.accounts.update(ada, bea.account_id, role=Role.OPERATOR),  # type: ignore[arg-type]
        lambda: other.accounts.delete(bea, ada.account_id),  # type: ignore[arg-type]
    )
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 1
    left = [found for found in access.accounts.list(SYSTEM_ACTOR) if found.role is Role.ADMINISTRATOR and found.enabled]
    assert len(left) == 1
    other_database.close()


def test_users_see_and_change_the_own_account_only(access: Access) -> None:
    other = access.account("ada")
    actor = access.actor("bea", Role.READ_ONLY)
    own = actor.account_id
    assert own is not None
    assert [found.id for found in access.accounts.list(actor)] == [own]
    assert access.accounts.get(actor, own).user_name == "bea"
    assert access.accounts.update(actor, own, password=NEW_PASSWORD).version == 2
    for change in (
        {"role": Role.ADMINISTRATOR},
        {"password": NEW_PASSWORD, "role": Role.ADMINISTRATOR},
        {"enabled": True},
    ):
        with pytest.raises(NotPermitted):
            access.accounts.update(actor, own, **change)  # type: ignore[arg-type]
    with pytest.raises(NotPermitted):
        access.accounts.delete(actor, own)
    with pytest.raises(NotPermitted):
        access.accounts.create(actor, "new", PASSWORD, Role.ADMINISTRATOR)
    for work in (
        lambda: access.accounts.get(actor, other.id),
        lambda: access.accounts.update(actor, other.id, password=NEW_PASSWORD),
        lambda: access.accounts.update(actor, other.id, role=Role.READ_ONLY),
        lambda: access.accounts.delete(actor, other.id),
    ):
        with pytest.raises(NotFound) as hidden:
            work()
        with pytest.raises(NotFound) as absent:
            access.accounts.get(actor, uuid4())
        assert type(hidden.value) is type(absent.value)
    assert access.accounts.get(SYSTEM_ACTOR, other.id) == other


def test_whoever_must_change_the_password_can_do_that_and_nothing_else(access: Access) -> None:
    actor = access.actor("ada", Role.ADMINISTRATOR, password_change_required=True)
    own = actor.account_id
    assert own is not None
    assert actor.password_change_required
    for work in (
        lambda: access.accounts.list(actor),
        lambda: access.accounts.create(actor, "new", PASSWORD, Role.OPERATOR),
        lambda: access.accounts.update(actor, own, password=NEW_PASSWORD, enabled=True),
        lambda: access.accounts.get(actor, uuid4()),
        lambda: access.audit.list(actor),
    ):
        with pytest.raises(PasswordChangeRequired) as caught:
            work()
        assert caught.value.data["account_id"] == str(own)
    assert access.accounts.get(actor, own).password_change_required
    with pytest.raises(PropertyConflict):
        access.accounts.update(actor, own, password=PASSWORD)
    assert not access.accounts.update(actor, own, password=NEW_PASSWORD).password_change_required
    assert not access.accounts.authenticate("ada", NEW_PASSWORD, OFFICE).password_change_required


def test_a_password_set_by_another_does_not_clear_the_demand_to_change_it(access: Access) -> None:
    account = access.account("ada", password_change_required=True)
    assert access.accounts.update(SYSTEM_ACTOR, account.id, password=NEW_PASSWORD).password_change_required


# --- the first start -------------------------------------------------------------------------------------------------


def test_the_first_start_makes_one_administrator_with_a_password_shown_once(access: Access, tmp_path: Path) -> None:
    other_database = Database(access.database.url.render_as_string(hide_password=False))
    other = open_access(other_database, tmp_path)
    outcomes = at_once(
        lambda: access.accounts.ensure_administrator(None), lambda: other.accounts.ensure_administrator(None)
    )
    (shown,) = [outcome for outcome in outcomes if outcome is not None]
    assert shown.password not in repr(shown)
    assert access.accounts.authenticate(shown.user_name, shown.password, OFFICE).role is Role.ADMINISTRATOR
    assert access.accounts.ensure_administrator("another password") is None
    assert len(access.accounts.list(SYSTEM_ACTOR)) == 1
    other_database.close()


def test_the_first_password_can_be_given(access: Access) -> None:
    with pytest.raises(ConfigurationError) as caught:
        access.accounts.ensure_administrator("pw-1234")
    assert "pw-1234" not in str(caught.value)
    assert access.accounts.ensure_administrator(PASSWORD) is None
    assert access.accounts.authenticate("admin", PASSWORD, OFFICE).role is Role.ADMINISTRATOR


# --- what is written down --------------------------------------------------------------------------------------------


def test_every_change_of_an_account_is_in_the_trail(access: Access) -> None:
    admin = access.actor("root", Role.ADMINISTRATOR)
    account = access.accounts.create(admin, "ada", PASSWORD, Role.OPERATOR)
    access.accounts.update(admin, account.id, password=NEW_PASSWORD)
    access.accounts.update(admin, account.id, role=Role.READ_ONLY, enabled=False)
    access.accounts.delete(admin, account.id)
    trail = access.records()[2:]
    assert [record.verb for record in trail] == [
        "accounts.create",
        "accounts.change_password",
        "accounts.update",
        "accounts.delete",
    ]
    for record in trail:
        assert record.subject == f"account:{account.id}"
        assert (record.user_name, record.address, record.session_id) == ("root", OFFICE, admin.session_id)
        assert record.outcome is AuditOutcome.ALLOWED
    assert trail[2].details["changed"] == ["role", "enabled"]
    assert trail[2].details["role"] == "ReadOnly"


def test_no_secret_is_in_logs_audit_or_errors(access: Access) -> None:
    typed_as_name = "my-secret-as-a-name"
    told: list[str] = []
    with structlog.testing.capture_logs() as logs:
        account = access.account("ada")
        session, token, _ = access.sessions.login("ada", PASSWORD, OFFICE)
        access.accounts.update(SYSTEM_ACTOR, account.id, password=NEW_PASSWORD)
        works = [lambda: access.accounts.authenticate("ada", "wrong-secret", OFFICE) for _ in range(4)]
        works += [lambda: access.accounts.authenticate(typed_as_name, "wrong-secret", ELSEWHERE) for _ in range(4)]
        works += [lambda: access.accounts.update(SYSTEM_ACTOR, account.id, password="ada\0" + PASSWORD)]
        works += [lambda: access.sessions.resume("f" * 64, OFFICE)]
        for work in works:
            with pytest.raises(HawkFishError) as caught:
                work()
            told.append(f"{caught.value} {caught.value.data}")
    assert any(entry["event"] == "accounts.locked_out" for entry in logs)
    everything = f"{logs} {access.records()} {told} {session}"
    with access.database.read() as uow:
        stored = uow.accounts.password_hash(account.id)
    for secret in (PASSWORD, NEW_PASSWORD, "wrong-secret", typed_as_name, token, "f" * 64, stored):
        assert str(secret) not in everything
