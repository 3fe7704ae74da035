"""A worker that lost its lease writes nothing and undoes nothing; versions of a kind that meet."""

from __future__ import annotations

import pytest

from hawkfish.domain.tasks import TaskLane, TaskState
from hawkfish.errors import LeaseLost
from hawkfish.tasks import Step, TaskKind, TaskRegistry
from hawkfish.tasks.context import Wishes
from hawkfish.tasks.execution import Execution


def claim(lab, task, host: str):
    with lab.database.write() as uow:
        worker = uow.task_workers.add(host=host, pid=1, lease=1000)
        assert task.id in uow.tasks.claimable(TaskLane.NORMAL, lab.registry.versions(), 10)
        [claimed] = uow.tasks.claim([task.id], worker)
        return worker, claimed


def bury(lab, worker):
    with lab.database.write() as uow:
        uow.task_workers.bury(worker)


def execute(lab, claimed):
    Execution(lab.database, lab.queue, lab.registry.get(claimed.kind), claimed, Wishes()).run()


@pytest.mark.parametrize("outcome", ["result", "error"])
def test_the_zombies_write_is_refused_and_it_runs_no_undo(lab, outcome):
    undone, recorded = [], []

    def run(ctx):
        if not recorded and ctx.epoch == 1:
            bury(lab, first)  # somebody takes over while the step runs
            if outcome == "error":
                raise ValueError("the zombie's step fails too")

    step = Step(
        name="one",
        run=run,
        record=lambda uow, ctx, result: recorded.append(ctx.epoch),
        undo=lambda ctx: undone.append(ctx.epoch),
    )
    lab.kind("act", step)
    task = lab.submit("act", locks=["a"])
    first, claimed = claim(lab, task, "first")
    execute(lab, claimed)
    assert lab.get(task).state is TaskState.WAITING
    assert (recorded, undone) == ([], [])
    _, again = claim(lab, task, "second")
    assert again.epoch > claimed.epoch
    execute(lab, again)
    assert lab.get(task).state is TaskState.COMPLETED
    assert recorded == [again.epoch]
    assert undone == []


def test_progress_and_children_of_a_zombie_are_refused(lab):
    refused = []

    def run(ctx):
        if ctx.epoch > 1:
            return
        bury(lab, first)
        for attempt in (lambda: ctx.progress(50, "Half."), lambda: ctx.spawn("child", "act")):
            with pytest.raises(LeaseLost):
                attempt()
            refused.append(1)

    lab.kind("act", run)
    task = lab.submit("act")
    first, claimed = claim(lab, task, "first")
    execute(lab, claimed)
    assert len(refused) == 2
    assert lab.get(task).percent == 0
    with lab.database.read() as uow:
        assert uow.tasks.children(task.id) == []


def test_a_worker_that_was_declared_dead_claims_nothing(lab):
    lab.kind("act", lambda ctx: None)
    task = lab.submit("act")
    with lab.database.write() as uow:
        worker = uow.task_workers.add(host="dead", pid=1, lease=1000)
    bury(lab, worker)
    with lab.database.write() as uow:
        assert uow.tasks.claim([task.id], worker) == []
    assert lab.get(task).state is TaskState.WAITING


def test_a_newer_worker_goes_on_with_an_older_task(lab):
    """Version 2 has appended a step: the task of version 1, half done, ends without it; a new one runs it."""
    ran = []
    one = Step(name="one", run=lambda ctx: ran.append("one"))
    two = Step(name="two", run=lambda ctx: ran.append("two"))
    three = Step(name="three", run=lambda ctx: ran.append("three"), since=2)
    lab.kind("act", one, two)
    old = lab.submit("act")
    newer = TaskRegistry.of([TaskKind(name="act", version=2, steps=(one, two, three))])
    with lab.worker(registry=newer):
        assert lab.wait(old).state is TaskState.COMPLETED
        assert ran == ["one", "two"]
        with lab.database.write() as uow:
            new = lab.queue.submit(uow, newer.get("act"), title="x", actor="x", subject="x")
        assert lab.wait(new).state is TaskState.COMPLETED
    assert ran == ["one", "two", "one", "two", "three"]
