"""Delivers events to subscribers, each by a thread of its own: one that is away, slow or hostile holds up nobody else.

The table of events is the queue of every subscription, and a row of `hf_event_sinks` its place in it, as for plugins; see
`hawkfish.events.dispatcher`. In memory a subscription has the places of the events that wait for it, and no more of them than the
backlog. The place is written after every delivery, so that a killed worker's successor sends at most that one again, and in order.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

import structlog

from hawkfish import metrics
from hawkfish.db import Database, UnitOfWork
from hawkfish.db.repositories.accounts import Lockout
from hawkfish.db.repositories.events import PLACED_CHANNEL
from hawkfish.db.repositories.subscriptions import SUBSCRIPTIONS_CHANNEL
from hawkfish.db.signals import Subscription as Signal
from hawkfish.domain.accounts import SYSTEM_ACTOR, Actor
from hawkfish.domain.events import Event, EventSink
from hawkfish.domain.messages import RESOURCE_REMOVED, RESOURCE_STATUS_CRITICAL
from hawkfish.domain.subscriptions import Delivery, DeliveryState, RetryPolicy, Subscription, SubscriptionState
from hawkfish.errors import NotFound
from hawkfish.events.payload import event_id, gap, origin_of, payload
from hawkfish.services.audit import AuditService
from hawkfish.services.events import View
from hawkfish.services.surviving import surviving
from hawkfish.services.webhooks import Outcome, Webhooks

log = structlog.get_logger("hawkfish.deliveries")

LOOK_SECONDS = 5.0  # for subscriptions whose signal was lost, and for a worker that was told to lead
IDLE_SECONDS = 30.0
GATHER_SECONDS = 0.005  # events that come close together are read together
SAVE_SECONDS = 5.0  # of a place that moved without a delivery
TROUBLE_SECONDS = 1.0  # when the database does not answer
READ_AT_ONCE = 500
BATCH = 100
LONGEST_PAUSE = 60.0


@dataclass(frozen=True, kw_only=True)
class DeliverySettings:
    """How deliveries are made.

    Attributes:
        backlog: Events that wait for one receiver at most.
        attempts: Times that a failed delivery is tried again before the subscription's policy is asked.
        retry_seconds: The first pause before it is; it doubles each time.
    """

    backlog: int
    attempts: int
    retry_seconds: float

    def pause(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row."""
        return min(self.retry_seconds * 2.0 ** min(failures - 1, 30), LONGEST_PAUSE)


