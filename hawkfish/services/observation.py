"""Observed state: what the hypervisors say, written down; lost contact marks systems stale and never says Off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from uuid import UUID

import structlog

from hawkfish.db import Database, UnitOfWork
from hawkfish.domain.hosts import Host, HostFacts, HostState
from hawkfish.domain.machines import MachineObservation
from hawkfish.domain.systems import System, SystemState
from hawkfish.errors import BackendTimeout, HawkFishError, HostUnavailable
from hawkfish.plugins.compute import offered_capabilities
from hawkfish.services.drivers import DriverPool

log = structlog.get_logger("hawkfish.observation")

LOOKS = 3


class Observer:
    """Looks at hosts and machines for the worker."""

    def __init__(self, database: Database, drivers: DriverPool) -> None:
        self._database = database
        self._drivers = drivers

    def hosts(self) -> list[Host]:
        """All hosts as they are recorded."""
        with self._database.read() as uow:
            return uow.hosts.all()

    def sweep(self, host_id: UUID) -> bool:
        """Compares all that is recorded of a host with what it runs. False if it did not answer, which is recorded."""
        host = self._drivers.host(host_id)
        # Read before looking: what a task writes meanwhile is newer than what was seen, and stays.
        with self._database.read() as uow:
            systems = [system for system in uow.systems.on_host(host_id) if system.state is SystemState.READY]
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
        self._record(host, facts, [(system, machines.get(system.id)) for system in systems])
        return True

    def _record(self, host: Host, facts: HostFacts, seen: Sequence[tuple[System, MachineObservation | None]]) -> None:
        news = [(system, machine) for system, machine in seen if _is_news(system, machine)]
        if not news and host.state is HostState.UP and host.facts == facts:
            return
        with self._database.write() as uow:
            uow.hosts.set_facts(host.id, facts)
            if uow.hosts.set_state(host.id, HostState.UP):
                log.info("host answers", host=host.name)
            for system, machine in news:
                uow.systems.observe(system, machine)

    def machine(self, host_id: UUID, machine_id: UUID) -> bool:
        """Looks at one machine of which something was reported; again if its record changed while it was looked at.

        Returns:
            False if its host did not answer, which is recorded.
        """
        for _ in range(LOOKS):
            with self._database.read() as uow:
                system = uow.systems.find(machine_id)
            if system is None or system.host_id != host_id or system.state is not SystemState.READY:
                return True
            try:
                machine = self._drivers.driver(host_id).find_machine(machine_id)
            except (HostUnavailable, BackendTimeout) as error:
                self.lost(host_id, error.message)
                return False
            if not _is_news(system, machine) or self._database.run(partial(_observe, system=system, machine=machine)):
                break
        return True

    def lost(self, host_id: UUID, reason: str) -> None:
        """Records that a host does not answer: first Suspect, and Down if it is so again. Its machines may well run on."""
        with self._database.write() as uow:
            host = uow.hosts.find(host_id)
            if host is None:
                return
            state = HostState.DOWN if host.state in {HostState.SUSPECT, HostState.DOWN} else HostState.SUSPECT
            if uow.hosts.set_state(host_id, state, reason):
                log.warning("host does not answer", host=host.name, state=state, reason=reason)
            uow.systems.mark_stale(host_id)


def _observe(uow: UnitOfWork, *, system: System, machine: MachineObservation | None) -> bool:
    return uow.systems.observe(system, machine)


def _is_news(system: System, machine: MachineObservation | None) -> bool:
    """Whether what was seen differs from what is recorded; while power is on its way, what is shown is no record of it."""
    if system.stale or bool(system.failure) is not (machine is None):
        return True
    if machine is None:
        return False
    return (system.power_state, system.run_id) != (machine.power_state, machine.run_id)
