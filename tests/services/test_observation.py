"""What is shown of machines that change without us, and of hosts that do not answer."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from hawkfish.builtin.simulated.control import FaultKind
from hawkfish.builtin.simulated.driver import SimulatedDriver
from hawkfish.db.repositories.systems import SystemRepository
from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.hosts import Host, HostState
from hawkfish.domain.machines import MachineEventKind, MachineStamp, PowerState
from hawkfish.domain.systems import ResetType, SystemChanges, SystemState
from hawkfish.services.machines import machine_spec
from hawkfish.services.observation import Observer
from hawkfish.testing.waiting import wait_until
from tests.support.clocks import HOUR, SetClock, set_database_clock
from tests.support.installation import GUEST, open_installation

SOON = 20.0
"""Seconds within which what a hypervisor reports is shown, also on a loaded machine; a sweep would show it in an hour."""
ON, OFF = PowerState.ON, PowerState.OFF


@pytest.fixture(scope="module")
def calm(tmp_path_factory, sqlite_template):
    """An installation whose sweep comes so seldom that only events can be what is seen."""
    folder = tmp_path_factory.mktemp("calm")
    (folder / "hawkfish.db").write_bytes(sqlite_template.read_bytes())
    with open_installation(folder, f"sqlite:///{folder / 'hawkfish.db'}", sweep_seconds=3600.0) as installation:
        watcher = f"watch-{installation.application.hosts.get(SYSTEM_ACTOR, 'rack').id}"
        wait_until(lambda: watcher in {thread.name for thread in threading.enumerate()}, "the host is watched")
        yield installation


def driver(installation, system):
    return installation.application.drivers.driver(system.host_id)


def soon(condition, what):
    wait_until(condition, what, SOON)


@pytest.mark.parametrize("how", ["shuts_down", "crashes"])
def test_a_guest_that_goes_off_by_itself_is_shown_off_soon(calm, how):
    system = calm.start(calm.create())
    getattr(calm.control, f"guest_{how}")("rack", system.id)
    soon(lambda: calm.get(system).power_state is OFF, "it shows Off")
    now = calm.get(system)
    assert (now.run_id, now.failure, now.stale) == (None, "", False)


def test_what_others_do_to_a_machine_is_shown_soon(calm):
    system = calm.create()
    driver(calm, system).start_machine(system.id)
    soon(lambda: calm.get(system).power_state is ON, "it shows On")
    driver(calm, system).pause_machine(system.id)
    soon(lambda: calm.get(system).power_state is PowerState.PAUSED, "it shows Paused")
    driver(calm, system).resume_machine(system.id)
    soon(lambda: calm.get(system).power_state is ON, "it shows On again")
    run_id = calm.get(system).run_id
    driver(calm, system).power_off_machine(system.id)
    driver(calm, system).start_machine(system.id)
    soon(lambda: calm.get(system).run_id not in {None, run_id}, "it shows the new run")


def test_a_machine_that_is_gone_is_off_and_says_what_is_wrong_until_it_is_back(calm):
    system = calm.start(calm.create())
    driver(calm, system).power_off_machine(system.id)
    driver(calm, system).remove_machine(system.id)
    soon(lambda: calm.get(system).failure, "it says that its machine is gone")
    gone = calm.get(system)
    assert (gone.state, gone.power_state, gone.run_id) == (SystemState.READY, OFF, None)
    assert "no longer defined on rack" in gone.failure
    # The same look again is no news.
    version = gone.version
    Observer(calm.application.database, calm.application.drivers).sweep(system.host_id)
    assert calm.get(system).version == version
    driver(calm, system).define_machine(rebuilt(calm, system))
    soon(lambda: not calm.get(system).failure, "it is back")
    assert calm.start(system).power_state is ON


def rebuilt(installation, system):
    installation_id = str(installation.application.service_info.installation_id)
    stamp = MachineStamp(installation_id=installation_id, task_id="admin", epoch=1)
    return machine_spec(system, installation.application.drivers, stamp)


def test_a_system_whose_machine_is_gone_can_be_deleted(calm):
    system = calm.create()
    driver(calm, system).remove_machine(system.id)
    soon(lambda: calm.get(system).failure, "it says that its machine is gone")
    calm.done(calm.application.systems.delete(SYSTEM_ACTOR, system.id))
    assert system.disks[0].volume_name not in calm.volumes()


# --- with a sweep that comes often -----------------------------------------------------------------------------------


def test_without_events_the_sweep_shows_what_changed(installation):
    silent = installation.host(f"{GUEST}&lacks=events")
    system = installation.create(host=silent.name)
    driver(installation, system).start_machine(system.id)
    wait_until(lambda: installation.get(system).power_state is ON, "it shows On")


def test_lost_contact_makes_systems_stale_and_never_off(installation):
    host = installation.host()
    system = installation.start(installation.create(host=host.name))
    installation.control.fail("*", host=host.name, count=1000, error="HostUnavailable", message="No route to the rack.")
    wait_until(lambda: installation.get(system).stale, "it is stale")
    wait_until(
        lambda: installation.application.hosts.get(SYSTEM_ACTOR, host.id).state is HostState.DOWN, "the host is Down"
    )
    lost = installation.application.hosts.get(SYSTEM_ACTOR, host.id)
    assert "No route to the rack." in lost.state_reason
    shown = installation.get(system)
    assert (shown.power_state, shown.run_id, shown.stale) == (ON, system.run_id, True)
    assert not installation.get(installation.create()).stale, "the other host's systems are not"
    with pytest.raises(Exception, match=f"{host.name}: it is Down"):
        installation.create(host=host.name)
    installation.control.clear_faults()
    wait_until(lambda: not installation.get(system).stale, "it is fresh again")
    assert installation.get(system).power_state is ON
    back = installation.application.hosts.get(SYSTEM_ACTOR, host.id)
    assert (back.state, back.state_reason) == (HostState.UP, "")


def test_one_silence_is_suspect_and_the_second_is_down(installation):
    host = installation.host()
    observer = Observer(installation.application.database, installation.application.drivers)
    with installation.application.database.write() as uow:
        uow.hosts.set_state(host.id, HostState.UP)
    observer.lost(host.id, "silent")
    assert installation.application.hosts.get(SYSTEM_ACTOR, host.id).state in {HostState.SUSPECT, HostState.UP}
    observer.lost(host.id, "silent")
    observer.lost(host.id, "silent")
    wait_until(
        lambda: installation.application.hosts.get(SYSTEM_ACTOR, host.id).state is HostState.UP, "the sweep finds it"
    )


def test_a_host_that_hangs_holds_up_no_other(installation):
    hung = installation.host()
    installation.create(host=hung.name)
    system = installation.start(installation.create())
    installation.control.fail("*", host=hung.name, count=1000, kind=FaultKind.HANG)
    began = time.monotonic()
    installation.control.guest_shuts_down("rack", system.id)
    soon(lambda: installation.get(system).power_state is OFF, "it shows Off")
    installation.done(installation.reset(system, ResetType.ON))
    assert time.monotonic() - began < 20, "the calls that hang take 30 s"


def test_a_look_that_is_older_than_what_is_recorded_changes_nothing(installation):
    system = installation.create()
    with installation.application.database.read() as uow:
        before = uow.systems.get(system.id)
    installation.application.systems.update(SYSTEM_ACTOR, system.id, SystemChanges(asset_tag="x"))
    with installation.application.database.write() as uow:
        assert not uow.systems.observe(before, None)
    assert installation.get(system).failure == ""


def test_a_change_of_a_system_does_not_wait_for_what_is_being_recorded_of_its_host(installation):
    """On PostgreSQL each could wait for the other, since the look goes on to record the system; on SQLite all writers line up."""
    system = installation.create()
    update, accepted = installation.application.systems.update, []
    wanted = SystemChanges(memory_mib=system.memory_mib + 64)
    changing = threading.Thread(target=lambda: accepted.append(update(SYSTEM_ACTOR, system.id, wanted)))
    with installation.application.database.write() as uow:
        uow.hosts.set_state(system.host_id, HostState.UP)
        changing.start()
        if uow.is_postgresql:
            changing.join(30)
            assert not changing.is_alive(), "it waits for nobody"
    changing.join(30)
    installation.done(accepted[0])


def test_looking_where_nothing_changed_changes_no_version(installation):
    system = installation.start(installation.create())
    observer = Observer(installation.application.database, installation.application.drivers)
    version = installation.get(system).version
    assert observer.sweep(system.host_id)
    observer.machines(system.host_id, {system.id: {MachineEventKind.DEFINED}})
    assert installation.get(system).version == version


def test_a_start_that_is_recorded_already_is_not_looked_at_and_any_other_is(calm, monkeypatch):
    system = calm.create(host=calm.host(f"{GUEST}&lacks=events").name)  # nobody else looks
    application = calm.application
    observer = Observer(application.database, application.drivers)
    hypervisor = driver(calm, system)
    started = {system.id: {MachineEventKind.STARTED}}
    looks = []
    find = type(hypervisor).find_machine

    def finding(its_driver, machine_id):
        if machine_id == system.id:  # workers look at others meanwhile
            looks.append(machine_id)
        return find(its_driver, machine_id)

    monkeypatch.setattr(type(hypervisor), "find_machine", finding)
    hypervisor.start_machine(system.id, None)
    observer.machines(system.host_id, started)
    assert calm.get(system).power_state is PowerState.ON, "a start that nobody recorded"
    looks.clear()
    observer.machines(system.host_id, started)
    assert looks == []
    hypervisor.power_off_machine(system.id)
    observer.machines(system.host_id, {system.id: {MachineEventKind.STARTED, MachineEventKind.STOPPED}})
    assert calm.get(system).power_state is PowerState.OFF
    hypervisor.start_machine(system.id, None)
    observer.machines(system.host_id, {system.id: {MachineEventKind.STOPPED, MachineEventKind.STARTED}})
    assert calm.get(system).power_state is PowerState.ON


def test_what_agreed_before_is_not_read_again_and_every_change_still_shows(calm, monkeypatch):
    """The sweep of many systems costs little, and misses nothing for it."""
    first, second = calm.create(), calm.create()
    application = calm.application
    observer = Observer(application.database, application.drivers)
    read, read_whole = [], []

    def counted(name, asked):
        method = getattr(SystemRepository, name)

        def counting(repository, ids):
            if threading.current_thread() is threading.main_thread():  # other installations' workers sweep meanwhile
                asked.append(set(ids))
            return method(repository, ids)

        monkeypatch.setattr(SystemRepository, name, counting)

    counted("sights", read)
    counted("of_ids", read_whole)
    host_id = first.host_id
    assert observer.sweep(host_id)
    assert {first.id, second.id} <= read.pop()
    assert observer.sweep(host_id)  # what was news is read once more
    read.clear()
    assert observer.sweep(host_id)
    assert read == []  # all agreed
    # The record changes, the machine does not.
    with application.database.write() as uow:
        uow.systems.mark_stale(host_id)
    assert observer.sweep(host_id)
    assert {first.id, second.id} <= read.pop()
    assert not calm.get(first).stale
    # The machine changes, the record does not.
    assert observer.sweep(host_id)
    read.clear()
    read_whole.clear()
    application.drivers.driver(host_id).start_machine(second.id, None)
    assert observer.sweep(host_id)
    assert calm.get(second).power_state is PowerState.ON
    assert not any(first.id in ids for ids in read_whole)


def test_a_clock_that_is_set_makes_no_silent_host_down(database, monkeypatch):
    """How long a host has been silent is measured by a clock that is never set."""
    hand = SetClock(datetime.now(UTC))
    set_database_clock(monkeypatch, database, hand.now)
    host = Host(id=uuid4(), name="quiet", driver="simulated", uri="simulated:///quiet")
    with database.write() as uow:
        uow.hosts.add(host)
        uow.hosts.set_state(host.id, HostState.UP)
    observer = Observer(database, None, down_seconds=10, steady=hand.steady)

    def state_after(seconds: float, jump: timedelta) -> HostState:
        hand.pass_by(timedelta(seconds=seconds))
        hand.set_by(jump)
        observer.lost(host.id, "It is silent.")
        with database.read() as uow:
            return uow.hosts.get(host.id).state

    assert state_after(0, timedelta()) is HostState.SUSPECT
    assert state_after(5, 24 * HOUR) is HostState.SUSPECT
    assert state_after(4, -48 * HOUR) is HostState.SUSPECT
    assert state_after(2, -HOUR) is HostState.DOWN, "and a clock that was set back does not keep it Suspect"


@pytest.mark.parametrize("reset_type", [ResetType.ON, ResetType.POWER_CYCLE])
def test_a_start_is_told_as_one_though_the_machine_stands_still_within_it(installation, monkeypatch, reset_type):
    """Some drivers let processors run only when all else of a start is done, and a sweep may come at any moment."""
    application = installation.application
    system = installation.create()
    start = SimulatedDriver.start_machine

    def stand_still(driver, machine_id, options=None):
        start(driver, machine_id, options)
        if machine_id == system.id:
            driver.pause_machine(machine_id)
            Observer(application.database, application.drivers).sweep(system.host_id)
            driver.resume_machine(machine_id)
        return driver.find_machine(machine_id)

    monkeypatch.setattr(SimulatedDriver, "start_machine", stand_still)
    installation.done(installation.reset(system, reset_type))
    with application.database.read() as uow:
        events = uow.events.for_subject(f"system:{system.id}", limit=10)
    told = [event.message_id.rpartition(".")[2] for event in events]
    assert "ResourcePoweredOn" in told
    assert "ResourcePaused" not in told
