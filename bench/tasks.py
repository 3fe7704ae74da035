"""One-step tasks per second on SQLite, beside what a bare loop of commits does: `python bench/tasks.py [COUNT]`."""

from __future__ import annotations

import logging
import multiprocessing
import resource
import sqlite3
import tempfile
import threading
import time
from pathlib import Path

import structlog
from harness import Figure, Report, parser

from hawkfish.db import Database
from hawkfish.tasks import Runner, RunnerSettings, Step, TaskKind, TaskQueue, TaskRegistry

COMMITS_PER_TASK = 3  # accepted, claimed, ended
IDLE_SECONDS = 5.0
TASKS_A_SECOND, IDLE_SHARE = 200.0, 0.01


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
    options = parser(__doc__)
    options.add_argument("count", type=int, nargs="?", default=2000)
    given = options.parse_args()
    count = 20 if given.tiny else given.count
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    report = Report("tasks")
    with tempfile.TemporaryDirectory() as folder:
        commits = bare_commits(Path(folder), count * COMMITS_PER_TASK)
        rate, idle = tasks(Path(folder), count)
    report.note(tasks=count, commits_each_at_least=COMMITS_PER_TASK, bare_commits_a_second=round(commits))
    report.add(Figure.at_least("one-step tasks on SQLite", rate, TASKS_A_SECOND, "tasks/s", 1))
    report.add(Figure.at_most("idle worker without hosts", 100 * idle, 100 * IDLE_SHARE, "% CPU", 1))
    report.end()


if __name__ == "__main__":
    main()
