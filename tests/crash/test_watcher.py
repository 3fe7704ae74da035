"""The watcher on bad days: a host is never given up, and never shown as seen when it was not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.hosts import HostState
from hawkfish.domain.machines import MachineEvent, MachineEventKind, PowerState
from hawkfish.domain.systems import ResetType
from hawkfish.testing.waiting import wait_until
from hawkfish.worker import watcher as module
from hawkfish.worker.watcher import HostWatcher
from tests.crash.conftest import URI
from tests.support.service import Service, new_system

pytestmark = pytest.mark.slow


class FailingObserver:
    """Fails in ways that nobody expects, and counts."""

    def __init__(self) -> None:
        self.sweeps = 0
        self.looks: list[UUID] = []
        self.answers = True

    def sweep(self, host_id: UUID) -> bool:
        self.sweeps += 1
        if self.sweeps == 1:
            raise KeyError(host_id)
        return True

    def machines(self, host_id: UUID, reported: Mapping[UUID, Collection[MachineEventKind]]) -> bool:
        self.looks += reported
        if len(self.looks) == 1:
            raise ZeroDivisionError
        return self.answers

    def lost(self, host_id: UUID, reason: str) -> None:
        self.looks.clear()


@pytest.fixture
def observer() -> FailingObserver:
    return FailingObserver()


@pytest.fixture
def watcher(observer: FailingObserver, monkeypatch: pytest.MonkeyPatch) -> Iterator[HostWatcher]:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.02)
    watcher = HostWatcher(uuid4(), observer, sweep_seconds=3600)  # type: ignore[arg-type]
    watcher.start()
    yield watcher
    watcher.stop()
    wait_until(lambda: all(thread.name != f"watch-{watcher.host_id}" for thread in threading.enumerate()), "its end")


def event(kind: MachineEventKind, machine_id: UUID | None = None) -> MachineEvent:
    return MachineEvent(kind=kind, machine_id=machine_id, at=datetime.now(UTC))


def test_it_goes_on_whatever_fails(watcher: HostWatcher, observer: FailingObserver) -> None:
    wait_until(lambda: observer.sweeps == 2, "a second sweep after one that failed")
    first, second = uuid4(), uuid4()
    watcher.hear(event(MachineEventKind.STARTED, first))
    wait_until(lambda: observer.sweeps == 3, "a sweep after an event that could not be looked into")
    watcher.hear(event(MachineEventKind.STARTED, second))
    wait_until(lambda: observer.looks == [first, second], "a look at the next event")


@pytest.mark.parametrize("kind", [MachineEventKind.CONNECTION_LOST, MachineEventKind.CONNECTION_RESTORED])
def test_it_looks_anew_after_a_lost_connection_whatever_is_reported(
    watcher: HostWatcher, observer: FailingObserver, kind: MachineEventKind
) -> None:
    wait_until(lambda: observer.sweeps == 2, "the first sweeps")
    watcher.hear(event(kind))
    wait_until(lambda: observer.sweeps == 3, "another sweep")


def test_a_host_that_did_not_answer_once_is_soon_up_again(open_service: Callable[..., Service]) -> None:
    """The next regular sweep is an hour away."""
    service = open_service(sweep_seconds=3600.0)
    service.start_ready_worker()
    service.add_host("simulated", URI)
    made = service.application.systems.create(SYSTEM_ACTOR, new_system("m"))
    service.wait(made.task)
    assert service.simulator is not None

    def host() -> HostState:
        return service.application.hosts.get(SYSTEM_ACTOR, service.host_id).state

    with service.simulator.control() as control:
        control.fail("find_machine", error="HostUnavailable", after=True)
        service.application.drivers.driver(service.host_id).start_machine(made.subject_id)  # behind its back
        wait_until(lambda: service.application.systems.get(SYSTEM_ACTOR, "m").power_state is PowerState.ON, "On")
        wait_until(lambda: host() is HostState.UP, "the host Up")
        assert not service.application.systems.get(SYSTEM_ACTOR, "m").stale
        control.clear_faults()
    service.wait(service.application.systems.reset(SYSTEM_ACTOR, made.subject_id, ResetType.FORCE_OFF).task)
    assert service.remains() == []
