"""The simulator as a process: killed, silent, slow, doubled and large."""

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from hawkfish.builtin.simulated.control import FaultKind, SimulatorControl
from hawkfish.builtin.simulated.driver import SimulatedDriver
from hawkfish.builtin.simulated.settings import SOCKET_NAME, STATE_NAME
from hawkfish.domain.machines import MachineEventKind, MachineSpec, MachineStamp, NetworkInterfaceSpec, PowerState
from hawkfish.errors import BackendTimeout, HostUnavailable, MachineNotFound, StorageFull
from hawkfish.plugins.context import HostConfig
from hawkfish.testing.simulator import plugin_context
from hawkfish.testing.waiting import wait_until

THOUSANDS = 2_000


def machine(name="m"):
    return MachineSpec(
        id=uuid4(),
        name=name,
        vcpus=1,
        memory_mib=512,
        stamp=MachineStamp(installation_id="ours", task_id="t", epoch=1),
        network_interfaces=(NetworkInterfaceSpec(id="Nic1", mac_address="52:54:00:00:00:01"),),
    )


class Process:
    def __init__(self, folder):
        self.folder = folder
        self.command = [
            *(sys.executable, "-m", "hawkfish.builtin.simulated.server"),
            *("--socket", folder / SOCKET_NAME, "--state", folder / STATE_NAME),
        ]
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        assert "answers" in self.process.stdout.readline()

    def kill(self):
        self.process.kill()
        self.end()

    def end(self):
        self.process.wait(30)
        self.process.stdout.close()

    def driver(self, uri="simulated:///rack1?boot_seconds=0.2&shutdown_seconds=0.2", call_timeout=30.0):
        host = HostConfig(id="1", name="rack1", uri=uri)
        return SimulatedDriver(host, plugin_context(self.folder, "ours", call_timeout))


@pytest.fixture
def simulator(tmp_path):
    process = Process(tmp_path)
    yield process
    process.process.terminate()
    process.end()


@pytest.fixture
def driver(simulator):
    driver = simulator.driver()
    driver.open()
    yield driver
    driver.close()


@pytest.fixture
def control(simulator):
    with SimulatorControl(simulator.folder / SOCKET_NAME) as control:
        yield control


def test_it_ends_in_order_when_asked(simulator):
    simulator.process.terminate()
    assert simulator.process.wait(10) == 0
    assert not (simulator.folder / SOCKET_NAME).exists()


def test_machines_run_on_while_the_simulator_is_dead(simulator, driver):
    spec = machine()
    driver.define_machine(spec)
    before = driver.start_machine(spec.id)
    simulator.kill()
    with pytest.raises(HostUnavailable, match="hawkfish simulator"):
        wait_until(lambda: driver.find_machine(spec.id) is None, "the end of the connection")
    simulator.start()
    driver.open()
    assert wait_until(lambda: driver.find_machine(spec.id), "the machine") == before
    wait_until(lambda: b"GUEST-READY" in driver.read_serial_log(spec.id), "the guest")


@pytest.mark.slow
@pytest.mark.parametrize("moment", range(5))
def test_nothing_that_was_answered_is_forgotten(simulator, driver, moment):
    answered = []

    def work():
        for index in range(10000):
            spec = machine(f"m{index}")
            try:
                driver.define_machine(spec)
                answered.append((spec.id, driver.start_machine(spec.id)))
            except HostUnavailable:
                return

    thread = threading.Thread(target=work)
    thread.start()
    wait_until(lambda: len(answered) > 20 * moment, "some machines")
    simulator.kill()
    thread.join(30)
    simulator.start()
    fresh = simulator.driver()
    fresh.open()
    found = {item.id: item for item in fresh.list_machines()}
    assert [found.get(machine_id) for machine_id, _ in answered] == [item for _, item in answered]
    assert len(found) <= len(answered) + 1
    fresh.close()


def test_the_driver_comes_back_by_itself_and_says_so(simulator, driver):
    events = []
    driver.subscribe(lambda event: events.append(event.kind))
    simulator.kill()
    wait_until(lambda: MachineEventKind.CONNECTION_LOST in events, "CONNECTION_LOST")
    simulator.start()
    wait_until(lambda: MachineEventKind.CONNECTION_RESTORED in events, "CONNECTION_RESTORED")
    driver.define_machine(machine())
    wait_until(lambda: MachineEventKind.DEFINED in events, "DEFINED")
    assert events[:2] == [MachineEventKind.CONNECTION_LOST, MachineEventKind.CONNECTION_RESTORED]


def test_opening_without_a_simulator_fails_and_goes_on_trying(tmp_path, simulator):
    simulator.kill()
    driver = simulator.driver(call_timeout=2.0)
    with pytest.raises(HostUnavailable, match="start it with"):
        driver.open()
    simulator.start()
    wait_until(lambda: _answers(driver), "the connection")
    driver.close()


def _answers(driver):
    try:
        return driver.probe()
    except (BackendTimeout, HostUnavailable):
        return None


