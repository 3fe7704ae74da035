"""A worker killed at every point of creating and deleting a system: what was accepted is finished or undone."""

from __future__ import annotations

from typing import Any

import pytest

from hawkfish.services.accepted import Accepted
from tests.crash.conftest import IMAGE
from tests.crash.points import BatchCreation, Creation, Deletion, kill_at, step_points, trace, undo_points
from tests.support.service import Service

pytestmark = pytest.mark.slow

FULL: dict[str, Any] = {"power_on": True, "image": IMAGE, "empty_bytes": 1 << 20}
OFF: dict[str, Any] = {"image": IMAGE, "empty_bytes": 1 << 20}


def test_a_creation_is_finished_wherever_the_worker_dies(service: Service) -> None:
    creation, off = Creation(service, prefix="made", **FULL), Creation(service, prefix="off", **OFF)
    points = trace(service, creation.submit)
    # What is to be on is looked at by its start, which is a task of its own.
    looks = [point for point in trace(service, off.submit) if "/observe/" in point]
    assert step_points(service, "system.create") <= {*points, *looks}
    kill_at(service, points, creation.submit, creation.check_made)
    kill_at(service, looks, off.submit, off.check_made)


def test_a_deletion_is_finished_wherever_the_worker_dies(service: Service) -> None:
    creation = Creation(service, prefix="doomed", **OFF)
    points = trace(service, Deletion(service, creation, 1).submit)
    assert step_points(service, "system.delete") <= set(points)
    deletion = Deletion(service, creation, len(points))
    kill_at(service, points, deletion.submit, deletion.check)


def test_a_creation_that_fails_is_undone_wherever_the_worker_dies(service: Service) -> None:
    creation = Creation(service, prefix="failing", **FULL)
    assert service.simulator is not None
    with service.simulator.control() as control:
        control.fail("start_machine", count=1000)
        points = trace(service, creation.submit)
        expected = undo_points(service, "system.create", failing="start")
        assert expected <= set(points)
        kill_at(
            service, points[points.index("system.create/start/failed-run") :], creation.submit, creation.check_undone
        )
        control.clear_faults()


def test_a_creation_whose_start_failed_is_undone(service: Service) -> None:
    """The start is a task of its own, and has ended: the worker dies before its failure is that of the creation, too."""
    creation = Creation(service, prefix="unlucky", **FULL)
    assert service.simulator is not None
    with service.simulator.control() as control:

        def submit() -> Accepted:
            control.fail("start_machine")
            return creation.submit()

        kill_at(service, ["system.create/start/failed-run"], submit, creation.check_undone)


def test_a_batch_is_finished_wherever_the_worker_dies(service: Service) -> None:
    creation = BatchCreation(service)
    points = trace(service, creation.submit)
    assert step_points(service, "system.create-batch") <= set(points)
    between = [point for point in points if "-call-" not in point]
    calls = [point for point in points if "-call-" in point]
    kill_at(service, [*between, *calls[1::3]], creation.submit, creation.check)


@pytest.mark.needs_postgresql
def test_the_same_between_the_steps_on_postgresql(service_on_postgresql: Service) -> None:
    """Of the database is only how steps are recorded and taken over, which one kind of task shows."""
    service = service_on_postgresql
    creation = Creation(service, prefix="made", **FULL)
    points = [point for point in trace(service, creation.submit) if "-call-" not in point]
    kill_at(service, points, creation.submit, creation.check_made)
