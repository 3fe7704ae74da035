"""Logs of systems: pages, what clearing hides and what it leaves, and who may do it."""

from __future__ import annotations

import threading

import pytest

from hawkfish.domain.accounts import SYSTEM_ACTOR, Actor, AuditOutcome, Role
from hawkfish.domain.events import Severity
from hawkfish.domain.logs import SystemLog
from hawkfish.domain.messages import (
    RESOURCE_CHANGED,
    RESOURCE_CREATED,
    RESOURCE_POWERED_OFF,
    RESOURCE_POWERED_ON,
    WORK_FAILED,
)
from hawkfish.domain.subscriptions import TestEvent
from hawkfish.domain.systems import ResetType
from hawkfish.errors import Conflict, NotFound, NotPermitted, PropertyNotInList
from tests.support.installation import READER

EVENTS, AUDIT = SystemLog.EVENTS, SystemLog.AUDIT


@pytest.fixture
def logs(installation):
    return installation.application.logs


@pytest.fixture
def system(installation, logs):
    """A system whose log shows nothing yet."""
    made = installation.create()
    logs.clear(SYSTEM_ACTOR, made.id, EVENTS)
    return made


def add(installation, system, *names):
    with installation.application.database.write() as uow:
        for name in names:
            uow.events.add(RESOURCE_POWERED_ON, f"system:{system.id}", name)


def shown(logs, system, **options):
    entries, total = logs.page(SYSTEM_ACTOR, system.id, EVENTS, **options)
    return [entry.arguments[0] for entry in entries], total


def test_entries_come_newest_first_in_pages(installation, logs, system):
    add(installation, system, *"abcde")
    add(installation, installation.create(), "other")
    entries, total = logs.page(SYSTEM_ACTOR, system.id, EVENTS, limit=2)
    assert ([entry.arguments[0] for entry in entries], total) == (["e", "d"], 5)
    assert shown(logs, system, limit=2, before_id=entries[-1].id) == (["c", "b"], 5)
    assert shown(logs, system, limit=2, skip=3) == (["b", "a"], 5)
    assert logs.get(SYSTEM_ACTOR, system.id, EVENTS, entries[0].id) == entries[0]


def test_a_test_event_is_no_entry_since_nothing_has_happened(installation, logs, system):
    add(installation, system, "a")
    off = TestEvent(message_id=RESOURCE_POWERED_OFF.id, arguments=("b",), subject=f"system:{system.id}")
    installation.application.subscriptions.submit_test(SYSTEM_ACTOR, off)
    (told,) = installation.application.events.page(SYSTEM_ACTOR, subject=off.subject, limit=1)
    assert told.message_id == off.message_id
    assert shown(logs, system) == (["a"], 1)
    with pytest.raises(NotFound):
        logs.get(SYSTEM_ACTOR, system.id, EVENTS, told.id)


def test_clearing_hides_what_was_and_leaves_the_record(installation, logs, system):
    add(installation, system, "a", "b")
    (newest, _), _ = logs.page(SYSTEM_ACTOR, system.id, EVENTS)
    logs.clear(SYSTEM_ACTOR, system.id, EVENTS)
    assert shown(logs, system) == ([], 0)
    with pytest.raises(NotFound):
        logs.get(SYSTEM_ACTOR, system.id, EVENTS, newest.id)
    add(installation, system, "c")
    assert shown(logs, system) == (["c"], 1)
    subject = f"system:{system.id}"
    kept = installation.application.events.page(SYSTEM_ACTOR, subject=subject)
    assert newest.id in {event.id for event in kept}, "others read it still"
    before = logs.clearing(SYSTEM_ACTOR, system.id, EVENTS)
    logs.clear(SYSTEM_ACTOR, system.id, EVENTS)
    after = logs.clearing(SYSTEM_ACTOR, system.id, EVENTS)
    assert (after.version, after.last > before.last) == (before.version + 1, True)
    logs.clear(SYSTEM_ACTOR, system.id, EVENTS)
    assert shown(logs, system) == ([], 0)


def test_what_is_being_recorded_while_a_log_is_cleared_is_either_before_it_or_shown(installation, logs, system):
    """On PostgreSQL its id may be smaller than one that is hidden; on SQLite the clearing waits for it, and hides it."""
    with installation.application.database.write() as uow:
        uow.events.add(RESOURCE_POWERED_ON, f"system:{system.id}", "late")
        clearing = threading.Thread(target=logs.clear, args=(SYSTEM_ACTOR, system.id, EVENTS))
        clearing.start()
        if uow.is_postgresql:
            clearing.join(30)
            assert not clearing.is_alive(), "it waits for nobody"
    clearing.join(30)
    assert shown(logs, system) == ((["late"], 1) if uow.is_postgresql else ([], 0))


