"""The verbs of subscriptions to events. A subscription is only a record: each verb is one transaction, and the worker delivers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from hawkfish.db import UnitOfWork
from hawkfish.domain.accounts import Actor, Privilege
from hawkfish.domain.messages import (
    RESOURCE_CHANGED,
    RESOURCE_CREATED,
    RESOURCE_REMOVED,
    TEST_EVENT,
    EventMessage,
)
from hawkfish.domain.subscriptions import (
    EVERYTHING,
    Delivery,
    DeliveryState,
    Interest,
    Progress,
    RetryPolicy,
    Subscription,
    SubscriptionState,
    SubscriptionType,
    TestEvent,
)
from hawkfish.errors import Conflict, NotFound, NotPermitted, PasswordChangeRequired
from hawkfish.services.access import Access
from hawkfish.services.destinations import DestinationPolicy
from hawkfish.services.secret_box import SecretBox
from hawkfish.services.webhooks import new_secret

RECEIVERS_LOCK = "subscriptions:receivers"


@dataclass(frozen=True, kw_only=True)
class NewSubscription:
    """What is asked for.

    Attributes:
        headers: Sent with every delivery; they may be secret.
        secret: What deliveries are signed with; one is made where none is given.
    """

    destination: str
    context: str = ""
    interest: Interest = EVERYTHING
    headers: Mapping[str, str] | None = None
    secret: str | None = None
    verify_certificate: bool = True
    retry_policy: RetryPolicy = RetryPolicy.SUSPEND


class SubscriptionService:
    """Subscriptions to events."""

    def __init__(self, access: Access, secrets: SecretBox) -> None:
        self._access = access
        self._database = access.database
        self._secrets = secrets
        self._policy = DestinationPolicy(access.settings.events_allowed_networks)

    # --- reading -------------------------------------------------------------------------------------------------

    def all(self, actor: Actor) -> list[Subscription]:
        """Subscriptions, oldest first: all for whoever may configure the service, else the actor's own."""
        self._access.authorize(actor, "subscriptions.list", "subscriptions")
        everybody = Privilege.CONFIGURE_MANAGER in actor.privileges
        with self._database.read() as uow:
            return uow.subscriptions.all(owner_id=None if everybody else actor.account_id)

    def get(self, actor: Actor, subscription_id: UUID) -> Subscription:
        """The subscription.

        Raises:
            NotFound: There is none that the actor may see.
        """
        return self._visible(actor, "subscriptions.read", subscription_id)

    def progress(self, subscription: Subscription) -> Progress:
        """How far the deliveries of a subscription are that the actor has been given by another verb."""
        with self._database.read() as uow:
            return uow.subscriptions.progress(subscription)

    def deliveries(self, actor: Actor, subscription_id: UUID) -> list[Delivery]:
        """The last deliveries, newest first.

        Raises:
            NotFound: There is no such subscription that the actor may see.
        """
        self._visible(actor, "subscriptions.read", subscription_id)
        with self._database.read() as uow:
            return uow.subscriptions.deliveries(subscription_id)

    def delivery(self, actor: Actor, subscription_id: UUID, delivery_id: int) -> Delivery:
        """One of the last deliveries.

        Raises:
            NotFound: There is no such subscription that the actor may see, or it has no such delivery.
        """
        self._visible(actor, "subscriptions.read", subscription_id)
        with self._database.read() as uow:
            return uow.subscriptions.delivery(subscription_id, delivery_id)

    # --- changing ------------------------------------------------------------------------------------------------

    def create(self, actor: Actor, new: NewSubscription) -> tuple[Subscription, str]:
        """Makes a subscription, which hears of what happens from now on. Whether anybody takes it is not tried.

        Returns:
            The subscription, and the secret that its deliveries are signed with, which is told this once.

        Raises:
            PropertyError: The destination is none, or one that this actor may not have events sent to.
            Conflict: There are as many subscriptions as there may be.
        """
        self._access.authorize(actor, "subscriptions.create", "subscriptions")
        self._policy.check(actor, new.destination)
        secret = new.secret or new_secret()
        subscription = Subscription(
            id=uuid4(),
            type=SubscriptionType.POST,
            owner_id=actor.account_id,
            created_by=actor.user_name,
            created_at=datetime.now(UTC),
            destination=new.destination,
            context=new.context,
            interest=new.interest,
            sealed_headers=self._sealed(new.headers),
            sealed_secret=self._secrets.seal(secret),
            verify_certificate=new.verify_certificate,
            retry_policy=new.retry_policy,
        )
        most = self._access.settings.event_subscriptions

        def write(uow: UnitOfWork) -> None:
            uow.serialize_on([RECEIVERS_LOCK])
            if uow.subscriptions.count(SubscriptionType.POST) >= most:
                raise Conflict(
                    f"There are {most} subscriptions, which is the most (HF_EVENT_SUBSCRIPTIONS); delete one first."
                )
            uow.subscriptions.add(subscription)
            self._access.audit.record(uow, actor, "subscriptions.create", subscription.subject)
            uow.subscriptions.tell(RESOURCE_CREATED, subscription, actor=actor.user_name)

        self._database.run(write)
        return subscription, secret

    def update(
        self, actor: Actor, subscription_id: UUID, changes: Mapping[str, Any], expected_version: int | None = None
    ) -> Subscription:
        """Changes a subscription.

        Args:
            actor: Who asks.
            subscription_id: The subscription.
            changes: `context`, `verify_certificate`, `retry_policy`, `headers`, `secret`; what is absent stays.
            expected_version: The version that the caller has seen.

        Raises:
            NotFound: There is none that the actor may see.
            Conflict: It is a stream, of which only the context can be changed.
            PreconditionFailed: It has another version by now.
        """
        found = self._visible(actor, "subscriptions.update", subscription_id)
        values = dict(changes)
        if found.type is SubscriptionType.STREAM and set(values) - {"context"}:
            raise Conflict(f"The subscription {subscription_id} is an open stream; only its Context can be changed.")
        if "headers" in values:
            values["sealed_headers"] = self._sealed(values.pop("headers"))
        if "secret" in values:
            values["sealed_secret"] = self._secrets.seal(values.pop("secret"))
        return self._write(actor, found, values, expected_version, changed=sorted(changes))

    def suspend(self, actor: Actor, subscription_id: UUID) -> None:
        """Stops deliveries; what happens meanwhile waits, up to the backlog.

        Raises:
            NotFound: There is none that the actor may see.
            Conflict: It is a stream.
        """
        self._set_state(actor, subscription_id, SubscriptionState.SUSPENDED)

    def resume(self, actor: Actor, subscription_id: UUID) -> None:
        """Goes on with deliveries, first of what waits.

        Raises:
            NotFound: There is none that the actor may see.
            Conflict: It is a stream.
        """
        self._set_state(actor, subscription_id, SubscriptionState.ENABLED)

    def _set_state(self, actor: Actor, subscription_id: UUID, state: SubscriptionState) -> None:
        found = self._visible(actor, "subscriptions.update", subscription_id)
        if found.type is SubscriptionType.STREAM:
            raise Conflict(f"The subscription {subscription_id} is an open stream, which is not suspended; close it.")
        if found.state is not state:
            self._write(actor, found, {"state": state}, None, changed=["state"])

    def _write(
        self,
        actor: Actor,
        found: Subscription,
        values: Mapping[str, Any],
        expected_version: int | None,
        changed: list[str],
    ) -> Subscription:
        def write(uow: UnitOfWork) -> Subscription:
            uow.subscriptions.change(found.id, expected_version, **values)
            self._access.audit.record(uow, actor, "subscriptions.update", found.subject, changed=changed)
            uow.subscriptions.tell(RESOURCE_CHANGED, found, actor=actor.user_name)
            written = uow.subscriptions.find(found.id)
            if written is None:
                raise _not_found(found.id)
            return written

        return self._database.run(write)

    def delete(self, actor: Actor, subscription_id: UUID, expected_version: int | None = None) -> None:
        """Deletes a subscription; a stream is closed.

        Raises:
            NotFound: There is none that the actor may see.
            PreconditionFailed: It has another version by now.
        """
        found = self._visible(actor, "subscriptions.delete", subscription_id)

        def write(uow: UnitOfWork) -> None:
            uow.subscriptions.remove(found, expected_version)
            self._access.audit.record(uow, actor, "subscriptions.delete", found.subject)
            uow.subscriptions.tell(RESOURCE_REMOVED, found, actor=actor.user_name)

        self._database.run(write)

    def redeliver(self, actor: Actor, subscription_id: UUID, delivery_id: int) -> Delivery:
        """Has the events of a delivery sent once more, before what waits.

        Raises:
            NotFound: There is no such subscription that the actor may see, or it has no such delivery.
            Conflict: It is suspended, or that delivery is still to be made.
        """
        found = self._visible(actor, "subscriptions.update", subscription_id)

        def write(uow: UnitOfWork) -> Delivery:
            delivery = uow.subscriptions.delivery(subscription_id, delivery_id)
            if delivery.state is DeliveryState.WAITING:
                raise Conflict(f"The delivery {delivery_id} is about to be made; wait for its end.")
            if found.state is SubscriptionState.SUSPENDED:
                raise Conflict(f"The subscription {subscription_id} is suspended; resume it first.")
            self._access.audit.record(uow, actor, "subscriptions.update", found.subject, changed=["deliveries"])
            return uow.subscriptions.ask_again(subscription_id, delivery)

        return self._database.run(write)

    def submit_test(self, actor: Actor, test: TestEvent | None = None) -> None:
        """Tells an event that is a test, to all who want to hear of such.

        Args:
            actor: Who asks.
            test: What it says; default that somebody asked for it.
        """
        self._access.authorize(actor, "events.submit_test", "events:test")
        told = test or TestEvent(message_id=TEST_EVENT.id, arguments=(actor.user_name,))
        message = EventMessage(id=told.message_id, severity=told.severity, arguments=len(told.arguments))
        data = {"test": True, **({"record": dict(told.overrides)} if told.overrides else {})}

        def write(uow: UnitOfWork) -> None:
            subject = told.subject or "events:test"
            uow.events.add(message, subject, *told.arguments, actor=actor.user_name, data=data)
            self._access.audit.record(uow, actor, "events.submit_test", subject)

        self._database.run(write)

    def purge(self) -> int:
        """Forgets streams whose process is gone; tells how many."""
        return self._database.run(lambda uow: uow.subscriptions.purge())

    # --- finding -------------------------------------------------------------------------------------------------

    def _sealed(self, headers: Mapping[str, str] | None) -> str | None:
        return self._secrets.seal(json.dumps(dict(headers))) if headers else None

    def _visible(self, actor: Actor, verb: str, subscription_id: UUID) -> Subscription:
        with self._database.read() as uow:
            found = uow.subscriptions.find(subscription_id)
        # What is not there is refused to nobody: it is simply not found.
        owner = actor.account_id if found is None else found.owner_id
        try:
            self._access.authorize(actor, verb, f"subscription:{subscription_id}", owner=owner)
        except PasswordChangeRequired:
            raise
        except NotPermitted:  # what the actor may not see is not there
            raise _not_found(subscription_id) from None
        if found is None:
            raise _not_found(subscription_id)
        return found


def _not_found(subscription_id: UUID) -> NotFound:
    return NotFound(
        f"There is no subscription {subscription_id} (any more).", kind="EventDestination", id=str(subscription_id)
    )
