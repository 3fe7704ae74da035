"""The supervisor's children: restarted when they die, ended when asked, never left behind."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from hawkfish.worker.children import Child

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


def until(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing happened before the deadline"
        time.sleep(0.02)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def child():
    made = Child("sleeper", SLEEP, is_ready=lambda: True, grace=5)
    yield made
    made.stop()


def test_a_child_that_dies_is_started_again_after_a_pause(child):
    child.start()
    first = child.pid
    os.kill(first, signal.SIGKILL)
    until(lambda: (child.look(), child.pid)[1] is None)
    assert child._backoff == 0.5
    assert child.restart_in <= 0.5
    until(lambda: (child.look(), child.pid)[1] is not None)
    assert child.pid != first
    assert child.ready()


def test_each_death_in_a_row_doubles_the_pause():
    child = Child("crasher", [sys.executable, "-c", "raise SystemExit(3)"], is_ready=lambda: True)
    pauses = []
    child.start()
    for _ in range(2):
        until(lambda: (child.look(), child.pid)[1] is None)
        pauses.append(child._backoff)  # of which some is over already
        until(lambda: (child.look(), child.pid)[1] is not None)
    child.stop()
    assert pauses == [0.5, 1.0]


def test_a_child_that_ignores_the_request_to_end_is_killed(tmp_path):
    deaf = tmp_path / "deaf"
    script = "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); open(sys.argv[1], 'w'); time.sleep(600)"
    child = Child("deaf", [sys.executable, "-c", script, str(deaf)], is_ready=deaf.exists, grace=0.3)
    child.start()
    until(child.ready)
    pid = child.pid
    began = time.monotonic()
    child.stop()
    assert 0.3 <= time.monotonic() - began < 60
    assert not alive(pid)


def test_a_child_ends_when_its_parent_is_killed():
    parent = textwrap.dedent(
        """
        import sys, time
        from hawkfish import logs
        from hawkfish.worker.children import Child
        logs.configure()
        child = Child("sleeper", [sys.executable, "-c", "import time; time.sleep(600)"], is_ready=lambda: True)
        child.start()
        print(child.pid, flush=True)
        time.sleep(600)
        """
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        try:
            pid = int(process.stdout.readline())
            assert alive(pid)
        finally:
            process.kill()
    until(lambda: not alive(pid))


def test_a_child_gets_the_signals_that_its_parent_holds_back(child):
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        child.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    pid = child.pid
    os.kill(pid, signal.SIGTERM)
    until(lambda: child.ended)
