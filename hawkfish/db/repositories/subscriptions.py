"""Subscriptions to events and their deliveries: rows to domain values and back."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Select, delete, func, insert, or_, select, update

from hawkfish.db.base import changed_rows
from hawkfish.db.models.events import EventSinkRow
from hawkfish.db.models.subscriptions import DeliveryRow, SubscriptionRow
from hawkfish.domain.events import Severity
from hawkfish.domain.messages import EventMessage
from hawkfish.domain.subscriptions import (
    Delivery,
    DeliveryState,
    Interest,
    Progress,
    Subscription,
    SubscriptionState,
    SubscriptionType,
)
from hawkfish.errors import NotFound

if TYPE_CHECKING:
    from hawkfish.db.unit_of_work import UnitOfWork

SUBSCRIPTIONS_CHANNEL = "subscriptions"
"""The channel of the signal that tells of subscriptions that were made, changed or deleted, and of deliveries to be made again."""
STREAM_TIME = timedelta(seconds=40)
"""A stream of which its process has said nothing for so long is taken to be closed."""
DELIVERIES_KEPT = 100
"""Deliveries of a subscription that are kept; the oldest go first."""


class SubscriptionRepository:
    """Subscriptions of one unit of work."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._session = uow.session

    # --- subscriptions -------------------------------------------------------------------------------------------

    def add(self, subscription: Subscription) -> None:
        """Adds a subscription; it hears of what happens from now on."""
        values = _to_row(subscription)
        if subscription.type is SubscriptionType.STREAM:
            values["seen_at"] = self._uow.now()
        self._session.execute(insert(SubscriptionRow).values(**values))
        if subscription.type is SubscriptionType.POST:
            while self._uow.events.give_places():
                pass  # what has happened before is before its place
            self._uow.events.open_sink(subscription.subject)
            self._uow.publish(SUBSCRIPTIONS_CHANNEL)

    def all(self, *, owner_id: UUID | None = None) -> list[Subscription]:
        """Subscriptions, oldest first.

        Args:
            owner_id: Only those of this account.
        """
        statement = self._there().order_by(SubscriptionRow.created_at, SubscriptionRow.id)
        if owner_id is not None:
            statement = statement.where(SubscriptionRow.owner_id == str(owner_id))
        return [_to_subscription(row) for row in self._session.scalars(statement)]

    def find(self, subscription_id: UUID) -> Subscription | None:
        """The subscription, if there is one."""
        row = self._session.scalar(self._there().where(SubscriptionRow.id == str(subscription_id)))
        return None if row is None else _to_subscription(row)

    def _there(self) -> Select[SubscriptionRow]:
        """All but streams whose process is gone."""
        seen_at = SubscriptionRow.seen_at
        return select(SubscriptionRow).where(or_(seen_at.is_(None), seen_at >= self._uow.now() - STREAM_TIME))

    def exists(self, subscription_id: UUID) -> bool:
        """Whether it is still there."""
        found = select(SubscriptionRow.id).where(SubscriptionRow.id == str(subscription_id))
        return self._session.scalar(found) is not None

    def receivers(self) -> list[Subscription]:
        """All that events are posted to now."""
        statement = select(SubscriptionRow).where(
            SubscriptionRow.type == SubscriptionType.POST, SubscriptionRow.state == SubscriptionState.ENABLED
        )
        return [_to_subscription(row) for row in self._session.scalars(statement)]

    def count(self, kind: SubscriptionType) -> int:
        """How many there are of a kind."""
        statement = select(func.count()).select_from(SubscriptionRow).where(SubscriptionRow.type == kind)
        return int(self._session.scalar(statement) or 0)

    def change(self, subscription_id: UUID, expected_version: int | None, **values: Any) -> None:
        """Changes columns of a subscription.

        Raises:
            NotFound: There is none.
            PreconditionFailed: It has another version by now.
        """
        self._uow.write_version(SubscriptionRow, str(subscription_id), expected_version, **values)
        self._uow.publish(SUBSCRIPTIONS_CHANNEL)

    def remove(self, subscription: Subscription, expected_version: int | None = None) -> None:
        """Removes a subscription with its deliveries.

        Raises:
            NotFound: There is none.
            PreconditionFailed: It has another version by now.
        """
        if expected_version is not None:
            self._uow.write_version(SubscriptionRow, str(subscription.id), expected_version)
        gone = self._session.execute(delete(SubscriptionRow).where(SubscriptionRow.id == str(subscription.id)))
        if not changed_rows(gone):
            raise NotFound(
                f"There is no subscription {subscription.id} (any more).",
                kind="EventDestination",
                id=str(subscription.id),
            )
        self._uow.events.close_sink(subscription.subject)
        self._uow.publish(SUBSCRIPTIONS_CHANNEL)

    def tell(self, message: EventMessage, subscription: Subscription, *arguments: object, actor: str | None) -> None:
        """Writes down what happened to a subscription."""
        self._uow.events.add(message, subscription.subject, *arguments, actor=actor)

    # --- streams -------------------------------------------------------------------------------------------------

    def keep_streams(self, listener: str) -> set[UUID]:
        """Notes that a process still holds its streams open; tells which of them there still are."""
        kept = self._session.scalars(
            update(SubscriptionRow)
            .where(SubscriptionRow.listener == listener)
            .values(seen_at=self._uow.now())
            .returning(SubscriptionRow.id)
        )
        return {UUID(item) for item in kept}

    def close_streams(self, ids: Collection[UUID]) -> None:
        """Removes streams that were closed."""
        self._session.execute(delete(SubscriptionRow).where(SubscriptionRow.id.in_([str(item) for item in ids])))

    def purge(self) -> int:
        """Removes streams whose process is gone, and places of subscriptions that are gone; tells how many streams."""
        gone = self._session.execute(
            delete(SubscriptionRow).where(
                SubscriptionRow.type == SubscriptionType.STREAM, SubscriptionRow.seen_at < self._uow.now() - STREAM_TIME
            )
        )
        # An account takes its subscriptions with it, and nothing in the database takes their places.
        subjects = select("subscription:" + SubscriptionRow.id)
        self._session.execute(
            delete(EventSinkRow).where(
                EventSinkRow.name.startswith("subscription:"), EventSinkRow.name.not_in(subjects)
            )
        )
        return changed_rows(gone)

    # --- deliveries ----------------------------------------------------------------------------------------------

    def progress(self, subscription: Subscription) -> Progress:
        """How far the deliveries of a subscription are."""
        statement = select(EventSinkRow.delivered, EventSinkRow.dropped).where(
            EventSinkRow.name == subscription.subject
        )
        counts = self._session.execute(statement).one_or_none()
        if counts is None:
            return Progress()
        tried = _deliveries(subscription.id).where(DeliveryRow.state != DeliveryState.WAITING)
        last = self._session.scalar(tried.order_by(DeliveryRow.id.desc()).limit(1))
        return Progress(
            delivered=counts.delivered, dropped=counts.dropped, last=None if last is None else _to_delivery(last)
        )

    def deliveries(self, subscription_id: UUID) -> list[Delivery]:
        """The last deliveries, newest first."""
        rows = self._session.scalars(_deliveries(subscription_id).order_by(DeliveryRow.id.desc()))
        return [_to_delivery(row) for row in rows]

    def delivery(self, subscription_id: UUID, delivery_id: int) -> Delivery:
        """One of them.

        Raises:
            NotFound: There is none.
        """
        row = self._session.scalar(_deliveries(subscription_id).where(DeliveryRow.id == delivery_id))
        if row is None:
            raise NotFound(
                f"The subscription {subscription_id} has no delivery {delivery_id} (any more); "
                f"the last {DELIVERIES_KEPT} are kept.",
                kind="HawkFishDelivery",
                id=str(delivery_id),
            )
        return _to_delivery(row)

    def waiting(self, subscription_id: UUID) -> list[Delivery]:
        """Deliveries that are to be made again, oldest first."""
        statement = _deliveries(subscription_id).where(DeliveryRow.state == DeliveryState.WAITING)
        return [_to_delivery(row) for row in self._session.scalars(statement.order_by(DeliveryRow.id))]

    def ask_again(self, subscription_id: UUID, delivery: Delivery) -> Delivery:
        """Has a delivery made again."""
        values = {
            "first": delivery.first,
            "last": delivery.last,
            "events": delivery.events,
            "event_ids": list(delivery.event_ids),
        }
        made = self.add_delivery(subscription_id, state=DeliveryState.WAITING, redelivery=True, **values)
        self._uow.publish(SUBSCRIPTIONS_CHANNEL)
        return made

    def add_delivery(self, subscription_id: UUID, **values: Any) -> Delivery:
        """Writes down a delivery; see `Delivery` for the values. The oldest ones are forgotten."""
        given = {"attempt": 1, "redelivery": False, "at": self._uow.now(), **values}
        row = self._session.scalars(
            insert(DeliveryRow).values(subscription_id=str(subscription_id), **given).returning(DeliveryRow)
        ).one()
        kept = (
            select(DeliveryRow.id)
            .where(DeliveryRow.subscription_id == str(subscription_id))
            .order_by(DeliveryRow.id.desc())
            .offset(DELIVERIES_KEPT)
            .limit(1)
        ).scalar_subquery()
        self._session.execute(
            delete(DeliveryRow).where(DeliveryRow.subscription_id == str(subscription_id), DeliveryRow.id <= kept)
        )
        return _to_delivery(row)

    def end_delivery(self, delivery_id: int, **values: Any) -> None:
        """Writes down what became of a delivery that was waiting."""
        self._session.execute(update(DeliveryRow).where(DeliveryRow.id == delivery_id).values(**values))


