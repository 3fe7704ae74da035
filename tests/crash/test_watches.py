"""Several workers share the hosts: each is watched by exactly one, and whoever has lost a watch writes nothing more."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from hawkfish.builtin.simulated.control import FaultKind
from hawkfish.db.models.tasks import TaskWorkerRow
from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.hosts import HostState, HostWatch
from hawkfish.domain.machines import PowerState
from hawkfish.domain.systems import ResetType
from hawkfish.errors import LeaseLost
from hawkfish.plugins.compute import ComputeDriver
from hawkfish.services.observation import Observer
from hawkfish.testing.waiting import wait_until
from hawkfish.worker.watcher import share
from tests.support.postgresql import TEMPLATE, PostgresqlServer
from tests.support.service import Service, new_system

pytestmark = pytest.mark.slow

HOSTS = 5
LEASE = 6.0
SIMULATED = "boot_seconds=0.1&shutdown_seconds=0.1"


class Crew:
    """A service with several hosts and two workers."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.systems = service.application.systems
        self.hosts: list[UUID] = []
        self.second = 0

    def watches(self) -> list[HostWatch]:
        with self.service.application.database.read() as uow:
            return uow.host_watches.all()

    def watcher_of(self, host_id: UUID) -> int | None:
        """Process id of the worker that watches a host."""
        with self.service.application.database.read() as uow:
            pids = {row.id: row.pid for row in uow.session.scalars(select(TaskWorkerRow))}
        return next((pids.get(watch.worker_id) for watch in self.watches() if watch.host_id == host_id), None)

    def spread(self) -> list[int]:
        """How many hosts each worker watches."""
        return sorted(Counter(watch.worker_id for watch in self.watches()).values())

    def add_hosts(self) -> None:
        hosts = self.service.application.hosts
        added = [
            hosts.add(SYSTEM_ACTOR, f"rack{number}", "simulated", f"simulated:///rack{number}?{SIMULATED}")
            for number in range(1, HOSTS + 1)
        ]
        for accepted in added:
            assert self.service.wait(accepted.task).error is None
        self.hosts = [accepted.subject_id for accepted in added]

    def start_second(self) -> None:
        self.second = self.service.crew.fork(do="work", settings=self.service.settings)
        self.service.crew.wait_ready(self.second)
        wait_until(lambda: self.spread() == [2, 3], "two workers share the hosts")

    def create(self, name: str, host_id: UUID) -> UUID:
        rack = f"rack{self.hosts.index(host_id) + 1}"
        made = self.systems.create(SYSTEM_ACTOR, new_system(name, host=rack))
        assert self.service.wait(made.task).error is None
        return made.subject_id

    def driver(self, host_id: UUID) -> ComputeDriver:
        """The host's driver, to act behind the workers' backs."""
        return self.service.application.drivers.driver(host_id)

    def shows(self, system_id: UUID, power: PowerState) -> None:
        wait_until(lambda: self.systems.get(SYSTEM_ACTOR, system_id).power_state is power, f"it shows {power}")


@pytest.fixture(scope="module")
def crew(open_service: Callable[..., Service], postgresql: PostgresqlServer) -> Iterator[Crew]:
    """Two workers and five hosts on PostgreSQL; what is no event would be seen an hour later."""
    name = postgresql.create(template=TEMPLATE)
    service = open_service(postgresql.url(name), sweep_seconds=3600.0, task_lease_seconds=LEASE)
    crew = Crew(service)
    service.start_ready_worker()
    crew.add_hosts()
    wait_until(lambda: crew.spread() == [HOSTS], "one worker watches all hosts")
    crew.start_second()
    yield crew
    service.application.database.engine.dispose()


@pytest.mark.needs_postgresql
def test_a_host_of_either_worker_is_seen_and_used(crew: Crew) -> None:
    """Tasks run in whatever worker takes them; what happens on a host is seen by the one that watches it."""
    made = [crew.create(f"m{number}", host_id) for number, host_id in enumerate(crew.hosts)]
    for host_id, system_id in zip(crew.hosts, made, strict=True):
        crew.driver(host_id).start_machine(system_id)
        crew.shows(system_id, PowerState.ON)
    for accepted in [crew.systems.reset(SYSTEM_ACTOR, system_id, ResetType.FORCE_OFF) for system_id in made]:
        assert crew.service.wait(accepted.task).error is None


