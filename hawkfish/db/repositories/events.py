"""Events: added in the transaction of the change, read in one order that never has a late comer, and deleted when old.

Who reads with a cursor must not meet an event whose place is before the cursor. On SQLite one transaction writes at a time, so that
ids are in the order of the commits and are the places themselves. On PostgreSQL an id is drawn before the commit, and a transaction
may commit long after others with larger ids: there a place is given (`give_places`) to what is committed, by one at a time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import ColumnElement, Row, Table, delete, func, insert, or_, select, true, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from hawkfish.db.base import changed_rows
from hawkfish.db.models.events import EventRow, EventSinkRow
from hawkfish.db.prepared import Prepared, insert_into
from hawkfish.domain.events import Event, EventSink, resource_type_of
from hawkfish.domain.messages import EventMessage

if TYPE_CHECKING:
    from hawkfish.db.unit_of_work import UnitOfWork

EVENTS_CHANNEL = "events"
"""The channel of the signal that tells of new events."""
PLACED_CHANNEL = "events-placed"
"""The same once they have their places, and so can be read in order."""
PLACES_LOCK = "events:places"

EVENTS, SINKS = cast("Table", EventRow.__table__), cast("Table", EventSinkRow.__table__)
ADD = Prepared(
    insert_into(
        EVENTS,
        "at",
        "message_id",
        "arguments",
        "severity",
        "subject",
        "resource_type",
        "actor",
        "task_id",
        "project",
        "data",
    )
)
REALLY_HAPPENED = EVENTS.c.data["test"].as_boolean().is_not(True)
"""All but test events (`domain.subscriptions.TestEvent`): whoever records what happened does not record what did not."""
# The database's clock, without asking for it first.
ADD_WITH_ITS_TIME = insert(EVENTS).values(at=func.clock_timestamp())


@dataclass(frozen=True)
class Cause:
    """Who or what has the changes of a transaction made."""

    actor: str | None = None
    task_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Happened:
    """What one of many equal events is about; see `EventRepository.add`."""

    subject: str
    project: str | None
    data: Mapping[str, Any]


class EventRepository:
    """Events of one unit of work."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._place = EVENTS.c.sequence if uow.is_postgresql else EVENTS.c.id
        self._new: list[dict[str, Any]] = []
        self.cause = Cause()
        """What `add` takes where nothing else is said; the task engine sets it."""

    @property
    def _session(self) -> Session:
        """Asked for where it is needed, since what is written most goes past it."""
        return self._uow.session

    # --- writing -------------------------------------------------------------------------------------------------

    def add(
        self,
        message: EventMessage,
        subject: str,
        *arguments: object,
        actor: str | None = None,
        task_id: str | None = None,
        project: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Writes down that something happened; it is told once this transaction is committed, and never if it is not.

        The events of a transaction are written together, at its end or before any are read.

        Args:
            message: One of `hawkfish.domain.messages`.
            subject: What it happened to, as `kind:id`.
            *arguments: The message's arguments, in order.
            actor: Name of the account that caused it; default the cause's.
            task_id: The task that caused it; default the cause's.
            project: The project that the subject belongs to.
            data: Facts for programs, fit for JSON, never secret.

        Raises:
            LookupError: The number of arguments is not the message's, or events know no such subject; a mistake of the program.
        """
        if len(arguments) != message.arguments:
            raise LookupError(f"The message {message.id} takes {message.arguments} arguments, not {len(arguments)}.")
        self._add(
            [
                {
                    "message_id": message.id,
                    "arguments": [str(argument) for argument in arguments],
                    "severity": message.severity,
                    "subject": subject,
                    "resource_type": resource_type_of(subject),
                    "actor": actor or self.cause.actor,
                    "task_id": task_id or self.cause.task_id,
                    "project": project,
                    "data": None if data is None else dict(data),
                }
            ]
        )

    def add_many(self, message: EventMessage, happened: Sequence[Happened]) -> None:
        """Writes down that the same happened to many, in their order; see `add`.

        Args:
            message: One that takes no arguments.
            happened: What it happened to.

        Raises:
            LookupError: The message takes arguments; a mistake of the program.
        """
        if message.arguments:
            raise LookupError(f"The message {message.id} takes arguments, and not the same for all.")
        self._add(
            [
                {
                    "message_id": message.id,
                    "arguments": [],
                    "severity": message.severity,
                    "subject": one.subject,
                    "resource_type": resource_type_of(one.subject),
                    "actor": self.cause.actor,
                    "task_id": self.cause.task_id,
                    "project": one.project,
                    "data": dict(one.data),
                }
                for one in happened
            ]
        )

    def _add(self, rows: list[dict[str, Any]]) -> None:
        if not self._new:
            self._uow.before_commit(self._write)
        time = {} if self._uow.is_postgresql else {"at": datetime.now(UTC)}
        self._new += [{**row, **time} for row in rows]

    def _write(self) -> None:
        if not self._new:
            return
        new, self._new = self._new, []
        if self._uow.is_postgresql:
            self._uow.connection.execute(ADD_WITH_ITS_TIME, new)
        else:
            ADD.change_each(self._uow.connection, new)
        self._uow.publish(EVENTS_CHANNEL)
        if not self._uow.is_postgresql:
            self._uow.publish(PLACED_CHANNEL)

    def give_places(self, most: int = 10_000) -> int:
        """Gives places to what was committed without one; whoever reads in order may do it.

        One does it at a time and sees all that those before gave, so that places rise without gaps in the order of the commits
        of these calls: what becomes visible later has a larger one.

        Args:
            most: How many at most.

        Returns:
            How many were given; 0 on SQLite, where every event has one.
        """
        self._write()
        if not self._uow.is_postgresql:
            return 0
        self._uow.serialize_on([PLACES_LOCK])
        waiting = (
            select(EVENTS.c.id, func.row_number().over(order_by=EVENTS.c.id).label("nth"))
            .where(EVENTS.c.sequence.is_(None))
            .order_by(EVENTS.c.id)
            .limit(most)
            .cte("waiting")
        )
        given = self._session.execute(
            update(EVENTS).where(EVENTS.c.id == waiting.c.id).values(sequence=self.newest() + waiting.c.nth)
        )
        count = changed_rows(given)
        if count:
            self._uow.publish(PLACED_CHANNEL)
        return count

    def has_unplaced(self) -> bool:
        """Whether `give_places` has something to do."""
        if not self._uow.is_postgresql:
            return False
        self._write()
        return self._session.scalar(select(EVENTS.c.id).where(EVENTS.c.sequence.is_(None)).limit(1)) is not None

    def prune(self, *, kept: int, before: datetime, most: int = 5_000) -> int:
        """Deletes the oldest events: all but the newest `kept`, and what happened before a time.

        The newest one always stays, since places go on from it.

        Args:
            kept: How many stay at most.
            before: What is older goes.
            most: How many are deleted at most, since others wait meanwhile; ask again while it is that many.

        Returns:
            How many were deleted.
        """
        self._write()
        newest = self.newest()
        oldest_in_time = self._session.scalar(
            select(self._place).where(self._place.is_not(None), EVENTS.c.at >= before).order_by(self._place).limit(1)
        )
        last = max(newest - kept, (newest if oldest_in_time is None else oldest_in_time) - 1)
        first = self._session.scalar(select(func.min(self._place)))
        if first is None or first > min(last, newest - 1):
            return 0
        last = min(last, newest - 1, first + most - 1)
        return changed_rows(self._session.execute(delete(EVENTS).where(self._place <= last)))

    # --- reading -------------------------------------------------------------------------------------------------

    def after(self, sequence: int, limit: int) -> list[Event]:
        """The next events behind a place, in order. Where the first has not the next number, those between were deleted."""
        self._write()
        rows = self._session.execute(select(EVENTS).where(self._place > sequence).order_by(self._place).limit(limit))
        return [self._to_event(row) for row in rows]

    def at(self, places: Collection[int]) -> list[Event]:
        """Those events at some places that are still there, in their order."""
        rows = self._session.execute(select(EVENTS).where(self._place.in_(places)).order_by(self._place))
        return [self._to_event(row) for row in rows]

    def newest(self) -> int:
        """The last place that was given; 0 before the first event."""
        self._write()
        return int(self._session.scalar(select(func.max(self._place))) or 0)

    def page(
        self,
        *,
        limit: int,
        before_id: int | None = None,
        subject: str | None = None,
        hidden_types: Collection[str] = (),
        own_subjects: Collection[str] = (),
        after: int = 0,
        skip: int = 0,
        tests: bool = True,
    ) -> list[Event]:
        """Events, newest first; those just written in this transaction too.

        Args:
            limit: Length of the page.
            before_id: Id of the last event of the page before.
            subject: Only events of this subject.
            hidden_types: Not those of subjects of these types ...
            own_subjects: ... except these subjects.
            after: Only events behind this place.
            skip: How many of them are left out, the newest first.
            tests: Whether test events are among them.
        """
        self._write()
        statement = select(EVENTS).where(self._is_after(after)).order_by(EVENTS.c.id.desc()).offset(skip).limit(limit)
        if not tests:
            statement = statement.where(REALLY_HAPPENED)
        if before_id is not None:
            statement = statement.where(EVENTS.c.id < before_id)
        if subject is not None:
            statement = statement.where(EVENTS.c.subject == subject)
        if hidden_types:
            shown: ColumnElement[bool] = EVENTS.c.resource_type.not_in(hidden_types)
            statement = statement.where(or_(shown, EVENTS.c.subject.in_(own_subjects)) if own_subjects else shown)
        return [self._to_event(row) for row in self._session.execute(statement)]

    def for_subject(self, subject: str, *, limit: int, before_id: int | None = None) -> list[Event]:
        """Events of one subject, newest first; see `page`."""
        return self.page(limit=limit, before_id=before_id, subject=subject)

    def find(self, event_id: int, subject: str, *, after: int = 0) -> Event | None:
        """The event with that id, if it is of this subject, behind this place, and no test."""
        self._write()
        statement = select(EVENTS).where(
            EVENTS.c.id == event_id, EVENTS.c.subject == subject, self._is_after(after), REALLY_HAPPENED
        )
        row = self._session.execute(statement).one_or_none()
        return None if row is None else self._to_event(row)

    def count(self, subject: str | None = None, *, after: int = 0) -> int:
        """How many are kept, of one subject or of all, behind a place; tests do not count."""
        self._write()
        statement = select(func.count()).select_from(EVENTS).where(self._is_after(after), REALLY_HAPPENED)
        if subject is not None:
            statement = statement.where(EVENTS.c.subject == subject)
        return int(self._session.scalar(statement) or 0)

    def _is_after(self, place: int) -> ColumnElement[bool]:
        """An event without a place yet comes after all that have one."""
        return true() if place == 0 else or_(self._place > place, self._place.is_(None))

    def _to_event(self, row: Row[Any]) -> Event:
        columns = dict(row._mapping)  # noqa: SLF001  the public way to a row's columns by name
        if not self._uow.is_postgresql:
            columns["sequence"] = columns["id"]
        columns["arguments"] = tuple(columns["arguments"])
        columns["data"] = MappingProxyType(columns["data"] or {})
        return Event(**columns)

    # --- receivers -----------------------------------------------------------------------------------------------

    def sinks(self) -> list[EventSink]:
        """How far each receiver is, by name."""
        return [_to_sink(row) for row in self._session.execute(select(SINKS).order_by(SINKS.c.name))]

    def open_sink(self, name: str) -> EventSink:
        """How far a receiver is; a new one hears of what happens from now on."""
        values = {"name": name, "sequence": self.newest(), "updated_at": self._uow.now()}
        made = postgresql.insert(SINKS) if self._uow.is_postgresql else sqlite.insert(SINKS)
        self._session.execute(made.values(**values).on_conflict_do_nothing())
        return _to_sink(self._session.execute(select(SINKS).where(SINKS.c.name == name)).one())

    def save_sink(self, sink: EventSink) -> None:
        """Records how far a receiver is; never back, so that one who comes too late changes nothing."""
        self._session.execute(
            update(SINKS)
            .where(SINKS.c.name == sink.name, SINKS.c.sequence <= sink.sequence)
            .values(
                sequence=sink.sequence,
                delivered=sink.delivered,
                failed=sink.failed,
                dropped=sink.dropped,
                untold=sink.untold,
                updated_at=self._uow.now(),
            )
        )

    def close_sink(self, name: str) -> None:
        """Forgets a receiver."""
        self._session.execute(delete(SINKS).where(SINKS.c.name == name))


def _to_sink(row: Row[Any]) -> EventSink:
    columns = row._mapping  # noqa: SLF001  as above
    return EventSink(**{name: columns[name] for name in EventSink.__dataclass_fields__})
