"""Events: what happened, written down in the transaction of the change and told afterwards, once at least and in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

RESOURCE_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "system": "ComputerSystem",
        "task": "Task",
        "host": "HawkFishHost",
        "pool": "HawkFishPool",
        "volume": "HawkFishVolume",
        "image": "HawkFishImage",
        "profile": "HawkFishProfile",
        "account": "ManagerAccount",
        "session": "Session",
        "events": "EventService",
        "subscription": "EventDestination",
    }
)
"""The type of resource that each kind of subject is shown as; what subscribers filter by."""

EVENT_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "ResourceCreated": "ResourceAdded",
        "ResourceRemoved": "ResourceRemoved",
        "ResourceChanged": "ResourceUpdated",
        "ResourceStateChanged": "StatusChange",
        "ResourceStatusChangedOK": "StatusChange",
        "ResourceStatusChangedWarning": "StatusChange",
        "ResourceStatusChangedCritical": "StatusChange",
    }
)
"""EventType of messages by their names: it says nothing that these do not say better, and yet is required. All others are Alert."""


class Severity(StrEnum):
    """How serious a message is (Redfish: Resource.Health)."""

    OK = "OK"
    WARNING = "Warning"
    CRITICAL = "Critical"


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened.

    Attributes:
        id: Names the event for ever; later events have larger ones, but for those whose transactions overlap.
        message_id: Such as `ResourceEvent.1.4.ResourceCreated` or `HawkFish.1.0.VolumeAttached`.
        subject: What it happened to, such as `system:<uuid>`.
        at: When.
        arguments: The message's arguments, in order.
        project: The project that the subject belongs to, where it belongs to one.
        data: Facts for programs, such as the subject's `name`.
        sequence: Place in the order in which events are told, without gaps; None for a moment, until one is given.
        severity: The message's own.
        resource_type: Type of the resource that the subject is shown as.
        actor: Name of the account that caused it; None where nobody did.
        task_id: The task that caused it.
    """

    id: int
    message_id: str
    subject: str
    at: datetime
    arguments: tuple[str, ...] = ()
    project: str | None = None
    data: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    sequence: int | None = None
    severity: Severity = Severity.OK
    resource_type: str = ""
    actor: str | None = None
    task_id: str | None = None

    @property
    def registry_prefix(self) -> str:
        """Name of the registry of its message, without the version."""
        return self.message_id.partition(".")[0]

    @property
    def is_test(self) -> bool:
        """Whether it is told only to see that it arrives, and has not happened."""
        return bool(self.data.get("test"))

    @property
    def type(self) -> str:
        """Its EventType, which old subscribers choose by."""
        return EVENT_TYPES.get(self.message_id.rpartition(".")[2], "Alert")


@dataclass(frozen=True, kw_only=True)
class EventSink:
    """How far one receiver of events is.

    Attributes:
        name: Such as `plugin:acme`.
        sequence: Of the last event that it was told.
        delivered: How many it was told in all.
        failed: How many of these it failed to take.
        dropped: How many were deleted before it was told.
        untold: How many of these it has not been told of.
    """

    name: str
    sequence: int
    delivered: int = 0
    failed: int = 0
    dropped: int = 0
    untold: int = 0


def resource_type_of(subject: str) -> str:
    """The type of resource that a subject (`kind:id`) is shown as.

    Raises:
        LookupError: No such kind is known; a mistake of the program.
    """
    kind = subject.partition(":")[0]
    try:
        return RESOURCE_TYPES[kind]
    except KeyError:
        raise LookupError(f"Events know no subjects {kind!r}; see hawkfish.domain.events.RESOURCE_TYPES.") from None
