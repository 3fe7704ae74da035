"""Observed state: what the hypervisors say, written down; lost contact marks systems stale and never says Off."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import structlog

from hawkfish import metrics
from hawkfish.db import Database, UnitOfWork
from hawkfish.domain.hosts import Host, HostFacts, HostState
from hawkfish.domain.machines import MachineEventKind, MachineObservation, PowerState
from hawkfish.domain.systems import Sight, System
from hawkfish.domain.tasks import TaskState
from hawkfish.errors import BackendTimeout, HawkFishError, HostUnavailable
from hawkfish.plugins.compute import offered_capabilities
from hawkfish.services.drivers import DriverPool
from hawkfish.services.media_order import RAISES_POWER

log = structlog.get_logger("hawkfish.observation")

LOOKS = 3
SEEN_EVERY = timedelta(minutes=1)
"""How often it is written that a host of which there is no news has answered."""
DOWN_SECONDS = 10.0


class Observer:
    """Looks at hosts and machines for the worker.

    Args:
        database: Where it is recorded.
        drivers: The drivers to look through.
        watch: Number of the watch under which the looking is done: once it is lost nothing more is recorded, and every
            method raises `LeaseLost`. None looks without being the one that watches.
        down_seconds: How long a host is Suspect before it is Down.
        steady: Seconds of a clock that is never set.
    """

    def __init__(
        self,
        database: Database,
        drivers: DriverPool,
        *,
        watch: int | None = None,
        down_seconds: float = DOWN_SECONDS,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._drivers = drivers
        self._watch = watch
        self._down_seconds = down_seconds
        self._steady = steady
        self._silent_since: float | None = None
        self._answered_at: datetime | None = None
        self._settled: dict[UUID, tuple[int, MachineObservation | None]] = {}

    def sweep(self, host_id: UUID) -> bool:
        """Compares all that is recorded of a host with what it runs. False if it did not answer, which is recorded."""
        host = self._drivers.host(host_id)
        # Read before looking: what a task writes meanwhile is newer than what was seen, and stays.
        with self._database.read() as uow:
            versions = uow.systems.versions_on_host(host_id)
        began = time.monotonic()
        try:
            driver = self._drivers.driver_of(host)
            facts = driver.probe()
            facts = replace(facts, capabilities=offered_capabilities(driver, facts))
            machines = {machine.id: machine for machine in driver.list_machines()}
        except HawkFishError as error:
            self.lost(host_id, error.message)
            return False
        except Exception as error:
            # A fault of the driver: what is recorded must not be shown as if it had been seen.
            log.exception("the driver of a host failed", host=host.name, driver=host.driver)
            self.lost(
                host_id, f"The driver {host.driver} failed ({type(error).__name__}); the worker's log has the details."
            )
            return False
        self._answered_at = datetime.now(UTC)
        self._silent_since = None
        metrics.HOST_SWEEP_SECONDS.labels(host.name).observe(time.monotonic() - began)
        self._record(host, facts, self._news(versions, machines))
        return True

    def _news(
        self, versions: Mapping[UUID, int], machines: Mapping[UUID, MachineObservation]
    ) -> list[tuple[System, MachineObservation | None]]:
        """The systems whose records differ from what was seen.

        A system of a version that agreed with the same sight before agrees again, and is not read: most are such.
        """
        seen = {system_id: (version, machines.get(system_id)) for system_id, version in versions.items()}
        unsettled = [system_id for system_id, sight in seen.items() if self._settled.get(system_id) != sight]
        agreed: set[UUID] = set()
        systems: list[System] = []
        if unsettled:
            with self._database.read() as uow:
                # What was changed since its version was read is newer than what was seen, and is looked at in the next sweep.
                recorded = [one for one in uow.systems.sights(unsettled) if one.version == versions[one.id]]
                changing = {one.id for one in recorded if _is_news(one, seen[one.id][1])}
                agreed = {one.id for one in recorded} - changing
                systems = uow.systems.of_ids(changing) if changing else []
        kept = seen.keys() - set(unsettled)
        self._settled = {system_id: seen[system_id] for system_id in kept | agreed}
        # PostgreSQL may show a record that was changed after its sight was read.
        return [(system, seen[system.id][1]) for system in systems if system.version == versions[system.id]]

    def _record(self, host: Host, facts: HostFacts, news: Sequence[tuple[System, MachineObservation | None]]) -> None:
        settled = host.state is HostState.UP and host.facts == facts
        # A clock that was set back must not keep it from being written for as long.
        lately = host.seen_at is not None and timedelta() <= datetime.now(UTC) - host.seen_at < SEEN_EVERY
        if not news and settled and lately:
            return
        with self._writing() as uow:
            uow.hosts.set_facts(host.id, facts)
            if uow.hosts.set_state(host.id, HostState.UP):
                log.info("host answers", host=host.name)
            for system, machine in news:
                if not _is_within_start(uow, system, machine):
                    uow.systems.observe(system, machine)

    def machines(self, host_id: UUID, reported: Mapping[UUID, Collection[MachineEventKind]]) -> bool:
        """Looks at machines of which something was reported; again at those whose records changed while they were looked at.

        Of most starts the task that made them has recorded what there is to see. A machine of which nothing but a start is
        reported, and which is recorded as running, is not looked at: had it stopped since, that would be reported too.

        Args:
            host_id: Their host.
            reported: What was reported of each.

        Returns:
            False if their host did not answer, which is recorded.
        """
        only_started = [machine_id for machine_id, kinds in reported.items() if {*kinds} == {MachineEventKind.STARTED}]
        left = {*reported}
        for turn in range(LOOKS):
            with self._database.read() as uow:
                if turn == 0 and only_started:
                    left -= uow.systems.seen_running(only_started)
                # Thousands may be made at once, and each is reported: of those nothing is read.
                systems = uow.systems.ready_on_host(host_id, left)
                host = uow.hosts.get(host_id) if systems else None
            if host is None:
                break
            try:
                driver = self._drivers.driver_of(host)
                seen = [(system, driver.find_machine(system.id)) for system in systems]
            except (HostUnavailable, BackendTimeout) as error:
                self.lost(host_id, error.message)
                return False
            news = [(system, machine) for system, machine in seen if _is_news(system, machine)]
            left = self._database.run(partial(self._observe, news=news)) if news else set()
            if not left:
                break
        return True

    def _observe(self, uow: UnitOfWork, *, news: Sequence[tuple[System, MachineObservation | None]]) -> set[UUID]:
        """Records what was seen; gives the systems that were changed meanwhile."""
        self._require(uow)
        return {
            system.id
            for system, machine in news
            if not _is_within_start(uow, system, machine) and not uow.systems.observe(system, machine)
        }

    def lost(self, host_id: UUID, reason: str) -> None:
        """Records that a host does not answer: first Suspect, and Down if that lasts. Its machines may well run on."""
        with self._writing() as uow:
            host = uow.hosts.find(host_id)
            if host is None:
                return
            state = self._state_of_silent(host)
            metrics.HOST_FAILURES.labels(host.name).inc()
            if uow.hosts.set_state(host_id, state, reason):
                log.warning("host does not answer", host=host.name, state=state, reason=reason)
            if self._answered_at is not None and host.state is HostState.UP:
                uow.hosts.set_seen(host_id, self._answered_at)
            uow.systems.mark_stale(host_id)

    def _state_of_silent(self, host: Host) -> HostState:
        """A restart of its daemon makes a host Suspect for a moment; Down is what does not come back by itself.

        For how long it has been silent is measured here and not by the wall clock, which may be set meanwhile.
        """
        if host.state is HostState.DOWN:
            return HostState.DOWN
        now = self._steady()
        if self._silent_since is None or host.state is not HostState.SUSPECT:
            self._silent_since = now
        return HostState.DOWN if now - self._silent_since >= self._down_seconds else HostState.SUSPECT

    @contextmanager
    def _writing(self) -> Iterator[UnitOfWork]:
        with self._database.write() as uow:
            self._require(uow)
            yield uow

    def _require(self, uow: UnitOfWork) -> None:
        if self._watch is not None:
            uow.host_watches.require(self._watch)


def _is_news(system: System | Sight, machine: MachineObservation | None) -> bool:
    """Whether what was seen differs from what is recorded; while power is on its way, what is shown is no record of it."""
    if system.stale or bool(system.failure) is not (machine is None):
        return True
    if machine is None:
        return False
    seen = (machine.power_state, machine.run_id, machine.facts)
    return (system.power_state, system.run_id, system.observed) != seen


def _is_within_start(uow: UnitOfWork, system: System, machine: MachineObservation | None) -> bool:
    """Whether a machine that stands still does so in the middle of a start, whose task records what comes of it.

    Who waits for the word that a system was powered on must not be told instead that it was paused, and goes on.
    """
    if machine is None or machine.power_state is not PowerState.PAUSED:
        return False
    starts = uow.tasks.ahead([f"system:{system.id}"], RAISES_POWER)
    return any(task.state is TaskState.RUNNING for task in starts)
