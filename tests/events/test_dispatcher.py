"""The dispatcher: everyone hears everything in order, whoever else is slow, fails or hangs, and over restarts."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from hawkfish.db import Database
from hawkfish.domain.messages import RESOURCE_CHANGED
from hawkfish.events.dispatcher import Dispatcher, Sink
from hawkfish.testing.waiting import wait_until

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class Receiver:
    """Remembers what it is told; waits for `free` before each event."""

    def __init__(self, name="plugin:acme"):
        self.sink = Sink(name=name, deliver=self.take)
        self.events = []
        self.free = threading.Event()
        self.free.set()
        self.taking = threading.Event()
        self.error = None

    def take(self, event):
        self.taking.set()
        assert self.free.wait(30)
        self.events.append(event)
        if self.error is not None:
            raise self.error

    @property
    def subjects(self):
        return [event.subject for event in self.events]


def add(database, *numbers):
    with database.write() as uow:
        for number in numbers:
            uow.events.add(RESOURCE_CHANGED, f"system:{number}")


def systems(*numbers):
    return [f"system:{number}" for number in numbers]


def place(database, receiver):
    with database.read() as uow:
        return next(sink for sink in uow.events.sinks() if sink.name == receiver.sink.name)


@contextmanager
def dispatching(database, *receivers, leads=lambda: True):
    dispatcher = Dispatcher(database, [receiver.sink for receiver in receivers], leads)
    dispatcher.start()
    try:
        yield dispatcher
    finally:
        dispatcher.stop()


def test_everything_is_told_in_order_and_a_restart_goes_on_where_it_was(database):
    receiver = Receiver()
    add(database, "before")
    database.run(lambda uow: uow.events.give_places())
    with dispatching(database, receiver):
        for number in range(20):
            add(database, number)
        wait_until(lambda: len(receiver.events) == 20, "all are told")
    add(database, *range(20, 30))  # while nobody tells
    with dispatching(database, receiver):
        wait_until(lambda: len(receiver.events) == 30, "those of the pause are told")
    assert receiver.subjects == systems(*range(30))
    wait_until(lambda: place(database, receiver).delivered == 30, "its place is recorded")
    assert place(database, receiver).failed == 0


def test_one_that_fails_and_one_that_hangs_delay_nobody(database):
    good, bad, hung = Receiver("plugin:good"), Receiver("plugin:bad"), Receiver("plugin:hung")
    bad.error = SystemExit("no")
    hung.free.clear()
    with dispatching(database, hung, bad, good):
        add(database, *range(5))
        assert hung.taking.wait(30)
        wait_until(lambda: good.subjects == bad.subjects == systems(*range(5)), "the others are told")
        begun = time.monotonic()
    assert time.monotonic() - begun < 20, "the end does not wait for the one that hangs"
    wait_until(lambda: place(database, bad).delivered == 5, "the place of the one that fails is recorded")
    assert place(database, bad).failed == 5
    assert place(database, hung).delivered == 0
    hung.free.set()
    wait_until(lambda: not any(thread.name == "events-plugin:hung" for thread in threading.enumerate()), "it is gone")
    hung.events.clear()
    with dispatching(database, hung):
        wait_until(lambda: len(hung.events) >= 4, "what it missed is told")
    assert hung.subjects in (systems(*range(5)), systems(*range(1, 5)))


def test_what_was_deleted_before_it_was_told_is_told_as_one_gap(database):
    receiver = Receiver()
    receiver.free.clear()
    with dispatching(database, receiver):
        add(database, 0)
        assert receiver.taking.wait(30)
        add(database, *range(1, 20))
        database.run(lambda uow: uow.events.give_places())
        with database.write() as uow:
            uow.events.prune(kept=5, before=LONG_AGO)
        receiver.free.set()
        wait_until(lambda: len(receiver.events) == 7, "the rest is told")
    first, gap, *rest = receiver.events
    assert [first.subject, *(event.subject for event in rest)] == systems(0, *range(15, 20))
    assert (gap.message_id, gap.arguments, dict(gap.data)) == (
        "HawkFish.1.0.EventsDropped",
        ("14",),
        {"first": 2, "last": 15},
    )
    wait_until(lambda: place(database, receiver).delivered == 6, "its place is recorded")
    assert place(database, receiver).dropped == 14


def test_only_the_worker_whose_turn_it_is_tells(database):
    mine, turn = Receiver(), threading.Event()
    other = Receiver()
    with dispatching(database, mine, leads=turn.is_set):
        with dispatching(database, other):
            add(database, 0)
            wait_until(lambda: other.subjects == systems(0), "the other tells")
        assert mine.events == []
        turn.set()
        add(database, 1)
        wait_until(lambda: mine.subjects == systems(1), "then this one goes on")


@pytest.mark.needs_postgresql
def test_what_is_committed_late_is_told(postgresql_url):
    database, receiver = Database(postgresql_url), Receiver()
    with dispatching(database, receiver):
        with database.write() as late:
            late.events.add(RESOURCE_CHANGED, "system:late")
            add(database, 1, 2)
            wait_until(lambda: receiver.subjects == systems(1, 2), "what is committed is told")
        wait_until(lambda: receiver.subjects == systems(1, 2, "late"), "the late one is told")
    database.close()
