"""A worker killed at moments that nobody chose, again and again on one task, beside others."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from functools import partial

import pytest

from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.machines import MachineObservation, PowerState
from hawkfish.domain.systems import ResetType
from hawkfish.domain.tasks import TaskState
from hawkfish.testing.waiting import wait_until
from tests.crash.conftest import IMAGE
from tests.support.libvirt_host import LibvirtHostBed
from tests.support.service import Service, new_system

pytestmark = pytest.mark.slow


def shows_run(service: Service, machine: MachineObservation) -> bool:
    return service.application.systems.get(SYSTEM_ACTOR, machine.id).run_id == machine.run_id


def live_through_kills(service: Service, *, rounds: int, kills: int, longest: float, image: str | None) -> None:
    """In each round: a creation, a start, a deletion and a change that cross each other under workers that die."""
    chance = random.Random(20261124)
    pause = threading.Event()
    verbs = service.application.systems
    old = verbs.create(SYSTEM_ACTOR, new_system("old-0", image=image, empty_bytes=1 << 20))
    service.wait(old.task)
    for number in range(1, rounds + 1):
        accepted = [
            verbs.reset(SYSTEM_ACTOR, old.subject_id, ResetType.ON),
            verbs.reset(SYSTEM_ACTOR, old.subject_id, ResetType.FORCE_OFF),
            verbs.delete(SYSTEM_ACTOR, old.subject_id),
            verbs.create(SYSTEM_ACTOR, new_system(f"on-{number}", image=image, power_on=True)),
            verbs.create(SYSTEM_ACTOR, new_system(f"old-{number}", image=image, empty_bytes=1 << 20)),
        ]
        for _ in range(kills):
            pause.wait(chance.uniform(0, longest))
            service.kill_worker()
            service.start_worker()
        ended = [service.wait(each.task) for each in accepted]
        on, *others = [task.state for task in ended]
        assert on in {TaskState.CANCELLED, TaskState.COMPLETED}
        assert others == [TaskState.COMPLETED] * len(others), [task.error for task in ended]
        assert service.find(accepted[2].subject_id) is None
        running = service.machines()[accepted[3].subject_id]
        assert running.power_state is PowerState.ON
        wait_until(partial(shows_run, service, running), "the run as it is")
        assert service.remains() == []
        service.wait(verbs.reset(SYSTEM_ACTOR, accepted[3].subject_id, ResetType.FORCE_OFF).task)
        old = accepted[4]
    service.delete_all()
    assert service.remains() == []


def test_nothing_is_lost_doubled_or_forgotten(service: Service) -> None:
    live_through_kills(service, rounds=25, kills=3, longest=0.25, image=IMAGE)


@pytest.mark.needs_libvirt
def test_nothing_is_lost_doubled_or_forgotten_on_libvirt(
    open_service: Callable[..., Service], libvirt_host: LibvirtHostBed
) -> None:
    service = open_service(simulator=False, sweep_seconds=5.0)
    service.start_ready_worker()
    service.add_host(
        "libvirt",
        libvirt_host.uri,
        settings={"virt_type": "qemu", "data_dir": str(libvirt_host.data)},
        pool_path=str(libvirt_host.data / "moments-pool"),
    )
    live_through_kills(service, rounds=5, kills=3, longest=0.8, image=None)
