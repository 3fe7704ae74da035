"""Hosts that are gone for good: their records go, with those of their systems; no machine is touched."""

from __future__ import annotations

import pytest

from hawkfish.builtin.simulated.control import FaultKind
from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.hosts import HostState
from hawkfish.domain.tasks import TaskState
from hawkfish.errors import Conflict, InUse, NotFound, NotPermitted
from hawkfish.testing.waiting import wait_until
from tests.support.installation import READER


def lose(installation, host):
    """The host answers no more."""
    installation.control.fail("probe", host=host.name, error="HostUnavailable", message="No route.", count=1000)
    wait_until(
        lambda: installation.application.hosts.get(SYSTEM_ACTOR, host.id).state is HostState.DOWN, "the host is Down"
    )


def forget(installation, host, **options):
    found = installation.application.hosts.forget(SYSTEM_ACTOR, host.id, **options)
    return [system.name for system in found]


def test_a_host_that_answers_is_not_forgotten(installation):
    host = installation.host()
    system = installation.create(host=host.name)
    with pytest.raises(Conflict, match="is Up"):
        forget(installation, host)
    with pytest.raises(NotPermitted):
        installation.application.hosts.forget(READER, host.id)
    assert installation.get(system).host_id == host.id


def test_a_dead_host_is_forgotten_with_its_systems_and_their_machines_stay(installation):
    host = installation.host()
    systems = [installation.create(host=host.name) for _ in range(2)]
    names = [system.name for system in systems]
    installation.control.fail("define_machine", kind=FaultKind.HANG)
    half = installation.application.systems.create(SYSTEM_ACTOR, installation.new(host=host.name))
    names.append(installation.get(half).name)
    driver = installation.application.drivers.driver(host.id)
    lose(installation, host)
    with pytest.raises(InUse):
        installation.application.hosts.remove(SYSTEM_ACTOR, host.id)
    assert forget(installation, host, dry_run=True) == sorted(names)
    assert installation.get(systems[0]).host_id == host.id, "nothing was done"
    assert forget(installation, host) == sorted(names)
    with pytest.raises(NotFound):
        installation.application.hosts.get(SYSTEM_ACTOR, host.id)
    for system in systems:
        with pytest.raises(NotFound):
            installation.get(system)
        assert driver.find_machine(system.id) is not None, "the machine is as it was"
        assert installation.audited(f"system:{system.id}")[-1] == ("hosts.forget", "allowed")
    assert installation.ended(half).state is TaskState.CANCELLED
    installation.control.clear_faults()
    with installation.application.database.read() as uow:
        assert uow.reservations.given().get(host.id) is None
        assert [key for key in uow.pools.given_bytes() if key[1] == host.id] == []
    again = installation.create(name=names[0])
    assert again.host_name == "rack", "the name is free"
    assert installation.ended(half).state is TaskState.CANCELLED, "who was at it was shut out"
