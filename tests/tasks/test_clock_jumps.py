"""Workers beside each other while the database's clock is set: the living are not buried, and the dead are."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from hawkfish.db.presence import ConnectionPresence
from hawkfish.domain.tasks import TaskState
from hawkfish.testing.waiting import wait_until
from tests.support.clocks import HOUR, set_database_clock
from tests.tasks.conftest import QUICK

LEASE = 1.5
BEATING = replace(QUICK, lease=6.0)
"""Workers that beat while the clock is off."""


@pytest.fixture
def jump(monkeypatch, lab):
    """By how much the database's clock is off, to be changed."""
    by = [timedelta()]
    set_database_clock(monkeypatch, lab.database, lambda: datetime.now(UTC) + by[0])
    return by


def workers(lab) -> set[int]:
    with lab.database.read() as uow:
        return set(uow.task_workers.ids())


@pytest.mark.parametrize("by", [HOUR, -HOUR], ids=["forward", "back"])
def test_a_jump_buries_no_living_worker_and_the_silent_are_found(lab, jump, by):
    if lab.database.is_sqlite:
        with lab.worker(BEATING):
            jump[0] = by
            lab.kind("act", lambda ctx: None)
            assert lab.wait(lab.submit("act")).state is TaskState.COMPLETED
        assert not lab.lost.is_set()
        return
    lab.kind("act", lambda ctx: ctx.sleep(0.5))
    with lab.worker(BEATING) as one, lab.worker(BEATING) as other:
        wait_until(lambda: len(workers(lab)) == 2, "both are registered")
        tasks = [lab.submit("act", subject=f"thing:{number}") for number in range(4)]
        jump[0] = by
        for task in tasks:
            assert lab.wait(task).epoch == 1, "nobody took it over"
        assert workers(lab) == {one.worker_id, other.worker_id}
        assert not lab.lost.is_set()
        # A third that shows its presence and never beats, such as one that hangs.
        with lab.database.write() as uow:
            silent = uow.task_workers.add(host="elsewhere", pid=1, lease=LEASE)
        presence = ConnectionPresence(lab.database)
        try:
            presence.enter(silent)
            jump[0] -= by
            wait_until(lambda: silent not in workers(lab), "the silent one is buried")
        finally:
            presence.leave()
        assert workers(lab) == {one.worker_id, other.worker_id}
