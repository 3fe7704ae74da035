"""Streams of events: one reader of the outbox for all that listen to this process, and no buffer for any one of them.

The reader keeps the last events, rendered once, and each stream is a place in them. Who is further behind reads the table by itself,
so that a slow listener costs the process nothing; who is further behind than the backlog, or than the table goes, is told of the gap.

Nothing here blocks under gevent but what `outside` is given, which runs it in a native thread.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID, uuid4

import structlog

from hawkfish.db import UnitOfWork
from hawkfish.db.repositories.accounts import Lockout
from hawkfish.db.repositories.events import PLACED_CHANNEL
from hawkfish.db.signals import Subscription as Signal
from hawkfish.domain.accounts import Account, Actor
from hawkfish.domain.events import Event
from hawkfish.domain.messages import RESOURCE_REMOVED, STREAM_OPENED
from hawkfish.domain.subscriptions import Subscription, SubscriptionType
from hawkfish.errors import ServiceBusy
from hawkfish.events.payload import gap, payload
from hawkfish.services.access import Access
from hawkfish.services.events import View
from hawkfish.services.surviving import surviving

log = structlog.get_logger("hawkfish.streams")

KEPT = 2000
"""Events that the process keeps in memory for all its streams together."""
READ_AT_ONCE = 500
GATHER_SECONDS = 0.005
KEEP_SECONDS = 10.0
"""How often a process says that its streams are open."""
VIEW_SECONDS = 2.0
"""How old what an account may see may be."""
TROUBLE_SECONDS = 1.0
BUSY_SECONDS = 30
"""After which one may ask again for a stream that there was no room for."""


class Outside(Protocol):
    """Runs what blocks where it stops nobody else."""

    def __call__(self, function: Callable[..., Any], *args: Any) -> Any:
        """Gives what the function returns."""


@dataclass(slots=True)
class Told:
    """An event as it is sent; rendered for the first that wants it."""

    event: Event
    _frame: bytes | None = None

    @property
    def place(self) -> int:
        """Its place in the order."""
        return self.event.sequence or 0

    def frame(self) -> bytes:
        """Its bytes on a stream, the same for all."""
        if self._frame is None:
            self._frame = frame(self.event)
        return self._frame


def frame(event: Event) -> bytes:
    """An event on a stream (WHATWG, Server-sent events): its place is the id, by which a client goes on later."""
    content = payload([event], identity=str(event.sequence))
    return b"id: %d\ndata: %b\n\n" % (event.sequence or 0, content)


class StreamService:
    """The streams of one process.

    Args:
        access: What all services share.
        outside: Runs what blocks.
    """

    def __init__(self, access: Access, outside: Outside) -> None:
        self._access = access
        self._database = access.database
        self._outside = outside
        self._listener = str(uuid4())
        self._open: dict[UUID, Stream] = {}
        self._places: Counter[UUID | None] = Counter()
        """How many are open or being opened, by account."""
        self._closed: list[UUID] = []
        self._views: Mapping[UUID, View] = {}
        self._viewed_at = 0.0
        self._kept: deque[Told] = deque(maxlen=KEPT)
        self._newest = 0
        self._news = threading.Condition()
        self._signal: Signal | None = None

    # --- opening and closing -------------------------------------------------------------------------------------

    def open(self, actor: Actor, wants: Callable[[Event], bool], after: int | None = None) -> Stream:
        """Opens a stream, which is a subscription as long as it lasts.

        Args:
            actor: Who listens; what that may not see (any more) is not sent.
            wants: Which events.
            after: The place behind which it begins; None for now.

        Raises:
            ServiceBusy: The process has as many streams as it may have, of all accounts or of this one.
        """
        self._access.authorize(actor, "events.listen", "events")
        self._take_place(actor)
        try:
            return self._opened(actor, wants, after)
        except BaseException:
            with self._news:
                self._leave_place(actor.account_id)
            raise

    def _take_place(self, actor: Actor) -> None:
        settings = self._access.settings
        with self._news:
            if self._places.total() >= settings.event_streams:
                raise ServiceBusy(
                    f"{settings.event_streams} streams of events are open, which is the most (HF_EVENT_STREAMS); close one.",
                    retry_after=BUSY_SECONDS,
                )
            most = settings.event_streams_per_account
            if self._places[actor.account_id] >= most:
                raise ServiceBusy(
                    f"{actor.user_name} has {most} streams of events open, which is the most for one account "
                    "(HF_EVENT_STREAMS_PER_ACCOUNT); close one.",
                    retry_after=BUSY_SECONDS,
                )
            self._places[actor.account_id] += 1

    def _leave_place(self, account_id: UUID | None) -> None:
        self._places[account_id] -= 1
        if not self._places[account_id]:
            del self._places[account_id]

    def _opened(self, actor: Actor, wants: Callable[[Event], bool], after: int | None) -> Stream:
        made = Subscription(
            id=uuid4(),
            type=SubscriptionType.STREAM,
            owner_id=actor.account_id,
            created_by=actor.user_name,
            created_at=datetime.now(UTC),
            context=f"stream-{uuid4()}",
            listener=self._listener,
        )
        newest: int = self._outside(self._database.run, lambda uow: _add(uow, made))
        begin = newest if after is None else min(after, newest)
        stream = Stream(self, made, actor, wants, begin)
        with self._news:
            self._views = {**self._views, **({} if actor.account_id is None else {actor.account_id: View(actor)})}
            if not self._open:  # else the reader goes on where it is: the others would lose what it passed over
                self._kept.clear()
                self._newest = newest
            self._open[made.id] = stream
            if self._signal is None:
                self._signal = self._database.subscribe(PLACED_CHANNEL)
                threading.Thread(target=self._read, name="streams", daemon=True).start()
        return stream

    def close(self, stream: Stream) -> None:
        """Forgets a stream; that it was a subscription is deleted by the reader, soon."""
        with self._news:
            if self._open.pop(stream.id, None) is None:
                return
            self._leave_place(stream.account_id)
            self._closed.append(stream.id)
            if self._signal is not None:
                self._signal.poke()
            self._news.notify_all()

    # --- the reader ----------------------------------------------------------------------------------------------

    def _read(self) -> None:
        """Reads what is new and tells all; ends with the last stream."""
        kept_at = time.monotonic()
        while True:
            seconds = TROUBLE_SECONDS
            with surviving(log, "events cannot be read for streams; it is tried again"):
                self._forget_closed()
                more = self._look()
                if time.monotonic() - kept_at >= KEEP_SECONDS:
                    kept_at = time.monotonic()
                    self._keep()
                seconds = 0.0 if more else KEEP_SECONDS
            with self._news:
                signal = self._signal
                if not self._open and not self._closed and signal is not None:
                    self._signal = None
                    signal.close()
                    return
            if signal is not None and signal.wait(seconds):
                time.sleep(GATHER_SECONDS)

    def _look(self) -> bool:
        """Tells the next events; whether there may be more. It does not go on by itself, since there may be some without end."""
        events: list[Event] = self._outside(self._after, self._newest) if self._open else []
        if not events:
            return False
        if time.monotonic() - self._viewed_at > VIEW_SECONDS:
            self._views = self._outside(self._see)
            self._viewed_at = time.monotonic()
        gone = {event.subject for event in events if event.message_id == RESOURCE_REMOVED.id and not event.is_test}
        with self._news:
            if events[0].sequence != self._newest + 1:
                self._kept.clear()  # what is kept has no gaps
            self._kept.extend(Told(event) for event in events)
            self._newest = events[-1].sequence or self._newest
            for stream in [item for item in self._open.values() if item.subject in gone]:
                stream.end()
            self._news.notify_all()
        return len(events) == READ_AT_ONCE

    def _after(self, place: int) -> list[Event]:
        with self._database.read() as uow:
            return uow.events.after(place, READ_AT_ONCE)

    def _see(self) -> dict[UUID, View]:
        """What each account sees that may log in."""
        with self._database.read() as uow:
            accounts = uow.accounts.list(Lockout(threshold=0, now=datetime.now(UTC)))
        return {account.id: View(_actor(account)) for account in accounts if account.enabled}

    def _forget_closed(self) -> None:
        closed = list(self._closed)
        if closed:
            self._outside(self._database.run, lambda uow: uow.subscriptions.close_streams(closed))
            with self._news:
                del self._closed[: len(closed)]  # not before: `_keep` would hold open what could not be deleted

    def _keep(self) -> None:
        """Says that the streams are open; those that somebody deleted, or whose account is gone, are ended."""
        asked = set(self._open)  # those that are opened meanwhile are not asked for
        kept: set[UUID] = self._outside(self._database.run, lambda uow: uow.subscriptions.keep_streams(self._listener))
        self._views = self._outside(self._see)
        self._viewed_at = time.monotonic()
        with self._news:
            for identity, stream in self._open.items():
                if (identity in asked and identity not in kept) or not stream.may_listen(self._views):
                    stream.end()
            self._news.notify_all()

    # --- for the streams -----------------------------------------------------------------------------------------

    def wait(self, stream: Stream, seconds: float) -> None:
        """Waits until there is something behind the place of a stream, or it has ended."""
        with self._news:
            if not stream.ended and self._newest <= stream.place:
                self._news.wait(seconds)

    def after(self, place: int) -> list[Told]:
        """The events behind a place: of those in memory, or read for this caller where it is too far behind."""
        with self._news:
            kept = self._kept
            if self._newest <= place:
                return []
            if kept and kept[0].place <= place + 1:
                skip = place + 1 - kept[0].place
                return [kept[index] for index in range(max(skip, 0), min(len(kept), skip + READ_AT_ONCE))]
        return [Told(event) for event in self._outside(self._after, place)]

    @property
    def newest(self) -> int:
        """The last place that was read."""
        return self._newest

    @property
    def backlog(self) -> int:
        """How far behind a stream may be."""
        return self._access.settings.event_backlog

    def view(self, account_id: UUID | None) -> View | None:
        """What an account sees now; None for one that may not log in any more."""
        return None if account_id is None else self._views.get(account_id)


class Stream:
    """One listener."""

    def __init__(
        self,
        service: StreamService,
        subscription: Subscription,
        actor: Actor,
        wants: Callable[[Event], bool],
        place: int,
    ) -> None:
        self.id = subscription.id
        self.subject = subscription.subject
        self.place = place
        self.ended = False
        self._service = service
        self.account_id = actor.account_id
        self._wants = wants

    def end(self) -> None:
        """Has it come to its end at the next look."""
        self.ended = True

    def close(self) -> None:
        """Takes it off the service."""
        self.ended = True
        self._service.close(self)

    def may_listen(self, views: Mapping[UUID, View]) -> bool:
        """Whether its account may still log in."""
        return self.account_id in views

    def opening(self) -> bytes:
        """What it begins with: that it is open, and from where on it tells."""
        return frame(
            Event(
                id=0,
                message_id=STREAM_OPENED.id,
                subject="events:stream",
                at=datetime.now(UTC),
                sequence=self.place,
                data={"record": {"EventId": f"opened-{self.place}"}},
            )
        )

    def next(self, seconds: float) -> bytes | None:
        """What is new: the frames of the events that it wants, maybe none; None at its end.

        Args:
            seconds: How long to wait for something.
        """
        self._service.wait(self, seconds)
        if self.ended:
            return None
        view = self._service.view(self.account_id)
        if view is None:
            return None
        return b"".join(self._frames(self._skip_what_is_too_old(), view))

    def _skip_what_is_too_old(self) -> Iterable[Event | Told]:
        newest = self._service.newest
        first = newest - self._service.backlog
        if self.place < first:
            yield gap(self.place + 1, first, datetime.now(UTC))
            self.place = first
        yield from self._service.after(self.place)

    def _frames(self, found: Iterable[Event | Told], view: View) -> Iterator[bytes]:
        for item in found:
            if isinstance(item, Event):
                yield frame(item)
                continue
            if item.place > self.place + 1:
                yield frame(gap(self.place + 1, item.place - 1, item.event.at))
            self.place = item.place
            if view.shows(item.event) and self._wants(item.event):
                yield item.frame()


def _add(uow: UnitOfWork, stream: Subscription) -> int:
    uow.subscriptions.add(stream)
    while uow.events.give_places():
        pass  # what has happened before is before its place
    return uow.events.newest()


def _actor(account: Account) -> Actor:
    return Actor(
        user_name=account.user_name,
        role=account.role,
        account_id=account.id,
        password_change_required=account.password_change_required,
    )
