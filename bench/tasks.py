"""One-step tasks per second on SQLite, and as a ratio to a bare loop doing the same number of commits.

Run: python bench/tasks.py [COUNT]
"""

from __future__ import annotations

import logging
import multiprocessing
import resource
import sqlite3
import sys
import tempfile
import threading
import time
from pathlib import Path

import structlog

from hawkfish.db import Database
from hawkfish.tasks import Runner, RunnerSettings, Step, TaskKind, TaskQueue, TaskRegistry

COMMITS_PER_TASK = 3  # accepted, claimed, ended
IDLE_SECONDS = 5.0


def bare_commits(folder: Path, count: int) -> float:
    """Commits per second of the simplest loop, with the pragmas that HawkFish uses."""
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, text TEXT)")
    begun = time.perf_counter()
    for number in range(count):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO rows (text) VALUES (?)", (f"task {number}",))
        connection.execute("COMMIT")
    seconds = time.perf_counter() - begun
    connection.close()
    return count / seconds


def make_registry() -> TaskRegistry:
    """One kind that does nothing."""
    return TaskRegistry.of([TaskKind(name="nothing", steps=(Step(name="nothing", run=lambda _: None),))])


def submit(url: str, count: int) -> None:
    """What API processes do: one transaction for each task."""
    database = Database(url)
    queue = TaskQueue(database, make_registry())
    for number in range(count):
        with database.write() as uow:
            key = f"thing:{number % 500}"
            queue.submit(uow, "nothing", title="Nothing", actor="bench", subject=f"thing:{number}", locks=[key])
    database.close()


def tasks(folder: Path, count: int) -> tuple[float, float]:
    """Tasks per second from the first submission to the last end, and the CPU share of the idle worker afterwards."""
    url = f"sqlite:///{folder / 'tasks.db'}"
    database = Database(url)
    database.upgrade()
    stop = threading.Event()
    worker = threading.Thread(target=Runner(database, make_registry(), RunnerSettings()).run, args=(stop,))
    worker.start()
    submitter = multiprocessing.get_context("spawn").Process(target=submit, args=(url, count))
    submitter.start()
    pause = threading.Event()
    begun = 0.0
    ended = 0
    while ended < count:
        pause.wait(0.05)
        with database.read() as uow:
            accepted, ended = uow.tasks.count(), uow.tasks.count(ended=True)
        if accepted and not begun:  # the submitting process has started
            begun = time.perf_counter()
    seconds = time.perf_counter() - begun
    submitter.join()
    used = _cpu()
    pause.wait(IDLE_SECONDS)
    idle = (_cpu() - used) / IDLE_SECONDS
    stop.set()
    worker.join()
    database.close()
    return count / seconds, idle


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Prints the figures."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory() as folder:
        commits = bare_commits(Path(folder), count * COMMITS_PER_TASK)
        rate, idle = tasks(Path(folder), count)
    print(f"one-step tasks on SQLite: {rate:.0f}/s (at least 200)")
    print(
        f"ratio to {COMMITS_PER_TASK} bare commits a task ({commits:.0f} commits/s): {rate * COMMITS_PER_TASK / commits:.2f}"
    )
    print(f"idle worker: {idle * 100:.2f} % CPU (less than 1)")


if __name__ == "__main__":
    main()
