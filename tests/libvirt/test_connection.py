"""The connection to a libvirtd that dies, freezes and comes back. These tests have a host of their own."""

import threading
import time
from pathlib import Path

import pytest

from hawkfish.domain.machines import MachineEventKind, PowerState
from hawkfish.errors import BackendError, BackendTimeout, HostUnavailable
from hawkfish.testing.waiting import wait_until
from tests.support.libvirt_host import libvirt_host_bed, why_not

pytestmark = pytest.mark.needs_libvirt

RECOVERY_SECONDS = 30.0
LATE = 10.0
"""Seconds of grace round a deadline, on a machine that is busy; what waited for a host would wait for 30, or for ever."""


@pytest.fixture(scope="module")
def libvirt_host():
    reason = why_not()
    if reason:
        pytest.skip(reason)
    with libvirt_host_bed() as bed:
        yield bed


@pytest.fixture
def frozen(libvirt_host):
    """Freezes libvirtd when called; it goes on after the test, or when asked to."""
    yield libvirt_host.freeze
    libvirt_host.thaw()


def answers(driver):
    try:
        driver.list_machines()
    except BackendError:
        return False
    return True


def test_a_libvirtd_killed_under_load_is_found_again(driver, libvirt_host, new_machine):
    running, stopped = new_machine(), new_machine()
    run_id = driver.start_machine(running.id).run_id
    events, unexpected, halt = [], [], threading.Event()
    driver.subscribe(events.append)

    def load():
        while not halt.wait(0.01):
            try:
                driver.find_machine(running.id)
                driver.list_machines()
            except HostUnavailable:
                continue
            except Exception as error:  # noqa: BLE001  whatever it is, it is what this test is about
                unexpected.append(error)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            libvirt_host.kill()
            wait_until(lambda: not answers(driver), "the loss being noticed", RECOVERY_SECONDS)
            began = time.monotonic()
            with pytest.raises(HostUnavailable):
                driver.find_machine(running.id)
            assert time.monotonic() - began < LATE, "no call waits for a host that is gone"
            libvirt_host.start()
            wait_until(lambda: answers(driver), "the connection coming back", RECOVERY_SECONDS)
    finally:
        halt.set()
        for thread in threads:
            thread.join(30)
    assert unexpected == []
    found = driver.find_machine(running.id)
    assert (found.power_state, found.run_id) == (PowerState.ON, run_id)
    assert driver.find_machine(stopped.id).power_state is PowerState.OFF

    for kind in (MachineEventKind.CONNECTION_LOST, MachineEventKind.CONNECTION_RESTORED):
        wait_until(lambda kind=kind: [event.kind for event in events].count(kind) == 3, f"{kind} three times")
    wait_until(lambda: works(lambda: driver.power_off_machine(running.id)), "cutting the power", RECOVERY_SECONDS)
    wait_until(lambda: events[-1].kind is MachineEventKind.STOPPED, "events flowing again")


def works(action):
    try:
        action()
    except HostUnavailable:
        return False
    return True


def test_calls_to_a_frozen_libvirtd_end_at_their_deadline(libvirt_host, new_libvirt_driver, frozen):
    driver = new_libvirt_driver(call_timeout=1.0)
    frozen()
    for _ in range(4):
        began = time.monotonic()
        with pytest.raises(BackendTimeout):
            driver.list_machines()
        assert 1.0 <= time.monotonic() - began < 1.0 + LATE
    began = time.monotonic()
    with pytest.raises(HostUnavailable, match="hang"):
        driver.list_machines()
    assert time.monotonic() - began < LATE, "calls that hang do not pile up"
    with pytest.raises(BackendTimeout):
        driver.pool_stats("any")  # storage has places of its own
    libvirt_host.thaw()
    wait_until(lambda: answers(driver), "the host answering again", RECOVERY_SECONDS)


def test_a_frozen_libvirtd_is_noticed_without_a_call(libvirt_host, new_libvirt_driver, frozen):
    driver = new_libvirt_driver(call_timeout=1.0)
    events = []
    driver.subscribe(events.append)
    frozen()
    wait_until(lambda: MachineEventKind.CONNECTION_LOST in {event.kind for event in events}, "the ping noticing it", 30)
    began = time.monotonic()
    with pytest.raises(HostUnavailable):
        driver.list_machines()
    assert time.monotonic() - began < LATE
    libvirt_host.thaw()
    wait_until(lambda: answers(driver), "the host answering again", RECOVERY_SECONDS)


def test_a_host_that_is_down_at_first_is_reached_later(libvirt_host, new_libvirt_driver):
    libvirt_host.kill()
    driver = libvirt_host.driver(call_timeout=2.0)
    with pytest.raises(HostUnavailable, match="host-1"):
        driver.open()
    libvirt_host.start()
    wait_until(lambda: answers(driver), "the first connection", RECOVERY_SECONDS)
    driver.close()


def test_closing_leaves_no_thread_and_no_socket(libvirt_host):
    def threads():
        return [thread.name for thread in threading.enumerate() if "loop" not in thread.name]

    def sockets():
        return [link for link in Path("/proc/self/fd").iterdir() if link.exists()]

    driver = libvirt_host.driver()
    driver.open()
    driver.close()  # the event loop's own descriptors exist from now on
    wait_until(lambda: not [name for name in threads() if "libvirt" in name], "the threads' end", 10)
    before = len(sockets())
    for _ in range(5):
        driver.open()
        driver.list_machines()
        driver.close()
    wait_until(lambda: not [name for name in threads() if "libvirt" in name], "the threads' end", 10)
    wait_until(lambda: len(sockets()) <= before, "the sockets' closing", 10)
