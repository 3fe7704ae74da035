"""The kinds of task that bring images into drives, and how power waits for them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from hawkfish.db import UnitOfWork

FETCH, COPY, INSERT, EJECT, CLEAN = "media.fetch", "media.copy", "media.insert", "media.eject", "media.clean"
CHANGES = (INSERT, EJECT)
"""The kinds of task that change what is in a drive."""
MEDIA_KINDS = (FETCH, COPY, *CHANGES)


def wait_for_media(uow: UnitOfWork, system_id: UUID, seconds: int) -> dict[str, Any]:
    """Until when a power-on waits for changes of media that are ahead of it, as `TaskQueue.submit` takes it."""
    if not uow.tasks.ahead([f"system:{system_id}"], CHANGES):
        return {}
    return {
        "deadline": uow.now() + timedelta(seconds=seconds),
        "deadline_reason": f"It waited {seconds} s for images that are being fetched for the system's drives (HF_MEDIA_WAIT).",
    }
