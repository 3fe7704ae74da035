"""How much there is of everything, and how late the work is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Counts of one moment.

    Attributes:
        tasks: Tasks that have not ended, by state.
        oldest_waiting_seconds: Age of the task that waits longest in line; 0 if none waits.
        systems: Systems by power state; those whose state was never seen are `Unknown`.
        stale_systems: Systems whose host has lost contact since they were last seen.
        hosts: Hosts by state.
        sessions: Sessions that have not ended.
        workers: Workers whose lease is valid.
    """

    tasks: Mapping[str, int]
    oldest_waiting_seconds: float
    systems: Mapping[str, int]
    stale_systems: int
    hosts: Mapping[str, int]
    sessions: int
    workers: int
