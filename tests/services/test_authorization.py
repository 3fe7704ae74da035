"""Who may do what, over all verbs."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

import hawkfish.services
from hawkfish.db import Database
from hawkfish.domain.accounts import SYSTEM_ACTOR, Actor, AuditOutcome, Privilege, Role
from hawkfish.errors import NotPermitted, PasswordChangeRequired
from hawkfish.services.authorization import RULES, Authorizer, may
from tests.services.access import open_access

OWN = uuid4()
ACTORS = {
    role: Actor(user_name=role.value.lower(), role=role, account_id=OWN, address="192.0.2.10", request_id="request-1")
    for role in Role
}

READS = {
    *(
        "service.read",
        "plugins.read",
        "systems.read",
        "hosts.read",
        "metrics.read",
        "pools.read",
        "tasks.read",
        "roles.read",
    ),
    *("accounts.list", "sessions.list", "events.read", "logs.read", "managers.read", "images.read", "profiles.read"),
    "media.read",
    *("events.listen", "subscriptions.list"),
}
OPERATES = {
    *("images.add", "images.delete", "images.prune", "profiles.create", "profiles.update", "profiles.delete"),
    *("systems.create", "systems.update", "systems.delete", "systems.reset", "systems.screenshot"),
    "systems.default_boot_order",
    *("systems.serial_log", "tasks.cancel", "media.insert", "media.eject", "media.update"),
    *("bios.update", "bios.reset", "secure_boot.update", "secure_boot.reset_keys"),
    *("events.submit_test", "subscriptions.create", "volumes.create"),
}
OWN_ONLY = {
    *("accounts.read", "accounts.change_password", "sessions.read", "sessions.delete"),
    *("subscriptions.read", "subscriptions.update", "subscriptions.delete"),
}


@pytest.mark.parametrize("verb", RULES)
def test_each_verb_is_open_to_the_roles_that_need_it(verb: str) -> None:
    open_to = {role for role, actor in ACTORS.items() if may(actor, verb, owner=uuid4())}
    if verb in READS:
        assert open_to == set(Role)
    elif verb in OPERATES:
        assert open_to == {Role.ADMINISTRATOR, Role.OPERATOR}
    else:
        assert open_to == {Role.ADMINISTRATOR}
    own = {role for role, actor in ACTORS.items() if may(actor, verb, owner=OWN)}
    assert own == (set(Role) if verb in OWN_ONLY else open_to)


@pytest.mark.parametrize("verb", RULES)
def test_before_a_new_password_little_is_open_and_only_for_the_own_account(verb: str) -> None:
    for actor in ACTORS.values():
        waiting = replace(actor, password_change_required=True)
        assert not may(waiting, verb)
        assert not may(waiting, verb, owner=uuid4())
        assert may(waiting, verb, owner=OWN) == (
            verb in {"accounts.read", "accounts.change_password", "sessions.delete"}
        )


@pytest.mark.parametrize("verb", RULES)
def test_the_service_itself_may_do_everything_and_owns_nothing(verb: str) -> None:
    assert may(SYSTEM_ACTOR, verb)
    nobody = replace(ACTORS[Role.READ_ONLY], account_id=None)
    assert may(nobody, verb, owner=None) == (verb in READS)


def test_a_verb_that_is_not_in_the_table_is_a_mistake_of_the_program() -> None:
    with pytest.raises(LookupError, match=r"systems\.explode"):
        may(SYSTEM_ACTOR, "systems.explode")


def test_every_refusal_is_raised_and_written_down(database: Database, tmp_path: Path) -> None:
    access = open_access(database, tmp_path)
    reader = ACTORS[Role.READ_ONLY]
    waiting = replace(ACTORS[Role.ADMINISTRATOR], password_change_required=True)
    expected = []
    project = uuid4()
    for verb in RULES:
        with pytest.raises(PasswordChangeRequired) as demanded:
            access.audit.authorize(waiting, verb, "thing:1")
        assert demanded.value.data["account_id"] == str(OWN)
        expected.append(("administrator", verb, None))
        if may(reader, verb):
            access.audit.authorize(reader, verb, "thing:1", project=project)
            continue
        with pytest.raises(NotPermitted) as caught:
            access.audit.authorize(reader, verb, "thing:1", project=project)
        assert caught.value.data["verb"] == verb
        assert RULES[verb].privilege in caught.value.message
        expected.append(("readonly", verb, str(project)))
    trail = access.records()
    assert [(record.user_name, record.verb, record.project) for record in trail] == expected
    for record in trail:
        assert (record.outcome, record.subject) == (AuditOutcome.DENIED, "thing:1")
        assert (record.address, record.request_id) == ("192.0.2.10", "request-1")
        if record.user_name == "readonly":
            assert record.details == {"role": "ReadOnly", "privilege": RULES[record.verb].privilege.value}


def test_what_is_allowed_is_not_written_by_authorize() -> None:
    written: list[object] = []
    authorize = Authorizer(lambda *arguments: written.append(arguments))
    for verb in RULES:
        authorize(ACTORS[Role.ADMINISTRATOR], verb, "thing:1")
    assert written == []


def test_every_privilege_of_the_table_is_a_standard_one() -> None:
    for rule in RULES.values():
        assert rule.privilege in Privilege
        assert rule.own is None or rule.own in Privilege


def test_services_ask_for_verbs_of_the_table_only() -> None:
    """A misspelt verb would be found when it is first used; this finds it before."""
    for file in Path(hawkfish.services.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or len(node.args) < 2:
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            verb = node.args[1]
            if called in {"authorize", "_authorize", "may"} and isinstance(verb, ast.Constant):
                assert verb.value in RULES, f"{file.name}:{node.lineno}"
