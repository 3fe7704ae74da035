"""Workers are killed, stopped and continued; nothing may be lost, doubled, interleaved or forgotten."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from hawkfish.db import Database
from hawkfish.domain.tasks import TaskState
from hawkfish.tasks import TaskQueue
from tests.tasks.world import STEPS, World, registry

ROOT = Path(__file__).parents[2]
LOST = 75


class Nursery:
    """Worker processes of one database, forked from one that has everything imported."""

    def __init__(self, url: str, folder: Path, lease: float) -> None:
        with (folder / "stderr").open("w") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.tasks.world", url, str(folder), str(lease)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        self.alive: list[int] = []

    def start(self) -> int:
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        while not (line := self._process.stdout.readline()).strip().isdigit():
            assert line, "the nursery has died"
        self.alive.append(int(line))
        return int(line)

    def send(self, pid: int, number: signal.Signals) -> None:
        os.kill(pid, number)
        if number is signal.SIGKILL:
            until(lambda: self.is_dead(pid), 30, "the kill")
            self.alive.remove(pid)

    def is_dead(self, pid: int) -> bool:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
        except (FileNotFoundError, ProcessLookupError):
            return True
        return state == "Z" and threads <= 1  # while other threads are dying, its files are still open

    def close(self) -> None:
        for pid in list(self.alive):
            if not self.is_dead(pid):
                self.send(pid, signal.SIGKILL)
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


def until(condition: Callable[[], object], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        pause.wait(0.02)


class Arena:
    """A database, a world, and workers to be mistreated."""

    def __init__(self, database: Database, url: str, folder: Path, lease: float) -> None:
        folder.mkdir()
        self.database = database
        self.world = World(folder)
        self.queue = TaskQueue(database, registry(self.world))
        self.nursery = Nursery(url, folder, lease)

    def submit(self, kind: str, **options):
        with self.database.write() as uow:
            return self.queue.submit(uow, kind, title=kind, actor="tester", **{"subject": "thing", **options})

    def get(self, task):
        with self.database.read() as uow:
            return uow.tasks.get(task.id)

    def left(self) -> int:
        with self.database.read() as uow:
            return len(uow.tasks.search(ended=False))

    def events(self, task) -> list:
        with self.database.read() as uow:
            return uow.tasks.history(task.id)

    def said(self, *start: object) -> list[list[str]]:
        words = [str(word) for word in start]
        return [line for line in self.world.log() if line[: len(words)] == words]


@pytest.fixture
def arena(database, database_url, tmp_path, request):
    lease = getattr(request, "param", 2.0)
    made = Arena(database, database_url, tmp_path / "world", lease)
    yield made
    made.nursery.close()


def check_world(arena: Arena, tasks: list) -> None:
    """Everything is finished or undone, once, in order, and never at the same time."""
    log = arena.world.log()
    assert [line for line in log if line[0] == "OVERLAP"] == []
    by_number = {}
    for task in (arena.get(each) for each in tasks):
        by_number[task.number] = task
        effects = sum(arena.world.effect(task.id, f"s{index}").exists() for index in range(STEPS))
        events = Counter((line.event, line.message) for line in arena.events(task))
        ends = Counter(line.event for line in arena.events(task) if line.event in {"succeeded", "gave-up"})
        if task.arguments.get("fail_at") is None:
            assert task.state is TaskState.COMPLETED
            assert effects == STEPS
            assert ends == {"succeeded": 1}
            assert all(events["recorded", f"s{index}"] == 1 for index in range(STEPS))
        else:
            fail_at = task.arguments["fail_at"]
            assert task.state is TaskState.FAILED
            assert effects == 0, "an undo was forgotten"
            assert ends == {"gave-up": 1}
            assert all(events["recorded", f"s{index}"] == int(index < fail_at) for index in range(STEPS))
            assert all(events["unrecorded", f"s{index}"] == int(index <= fail_at) for index in range(STEPS))
    turns = defaultdict(list)
    for line in log:
        for key in by_number[int(line[1])].locks:
            if turns[key][-1:] != [int(line[1])]:
                turns[key].append(int(line[1]))
    for key, numbers in turns.items():
        assert numbers == sorted(set(numbers)), f"not one after another in the order of acceptance: {key}"


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_200_sagas_under_random_sigkill(arena):
    random.seed(7)
    tasks = []
    for n in range(200):
        keys = random.sample([f"k{index}" for index in range(12)], random.choice([1, 1, 2, 3]))
        fail_at = random.choice([None, None, None, 0, 1, 2, 3])
        tasks.append(
            arena.submit("saga", subject=f"saga:{n}", locks=keys, arguments={"fail_at": fail_at, "pause": 0.04})
        )
    workers = 1 if arena.database.is_sqlite else 2
    for _ in range(workers):
        arena.nursery.start()
    kills, pause, end = 0, threading.Event(), time.monotonic() + 150
    while arena.left():
        assert time.monotonic() < end, f"{arena.left()} tasks are stuck after {kills} kills"
        if kills < 25:
            # However long a worker takes to start on a loaded machine, it is killed in the middle of its work.
            done = len(arena.world.log())
            until(lambda seen=done: len(arena.world.log()) > seen or not arena.left(), 60, "work that is done")
        pause.wait(random.uniform(0.1, 0.7))
        if kills < 25:
            victim = random.choice(arena.nursery.alive)
            arena.nursery.send(victim, signal.SIGKILL)
            arena.nursery.start()
            kills += 1
        dead = [pid for pid in arena.nursery.alive if arena.nursery.is_dead(pid)]
        for pid in dead:  # a worker may end itself when the machine is so loaded that its beat is late
            arena.nursery.alive.remove(pid)
            arena.nursery.start()
    assert kills >= 5
    check_world(arena, tasks)
    with arena.database.read() as uow:
        assert any(line.event == "taken-over" for task in tasks for line in uow.tasks.history(task.id))


@pytest.mark.slow
@pytest.mark.parametrize("arena", [10.0], indirect=True)
def test_kill_inside_an_undo(arena):
    task = arena.submit("saga", locks=["k"], arguments={"fail_at": 2, "pause": 0.6})
    pid = arena.nursery.start()
    for kill in range(3):
        until(lambda seen=kill: len(arena.said("undo")) > seen, 30, "an undo")
        arena.nursery.send(pid, signal.SIGKILL)
        pid = arena.nursery.start()
    until(lambda: arena.get(task).ended, 60, "the end")
    check_world(arena, [task])


@pytest.mark.slow
@pytest.mark.parametrize("arena", [4.0], indirect=True)
def test_a_step_far_longer_than_the_lease_is_not_taken_over(arena):
    arena.nursery.start()
    task = arena.submit("ticker", arguments={"seconds": 9})
    if not arena.database.is_sqlite:
        arena.nursery.start()
    until(lambda: arena.get(task).ended, 60, "the end")
    assert arena.get(task).state is TaskState.COMPLETED
    assert {line[2] for line in arena.said("tick")} == {"1"}


@pytest.mark.slow
@pytest.mark.parametrize("arena", [3.0], indirect=True)
def test_a_stopped_and_continued_worker_touches_nothing(arena):
    """SIGSTOP beyond the lease, takeover, SIGCONT: the zombie stops at once and runs no undo."""
    zombie = arena.nursery.start()
    task = arena.submit("ticker", arguments={"seconds": 4})
    until(lambda: arena.said("tick"), 30, "the first worker")
    arena.nursery.send(zombie, signal.SIGSTOP)
    stopped = time.monotonic()
    if arena.database.is_sqlite:  # nobody can take over from a process that holds the lock; it ends when continued
        threading.Event().wait(4)
    else:
        arena.nursery.start()
        until(lambda: arena.said("tick", task.number, 2) or arena.said("tick", task.number, 3), 30, "the takeover")
        assert time.monotonic() - stopped < 15
    seen = len(arena.said("tick", task.number, 1))
    arena.nursery.send(zombie, signal.SIGCONT)
    until(lambda: arena.nursery.is_dead(zombie), 20, "the zombie's end")
    arena.nursery.alive.remove(zombie)
    # It may have been stopped between its last look at the lease and what it did then.
    assert len(arena.said("tick", task.number, 1)) <= seen + 1
    if arena.database.is_sqlite:
        arena.nursery.start()
    until(lambda: arena.get(task).ended, 30, "the end")
    assert arena.get(task).state is TaskState.COMPLETED
    assert arena.said("ticker-undo") == []


@pytest.mark.slow
@pytest.mark.parametrize("arena", [10.0], indirect=True)
def test_a_killed_worker_is_replaced_before_its_lease_ends(arena):
    """The lease is ten seconds; but its lock or connection is seen to fall."""
    first = arena.nursery.start()
    task = arena.submit("ticker", arguments={"seconds": 0.5})
    until(lambda: arena.said("tick"), 30, "the first worker")
    if not arena.database.is_sqlite:
        arena.nursery.start()
        until(lambda: len(workers(arena)) == 2, 30, "the second worker")
    arena.nursery.send(first, signal.SIGKILL)
    killed = time.monotonic()
    if arena.database.is_sqlite:
        arena.nursery.start()
    until(
        lambda: {line[2] for line in arena.said("tick", task.number)} - {"1"} or arena.get(task).ended, 30, "takeover"
    )
    assert time.monotonic() - killed < 8  # two, and more for a loaded machine; nobody has waited for the lease
    until(lambda: arena.get(task).ended, 30, "the end")


def workers(arena: Arena) -> list[int]:
    with arena.database.read() as uow:
        return uow.task_workers.ids()


@pytest.mark.slow
def test_a_second_worker_on_sqlite_refuses_to_start(sqlite_url, tmp_path):
    database = Database(sqlite_url)
    arena = Arena(database, sqlite_url, tmp_path / "world", 2.0)
    try:
        arena.nursery.start()
        until(lambda: workers(arena), 30, "the first worker")
        second = arena.nursery.start()
        until(lambda: arena.nursery.is_dead(second), 30, "the refusal")
        arena.nursery.alive.remove(second)
        assert "WorkerAlreadyRunning" in (tmp_path / "world" / "stderr").read_text()
        assert len(workers(arena)) == 1
    finally:
        arena.nursery.close()
        database.close()


@pytest.mark.slow
@pytest.mark.needs_postgresql
def test_a_worker_whose_connection_falls_ends_itself(postgresql, postgresql_url, tmp_path):
    database = Database(postgresql_url)
    arena = Arena(database, postgresql_url, tmp_path / "world", 10.0)
    try:
        first = arena.nursery.start()
        task = arena.submit("ticker", arguments={"seconds": 3})
        until(lambda: arena.said("tick"), 30, "the first worker")
        second = arena.nursery.start()
        until(lambda: len(workers(arena)) == 2, 30, "the second worker")
        postgresql.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = 18502 "
            f"AND objid = {min(workers(arena))}"
        )
        until(lambda: arena.nursery.is_dead(first), 8, "its end")
        arena.nursery.alive.remove(first)
        until(lambda: arena.get(task).ended, 20, "the end")
        assert not arena.nursery.is_dead(second)
        ticks = [int(line[2]) for line in arena.said("tick")]
        assert ticks == sorted(ticks), "the first worker went on beside the second"
    finally:
        arena.nursery.close()
        database.close()