def test_a_second_simulator_is_refused(simulator):
    second = subprocess.run(simulator.command, capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == 1
    assert "Another simulator holds" in second.stderr
    driver = simulator.driver()
    driver.open()
    assert driver.probe().hypervisor.startswith("HawkFish simulator ")
    driver.close()


@pytest.fixture
def impatient(simulator, driver):
    """A driver whose calls may take two seconds only, in which on a loaded machine not all is done that is well."""
    impatient = simulator.driver(call_timeout=2.0)
    wait_until(lambda: _opens(impatient), "the connection")
    yield impatient
    impatient.close()


def _opens(driver):
    try:
        driver.open()
    except (BackendTimeout, HostUnavailable):
        return False
    return True


def test_a_call_that_hangs_ends_at_its_deadline_and_holds_up_no_other(driver, impatient, control):
    spec = machine()
    driver.define_machine(spec)
    control.fail("start_machine", kind=FaultKind.HANG)
    with ThreadPoolExecutor(1) as threads:
        began = time.monotonic()
        hanging = threads.submit(impatient.start_machine, spec.id)
        assert wait_until(lambda: _finds(impatient, spec.id), "an answer").power_state is PowerState.OFF
        with pytest.raises(BackendTimeout, match="whether it took effect is not known"):
            hanging.result()
        assert 1.9 < time.monotonic() - began < 20
    control.clear_faults()
    wait_until(lambda: driver.find_machine(spec.id).power_state is PowerState.ON, "the late start")


def _finds(driver, machine_id):
    try:
        return driver.find_machine(machine_id)
    except BackendTimeout:
        return None


def test_a_stopped_simulator_is_a_timeout(simulator, driver, impatient):
    simulator.process.send_signal(19)
    with pytest.raises(BackendTimeout):
        impatient.list_machines()
    simulator.process.send_signal(18)
    wait_until(lambda: _answers(impatient), "an answer")


def test_faults_on_demand(driver, control):
    spec = machine()
    control.fail("define_machine", error="StorageFull", message="no room at all", count=2)
    for _ in range(2):
        with pytest.raises(StorageFull, match="no room at all"):
            driver.define_machine(spec)
    assert driver.find_machine(spec.id) is None
    control.fail("define_machine", after=True, error="BackendTimeout")
    with pytest.raises(BackendTimeout):
        driver.define_machine(spec)
    assert driver.find_machine(spec.id) is not None
    control.fail("probe", kind=FaultKind.DELAY, seconds=0.3)
    began = time.monotonic()
    driver.probe()
    assert time.monotonic() - began >= 0.3
    control.fail("*", host="another", count=100)
    driver.probe()
    control.fail("find_machine", kind=FaultKind.DISCONNECT)
    with pytest.raises(HostUnavailable, match="whether it acted is not known"):
        driver.find_machine(spec.id)
    wait_until(lambda: _answers(driver), "the connection")


def test_guests_act_by_themselves(driver, control):
    events = []
    driver.subscribe(lambda event: events.append((event.kind, event.detail)))
    spec = machine()
    driver.define_machine(spec)
    run_id = driver.start_machine(spec.id).run_id
    control.guest_reboots("rack1", spec.id)
    assert driver.find_machine(spec.id).run_id == run_id
    control.guest_shuts_down("rack1", spec.id)
    assert driver.find_machine(spec.id).power_state is PowerState.OFF
    driver.start_machine(spec.id)
    control.guest_crashes("rack1", spec.id)
    wait_until(lambda: (MachineEventKind.CRASHED, "crash") in events, "CRASHED")
    with pytest.raises(MachineNotFound):
        control.guest_crashes("rack1", uuid4())


def test_hosts_know_nothing_of_each_other(simulator, driver):
    other = simulator.driver("simulated:///rack2?cpus=8&memory_mib=4096")
    other.open()
    events = []
    other.subscribe(events.append)
    spec = machine()
    driver.define_machine(spec)
    assert other.list_machines() == ()
    other.define_machine(replace(spec, id=uuid4()))
    facts = other.probe()
    assert (facts.hostname, facts.cpus, facts.memory_mib) == ("rack2", 8, 4096)
    wait_until(lambda: events, "an event")
    assert spec.id not in {event.machine_id for event in events}
    other.close()


def test_the_path_of_the_socket_may_be_long(tmp_path):
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    process = Process(folder)
    driver = process.driver()
    driver.open()
    assert driver.list_machines() == ()
    driver.close()
    process.process.terminate()
    process.end()


@pytest.mark.slow
def test_thousands_of_machines_need_little_memory_and_outlive_a_kill(simulator, driver):
    before = _memory(simulator)
    specs = [machine(f"m{index}") for index in range(THOUSANDS)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(driver.define_machine, specs))
        list(threads.map(lambda spec: driver.start_machine(spec.id), specs))
    listed = driver.list_machines()
    assert {item.power_state for item in listed} == {PowerState.ON}
    assert {item.id for item in listed} == {spec.id for spec in specs}
    # So 10,000 fit into 500 MiB; how long they take is measured by bench/scale.py.
    assert _memory(simulator) - before < THOUSANDS * 50 * 2**10
    simulator.kill()
    simulator.start()
    again = wait_until(lambda: _machines(driver), "the list", 30)
    assert {item.id for item in again} == {spec.id for spec in specs}


def _memory(simulator):
    """Bytes that it has in memory."""
    return int(Path(f"/proc/{simulator.process.pid}/statm").read_text().split()[1]) * 4096


def _machines(driver):
    try:
        return driver.list_machines()
    except HostUnavailable:
        return None