def test_what_is_being_recorded_while_an_audit_log_is_cleared_is_shown(installation, logs, system):
    """As above: there a record of another system is committed before it, with a larger id."""
    other = installation.create()

    def clear_both():
        logs.clear(SYSTEM_ACTOR, other.id, AUDIT)
        logs.clear(SYSTEM_ACTOR, system.id, AUDIT)

    with installation.application.database.write() as uow:
        installation.application.audit.record(uow, SYSTEM_ACTOR, "systems.update", f"system:{system.id}")
        clearing = threading.Thread(target=clear_both)
        clearing.start()
        if uow.is_postgresql:
            clearing.join(30)
            assert not clearing.is_alive(), "it waits for nobody"
    clearing.join(30)
    entries, _ = logs.page(SYSTEM_ACTOR, system.id, AUDIT)
    late = ["systems.update"] if uow.is_postgresql else []
    assert [entry.verb for entry in entries] == ["logs.clear", *late]


def test_the_audit_trail_of_a_system_is_its_own(installation, logs, system):
    entries, total = logs.page(SYSTEM_ACTOR, system.id, AUDIT)
    assert [entry.verb for entry in entries] == ["logs.clear", "systems.create"]
    assert total == 2
    assert logs.get(SYSTEM_ACTOR, system.id, AUDIT, entries[1].id) == entries[1]
    logs.clear(SYSTEM_ACTOR, system.id, AUDIT)
    entries, total = logs.page(SYSTEM_ACTOR, system.id, AUDIT)
    assert [(entry.verb, entry.details["name"]) for entry in entries] == [("logs.clear", "Audit")]
    assert len(installation.application.audit.list(SYSTEM_ACTOR)) > total, "the trail itself stays"


def test_who_may_read_and_clear(installation, logs, system):
    operator = Actor(user_name="operator", role=Role.OPERATOR)
    add(installation, system, "a")
    for actor in (READER, operator):
        assert logs.page(actor, system.id, EVENTS)[1] == 1
        assert not logs.may_read(actor, AUDIT)
        for refused in (
            lambda actor=actor: logs.page(actor, system.id, AUDIT),
            lambda actor=actor: logs.clear(actor, system.id, EVENTS),
            lambda actor=actor: logs.clear(actor, system.id, AUDIT),
        ):
            with pytest.raises(NotPermitted):
                refused()
    assert logs.page(READER, system.id, EVENTS)[1] == 1


def test_a_new_system_shows_nothing_of_one_that_had_its_uuid_before(installation, logs, system):
    add(installation, system, "a")
    installation.done(installation.application.systems.delete(SYSTEM_ACTOR, system.id))
    again = installation.create(id=system.id)
    assert [entry.verb for entry in logs.page(SYSTEM_ACTOR, again.id, AUDIT)[0]] == ["systems.create"]
    (created,), _ = logs.page(SYSTEM_ACTOR, again.id, EVENTS)
    assert created.message_id == RESOURCE_CREATED.id


def test_a_system_that_is_gone_has_no_logs(installation, logs, system):
    add(installation, system, "a")
    entry = logs.page(SYSTEM_ACTOR, system.id, EVENTS)[0][0]
    installation.done(installation.application.systems.delete(SYSTEM_ACTOR, system.id))
    for gone in (
        lambda: logs.page(SYSTEM_ACTOR, system.id, EVENTS),
        lambda: logs.get(SYSTEM_ACTOR, system.id, EVENTS, entry.id),
        lambda: logs.clearing(SYSTEM_ACTOR, system.id, EVENTS),
        lambda: logs.clear(SYSTEM_ACTOR, system.id, EVENTS),
    ):
        with pytest.raises(NotFound):
            gone()


def test_an_entry_of_another_system_is_not_found(installation, logs, system):
    with installation.application.database.write() as uow:
        uow.events.add(RESOURCE_CHANGED, "system:another")
    other = installation.application.events.page(SYSTEM_ACTOR, subject="system:another")[0]
    with pytest.raises(NotFound):
        logs.get(SYSTEM_ACTOR, system.id, EVENTS, other.id)


def test_what_is_refused_and_what_fails_is_in_the_logs(installation, logs, system):
    application = installation.application
    with pytest.raises(PropertyNotInList):
        application.bios.update(SYSTEM_ACTOR, system.id, {"CpuModel": "secret-of-mine"})
    installation.control.fail("start_machine")
    installation.failed(installation.reset(system, ResetType.ON))
    installation.start(system)
    with pytest.raises(Conflict) as refused:
        application.systems.delete(SYSTEM_ACTOR, system.id)
    records, _ = logs.page(SYSTEM_ACTOR, system.id, AUDIT)
    found = {record.verb: record for record in records if record.outcome is AuditOutcome.FAILED}
    assert set(found) == {"bios.update", "systems.delete"}
    assert found["bios.update"].details["reason"] == "Attributes/CpuModel cannot be that"
    assert found["systems.delete"].details["reason"] == refused.value.message
    events, _ = logs.page(SYSTEM_ACTOR, system.id, EVENTS)
    (failure,) = [event for event in events if event.message_id == WORK_FAILED.id]
    assert failure.arguments[0] == f"On of system {system.name}"
    assert failure.arguments[1]
    assert failure.severity is Severity.WARNING
