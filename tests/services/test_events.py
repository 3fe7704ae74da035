"""Reading events: by pages, of one subject, and only what one may see; old ones go."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from sqlalchemy import update

from hawkfish.config import load_settings
from hawkfish.db.models.events import EventRow
from hawkfish.domain.accounts import SYSTEM_ACTOR, Actor, Role
from hawkfish.domain.messages import RESOURCE_CHANGED, RESOURCE_CREATED
from hawkfish.errors import PasswordChangeRequired
from hawkfish.services.access import Access
from hawkfish.services.audit import AuditService
from hawkfish.services.events import EventService
from hawkfish.tasks import TaskQueue, TaskRegistry

READER = Actor(user_name="reader", role=Role.READ_ONLY, account_id=uuid4())


@pytest.fixture
def events(database, tmp_path):
    settings = load_settings({}, data_dir=tmp_path, events_kept=7, event_retention_days=3)
    audit = AuditService(database, settings)
    return EventService(
        Access(settings=settings, database=database, queue=TaskQueue(database, TaskRegistry()), audit=audit)
    )


def add(database, *subjects):
    with database.write() as uow:
        for subject in subjects:
            uow.events.add(RESOURCE_CHANGED, subject)


def subjects(events):
    return [event.subject for event in events]


def test_pages_follow_each_other_from_the_newest_on(database, events):
    add(database, *(f"system:{number % 2}" for number in range(5)))
    first = events.page(SYSTEM_ACTOR, limit=2)
    second = events.page(SYSTEM_ACTOR, limit=2, before_id=first[-1].id)
    last = events.page(SYSTEM_ACTOR, limit=2, before_id=second[-1].id)
    assert subjects(first + second + last) == ["system:0", "system:1", "system:0", "system:1", "system:0"]
    assert subjects(events.page(SYSTEM_ACTOR, subject="system:1")) == ["system:1", "system:1"]


def test_nobody_hears_of_accounts_but_administrators_and_their_owners(database, events):
    own, other = f"account:{READER.account_id}", f"account:{uuid4()}"
    add(database, other, "system:1", own)
    assert subjects(events.page(SYSTEM_ACTOR)) == [own, "system:1", other]
    assert subjects(events.page(READER)) == [own, "system:1"]
    assert events.page(READER, subject=other) == []
    waiting = Actor(user_name="new", role=Role.READ_ONLY, account_id=uuid4(), password_change_required=True)
    with pytest.raises(PasswordChangeRequired):
        events.page(waiting)


def test_what_is_old_or_too_much_is_deleted(database, events):
    add(database, *(f"system:{number}" for number in range(10)))
    database.run(lambda uow: uow.events.give_places())
    assert events.prune() == 3
    with database.write() as uow:
        old = EventRow.subject.in_(["system:3", "system:4"])
        uow.session.execute(update(EventRow).where(old).values(at=datetime(2020, 1, 1, tzinfo=UTC)))
        uow.events.add(RESOURCE_CREATED, "system:new")
    assert events.prune() == 2
    kept = ["system:new", *(f"system:{number}" for number in range(9, 4, -1))]
    assert subjects(events.page(SYSTEM_ACTOR)) == kept
