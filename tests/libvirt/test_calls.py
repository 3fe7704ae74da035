"""Calls end at their deadline, and calls that hang do not pile up."""

import gc
import threading
import time
import weakref

import pytest
from hawkfish_libvirt.calls import CallPool

from hawkfish.errors import BackendTimeout, HostUnavailable
from hawkfish.testing.waiting import wait_until


@pytest.fixture
def stuck():
    """A function that hangs until the test is over."""
    release = threading.Event()
    yield lambda _beat: release.wait(60)
    release.set()


def test_a_result_and_an_error_come_back():
    pool = CallPool("host", 2)
    assert pool.run("adding", lambda _beat: 1 + 1, 5) == 2
    with pytest.raises(ZeroDivisionError):
        pool.run("dividing", lambda _beat: 1 // 0, 5)


def test_what_a_failed_call_had_at_hand_goes_with_it():
    """The last object of a connection closes it, which may wait for the host: no garbage collector must come by that."""

    class Thing:
        pass

    things = []

    def fail(_beat):
        thing = Thing()
        things.append(weakref.ref(thing))
        try:
            int("as libvirt")
        except ValueError as error:
            raise LookupError("as we say it") from error

    gc.disable()
    try:
        with pytest.raises(LookupError) as caught:
            CallPool("host", 2).run("reading", fail, 5)
        assert things[0]() is None
    finally:
        gc.enable()
    assert "fail" in [entry.name for entry in caught.traceback], "where it happened is still told"


def test_a_late_call_is_given_up_and_named(stuck):
    pool = CallPool("host-7", 2)
    with pytest.raises(BackendTimeout, match=r"reading on host host-7.*0\.05 s"):
        pool.run("reading", stuck, 0.05)
    assert pool.hanging == 1


def test_when_all_places_hang_calls_are_refused_at_once(stuck):
    pool = CallPool("host", 2)
    for _ in range(2):
        with pytest.raises(BackendTimeout):
            pool.run("reading", stuck, 0.05)
    begun = []
    with pytest.raises(HostUnavailable, match="reading"):
        pool.run("writing", begun.append, 60)
    assert begun == [], "it has got no thread"


def test_places_are_free_again_when_hanging_calls_return():
    pool, release = CallPool("host", 1), threading.Event()
    with pytest.raises(BackendTimeout):
        pool.run("reading", lambda _beat: release.wait(60), 0.05)
    release.set()
    wait_until(lambda: pool.hanging == 0, "the call's return", 5)
    assert pool.run("reading", lambda _beat: "well", 5) == "well"


def test_a_call_waits_for_a_place_as_long_as_it_may(stuck):
    pool, release = CallPool("host", 1), threading.Event()
    first = threading.Thread(target=lambda: pool.run("first", lambda _beat: release.wait(60), 30))
    first.start()
    wait_until(lambda: pool._in_flight, "the first call", 5)
    with pytest.raises(BackendTimeout, match="no free connection"):
        pool.run("second", lambda _beat: None, 0.1)
    release.set()
    first.join(5)
    assert pool.run("third", lambda _beat: 3, 5) == 3


def test_work_that_moves_has_no_limit_on_the_whole():
    pool, limit = CallPool("host", 1), 1.0  # far more than a busy machine keeps a thread waiting between two beats

    def slow(beat):
        end = time.monotonic() + 1.2 * limit
        while time.monotonic() < end:
            time.sleep(0.02)
            beat()
        return "done"

    assert pool.run("copying", slow, limit) == "done"


def test_a_change_waits_for_a_late_one_of_the_same_subject():
    """An undo must not come before the late effect of what it undoes."""
    pool, release, done = CallPool("host", 4), threading.Event(), []

    def define(_beat):
        release.wait(60)
        done.append("defined")

    with pytest.raises(BackendTimeout):
        pool.run("defining", define, 0.05, subject="machine-1")
    with pytest.raises(BackendTimeout, match=r"removing.*was not tried: defining"):
        pool.run("removing", lambda _beat: done.append("removed too early"), 0.05, subject="machine-1")
    pool.run("defining", lambda _beat: done.append("another"), 5, subject="machine-2")
    pool.run("looking", lambda _beat: done.append("looked"), 5)
    threading.Timer(0.1, release.set).start()
    pool.run("removing", lambda _beat: done.append("removed"), 5, subject="machine-1")
    assert done == ["another", "looked", "defined", "removed"]


def test_a_machine_that_is_stuck_takes_one_place_and_is_refused_at_once(stuck):
    pool = CallPool("host", 4)
    with pytest.raises(BackendTimeout, match="did not end"):
        pool.run("pausing", stuck, 0.05, owner="m1")
    for _ in range(5):
        with pytest.raises(BackendTimeout, match="pausing, which was given up, has not come back"):
            pool.run("looking", lambda _beat: None, 60, owner="m1")
    assert pool.hanging == 1
    assert pool.run("looking", lambda _beat: "well", 5, owner="m2") == "well"


def test_machines_that_are_stuck_leave_a_place_to_what_is_nobodys(stuck):
    pool = CallPool("host", 4)
    for owner in ("m1", "m2", "m3"):
        with pytest.raises(BackendTimeout):
            pool.run("pausing", stuck, 0.05, owner=owner)
    with pytest.raises(HostUnavailable, match="3 earlier calls hang"):
        pool.run("looking", lambda _beat: None, 60, owner="m4")
    assert pool.run("listing", lambda _beat: "well", 5) == "well"


def test_calls_of_one_machine_wait_for_each_other():
    pool, release = CallPool("host", 4), threading.Event()
    first = threading.Thread(target=lambda: pool.run("first", lambda _beat: release.wait(60), 30, owner="m1"))
    first.start()
    wait_until(lambda: pool._in_flight, "the first call", 5)
    with pytest.raises(BackendTimeout, match="no free connection"):
        pool.run("second", lambda _beat: None, 0.1, owner="m1")
    release.set()
    assert pool.run("third", lambda _beat: "well", 5, owner="m1") == "well"
    first.join()


def test_a_connection_that_was_given_up_keeps_no_places_until_too_many_are_strewn(stuck):
    pool = CallPool("host", 1)
    for _ in range(3):
        with pytest.raises(BackendTimeout, match="did not end"):
            pool.run("reading", stuck, 0.05)
        pool.abandon()
    with pytest.raises(HostUnavailable, match="3 earlier calls hang"):
        pool.run("reading", lambda _beat: None, 60)
