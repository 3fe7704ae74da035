"""Whether the service can do its work, and how much there is of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from hawkfish.domain.accounts import Actor
from hawkfish.domain.statistics import Statistics
from hawkfish.errors import HawkFishError
from hawkfish.services.access import Access

OK = "ok"


@dataclass(frozen=True)
class Readiness:
    """What was checked, each with `ok` or what is wrong. Nothing in it is secret: whoever reaches the address may read it."""

    checks: Mapping[str, str]

    @property
    def ready(self) -> bool:
        """Whether requests are answered and what they ask for is carried out."""
        return all(found == OK for found in self.checks.values())


class HealthService:
    """Readiness and counts."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._database = access.database

    def readiness(self) -> Readiness:
        """Looks at the database, its schema, and whether a worker is there to carry out tasks.

        A host that is away does not make the service unready: the others are served. A worker that was killed counts until its
        lease has run out (`task_lease_seconds`) or another takes its place.
        """
        try:
            status = self._database.check()
            if not status.ok:
                return Readiness({"database": OK, "schema": "not the one that this version needs"})
            with self._database.read() as uow:
                workers = uow.statistics.living_workers()
        except HawkFishError:
            return Readiness({"database": "does not answer"})
        return Readiness({"database": OK, "schema": OK, "worker": OK if workers else "none is running"})

    def statistics(self, actor: Actor) -> Statistics:
        """Counts of everything."""
        self._access.authorize(actor, "metrics.read")
        with self._database.read() as uow:
            return uow.statistics.read(timedelta(seconds=self._access.settings.session_timeout))
