"""What a verb that changes the world answers."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from hawkfish.domain.tasks import Task


@dataclass(frozen=True)
class Accepted:
    """A change that was accepted: what it is about, and the task that makes it; None where nothing is left to do."""

    subject_id: UUID
    task: Task | None = None
