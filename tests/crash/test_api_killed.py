"""The API killed after it committed a request and before it answered: the work is done, and the request repeated joins it."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.systems import SystemState
from hawkfish.domain.tasks import TaskState
from hawkfish.errors import AlreadyExists, Conflict
from tests.crash.conftest import IMAGE
from tests.support.service import Service, new_system

pytestmark = pytest.mark.slow

MOMENTS = ("committed", "returned")
KEYS = (None, "a-key-of-the-client")


def request_and_die(service: Service, moment: str, key: str | None, **system: object) -> None:
    """Asks for a system in a process that dies before it can tell."""
    client = service.crew.fork(do="create", settings=service.settings, point=moment, key=key, system=system)
    assert service.crew.wait_end(client) == -signal.SIGKILL


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("key", KEYS)
def test_the_work_is_done_and_the_repeated_request_joins_it(service: Service, moment: str, key: str | None) -> None:
    create = service.application.systems.create
    asked: dict[str, Any] = {
        "name": f"lost-{moment}-{key is None}",
        "power_on": True,
        "image": IMAGE,
        "empty_bytes": 1 << 20,
    }
    key = key and f"{key}-{moment}"
    service.kill_worker()
    request_and_die(service, moment, key, **asked)
    first = create(SYSTEM_ACTOR, new_system(**asked), idempotency_key=key)
    again = create(SYSTEM_ACTOR, new_system(**asked), idempotency_key=key)
    assert first.task is not None
    assert again.task is not None
    assert (again.subject_id, again.task.id) == (first.subject_id, first.task.id)
    with pytest.raises((AlreadyExists, Conflict)):
        create(SYSTEM_ACTOR, new_system(**{**asked, "memory_mib": 32}), idempotency_key=key)
    service.start_ready_worker()
    assert service.wait(first.task).state is TaskState.COMPLETED
    if key is None:
        with pytest.raises(AlreadyExists, match="exists; choose another name"):
            create(SYSTEM_ACTOR, new_system(**asked))
    else:
        late = create(SYSTEM_ACTOR, new_system(**asked), idempotency_key=key)
        assert (late.subject_id, late.task and late.task.id) == (first.subject_id, first.task.id)
    system = service.find(first.subject_id)
    assert system is not None
    assert system.state is SystemState.READY
    assert service.remains() == []


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_worker_that_nobody_woke_does_the_work(service: Service, moment: str) -> None:
    service.kill_worker()
    service.start_ready_worker()
    request_and_die(service, moment, None, name=f"unheard-{moment}")
    system = service.application.systems.get(SYSTEM_ACTOR, f"unheard-{moment}")
    with service.application.database.read() as uow:
        (task,) = uow.tasks.search(subject=f"system:{system.id}")
    assert service.wait(task).state is TaskState.COMPLETED
    assert service.remains() == []
