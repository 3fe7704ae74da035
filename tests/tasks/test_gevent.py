"""Waiting for a task in a process that gevent has patched, as the API does."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

SOON = 0.3
TRIES = 5

PROGRAM = """
from gevent import monkey; monkey.patch_all()
import sys, time, gevent
from hawkfish.db import Database
from hawkfish.tasks import TaskQueue, TaskRegistry
database = Database(sys.argv[1])
queue = TaskQueue(database, TaskRegistry())
ticks = []
def tick():
    while True:
        ticks.append(time.monotonic())
        gevent.sleep(0.005)
gevent.spawn(tick)
print("ready", flush=True)
if sys.argv[3] == "greenlet":
    task = gevent.spawn(queue.wait, sys.argv[2], 60).get()
else:
    task = gevent.get_hub().threadpool.apply(queue.wait, (sys.argv[2], 60))
gaps = [after - before for before, after in zip(ticks, ticks[1:])]
print(task.state.value, time.monotonic(), max(gaps), flush=True)
"""

SIGNALS = """
from gevent import monkey; monkey.patch_all()
import sys
from gevent.threadpool import ThreadPool
from hawkfish.db import Database
database = Database(sys.argv[1])
first, second = ThreadPool(1), ThreadPool(1)
first.apply(database.subscribe, ("elsewhere",))  # and this thread has nothing more to do
with second.apply(database.subscribe, ("news",)) as news:
    for turn in range(2):  # the first may be the listener's own, when it begins
        second.apply(news.wait, (1,))
        print("waits", flush=True)
        print(second.apply(news.wait, (20,)), flush=True)
"""

LOCKS = """
from gevent import monkey; monkey.patch_all()
from hawkfish.db import Database
from hawkfish.locks import native_lock, native_locks
import sys, threading
database = Database(sys.argv[1])
with native_locks():
    made = threading.Lock(), threading.RLock(), native_lock()
pools = (database.engine.pool, database._writing.pool)
print({type(lock).__module__ for lock in (*made, *(pool._pool.mutex for pool in pools))})
"""

DESCRIPTORS = """
from gevent import monkey; monkey.patch_all()
import os, sys
from pathlib import Path
from gevent.threadpool import ThreadPool
from hawkfish.db.signals import SocketSignals
signals = SocketSignals(Path(sys.argv[1]))
def hear(channel):
    for _ in range(100):
        with signals.subscribe(channel) as subscription:
            signals.send({channel})
            assert subscription.wait(20)
pool = ThreadPool(4)
for thread in [pool.spawn(hear, f"channel{number}") for number in range(4)]:
    thread.get()
print(len(os.listdir("/proc/self/fd")))
"""


def wait_in(mode: str, lab, database_url: str) -> None:
    """A loaded machine may hold anybody up; a hub that is blocked is so each time."""
    go, ended = threading.Event(), []

    def run(ctx):
        go.wait(60)
        ended.append(time.monotonic())

    def waits() -> tuple[float, float]:
        """How late the end was seen, and for how long the hub stood still."""
        go.clear()
        task = lab.submit("act")
        command = [sys.executable, "-c", PROGRAM, database_url, task.id, mode]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as waiter:
            try:
                assert waiter.stdout.readline() == "ready\n"
                threading.Event().wait(0.5)
                go.set()
                state, seen_at, longest_gap = waiter.stdout.readline().split()
            finally:
                go.set()
                waiter.kill()
        assert state == "Completed"
        return float(seen_at) - ended[-1], float(longest_gap)

    lab.kind("act", run)
    with lab.worker():
        seen = []
        while not seen or (max(seen[-1]) >= SOON and len(seen) < TRIES):
            seen.append(waits())
    assert max(seen[-1]) < SOON, seen


@pytest.mark.slow
def test_a_greenlet_is_woken_and_the_hub_is_free_meanwhile(lab, database_url):
    wait_in("greenlet", lab, database_url)


@pytest.mark.slow
def test_a_thread_of_geventspool_is_woken(lab, database_url):
    wait_in("pool", lab, database_url)


@pytest.mark.slow
def test_signals_come_whatever_thread_has_asked_for_them_first(database):
    command = [sys.executable, "-c", SIGNALS, database.url.render_as_string(hide_password=False)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as waiter:
        try:
            for _ in range(2):
                assert waiter.stdout.readline() == "waits\n"
                database.run(lambda uow: uow.publish("news"))
                assert waiter.stdout.readline() == "True\n"
        finally:
            waiter.kill()


@pytest.mark.slow
def test_what_threads_of_geventspool_share_has_locks_of_the_operating_system(database_url):
    # Of two such threads that want one of gevent's locks the second may never be woken: a request was then never answered.
    told = subprocess.run(
        [sys.executable, "-c", LOCKS, database_url], capture_output=True, text=True, timeout=60, check=True
    )
    assert told.stdout == "{'_thread'}\n"


def test_threads_of_geventspool_keep_no_descriptors_open(tmp_path):
    # gevent puts the closing of a folder off until the thread has nothing to do; the number is taken for a closed one until then.
    folder = tmp_path / ("x" * 120)  # too long for the address of a socket, so that it is reached by a descriptor
    folder.mkdir()
    told = subprocess.run(
        [sys.executable, "-c", DESCRIPTORS, str(folder)], capture_output=True, text=True, timeout=60, check=True
    )
    assert int(told.stdout) < 100
