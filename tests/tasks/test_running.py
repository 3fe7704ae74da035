"""What a task does from acceptance to its end, on both databases."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from hawkfish.domain.tasks import Limit, TaskLane, TaskState
from hawkfish.errors import Aborted, BackendTimeout, Conflict, HostUnavailable, NotFound, QuotaExceeded
from hawkfish.tasks import Step, TaskRegistry
from hawkfish.testing.waiting import wait_until
from tests.tasks.conftest import QUICK

TRIES = 8
"""What is soon is soon at least once of so many times, on however loaded a machine."""


def test_a_task_runs_its_steps_in_order_and_tells_what_it_did(lab):
    lab.kind("make", lambda ctx: {"id": ctx.arguments["id"]}, lambda ctx: {"seen": ctx.results["step0"]["id"]})
    with lab.worker():
        task = lab.wait(lab.submit("make", arguments={"id": "a"}))
    assert task.state is TaskState.COMPLETED
    assert task.percent == 100
    assert task.results == {"step0": {"id": "a"}, "step1": {"seen": "a"}}
    assert lab.events(task) == ["accepted", "started", "step", "step", "ended"]


def test_a_failing_step_is_undone_backwards_and_the_error_is_kept_as_it_was(lab):
    undone = []

    def fail(ctx):
        raise QuotaExceeded("No vCPU left in project x; free some.", resource="vCPU", limit=4)

    failures = []
    lab.kind(
        "make",
        Step(name="one", run=lambda ctx: None, undo=lambda ctx: undone.append(("one", ctx.error.name))),
        Step(name="two", run=fail, undo=lambda ctx: undone.append(("two", ctx.error.name))),
        Step(name="three", run=lambda ctx: None, undo=lambda ctx: undone.append(("three", ctx.error.name))),
        on_failure=lambda uow, task, error: failures.append((task.state, error.data["limit"])),
    )
    with lab.worker():
        task = lab.wait(lab.submit("make"))
    assert task.state is TaskState.FAILED
    assert undone == [("two", "QuotaExceeded"), ("one", "QuotaExceeded")]
    assert failures == [(TaskState.FAILED, 4)]
    error = task.error.revive()
    assert isinstance(error, QuotaExceeded)
    assert str(error) == "No vCPU left in project x; free some."


def test_a_step_that_a_task_does_not_need_is_neither_run_nor_undone(lab):
    ran = []

    def run(ctx):
        ran.append(ctx.step)

    def last(ctx):
        run(ctx)
        if ctx.arguments.get("fails"):
            raise QuotaExceeded("No vCPU left.", resource="vCPU", limit=4)

    def step(name, action=run, needed=None):
        return Step(name=name, run=action, undo=lambda ctx: ran.append(f"-{ctx.step}"), needed=needed)

    def wanted(task):
        return task.arguments.get("wanted", False)

    lab.kind("make", step("one", needed=wanted), step("two", last), step("three", needed=wanted))
    with lab.worker():
        plain = lab.wait(lab.submit("make"))
        assert (plain.state, ran) == (TaskState.COMPLETED, ["two"])
        assert lab.events(plain) == ["accepted", "started", "step", "ended"]
        ran.clear()
        lab.wait(lab.submit("make", arguments={"wanted": True}))
        assert ran == ["one", "two", "three"]
        ran.clear()
        assert lab.wait(lab.submit("make", arguments={"fails": True})).state is TaskState.FAILED
        assert ran == ["two", "-two"]


def test_an_unknown_exception_tells_nothing_to_the_user(lab):
    def fail(ctx):
        raise ValueError("password=hunter2")

    lab.kind("make", fail)
    with lab.worker():
        task = lab.wait(lab.submit("make"))
    assert task.state is TaskState.FAILED
    assert "hunter2" not in task.error.message
    assert "hunter2" not in task.message


def test_record_and_end_are_one_transaction_with_the_state(lab):
    """A `record` that fails leaves nothing of itself behind, and the step is undone."""
    undone = []

    def record(uow, ctx, result):
        uow.tasks.note(ctx.task_id, "mark", "half")
        raise Conflict("The row was changed meanwhile; try again.")

    lab.kind("make", Step(name="one", run=lambda ctx: None, record=record, undo=lambda ctx: undone.append(1)))
    with lab.worker():
        task = lab.wait(lab.submit("make"))
    assert task.state is TaskState.FAILED
    assert undone == [1]
    assert "mark" not in lab.events(task)


def test_an_undo_that_fails_is_tried_until_it_succeeds_and_the_state_says_so(lab):
    attempts = []
    allowed = threading.Event()

    def undo(ctx):
        attempts.append(1)
        if not allowed.is_set():
            raise Conflict("The disk is still in use.")

    def fail(ctx):
        raise Conflict("No.")

    lab.kind("make", Step(name="one", run=fail, undo=undo))
    with lab.worker():
        task = lab.submit("make", locks=["system:1"])
        wait_until(lambda: lab.get(task).undo_failures >= 2, "the undo has failed twice")
        seen = lab.get(task)
        assert seen.state in {TaskState.UNDO_WAITING, TaskState.UNDOING}
        assert "still in use" in seen.message
        allowed.set()
        task = lab.wait(task)
    assert task.state is TaskState.FAILED
    assert "undo-failed" in lab.events(task)
    assert len(attempts) >= 3


def test_tasks_of_one_key_run_in_the_order_of_acceptance_and_never_at_once(lab):
    order, inside = [], []

    def run(ctx):
        inside.append(1)
        assert len(inside) == 1
        order.append(ctx.arguments["n"])
        inside.pop()

    lab.kind("act", run)
    tasks = [lab.submit("act", arguments={"n": n}, locks=["system:1"]) for n in range(20)]
    with lab.worker():
        assert all(lab.wait(task).state is TaskState.COMPLETED for task in tasks)
    assert order == list(range(20))


def test_a_task_waits_for_all_of_its_keys(lab):
    order = []
    gate = threading.Event()
    lab.kind("slow", lambda ctx: gate.wait(30) and order.append("slow"))
    lab.kind("both", lambda ctx: order.append("both"))
    lab.kind("other", lambda ctx: order.append("other"))
    lab.kind("free", lambda ctx: order.append("free"))
    slow = lab.submit("slow", locks=["a"])
    both = lab.submit("both", locks=["b", "a"])
    other = lab.submit("other", locks=["b"])
    free = lab.submit("free", locks=["c"])
    with lab.worker():
        lab.wait(free)
        assert order == ["free"]
        gate.set()
        for task in (slow, both, other):
            lab.wait(task)
    assert order == ["free", "slow", "both", "other"]


def test_an_identical_request_joins_but_not_past_another(lab):
    lab.kind("insert", lambda ctx: None)
    lab.kind("eject", lambda ctx: None)
    first = lab.submit("insert", arguments={"image": "a"}, locks=["system:1"])
    assert lab.submit("insert", arguments={"image": "a"}, locks=["system:1"]).id == first.id
    assert lab.submit("insert", arguments={"image": "b"}, locks=["system:2"]).id != first.id
    lab.submit("eject", locks=["system:1"])
    again = lab.submit("insert", arguments={"image": "a"}, locks=["system:1"])
    assert again.id != first.id, "insert, eject, insert must end with the image inserted"


def test_an_ended_task_is_joined_by_its_key_only(lab):
    lab.kind("act", lambda ctx: None)
    with lab.worker():
        plain = lab.wait(lab.submit("act", subject="thing:2"))
        named = lab.wait(lab.submit("act", idempotency_key="k", arguments={"new": 1}))
        assert lab.submit("act", subject="thing:2").id != plain.id
        assert lab.submit("act", idempotency_key="k", arguments={"new": 2}).id == named.id
        assert lab.submit("act", idempotency_key="k", actor="another").id != named.id


def test_urgent_never_waits_and_cancels_what_it_is_told(lab):
    started, events = threading.Event(), []

    def media(ctx):
        started.set()
        ctx.sleep(30)

    lab.kind("media", media)
    lab.kind("on", lambda ctx: events.append("on"))
    lab.kind("attach", lambda ctx: events.append("attach"))
    lab.kind("force-off", lambda ctx: events.append("off"), lane=TaskLane.URGENT)
    with lab.worker():
        running = lab.submit("media", locks=["system:1"])
        assert started.wait(30)
        early_on = lab.submit("on", locks=["system:1"])
        attach = lab.submit("attach", locks=["system:1"])
        off = lab.submit("force-off", locks=["system:1"], cancels=["on"])
        late_on = lab.submit("on", locks=["system:1"])
        assert lab.wait(off).state is TaskState.COMPLETED
        assert off.cancelled_ids == (early_on.id,)
        assert lab.wait(early_on).state is TaskState.CANCELLED
        assert lab.get(attach).state is TaskState.WAITING
        assert late_on.id != early_on.id
        lab.call("request_abort", running)
        assert lab.wait(running).state is TaskState.CANCELLED
        lab.wait(late_on)
    assert events == ["off", "attach", "on"]


def test_limits_bound_what_runs_at_once(lab):
    lock, now, most = threading.Lock(), [0], [0]
    two = threading.Barrier(2)

    def run(ctx):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        two.wait(30)  # as many as may run together do
        threading.Event().wait(0.05)
        with lock:
            now[0] -= 1

    lab.kind("start", run)
    limits = [Limit("starts@host:1", 2)]
    with lab.worker():
        tasks = [lab.submit("start", subject=f"system:{n}", limits=limits) for n in range(10)]
        for task in tasks:
            lab.wait(task)
    assert most[0] == 2


def test_abort_of_a_waiting_task_ends_it_at_once_without_a_worker(lab):
    ended = []
    lab.kind("act", lambda ctx: None, on_failure=lambda uow, task, error: ended.append(error.name))
    task = lab.call("request_abort", lab.submit("act", locks=["a"]))
    assert task.state is TaskState.CANCELLED
    assert isinstance(task.error.revive(), Aborted)
    assert ended == ["Aborted"]


def test_abort_of_a_running_task_undoes_it(lab):
    started, undone = threading.Event(), []

    def run(ctx):
        started.set()
        ctx.sleep(30)

    lab.kind(
        "act",
        Step(name="one", run=lambda ctx: None, undo=lambda ctx: undone.append("one")),
        Step(name="two", run=run, undo=lambda ctx: undone.append("two")),
    )
    with lab.worker():
        task = lab.submit("act")
        assert started.wait(30)
        lab.call("request_abort", task, reason="Cancelled by anna.")
        task = lab.wait(task)
    assert task.state is TaskState.CANCELLED
    assert task.message == "Cancelled by anna."
    assert undone == ["two", "one"]


def test_a_step_that_breaks_off_over_an_abort_ends_as_cancelled_whatever_it_says(lab):
    """Who aborts a task may take away what it works on at the same moment, which its step may notice first."""
    undone = []

    def run(ctx):
        lab.call("request_abort", ctx.task, reason="Cancelled by anna.")
        raise HostUnavailable("The connection to host rack1 was closed; try again.", host="rack1")

    lab.kind("act", Step(name="one", run=run, undo=lambda ctx: undone.append(ctx.error.name)))
    with lab.worker():
        task = lab.wait(lab.submit("act"))
    assert task.state is TaskState.CANCELLED
    assert task.message == "Cancelled by anna."
    assert isinstance(task.error.revive(), Aborted)
    assert undone == ["Aborted"]


def test_a_passed_deadline_fails_the_task(lab):
    lab.kind("act", lambda ctx: ctx.sleep(30))
    with lab.worker():
        task = lab.wait(lab.submit("act", deadline=datetime.now(UTC) + timedelta(seconds=0.3)))
    assert task.state is TaskState.FAILED
    assert task.error.name == "BackendTimeout"


def test_pause_keeps_the_place_in_line(lab):
    order = []
    lab.kind("act", lambda ctx: order.append(ctx.arguments["n"]))
    first = lab.submit("act", arguments={"n": 1}, locks=["a"])
    second = lab.submit("act", arguments={"n": 2}, locks=["a"])
    assert lab.call("pause", first).state is TaskState.PAUSED
    with lab.worker():
        assert not lab.queue.wait(second.id, 0.5).ended
        lab.call("resume", first)
        lab.wait(second)
    assert order == [1, 2]


def test_a_running_task_is_paused_between_steps(lab):
    started = threading.Event()

    def one(ctx):
        started.set()
        wait_until(lambda: ctx.pause_requested, "the pause is heard of")

    lab.kind("act", one, lambda ctx: None)
    with lab.worker():
        task = lab.submit("act")
        assert started.wait(30)
        lab.call("pause", task)
        wait_until(lambda: lab.get(task).state is TaskState.PAUSED, "it is held")
        lab.call("resume", task)
        assert lab.wait(task).state is TaskState.COMPLETED


def test_a_parent_occupies_no_worker_while_its_children_run(lab):
    def drain(ctx):
        for n in range(6):
            ctx.spawn(f"s{n}", "move", arguments={"n": n}, locks=[f"system:{n}", "host:1"])
        return {"states": [child.state.value for child in ctx.wait_for_children()]}

    order = []
    lab.kind("drain", drain)
    lab.kind("move", lambda ctx: order.append(ctx.arguments["n"]))
    with lab.worker(settings=QUICK.__class__(**{**QUICK.__dict__, "threads": 1})):
        parent = lab.wait(lab.submit("drain", locks=["host:1"]))
    assert parent.results["step0"]["states"] == ["Completed"] * 6
    assert order == list(range(6)), "children share the parent's key and stand in its place"


def test_children_stand_in_line_at_their_parents_place(lab):
    order = []

    def drain(ctx):
        ctx.spawn("only", "move", locks=["system:1"])
        ctx.wait_for_children()

    lab.kind("drain", drain)
    lab.kind("move", lambda ctx: order.append("child"))
    lab.kind("later", lambda ctx: order.append("later"))
    parent = lab.submit("drain", locks=["host:1"])
    later = lab.submit("later", locks=["system:1", "host:1"])
    with lab.worker():
        lab.wait(parent)
        lab.wait(later)
    assert order == ["child", "later"], "the other order would be a deadlock"


def test_abort_of_a_parent_aborts_its_children_and_is_not_blocked_by_them(lab):
    started = threading.Event()

    def move(ctx):
        started.set()
        ctx.sleep(30)

    def drain(ctx):
        for n in range(4):
            ctx.spawn(f"s{n}", "move", locks=["one-by-one"])
        ctx.wait_for_children()

    lab.kind("drain", drain)
    lab.kind("move", move)
    with lab.worker():
        parent = lab.submit("drain")
        assert started.wait(30)
        lab.call("request_abort", parent)
        assert lab.wait(parent).state is TaskState.CANCELLED
    with lab.database.read() as uow:
        assert {child.state for child in uow.tasks.children(parent.id)} == {TaskState.CANCELLED}


def test_progress_is_seen_while_the_step_runs(lab):
    told, go = threading.Event(), threading.Event()

    def run(ctx):
        ctx.progress(42, "Copying a disk.")
        told.set()
        assert go.wait(30)

    lab.kind("act", run)
    with lab.worker():
        task = lab.submit("act")
        assert told.wait(30)
        seen = lab.get(task)
        assert (seen.percent, seen.message) == (42, "Copying a disk.")
        go.set()
        lab.wait(task)


def test_a_worker_leaves_newer_and_unknown_kinds_alone(lab):
    lab.kind("known", lambda ctx: None)
    lab.kind("newer", lambda ctx: None, version=2)
    older = TaskRegistry()
    older.register(lab.registry.get("known"))
    older.register(type(lab.registry.get("newer"))(name="newer", steps=lab.registry.get("newer").steps, version=1))
    newer, known = lab.submit("newer"), lab.submit("known")
    with lab.worker(registry=older):
        lab.wait(known)
        assert lab.get(newer).state is TaskState.WAITING


def test_wait_returns_soon_after_the_end(lab):
    ended_at = []

    def run(ctx):
        ctx.sleep(0.3)
        ended_at.append(time.monotonic())

    lab.kind("act", run)
    with lab.worker():

        def lateness():
            task = lab.submit("act")
            assert lab.queue.wait(task.id, 30).ended
            return time.monotonic() - ended_at[-1]

        assert any(lateness() < 0.3 for _ in range(TRIES))


def test_purge_takes_old_ended_tasks_and_their_history_only(lab):
    lab.kind("act", lambda ctx: None)
    with lab.worker():
        old = lab.wait(lab.submit("act"))
    waiting = lab.submit("act")
    with lab.database.write() as uow:
        assert uow.tasks.purge(datetime.now(UTC) + timedelta(seconds=5)) == 1
    with lab.database.read() as uow:
        assert uow.tasks.history(old.id) == []
        assert uow.tasks.get(waiting.id).state is TaskState.WAITING
        with pytest.raises(NotFound):
            uow.tasks.get(old.id)


def test_a_task_begins_when_the_one_it_waits_for_has_ended_and_keeps_its_place_meanwhile(lab):
    order, gate = [], threading.Event()
    lab.kind("fetch", lambda ctx: gate.wait(30) and order.append("fetch"))
    lab.kind("insert", lambda ctx: order.append("insert"))
    lab.kind("start", lambda ctx: order.append("start"))
    fetch = lab.submit("fetch")
    insert = lab.submit("insert", locks=["system:1"], after=fetch)
    start = lab.submit("start", locks=["system:1"])
    elsewhere = lab.submit("start", subject="thing:2", locks=["system:2"])
    with lab.worker(replace(QUICK, poll=60)):  # nobody looks again by himself: an end wakes those behind it
        lab.wait(elsewhere)
        assert lab.get(insert).state is TaskState.WAITING
        assert lab.get(insert).epoch == 0
        gate.set()
        for task in (fetch, insert, start):
            assert lab.wait(task).state is TaskState.COMPLETED
    assert order == ["start", "fetch", "insert", "start"]
    assert lab.get(insert).after_id == fetch.id


def test_what_waits_for_a_task_begins_too_when_that_fails_is_cancelled_or_is_forgotten(lab):
    def fail(ctx):
        raise Conflict("No.")

    lab.kind("fetch", fail)
    lab.kind("insert", lambda ctx: None)
    failing, cancelled = lab.submit("fetch"), lab.submit("fetch", subject="thing:2")
    behind = [lab.submit("insert", subject=task.id, after=task) for task in (failing, cancelled)]
    lab.call("request_abort", cancelled)
    with lab.worker():
        assert [lab.wait(task).state for task in behind] == [TaskState.COMPLETED] * 2
    forgotten = lab.submit("insert", subject="thing:3", after=failing)
    with lab.database.write() as uow:
        assert uow.tasks.purge(datetime.now(UTC) + timedelta(hours=1)) == 4
    with lab.worker():
        assert lab.wait(forgotten).state is TaskState.COMPLETED


def test_a_task_that_waits_for_another_can_be_cancelled_and_says_at_its_deadline_what_it_waited_for(lab):
    gate = threading.Event()
    lab.kind("fetch", lambda ctx: gate.wait(30) or None)
    lab.kind("insert", lambda ctx: None)
    fetch = lab.submit("fetch")
    cancelled = lab.submit("insert", after=fetch)
    late = lab.submit(
        "insert",
        subject="thing:2",
        after=fetch,
        deadline=datetime.now(UTC) + timedelta(seconds=0.2),
        deadline_reason="It waited for a download.",
    )
    with lab.worker():
        lab.call("request_abort", cancelled)
        assert lab.wait(cancelled).state is TaskState.CANCELLED
        error = lab.wait(late).error.revive()
        gate.set()
        lab.wait(fetch)
    assert isinstance(error, BackendTimeout)
    assert error.message.endswith("UTC. It waited for a download.")
