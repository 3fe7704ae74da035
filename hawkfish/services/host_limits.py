"""How many tasks run at once on one host: what hangs with it is bounded, and the tasks of other hosts pass."""

from __future__ import annotations

from uuid import UUID

from hawkfish.domain.tasks import Limit

SHUTDOWNS = 32
"""Guests that are waited for cost little: their tasks look, and sleep."""
POWER_CUTS = 16
"""Of the urgent lane, which would else be full of those of one host that hangs."""


def tasks_on(host_id: UUID, most: int) -> Limit:
    """The limit of ordinary tasks on a host; `most` is the setting `host_tasks`."""
    return Limit(f"tasks@{host_id}", most)


def shutdowns_on(host_id: UUID) -> Limit:
    """The limit of tasks that wait for guests to shut down."""
    return Limit(f"shutdowns@{host_id}", SHUTDOWNS)


def power_cuts_on(host_id: UUID) -> Limit:
    """The limit of ForceOffs that are under way."""
    return Limit(f"power-cuts@{host_id}", POWER_CUTS)