def _deliveries(subscription_id: UUID) -> Select[DeliveryRow]:
    return select(DeliveryRow).where(DeliveryRow.subscription_id == str(subscription_id))


def interest_to_json(interest: Interest) -> dict[str, Any]:
    """Only what is asked for."""
    return {name: value for name, value in asdict(interest).items() if value}


def _interest_from_json(values: dict[str, Any]) -> Interest:
    given: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    if "severities" in given:
        given["severities"] = tuple(Severity(item) for item in given["severities"])
    return Interest(**given)


def _to_row(subscription: Subscription) -> dict[str, Any]:
    values = {name: getattr(subscription, name) for name in Subscription.__dataclass_fields__}
    owner = subscription.owner_id
    return {
        **values,
        "id": str(subscription.id),
        "owner_id": None if owner is None else str(owner),
        "interest": interest_to_json(subscription.interest),
    }


def _to_subscription(row: SubscriptionRow) -> Subscription:
    values = {name: getattr(row, name) for name in Subscription.__dataclass_fields__}
    return Subscription(
        **{
            **values,
            "id": UUID(row.id),
            "owner_id": None if row.owner_id is None else UUID(row.owner_id),
            "interest": _interest_from_json(row.interest),
        }
    )


def _to_delivery(row: DeliveryRow) -> Delivery:
    values = {name: getattr(row, name) for name in Delivery.__dataclass_fields__}
    return Delivery(**{**values, "subscription_id": UUID(row.subscription_id), "event_ids": tuple(values["event_ids"])})
