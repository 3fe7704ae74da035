"""What tests of systems share."""

from __future__ import annotations

import pytest

from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.errors import (
    HawkFishError,
)
from hawkfish.services.accepted import Accepted
from tests.support.installation import Installation


def everything(installation):
    """All that a system leaves: its row, its machine, its volumes."""
    page = installation.application.systems.page(SYSTEM_ACTOR)
    systems, count = page.items, page.total
    with installation.application.database.read() as uow:
        waiting = [task.title for task in uow.tasks.search(ended=False)]
    return count, {item.name for item in systems}, installation.machines(), installation.volumes(), waiting


def refused(installation: Installation, error: type[HawkFishError], key: str | None = None, **options) -> HawkFishError:
    """Asks for what must be refused; nothing may have changed."""
    before = everything(installation)
    with pytest.raises(error) as caught:
        installation.application.systems.create(SYSTEM_ACTOR, installation.new(**options), idempotency_key=key)
    assert everything(installation) == before
    return caught.value


def has_ended(installation: Installation, accepted: Accepted) -> bool:
    assert accepted.task is not None
    return installation.application.tasks.get(SYSTEM_ACTOR, accepted.task.id).ended