@pytest.mark.needs_postgresql
def test_a_new_host_is_watched_at_once_and_a_removed_one_no_more(crew: Crew) -> None:
    before = {watch.host_id for watch in crew.watches()}
    hosts = crew.service.application.hosts
    added = hosts.add(SYSTEM_ACTOR, "extra", "simulated", f"simulated:///extra?{SIMULATED}")
    wait_until(lambda: added.subject_id in {watch.host_id for watch in crew.watches()}, "it is watched")
    crew.service.wait(added.task)
    hosts.remove(SYSTEM_ACTOR, added.subject_id)
    assert {watch.host_id for watch in crew.watches()} == before


@pytest.mark.needs_postgresql
def test_the_hosts_of_a_killed_worker_are_soon_watched_by_the_other(crew: Crew) -> None:
    host_id = next(host for host in crew.hosts if crew.watcher_of(host) == crew.second)
    crew.service.crew.kill(crew.second)
    wait_until(lambda: crew.spread() == [HOSTS], "the other watches all")
    system_id = crew.create("after", host_id)
    crew.driver(host_id).start_machine(system_id)
    crew.shows(system_id, PowerState.ON)
    crew.start_second()


@pytest.mark.needs_postgresql
def test_a_worker_that_stood_still_writes_nothing_over_what_is_newer(crew: Crew) -> None:
    """It is stopped in the middle of a look at a host, and goes on when another has the host and has seen more."""
    victim = crew.second
    host_id = next(host for host in crew.hosts if crew.watcher_of(host) == victim)
    system_id = crew.create("late", host_id)
    assert crew.service.simulator is not None
    with crew.service.simulator.control() as control:
        control.fail("find_machine", host=f"rack{crew.hosts.index(host_id) + 1}", kind=FaultKind.HANG)
        crew.driver(host_id).start_machine(system_id)
        # Nothing tells that its look hangs by now; were it not so, the test would only be weaker.
        threading.Event().wait(0.3)
        os.kill(victim, signal.SIGSTOP)
        try:
            wait_until(lambda: crew.spread() == [HOSTS], "the other watches all")
            control.clear_faults()
            crew.shows(system_id, PowerState.ON)
            crew.driver(host_id).power_off_machine(system_id)
            crew.shows(system_id, PowerState.OFF)
        finally:
            os.kill(victim, signal.SIGCONT)
    assert crew.service.crew.wait_end(victim) != 0, "it finds its lease lost, and ends"
    crew.shows(system_id, PowerState.OFF)


@pytest.mark.needs_postgresql
def test_what_was_seen_under_a_lost_watch_is_not_recorded(crew: Crew) -> None:
    host_id = crew.hosts[0]
    watch = next(watch for watch in crew.watches() if watch.host_id == host_id)
    database = crew.service.application.database
    with pytest.raises(LeaseLost):
        Observer(database, crew.service.application.drivers, watch=watch.number - 1).lost(host_id, "an old story")
    assert crew.service.application.hosts.get(SYSTEM_ACTOR, host_id).state is HostState.UP
    held, given_away = threading.Event(), threading.Event()
    early: list[bool] = []

    def write_slowly() -> None:
        with database.write() as uow:
            uow.host_watches.require(watch.number)
            held.set()
            early.append(given_away.wait(0.3))

    writer = threading.Thread(target=write_slowly)
    writer.start()
    assert held.wait(30)
    database.run(lambda uow: uow.host_watches.release([watch.number]))
    given_away.set()
    writer.join(30)
    assert early == [False], "a watch is not given away while something is written under it"
    wait_until(lambda: crew.watcher_of(host_id), "it is watched anew")


@given(
    hosts=st.integers(0, 12),
    workers=st.sets(st.integers(1, 6), min_size=1),
    taken=st.lists(st.integers(1, 8), max_size=12),
)
def test_the_parts_are_even_and_together_everything(hosts: int, workers: set[int], taken: list[int]) -> None:
    """From any division, workers that look one after the other come to an even one and then move nothing."""
    ids = [uuid4() for _ in range(hosts)]
    living = sorted(workers)
    held = {host: worker for host, worker in zip(ids, taken, strict=False) if worker in workers}

    def now() -> list[HostWatch]:
        return [HostWatch(number=n, host_id=host, worker_id=held[host]) for n, host in enumerate(ids) if host in held]

    for _ in range(2):
        for worker in living:
            mine = share(worker, living, ids, now())
            for watch in mine.surplus:
                del held[watch.host_id]
            held.update(dict.fromkeys(mine.wanted, worker))
    assert set(held) == set(ids)
    assert max(Counter(held.values()).values(), default=0) <= -(-hosts // len(living))
    for worker in living:
        mine = share(worker, living, ids, now())
        assert (mine.surplus, mine.wanted) == ([], [])
