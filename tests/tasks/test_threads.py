"""Threads that are used again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

import structlog

from hawkfish.tasks.threads import Threads
from hawkfish.testing.waiting import wait_until


def run(threads: Threads, name: str, look: Callable[[], object]) -> tuple[threading.Thread, object]:
    """The thread that a work ran in, and what it saw there."""
    seen: SimpleQueue[tuple[threading.Thread, object]] = SimpleQueue()
    threads.start(name, lambda: seen.put((threading.current_thread(), look())))
    return seen.get(timeout=10)


def name() -> str:
    return threading.current_thread().name


def test_a_thread_is_used_again_and_knows_nothing_of_the_work_before():
    threads = Threads(kept=1)
    first, seen = run(threads, "one", lambda: (structlog.contextvars.bind_contextvars(task="one"), name())[1])
    assert seen == "one"
    wait_until(lambda: threads._waiting == 1, "the thread waits", 10)
    second, seen = run(threads, "two", lambda: (structlog.contextvars.get_contextvars(), name()))
    assert second is first
    assert seen == ({}, "two")
    threads.close()
    wait_until(lambda: not first.is_alive(), "the end of the thread", 10)


def test_works_never_wait_for_each_other_and_few_threads_stay():
    threads, all_there = Threads(kept=2), threading.Barrier(9)
    used: list[threading.Thread] = []

    def work() -> None:
        used.append(threading.current_thread())
        all_there.wait(10)

    for number in range(8):
        threads.start(f"work-{number}", work)
    all_there.wait(10)  # each runs, though none has ended
    assert len(set(used)) == 8
    wait_until(lambda: sum(thread.is_alive() for thread in used) == 2, "the ends of all but two", 10)
    threads.close()
    wait_until(lambda: not any(thread.is_alive() for thread in used), "the ends of all", 10)


def test_what_still_works_at_the_end_ends_with_its_work():
    threads, go_on = Threads(kept=1), threading.Event()
    began: SimpleQueue[threading.Thread] = SimpleQueue()

    def work() -> None:
        began.put(threading.current_thread())
        go_on.wait(10)

    threads.start("late", work)
    thread = began.get(timeout=10)
    threads.close()
    assert thread.is_alive()
    go_on.set()
    wait_until(lambda: not thread.is_alive(), "the end of the thread", 10)
