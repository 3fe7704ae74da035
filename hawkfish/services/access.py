"""What every service is made of: the database, the queue, and the one way to ask whether an actor may do something."""

from __future__ import annotations

from dataclasses import dataclass

from hawkfish.config import Settings
from hawkfish.db import Database
from hawkfish.services.audit import AuditService
from hawkfish.services.authorization import Authorizer
from hawkfish.tasks import TaskQueue


@dataclass(frozen=True, kw_only=True)
class Access:
    """The collaborators that all services share."""

    settings: Settings
    database: Database
    queue: TaskQueue
    audit: AuditService

    @property
    def authorize(self) -> Authorizer:
        """Stands at the head of every verb."""
        return self.audit.authorize
