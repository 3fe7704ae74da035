"""The line for the keys, under any schedule: first come first served, never two at once, never a deadlock."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from hawkfish.db import Database
from hawkfish.domain.tasks import Limit, TaskLane, TaskState
from hawkfish.tasks import Step, TaskKind, TaskQueue, TaskRegistry

KEYS = st.frozensets(st.sampled_from("abcd"), min_size=0, max_size=3)


@pytest.fixture
def template(sqlite_template):
    return sqlite_template


class Line(RuleBasedStateMachine):
    """Accepts, claims and ends tasks as a worker would, and knows by itself who may run."""

    def __init__(self, template: Path) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="hf-line-"))
        shutil.copyfile(template, self.folder / "line.db")
        self.database = Database(f"sqlite:///{self.folder / 'line.db'}", pool_size=2)
        step = Step(name="only", run=lambda ctx: None)
        self.registry = TaskRegistry.of(
            [
                TaskKind(name="plain", steps=(step,)),
                TaskKind(name="urgent", steps=(step,), lane=TaskLane.URGENT),
            ]
        )
        self.queue = TaskQueue(self.database, self.registry)
        self.accepted = 0
        self.tasks: dict[str, dict] = {}
        with self.database.write() as uow:
            self.worker = uow.task_workers.add(host="here", pid=1, lease=1000)

    def teardown(self) -> None:
        self.database.close()
        shutil.rmtree(self.folder)

    def _submit(self, uow, kind, keys, *, limited=False, parent=None, after=None):
        self.accepted += 1
        task = self.queue.submit(
            uow,
            kind,
            title="x",
            actor="x",
            subject=f"thing:{self.accepted}",
            locks=sorted(keys),
            limits=[Limit("all", 2)] if limited else [],
            parent=parent,
            after=self.tasks[after]["task"] if after else None,
        )
        above = self.tasks[parent.id] if parent else None
        self.tasks[task.id] = {
            "task": task,
            "path": [*(above["path"] if above else []), task.number],
            "keys": keys,
            "urgent": kind == "urgent",
            "limited": limited,
            "state": "waiting",
            "parent": parent.id if parent else None,
            "after": after,
        }

    def _may_run(self, task_id: str) -> bool:  # noqa: PLR0911  each rule of the line is one return
        me = self.tasks[task_id]
        if me["state"] not in {"waiting", "parent"}:
            return False
        if me["after"] in self.tasks or any(each["parent"] == task_id for each in self.tasks.values()):
            return False
        if me["limited"] and sum(each["limited"] and each["state"] == "running" for each in self.tasks.values()) >= 2:
            return False
        for other_id, other in self.tasks.items():
            if other_id == task_id or not other["keys"] & me["keys"]:
                continue
            if me["urgent"]:
                if other["urgent"] and other["path"] < me["path"]:
                    return False
                continue
            if other["state"] == "running" and not other["urgent"]:
                return False
            is_ancestor = me["path"][: len(other["path"])] == other["path"]
            if other["path"] < me["path"] and not is_ancestor:
                return False
        return True

    @rule(
        keys=KEYS,
        limited=st.booleans(),
        urgent=st.booleans(),
        waits=st.booleans(),
        pick=st.randoms(use_true_random=False),
    )
    def submit(self, keys, limited, urgent, waits, pick):
        after = pick.choice(list(self.tasks)) if waits and self.tasks else None
        with self.database.write() as uow:
            self._submit(uow, "urgent" if urgent else "plain", keys, limited=limited, after=after)

    @rule(pick=st.randoms(use_true_random=False))
    def claim(self, pick):
        lane = pick.choice(list(TaskLane))
        with self.database.write() as uow:
            offered = uow.tasks.claimable(lane, self.registry.versions(), 100)
            expected = [
                each
                for each in self.tasks
                if self._may_run(each) and self.tasks[each]["urgent"] == (lane is TaskLane.URGENT)
            ]
            assert sorted(offered) == sorted(expected)
            if offered:
                chosen = pick.choice(offered)
                [claimed] = uow.tasks.claim([chosen], self.worker)
                self.tasks[chosen] |= {"state": "running", "task": claimed}

    def _running(self):
        return [task_id for task_id, task in self.tasks.items() if task["state"] == "running"]

    @precondition(lambda self: self._running())
    @rule(pick=st.randoms(use_true_random=False))
    def end(self, pick):
        task_id = pick.choice(self._running())
        with self.database.write() as uow:
            uow.tasks.end(self.tasks[task_id]["task"], TaskState.COMPLETED, message="")
        del self.tasks[task_id]

    @precondition(lambda self: any(not self.tasks[each]["urgent"] for each in self._running()))
    @rule(pick=st.randoms(use_true_random=False), lines=st.lists(KEYS, min_size=1, max_size=3))
    def spawn_and_wait(self, pick, lines):
        task_id = pick.choice([each for each in self._running() if not self.tasks[each]["urgent"]])
        parent = self.tasks[task_id]["task"]
        with self.database.write() as uow:
            for keys in lines:
                self._submit(uow, "plain", keys, limited=False, parent=parent)
            uow.tasks.release(parent.id, parent.epoch, TaskState.CHILDREN)
        self.tasks[task_id]["state"] = "parent"

    @invariant()
    def somebody_can_always_go_on(self):
        if self.tasks and not self._running():
            assert any(self._may_run(task_id) for task_id in self.tasks), "a deadlock"

    @invariant()
    def never_two_at_once(self):
        held = [key for each in self._running() if not self.tasks[each]["urgent"] for key in self.tasks[each]["keys"]]
        assert len(held) == len(set(held))


@pytest.mark.slow
def test_the_line_under_any_schedule(template):
    run_state_machine_as_test(
        lambda: Line(template),
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
