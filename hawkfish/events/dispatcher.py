"""Tells receivers of events: each of all, in order, once at least, and none later because of another.

The table of events is the queue of every receiver, and a row of `hf_event_sinks` its place in it. So a receiver may be slow, hang or
be away without holding up anybody; what it has not heard when it is deleted for its age or for the number kept is told as one
`EventsDropped`. Of all workers one tells, and the next goes on from the recorded places when it dies.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import structlog

from hawkfish.db import Database, UnitOfWork
from hawkfish.db.repositories.events import EVENTS_CHANNEL
from hawkfish.db.signals import Subscription
from hawkfish.domain.events import Event, EventSink
from hawkfish.errors import HawkFishError
from hawkfish.events.payload import gap

log = structlog.get_logger("hawkfish.events")

POLL_SECONDS = 1.0
GATHER_SECONDS = 0.005  # events that come close together are read together
RETRY_SECONDS = 1.0
SAVE_SECONDS = 0.5  # at most so much is told again after a crash
BATCH = 500
GRACE_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Sink:
    """A receiver of events.

    Attributes:
        name: Unique and lasting, since its place is recorded under it, such as `plugin:acme`.
        deliver: Takes one event; what it raises is counted and logged, and the next event follows.
    """

    name: str
    deliver: Callable[[Event], None]


class Dispatcher:
    """Gives events their places, and keeps a thread for each receiver while this worker is the one that tells.

    Args:
        database: Where the events are.
        sinks: The receivers.
        leads: Whether it is this process's turn; asked at every wake-up.
    """

    def __init__(self, database: Database, sinks: Iterable[Sink], leads: Callable[[], bool]) -> None:
        self._database = database
        self._sinks = tuple(sinks)
        self._leads = leads
        self._tellers: list[Teller] = []
        self._stopped = threading.Event()
        self._subscription: Subscription | None = None
        self._thread = threading.Thread(target=self._run, name="event-dispatcher", daemon=True)

    def start(self) -> None:
        """Begins; new receivers hear of what happens from this call on."""
        for sink in self._sinks:
            self._database.run(partial(_open, name=sink.name))
        if self._sinks or not self._database.is_sqlite:  # else there is nothing to do, ever
            self._subscription = self._database.subscribe(EVENTS_CHANNEL)
            self._thread.start()

    def stop(self, grace: float = GRACE_SECONDS) -> None:
        """Ends; a receiver that does not come back within `grace` seconds is left alone, and told again at the next start."""
        if self._subscription is None:
            return
        self._stopped.set()
        self._subscription.poke()
        end = time.monotonic() + grace
        self._thread.join(grace)
        for teller in self._tellers:
            teller.stop()
        for teller in self._tellers:
            if not teller.join(max(0.0, end - time.monotonic())):
                log.warning("a receiver of events does not come back", sink=teller.name)
        self._subscription.close()

    def _run(self) -> None:
        assert self._subscription is not None  # noqa: S101  made before the thread
        while not self._stopped.is_set():
            try:
                self._turn()
            except HawkFishError as error:
                log.warning("events cannot be told; it is tried again", error=error.message)
            except Exception:
                log.exception("events cannot be told; it is tried again")
            if self._subscription.wait(POLL_SECONDS):
                self._stopped.wait(GATHER_SECONDS)

    def _turn(self) -> None:
        if not self._leads():
            return
        self._give_places()
        if not self._tellers:
            self._tellers = [Teller(self._database, sink) for sink in self._sinks]
        for teller in self._tellers:
            teller.wake()

    def _give_places(self) -> None:
        with self._database.read() as uow:
            waiting = uow.events.has_unplaced()
        if waiting:
            while self._database.run(lambda uow: uow.events.give_places()):
                pass


class Teller:
    """Tells one receiver, in a thread of its own."""

    def __init__(self, database: Database, sink: Sink) -> None:
        self.name = sink.name
        self._database = database
        self._deliver = sink.deliver
        self._place: EventSink | None = None
        self._saved: EventSink | None = None
        self._saved_at = 0.0
        self._stopped = False
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"events-{sink.name}", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Says that there may be news."""
        self._woken.set()

    def stop(self) -> None:
        """Asks it to end after the event that it is telling."""
        self._stopped = True
        self._woken.set()

    def join(self, seconds: float) -> bool:
        """Waits for its end; whether it has come."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopped:
            seconds = POLL_SECONDS
            try:
                place = self._place or self._database.run(partial(_open, name=self.name))
                self._saved = self._saved or place
                more = self._tell_some(place)
                self._save_if_due()
                if more:
                    continue
                if self._place != self._saved:
                    seconds = SAVE_SECONDS
            except HawkFishError as error:
                log.warning("a receiver of events waits for the database", sink=self.name, error=error.message)
                seconds = RETRY_SECONDS
            except Exception:
                log.exception("a receiver of events cannot be told; it is tried again", sink=self.name)
                seconds = RETRY_SECONDS
            self._woken.wait(seconds)
            self._woken.clear()
        try:
            self._save()
        except HawkFishError as error:
            log.warning("some events will be told again", sink=self.name, error=error.message)

    def _tell_some(self, place: EventSink) -> bool:
        """Tells the next events; whether there may be more."""
        self._place = place
        with self._database.read() as uow:
            events = uow.events.after(place.sequence, BATCH)
        for event in events:
            if self._stopped:
                return False
            place = self._tell(place, event)
            self._place = place
            self._save_if_due()
        return len(events) == BATCH

    def _tell(self, place: EventSink, event: Event) -> EventSink:
        assert event.sequence is not None  # noqa: S101  only such are read by place
        missed = event.sequence - place.sequence - 1
        if missed:
            log.warning("events were deleted before a receiver was told", sink=self.name, count=missed)
            place = self._told(
                place, gap(place.sequence + 1, event.sequence - 1, event.at), dropped=place.dropped + missed
            )
        return self._told(place, event, sequence=event.sequence, delivered=place.delivered + 1)

    def _told(self, place: EventSink, event: Event, **counts: Any) -> EventSink:
        try:
            self._deliver(event)
        except (Exception, SystemExit):
            log.exception("a receiver failed to take an event", sink=self.name, message_id=event.message_id)
            counts["failed"] = place.failed + 1
        return replace(place, **counts)

    def _save_if_due(self) -> None:
        if self._place != self._saved and time.monotonic() - self._saved_at >= SAVE_SECONDS:
            self._save()

    def _save(self) -> None:
        place = self._place
        if place is None or place == self._saved:
            return
        self._database.run(lambda uow: uow.events.save_sink(place))
        self._saved, self._saved_at = place, time.monotonic()


def _open(uow: UnitOfWork, name: str) -> EventSink:
    return uow.events.open_sink(name)
