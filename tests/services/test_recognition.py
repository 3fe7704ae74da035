"""What is told without waiting is told right: whatever happens in between, it says what the careful way says, or nothing."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from hawkfish.db import Database
from hawkfish.domain.accounts import SYSTEM_ACTOR, Role
from hawkfish.errors import NotAuthenticated
from tests.services.access import OFFICE, PASSWORD, Access, open_access

NAMES = ("ada", "bea")
TIMEOUT = 300


def machine(template: Path) -> type[RuleBasedStateMachine]:
    """Accounts and sessions under change by two processes, both of which recognise."""

    class Recognition(RuleBasedStateMachine):
        sessions = Bundle("sessions")

        def __init__(self) -> None:
            super().__init__()
            self.exit = ExitStack()
            self.tokens: list[str] = []

        @initialize()
        def open(self) -> None:
            folder = Path(self.exit.enter_context(tempfile.TemporaryDirectory()))
            (folder / "hawkfish.db").write_bytes(template.read_bytes())
            self.processes = [self.process(folder) for _ in range(2)]
            self.processes[1].clock = self.processes[0].clock
            for one in (self.processes[1].sessions, self.processes[1].accounts, self.processes[1].audit):
                one._clock = self.processes[0].clock
            self.processes[0].account("root", Role.ADMINISTRATOR)  # the last administrator could not be disabled
            self.accounts = {name: self.processes[0].account(name).id for name in NAMES}

        def process(self, folder: Path) -> Access:
            database = Database(f"sqlite:///{folder}/hawkfish.db")
            self.exit.callback(database.close)
            return open_access(database, folder, session_timeout=TIMEOUT, basic_cache_seconds=60)

        @rule(target=sessions, name=st.sampled_from(NAMES), process=st.integers(0, 1))
        def log_in(self, name: str, process: int) -> str:
            try:
                session, token, _ = self.processes[process].sessions.login(name, PASSWORD, OFFICE)
            except NotAuthenticated:
                return ""
            self.tokens.append(token)
            return session.id

        @rule(session_id=consumes(sessions), process=st.integers(0, 1))
        def end(self, session_id: str, process: int) -> None:
            access = self.processes[process]
            if session_id in {session.id for session in access.sessions.list(SYSTEM_ACTOR)}:
                access.sessions.end(SYSTEM_ACTOR, session_id)

        @rule(
            name=st.sampled_from(NAMES),
            process=st.integers(0, 1),
            change=st.fixed_dictionaries(
                {},
                optional={
                    "role": st.sampled_from(Role),
                    "enabled": st.booleans(),
                    "password_change_required": st.booleans(),
                    "password": st.sampled_from([PASSWORD, "another staple"]),
                },
            ).filter(bool),
        )
        def change(self, name: str, process: int, change: dict[str, Any]) -> None:
            self.processes[process].accounts.update(SYSTEM_ACTOR, self.accounts[name], **change)

        @rule(name=st.sampled_from(NAMES), process=st.integers(0, 1))
        def fail(self, name: str, process: int) -> None:
            with pytest.raises(NotAuthenticated):
                self.processes[process].accounts.authenticate(name, "wrong horse", OFFICE)

        @rule(seconds=st.sampled_from([1, 29, 31, 61, 299, 301]))
        def wait(self, seconds: int) -> None:
            self.processes[0].clock.pass_by(seconds)

        @invariant()
        def what_is_told_at_once_is_what_the_careful_way_says(self) -> None:
            for access in getattr(self, "processes", []):
                for token in self.tokens:
                    quick = access.sessions.recognise(token, OFFICE, "r")
                    try:
                        slow = access.sessions.resume(token, OFFICE, "r")
                    except NotAuthenticated:
                        assert quick is None
                    else:
                        assert quick in {None, slow}
                        assert access.sessions.recognise(token, OFFICE, "r") == slow

        @invariant()
        def a_password_is_recognised_only_where_it_would_be_verified(self) -> None:
            for access in getattr(self, "processes", []):
                for name in NAMES:
                    quick = access.accounts.recognise(name, PASSWORD, OFFICE, "r")
                    assert access.accounts.recognise(name, "wrong horse", OFFICE, "r") is None
                    if quick is not None:
                        assert quick == access.accounts.authenticate(name, PASSWORD, OFFICE, "r")

        def teardown(self) -> None:
            self.exit.close()

    return Recognition


@pytest.mark.slow
def test_whatever_happens_in_between(sqlite_template: Path) -> None:
    run_state_machine_as_test(
        machine(sqlite_template),
        settings=settings(
            max_examples=15,
            stateful_step_count=15,
            phases=[Phase.generate],
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_password_that_was_verified_is_recognised(sqlite_url: str, tmp_path: Path) -> None:
    database = Database(sqlite_url)
    access = open_access(database, tmp_path, basic_cache_seconds=60)
    account = access.account("ada")
    assert access.accounts.recognise("ada", PASSWORD, OFFICE, "r") is None
    actor = access.accounts.authenticate("ada", PASSWORD, OFFICE, "r")
    assert access.accounts.recognise("ADA", PASSWORD, OFFICE, "r") == actor
    access.clock.pass_by(61)
    assert access.accounts.recognise("ada", PASSWORD, OFFICE, "r") is None
    access.accounts.authenticate("ada", PASSWORD, OFFICE, "r")
    access.accounts.update(SYSTEM_ACTOR, account.id, enabled=False)
    assert access.accounts.recognise("ada", PASSWORD, OFFICE, "r") is None
    database.close()


def test_a_session_in_use_is_written_by_one_request_while_the_others_go_on(sqlite_url: str, tmp_path: Path) -> None:
    database, other = Database(sqlite_url), Database(sqlite_url)
    access = open_access(database, tmp_path)
    access.account("ada")
    _, token, _ = access.sessions.login("ada", PASSWORD, OFFICE)
    access.clock.pass_by(31)
    assert access.sessions.recognise(token, OFFICE) is None
    touch = access.sessions._touch
    seen: list[Any] = []

    def meanwhile(*arguments: Any) -> None:
        access.sessions._touching.add(arguments[0])
        seen.extend([access.sessions.recognise(token, OFFICE), access.sessions.resume(token, OFFICE)])
        touch(*arguments)

    access.sessions._touch = meanwhile  # type: ignore[method-assign]
    actor = access.sessions.resume(token, OFFICE)
    assert seen == [actor, actor]
    assert access.sessions.recognise(token, OFFICE) == actor  # it was written
    assert access.sessions._touching == set()
    other.close()
    database.close()
