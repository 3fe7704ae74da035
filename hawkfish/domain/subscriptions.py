"""Subscriptions to events: who wants to hear of what, where, and what becomes of the deliveries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from uuid import UUID

from hawkfish.domain.events import Event, Severity


class SubscriptionType(StrEnum):
    """How events come to the subscriber (Redfish: EventDestination.SubscriptionType)."""

    POST = "RedfishEvent"
    STREAM = "SSE"


class RetryPolicy(StrEnum):
    """What becomes of a subscription whose deliveries fail as often as they are tried (EventDestination.DeliveryRetryPolicy)."""

    TERMINATE = "TerminateAfterRetries"
    SUSPEND = "SuspendRetries"
    FOREVER = "RetryForever"
    FOREVER_WITH_BACKOFF = "RetryForeverWithBackoff"


class SubscriptionState(StrEnum):
    """Whether deliveries are made."""

    ENABLED = "Enabled"
    SUSPENDED = "Suspended"


class DeliveryState(StrEnum):
    """What became of a delivery."""

    WAITING = "Waiting"
    DELIVERED = "Delivered"
    FAILED = "Failed"


@dataclass(frozen=True, kw_only=True)
class Interest:
    """What a subscriber wants to hear of: all that is named must be met, and what is empty is met by everything.

    Registries and messages are one choice: a message is wanted that is of one of the registries, or one of the messages
    (Redfish: EventDestination 1.16, RegistryPrefixes and MessageIds).

    Attributes:
        registry_prefixes: Such as `ResourceEvent`.
        resource_types: Such as `ComputerSystem`.
        origin_resources: Addresses of what it happened to.
        subordinate_resources: Whether what lies below these addresses counts, too.
        message_ids: Such as `ResourceEvent.ResourceCreated`, with a version between or not.
        severities: The severities of messages.
        event_types: Such as `Alert`; what subscribers chose by before there were registries.
    """

    registry_prefixes: tuple[str, ...] = ()
    resource_types: tuple[str, ...] = ()
    origin_resources: tuple[str, ...] = ()
    subordinate_resources: bool = False
    message_ids: tuple[str, ...] = ()
    severities: tuple[Severity, ...] = ()
    event_types: tuple[str, ...] = ()

    def accepts(self, event: Event, origin: str | None) -> bool:
        """Whether an event is among what is wanted.

        Args:
            event: The event.
            origin: Address of what it happened to.
        """
        return (
            self._accepts_message(event)
            and (not self.resource_types or event.resource_type in self.resource_types)
            and (not self.event_types or event.type in self.event_types)
            and (not self.severities or event.severity in self.severities)
            and (not self.origin_resources or self._accepts_origin(origin))
        )

    def _accepts_message(self, event: Event) -> bool:
        if not self.registry_prefixes and not self.message_ids:
            return True
        named = unversioned(event.message_id) in map(unversioned, self.message_ids)
        return named or event.registry_prefix in self.registry_prefixes

    def _accepts_origin(self, origin: str | None) -> bool:
        if origin is None:
            return False
        below = self.subordinate_resources
        return any(origin == item or (below and origin.startswith(f"{item}/")) for item in self.origin_resources)


EVERYTHING = Interest()


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """Somebody who wants to hear of events.

    Attributes:
        owner_id: The account that it belongs to; what that may not see is not sent. None for the service itself.
        destination: Where events are sent; None for a stream.
        context: A text of the subscriber's own, which comes with every event.
        sealed_headers: Headers that are sent with events, sealed.
        sealed_secret: What deliveries are signed with, sealed.
        listener: The process that holds the stream open.
        seen_at: When that process last said that the stream is open.
    """

    id: UUID
    type: SubscriptionType
    owner_id: UUID | None
    created_by: str
    created_at: datetime
    destination: str | None = None
    context: str = ""
    interest: Interest = EVERYTHING
    sealed_headers: str | None = field(default=None, repr=False)
    sealed_secret: str | None = field(default=None, repr=False)
    verify_certificate: bool = True
    retry_policy: RetryPolicy = RetryPolicy.SUSPEND
    state: SubscriptionState = SubscriptionState.ENABLED
    listener: str | None = None
    seen_at: datetime | None = None
    version: int = 1

    @property
    def subject(self) -> str:
        """How events and the audit trail name it."""
        return f"subscription:{self.id}"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far the deliveries of a subscription are.

    Attributes:
        delivered: Events that were delivered.
        dropped: Events that were given up, since too many were waiting.
        last: The last delivery that was tried; None before the first.
    """

    delivered: int = 0
    dropped: int = 0
    last: Delivery | None = None


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One try to deliver some events, or one that is to be made again.

    Attributes:
        first: Place of the first event that was sent; see `Event.sequence`.
        last: Place of the last one.
        events: How many were sent.
        event_ids: Their ids, as they were sent; none of a delivery that was made before they were written down.
        attempt: 1 for the first try of these events.
        redelivery: Whether somebody asked for it to be made again.
        status: The HTTP status of the answer; None where there was none.
        error: Why it failed.
        milliseconds: How long it took.
    """

    id: int
    subscription_id: UUID
    at: datetime
    first: int
    last: int
    events: int
    state: DeliveryState
    attempt: int = 1
    redelivery: bool = False
    status: int | None = None
    error: str | None = None
    milliseconds: int | None = None
    event_ids: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TestEvent:
    """An event that is told only to see that it arrives.

    Attributes:
        message_id: Its message, of whatever registry.
        subject: What it is said to have happened to; None for the service of events itself.
        overrides: Properties of the record that is sent, in place of those that it would have.
    """

    __test__ = False  # else pytest takes it for a class of tests

    message_id: str
    arguments: tuple[str, ...] = ()
    severity: Severity = Severity.OK
    subject: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


def unversioned(message_id: str) -> str:
    """A message's id without the version of its registry: `TaskEvent.1.0.TaskStarted` is `TaskEvent.TaskStarted`."""
    prefix, _, rest = message_id.partition(".")
    return f"{prefix}.{rest.rpartition('.')[2]}"