class Deliveries:
    """Keeps a courier for each subscription while this worker is the one that tells.

    Args:
        database: Where subscriptions and events are.
        webhooks: Posts.
        audit: Where the end of a subscription is written.
        settings: How deliveries are made.
        leads: Whether it is this process's turn.
    """

    def __init__(
        self,
        database: Database,
        webhooks: Webhooks,
        audit: AuditService,
        settings: DeliverySettings,
        leads: Callable[[], bool],
    ) -> None:
        self._database = database
        self._webhooks = webhooks
        self._audit = audit
        self._settings = settings
        self._leads = leads
        self._couriers: dict[UUID, Courier] = {}
        self._stopped = threading.Event()
        self._changes: Signal | None = None
        self._listening: _Listening | None = None
        self._thread = threading.Thread(target=self._run, name="deliveries", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._changes = self._database.subscribe(SUBSCRIPTIONS_CHANNEL)
        self._thread.start()

    def stop(self, grace: float = 2.0) -> None:
        """Ends; who is in the middle of a delivery after `grace` seconds is left alone, and it is made again at the next start."""
        if self._changes is None:
            return
        self._stopped.set()
        self._changes.poke()
        end = time.monotonic() + grace
        self._thread.join(grace)
        for courier in self._couriers.values():
            courier.stop()
        for courier in self._couriers.values():
            courier.join(max(0.0, end - time.monotonic()))
        if self._listening is not None:
            self._listening.stop()
        self._changes.close()

    def _run(self) -> None:
        assert self._changes is not None  # noqa: S101  made before the thread
        while not self._stopped.is_set():
            seconds = TROUBLE_SECONDS
            with surviving(log, "subscriptions cannot be read; it is tried again"):
                self._look()
                seconds = LOOK_SECONDS
            self._changes.wait(seconds)

    def _look(self) -> None:
        """Has a courier for each subscription that there is, and none for others."""
        if not self._leads():
            wanted: dict[UUID, Subscription] = {}
        else:
            with self._database.read() as uow:
                wanted = {item.id: item for item in uow.subscriptions.receivers()}
        for gone in self._couriers.keys() - wanted.keys():
            self._couriers[gone].stop()
        # One that is still delivering stays until it has ended, so that no other delivers the same beside it.
        self._couriers = {identity: courier for identity, courier in self._couriers.items() if not courier.ended}
        for identity, subscription in wanted.items():
            courier = self._couriers.get(identity)
            if courier is None:
                self._couriers[identity] = Courier(
                    self._database, self._webhooks, self._audit, self._settings, subscription, on_end=self._look_again
                )
            else:
                courier.change(subscription)
        self._listen_if_needed()

    def _look_again(self) -> None:
        assert self._changes is not None  # noqa: S101  made before the thread
        self._changes.poke()

    def _listen_if_needed(self) -> None:
        if self._couriers and self._listening is None:
            self._listening = _Listening(self._database, self._wake)
        elif not self._couriers and self._listening is not None:
            self._listening.stop()
            self._listening = None

    def _wake(self, newest: int) -> None:
        for courier in list(self._couriers.values()):
            courier.wake(newest)


class _Listening:
    """Hears of new events, for all couriers together; without couriers it is not there, and nobody is woken."""

    def __init__(self, database: Database, wake: Callable[[int], None]) -> None:
        self._database = database
        self._wake = wake
        self._stopped = threading.Event()
        self._signal = database.subscribe(PLACED_CHANNEL)
        self._thread = threading.Thread(target=self._run, name="deliveries-listen", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends it."""
        self._stopped.set()
        self._signal.poke()
        self._thread.join()
        self._signal.close()

    def _run(self) -> None:
        while not self._stopped.is_set():
            with surviving(log, "events cannot be read; it is tried again"):
                with self._database.read() as uow:
                    newest = uow.events.newest()
                self._wake(newest)
            if self._signal.wait(LOOK_SECONDS):
                self._stopped.wait(GATHER_SECONDS)


class Courier:
    """Delivers to one subscription, in a thread of its own."""

    def __init__(
        self,
        database: Database,
        webhooks: Webhooks,
        audit: AuditService,
        settings: DeliverySettings,
        subscription: Subscription,
        *,
        on_end: Callable[[], None],
    ) -> None:
        self._database = database
        self._webhooks = webhooks
        self._audit = audit
        self._settings = settings
        self._subscription = subscription
        self._on_end = on_end
        self._again = True
        """Whether there may be deliveries to be made again."""
        self._place: EventSink | None = None
        self._saved: EventSink | None = None
        self._saved_at = time.monotonic()
        self._waiting: deque[int] = deque()
        self._scanned = 0
        self._newest = 0
        self._failures = 0
        self._due = 0.0
        self._stopped = self._ended = False
        self._left_alone = False
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"deliveries-{subscription.id}", daemon=True)
        self._thread.start()

    # --- from other threads --------------------------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        """Whether it delivers nothing any more."""
        return self._ended

    def change(self, subscription: Subscription) -> None:
        """Takes the subscription as it is now, and looks for deliveries to be made again."""
        if subscription.version != self._subscription.version:
            self._due = 0.0  # perhaps the reason of the failures is gone
        self._subscription = subscription
        self._again = True
        self._woken.set()

    def wake(self, newest: int) -> None:
        """Says that there are events up to that place."""
        if newest > self._newest:
            self._newest = newest
            self._woken.set()

    def stop(self) -> None:
        """Asks it to end after the delivery that it is making."""
        self._stopped = True
        self._woken.set()

    def join(self, seconds: float) -> None:
        """Waits for its end; after that time it writes nothing any more, since the database may be closed."""
        self._thread.join(seconds)
        self._left_alone = self._thread.is_alive()

    # --- in its own thread ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopped:
            seconds = TROUBLE_SECONDS
            with surviving(log, "deliveries cannot be made; it is tried again", subscription=self._name):
                seconds = self._turn()
            if seconds > 0:
                self._woken.wait(seconds)
                self._woken.clear()
        with surviving(log, "some events will be looked at again", subscription=self._name):
            self._save()
        self._ended = True
        self._on_end()

    @property
    def _name(self) -> str:
        return str(self._subscription.id)

    def _turn(self) -> float:
        """Does what is to be done now; gives the seconds until it is to be called again, unless somebody wakes it before."""
        if self._place is None:
            self._place = self._saved = self._database.run(lambda uow: uow.events.open_sink(self._subscription.subject))
            self._scanned = self._place.sequence
            with self._database.read() as uow:
                self.wake(uow.events.newest())  # those who tell of new events may have done so before it was there
        self._scan()
        if self._again:
            self._again = False
            self._deliver_again()
        remaining = self._due - time.monotonic()
        if (self._waiting or self._place.untold) and remaining > 0:
            return remaining
        if self._waiting or self._place.untold:
            self._deliver()
            return 0.0
        if self._place == self._saved:
            return IDLE_SECONDS
        if time.monotonic() - self._saved_at < SAVE_SECONDS:
            return SAVE_SECONDS
        self._save()
        return IDLE_SECONDS

    def _scan(self) -> None:
        """Notes the places of all new events that the subscriber wants and its owner sees."""
        wants = None
        while self._scanned < self._newest and not self._stopped:
            with self._database.read() as uow:
                wants = wants or self._wants(uow)
                events = uow.events.after(self._scanned, READ_AT_ONCE)
            if not events:
                return
            self._note(events, wants)

    def _note(self, events: list[Event], wants: Callable[[Event], bool]) -> None:
        place = self._known_place()
        for event in events:
            assert event.sequence is not None  # noqa: S101  only such are read by place
            lost = event.sequence - self._scanned - 1
            if wants(event):
                self._waiting.append(event.sequence)
            if len(self._waiting) > self._settings.backlog:
                self._waiting.popleft()
                lost += 1
            if lost:
                place = replace(place, dropped=place.dropped + lost, untold=place.untold + lost)
            self._scanned = event.sequence
        self._place = self._settled(place)

    def _settled(self, place: EventSink) -> EventSink:
        """The place up to which nothing waits any more."""
        return replace(place, sequence=self._waiting[0] - 1 if self._waiting else self._scanned)

    def _known_place(self) -> EventSink:
        assert self._place is not None  # noqa: S101  `_turn` reads it first
        return self._place

    def _wants(self, uow: UnitOfWork) -> Callable[[Event], bool]:
        owner = self._owner(uow)
        if owner is None:
            return lambda _: False
        view, interest = View(owner), self._subscription.interest
        return lambda event: interest.accepts(event, origin_of(event.subject)) and view.shows(event)

    def _owner(self, uow: UnitOfWork) -> Actor | None:
        """The owner with the role that it has now; None for one that is disabled or gone."""
        if self._subscription.owner_id is None:
            return SYSTEM_ACTOR
        try:
            account = uow.accounts.get(self._subscription.owner_id, Lockout(threshold=0, now=datetime.now(UTC)))
        except NotFound:
            return None
        if not account.enabled:
            return None
        return Actor(
            user_name=account.user_name,
            role=account.role,
            account_id=account.id,
            password_change_required=account.password_change_required,
        )

    # --- delivering ----------------------------------------------------------------------------------------------

    def _deliver(self) -> None:
        """Makes the next delivery, and writes down what became of it."""
        place = self._known_place()
        # One event finds out whether a receiver that failed is back; the more it fails, the rarer it is asked.
        places = [self._waiting[number] for number in range(min(len(self._waiting), 1 if self._failures else BATCH))]
        with self._database.read() as uow:
            owner = self._owner(uow)
            events = uow.events.at(places)
        lost = len(places) - len(events)
        if lost:
            gone = set(places) - {event.sequence for event in events}
            self._waiting = deque(item for item in self._waiting if item not in gone)
            place = replace(place, dropped=place.dropped + lost, untold=place.untold + lost)
            self._place = self._settled(place)
        if owner is None:
            self._waiting.clear()
            self._place = self._settled(replace(place, untold=0))
            return
        view = View(owner)  # which may show less than when the events were read
        told = self._with_gap([event for event in events if view.shows(event)], self._known_place())
        outcome = self._post(told, owner) if told else Outcome()
        self._end(outcome, told, len(events))

    def _with_gap(self, events: list[Event], place: EventSink) -> list[Event]:
        if not place.untold:
            return events
        last = (events[0].sequence or 0) - 1 if events else self._scanned
        at = events[0].at if events else datetime.now(UTC)
        return [gap(max(last - place.untold + 1, 1), last, at, place.untold), *events]

    def _post(self, told: list[Event], owner: Actor) -> Outcome:
        identity = f"{self._name}-{told[0].sequence}-{told[-1].sequence}"
        content = payload(told, identity=identity, context=self._subscription.context)
        outcome = self._webhooks.post(self._subscription, owner, content, identity)
        metrics.DELIVERIES.labels("failed" if outcome.error else "delivered").inc()
        return outcome

    def _end(self, outcome: Outcome, told: list[Event], count: int) -> None:
        if self._left_alone:
            return
        place = self._known_place()
        values = {
            "first": told[0].sequence if told else 0,
            "last": told[-1].sequence if told else 0,
            "events": len(told),
            "event_ids": [event_id(event) for event in told],
            "attempt": self._failures + 1,
            "state": DeliveryState.FAILED if outcome.error else DeliveryState.DELIVERED,
            "status": outcome.status,
            "error": outcome.error,
            "milliseconds": outcome.milliseconds,
        }
        if outcome.error is None:
            for _ in range(count):
                self._waiting.popleft()
            place = self._settled(replace(place, delivered=place.delivered + count, untold=0))
            self._failures, self._due = 0, 0.0
        else:
            self._failures += 1
            constant = self._subscription.retry_policy is RetryPolicy.FOREVER  # as Redfish says of it
            self._due = time.monotonic() + self._settings.pause(1 if constant else self._failures)
            place = replace(place, failed=place.failed + 1)
            log.info("a delivery failed", subscription=self._name, failures=self._failures, error=outcome.error)
        self._place = place
        gives_up = self._failures > self._settings.attempts and self._subscription.retry_policy in {
            RetryPolicy.TERMINATE,
            RetryPolicy.SUSPEND,
        }

        def write(uow: UnitOfWork) -> None:
            if not uow.subscriptions.exists(self._subscription.id):
                return
            uow.events.save_sink(place)
            if told:
                uow.subscriptions.add_delivery(self._subscription.id, **values)
            if gives_up:
                self._give_up(uow, outcome.error or "")

        self._database.run(write)
        self._saved, self._saved_at = place, time.monotonic()
        if gives_up:
            self._stopped = True

    def _give_up(self, uow: UnitOfWork, reason: str) -> None:
        """Does what the subscription's policy says, after as many tries as there may be."""
        found = self._subscription
        log.warning("a receiver does not take its events", subscription=self._name, policy=found.retry_policy.value)
        if found.retry_policy is RetryPolicy.TERMINATE:
            uow.subscriptions.remove(found)
            self._audit.record(uow, SYSTEM_ACTOR, "subscriptions.delete", found.subject, reason=reason)
            uow.subscriptions.tell(RESOURCE_REMOVED, found, actor=None)
            return
        uow.subscriptions.change(found.id, None, state=SubscriptionState.SUSPENDED)
        self._audit.record(uow, SYSTEM_ACTOR, "subscriptions.update", found.subject, reason=reason)
        uow.subscriptions.tell(RESOURCE_STATUS_CRITICAL, found, self._name, "Critical", actor=None)

    def _deliver_again(self) -> None:
        """Makes the deliveries that were asked for once more, each once."""
        with self._database.read() as uow:
            asked = uow.subscriptions.waiting(self._subscription.id)
        for delivery in asked:
            if self._stopped:
                return
            outcome, told = self._repeat(delivery)
            state = DeliveryState.FAILED if outcome.error else DeliveryState.DELIVERED

            def write(uow: UnitOfWork, delivery: Delivery = delivery, outcome: Outcome = outcome) -> None:
                uow.subscriptions.end_delivery(
                    delivery.id,
                    state=state,  # noqa: B023  it is run before the next one
                    events=len(told),  # noqa: B023  as above
                    event_ids=[event_id(event) for event in told],  # noqa: B023  as above
                    status=outcome.status,
                    error=outcome.error,
                    milliseconds=outcome.milliseconds,
                )

            self._database.run(write)

    def _repeat(self, delivery: Delivery) -> tuple[Outcome, list[Event]]:
        told: list[Event] = []
        with self._database.read() as uow:
            wants, owner = self._wants(uow), self._owner(uow)
            at = delivery.first - 1
            while at < delivery.last and (some := uow.events.after(at, READ_AT_ONCE)):
                told += [event for event in some if wants(event) and (event.sequence or 0) <= delivery.last]
                at = some[-1].sequence or 0
        if not told or owner is None:
            return Outcome(error="its events are not kept any more, or may not be seen any more"), []
        told = told[: BATCH + 1]
        return self._post(told, owner), told

    # --- its place -----------------------------------------------------------------------------------------------

    def _save(self) -> None:
        place = self._place
        if place is None or place == self._saved or self._left_alone:
            return

        def write(uow: UnitOfWork) -> None:
            if uow.subscriptions.exists(self._subscription.id):
                uow.events.save_sink(place)

        self._database.run(write)
        self._saved, self._saved_at = place, time.monotonic()
