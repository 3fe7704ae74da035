"""The verb of events: reading what happened, newest first; nobody hears of what they may not see."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from hawkfish.domain.accounts import Actor
from hawkfish.domain.events import Event
from hawkfish.services.access import Access
from hawkfish.services.authorization import may

PAGE_LIMIT = 1000
PRUNED_AT_ONCE = 5_000  # others wait meanwhile

READING: Mapping[str, str] = MappingProxyType(
    {
        "ComputerSystem": "systems.read",
        "Task": "tasks.read",
        "HawkFishHost": "hosts.read",
        "HawkFishPool": "pools.read",
        "HawkFishVolume": "systems.read",
        "HawkFishImage": "images.read",
        "HawkFishProfile": "profiles.read",
        "ManagerAccount": "accounts.read",
        "Session": "sessions.read",
        "EventService": "events.read",
        "EventDestination": "subscriptions.read",
    }
)
"""The verb that one must be allowed to hear of a resource of each type."""


class View:
    """What one account sees of the events now.

    Attributes:
        hidden_types: Types of subjects whose events it does not see ...
        own_subjects: ... except these subjects.
    """

    def __init__(self, actor: Actor) -> None:
        self.hidden_types = frozenset(kind for kind, verb in READING.items() if not may(actor, verb))
        own = may(actor, "accounts.read", owner=actor.account_id)
        self.own_subjects = frozenset({f"account:{actor.account_id}"} if own else ())

    def shows(self, event: Event) -> bool:
        """Whether the account sees an event."""
        return event.resource_type not in self.hidden_types or event.subject in self.own_subjects


class EventService:
    """Events as their readers see them."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._database = access.database

    def page(
        self, actor: Actor, *, subject: str | None = None, limit: int = 100, before_id: int | None = None
    ) -> list[Event]:
        """A page of events, newest first.

        Args:
            actor: Who asks; what the actor may not see is not among them.
            subject: Only events of this subject, such as `system:<uuid>`.
            limit: Length of the page, at most 1000.
            before_id: Id of the last event of the page before.
        """
        self._access.authorize(actor, "events.read", subject or "")
        view = View(actor)
        with self._database.read() as uow:
            return uow.events.page(
                limit=max(1, min(limit, PAGE_LIMIT)),
                before_id=before_id,
                subject=subject,
                hidden_types=view.hidden_types,
                own_subjects=view.own_subjects,
            )

    def prune(self) -> int:
        """Deletes what is older than the retention, and what is more than is kept; tells how much."""
        settings = self._access.settings
        before = datetime.now(UTC) - timedelta(days=settings.event_retention_days)
        deleted = 0
        while True:
            some = self._database.run(
                lambda uow: uow.events.prune(kept=settings.events_kept, before=before, most=PRUNED_AT_ONCE)
            )
            deleted += some
            if some < PRUNED_AT_ONCE:
                return deleted
