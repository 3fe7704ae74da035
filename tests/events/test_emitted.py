"""What is told of a life: of tasks, of systems and what happens to them behind our back, of hosts and accounts."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from hawkfish.domain.accounts import SYSTEM_ACTOR, Actor, Role
from hawkfish.domain.hosts import HostState
from hawkfish.domain.machines import PowerState
from hawkfish.domain.messages import RESOURCE_CHANGED
from hawkfish.domain.systems import ResetType, SystemChanges
from hawkfish.errors import BackendError
from hawkfish.tasks import Step
from hawkfish.testing.waiting import wait_until
from tests.services.access import OFFICE, PASSWORD, open_access
from tests.support.installation import installation, shared_installation
from tests.tasks.conftest import lab

__all__ = ["installation", "lab", "shared_installation"]

ANN = Actor(user_name="ann", role=Role.ADMINISTRATOR)


def told(database, subject):
    """Names and arguments of the messages about a subject, oldest first."""
    with database.read() as uow:
        events = uow.events.for_subject(subject, limit=100)[::-1]
    return [(event.message_id.rpartition(".")[2], *event.arguments) for event in events]


def names(database, subject):
    return [name for name, *_ in told(database, subject)]


# --- tasks ----------------------------------------------------------------------------------------------------------


def test_a_task_tells_of_its_beginning_its_progress_now_and_then_and_its_end(lab):
    def work(ctx):
        for percent in range(0, 100, 2):
            ctx._written = (0.0, "")  # as if time had passed
            ctx.progress(percent)

    lab.kind("work", work)
    task = lab.submit("work", actor="ann", project="p1", subject="system:7")
    with lab.worker():
        lab.wait(task)
    progress = [("TaskProgressChanged", task.id, str(percent)) for percent in range(10, 100, 10)]
    assert told(lab.database, f"task:{task.id}") == [
        ("TaskStarted", task.id),
        *progress,
        ("TaskCompletedOK", task.id),
    ]
    with lab.database.read() as uow:
        event = uow.events.for_subject(f"task:{task.id}", limit=1)[0]
    assert (event.actor, event.task_id, event.project, event.resource_type) == ("ann", task.id, "p1", "Task")
    assert dict(event.data) == {"kind": "work", "subject": "system:7", "title": "work"}


def test_a_task_that_fails_and_one_that_is_cancelled_tell_so(lab):
    def fail(_):
        raise BackendError("No.", operation="work", host="h", reason="no")

    lab.kind("fail", fail)
    lab.kind("never", lambda _: None)
    failed, cancelled = lab.submit("fail"), lab.submit("never", subject="thing:2")
    lab.call("request_abort", cancelled)
    with lab.worker():
        lab.wait(failed)
    assert names(lab.database, f"task:{failed.id}") == ["TaskStarted", "TaskAborted"]
    assert names(lab.database, f"task:{cancelled.id}") == ["TaskCancelled"]


def test_a_task_that_is_held_and_let_go_on_tells_so_once_each(lab):
    begun = threading.Event()

    def first(ctx):
        begun.set()
        wait_until(lambda: ctx.pause_requested, "the pause is heard of")

    lab.kind("two", first, lambda _: None)
    lab.kind("quick", lambda _: None)
    running, waiting = lab.submit("two"), lab.submit("quick", subject="thing:2")
    lab.call("pause", waiting)
    with lab.worker():
        assert begun.wait(30)
        lab.call("pause", running)
        wait_until(lambda: names(lab.database, f"task:{running.id}")[-1] == "TaskPaused", "it is held")
        for task in (running, waiting):
            lab.call("resume", task)
            lab.wait(task)
    assert names(lab.database, f"task:{running.id}") == [
        "TaskStarted",
        "TaskPaused",
        "TaskResumed",
        "TaskCompletedOK",
    ]
    assert names(lab.database, f"task:{waiting.id}") == [
        "TaskPaused",
        "TaskResumed",
        "TaskStarted",
        "TaskCompletedOK",
    ]


def test_what_a_task_changes_bears_its_actor_and_its_id(lab):
    def record(uow, ctx, result):
        uow.events.add(RESOURCE_CHANGED, "system:9")

    lab.kind("change", Step(name="change", run=lambda _: None, record=record))
    task = lab.submit("change", actor="ann")
    with lab.worker():
        lab.wait(task)
    with lab.database.read() as uow:
        (event,) = uow.events.for_subject("system:9", limit=5)
    assert (event.actor, event.task_id) == ("ann", task.id)


# --- systems --------------------------------------------------------------------------------------------------------


def test_the_life_of_a_system_is_told(installation):
    application, database = installation.application, installation.application.database
    system = installation.create(power_on=True)
    subject = f"system:{system.id}"
    name = system.name
    assert told(database, subject) == [("ResourceCreated",), ("ResourcePoweredOn", name)]
    application.systems.update(ANN, system.id, SystemChanges(asset_tag="A1"))
    application.systems.update(ANN, system.id, SystemChanges(asset_tag="A1"))  # changes nothing and tells nothing
    installation.done(application.systems.update(ANN, system.id, SystemChanges(vcpus=2)))
    installation.done(installation.reset(system, ResetType.PAUSE))
    installation.done(installation.reset(system, ResetType.RESUME))
    installation.done(installation.reset(system, ResetType.FORCE_OFF))
    installation.done(installation.reset(system, ResetType.ON))
    before = len(told(database, subject))
    installation.done(installation.reset(system, ResetType.POWER_CYCLE))
    cycle = told(database, subject)[before:]
    # Whether the moment between the two was seen depends on when the watcher looked.
    assert cycle in ([("ResourcePoweredOn", name)], [("ResourcePoweredOff", name), ("ResourcePoweredOn", name)])
    installation.done(installation.reset(system, ResetType.FORCE_OFF))
    installation.done(application.systems.delete(ANN, system.id))
    assert told(database, subject)[2:before] + told(database, subject)[before + len(cycle) :] == [
        ("ResourceChanged",),
        ("ResourceChanged",),
        ("ResourcePaused", name),
        ("ResourceStateChanged", name, "Enabled"),
        ("ResourcePoweringOff", name),
        ("ResourcePoweredOff", name),
        ("ResourcePoweringOn", name),
        ("ResourcePoweredOn", name),
        ("ResourcePoweringOff", name),
        ("ResourcePoweredOff", name),
        ("ResourceRemoved",),
    ]
    with database.read() as uow:
        removed = uow.events.for_subject(subject, limit=1)[0]
    assert (removed.actor, removed.data["name"], removed.project) == ("ann", name, "default")


def test_what_is_done_behind_our_back_is_told(installation):
    database = installation.application.database
    system = installation.create(power_on=True)
    subject, name = f"system:{system.id}", system.name
    driver = installation.application.drivers.driver(system.host_id)
    driver.power_off_machine(system.id)
    installation.shows(system, PowerState.OFF)
    driver.start_machine(system.id)
    installation.shows(system, PowerState.ON)
    wait_until(lambda: told(database, subject)[-1] == ("ResourcePoweredOn", name), "the start is told")
    assert told(database, subject)[2:] == [("ResourcePoweredOff", name), ("ResourcePoweredOn", name)]
    with database.read() as uow:
        assert uow.events.for_subject(subject, limit=1)[0].actor is None
    driver.power_off_machine(system.id)
    driver.remove_machine(system.id)
    wait_until(lambda: names(database, subject)[-1] == "ResourceStatusChangedCritical", "the loss is told")
    assert told(database, subject)[4:] == [
        ("ResourcePoweredOff", name),
        ("ResourceStatusChangedCritical", name, "Critical"),
    ]


def test_a_creation_that_fails_tells_of_no_system(installation):
    installation.control.fail("define_machine")
    accepted = installation.application.systems.create(ANN, installation.new())
    installation.failed(accepted)
    database = installation.application.database
    assert told(database, f"system:{accepted.subject_id}") == []
    assert names(database, f"task:{accepted.task.id}")[-1] == "TaskAborted"


def test_a_start_that_fails_tells_that_the_power_is_as_it_was(installation):
    system = installation.create()
    installation.control.fail("start_machine")
    installation.failed(installation.reset(system, ResetType.ON))
    *told_of_power, failure = told(installation.application.database, f"system:{system.id}")[1:]
    assert told_of_power == [("ResourcePoweringOn", system.name), ("ResourcePoweredOff", system.name)]
    assert failure[:2] == ("SystemWorkFailed", f"On of system {system.name}")


# --- hosts and accounts ---------------------------------------------------------------------------------------------


def test_the_life_of_a_host_is_told(installation):
    application, database = installation.application, installation.application.database
    host = installation.host()
    subject = f"host:{host.id}"
    assert told(database, subject) == [("ResourceCreated",)]
    with database.write() as uow:
        for state, reason in (
            (HostState.SUSPECT, "no answer"),
            (HostState.DOWN, "no answer"),
            (HostState.DOWN, "still no answer"),
            (HostState.UP, ""),
        ):
            uow.hosts.set_state(host.id, state, reason)
    application.hosts.remove(ANN, host.id)
    assert told(database, subject)[1:] == [
        ("ResourceStatusChangedWarning", host.name, "Warning"),
        ("ResourceStatusChangedCritical", host.name, "Critical"),
        ("ResourceStatusChangedOK", host.name, "OK"),
        ("ResourceRemoved",),
    ]


def test_accounts_are_told_of(installation):
    accounts, database = installation.application.accounts, installation.application.database
    account = accounts.create(ANN, installation.name("user"), "Quiet-Harbour-41", Role.READ_ONLY)
    accounts.update(ANN, account.id, role=Role.OPERATOR)
    accounts.delete(ANN, account.id)
    assert names(database, f"account:{account.id}") == ["ResourceCreated", "ResourceChanged", "ResourceRemoved"]


def test_a_task_that_is_not_kept_any_more_tells_so_after_its_children(lab):
    def beget(ctx):
        ctx.spawn("only", "child")
        ctx.wait_for_children()

    lab.kind("child", lambda _: None)
    lab.kind("parent", beget)
    parent = lab.submit("parent", project="p1")
    with lab.worker():
        lab.wait(parent)
    with lab.database.read() as uow:
        (child,) = uow.tasks.children(parent.id)
    later = datetime.now(UTC) + timedelta(hours=1)
    with lab.database.write() as uow:
        assert uow.tasks.purge(later, most=1) == 1
    assert (names(lab.database, f"task:{child.id}")[-1], names(lab.database, f"task:{parent.id}")[-1]) == (
        "TaskRemoved",
        "TaskCompletedOK",
    )
    with lab.database.write() as uow:
        assert (uow.tasks.purge(later, most=1), uow.tasks.purge(later, most=1)) == (1, 0)
    assert told(lab.database, f"task:{parent.id}")[-1] == ("TaskRemoved", parent.id)
    with lab.database.read() as uow:
        assert uow.events.for_subject(f"task:{parent.id}", limit=1)[0].project == "p1"


def test_sessions_tell_of_their_beginning_and_of_every_kind_of_end(database, tmp_path):
    access = open_access(database, tmp_path, session_timeout=600, max_sessions_per_account=2)
    ada = access.account("ada")
    sessions = []
    for _ in range(4):  # the third has the first make room, and the fourth the second
        session, _, actor = access.sessions.login("ada", PASSWORD, OFFICE)
        sessions.append(session)
        access.clock.pass_by(1)
    access.sessions.end(actor, sessions[2].id)
    access.clock.pass_by(601)
    assert access.sessions.purge() == 1
    last, _, _ = access.sessions.login("ada", PASSWORD, OFFICE)
    access.accounts.delete(SYSTEM_ACTOR, ada.id)
    for session in (*sessions, last):
        assert names(database, f"session:{session.id}") == ["ResourceCreated", "ResourceRemoved"]
    with database.read() as uow:
        gone, made = uow.events.for_subject(f"session:{sessions[2].id}", limit=2)
    assert (made.actor, gone.actor, made.resource_type) == ("ada", "ada", "Session")
