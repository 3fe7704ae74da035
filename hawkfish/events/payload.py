"""Events in Redfish's form (DSP0266, Eventing; Event 1.13), as receivers of subscriptions and streams get them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

from hawkfish.domain.events import Event, resource_type_of
from hawkfish.domain.messages import EVENTS_DROPPED
from hawkfish.events.texts import sentence

EVENT_TYPE = "#Event.v1_13_0.Event"
ORIGINS: Mapping[str, str] = MappingProxyType(
    {
        "system": "/redfish/v1/Systems",
        "task": "/redfish/v1/TaskService/Tasks",
        "host": "/redfish/v1/Oem/HawkFish/Hosts",
        "pool": "/redfish/v1/Oem/HawkFish/Storage/Pools",
        "image": "/redfish/v1/Oem/HawkFish/Images",
        "profile": "/redfish/v1/Oem/HawkFish/Profiles",
        "account": "/redfish/v1/AccountService/Accounts",
        "session": "/redfish/v1/SessionService/Sessions",
        "subscription": "/redfish/v1/EventService/Subscriptions",
    }
)
"""Where subjects of each kind are found; a kind that has no address yet is left out. A test compares them with the API's own."""
EVENT_SERVICE = "/redfish/v1/EventService"

_IDENTITY = re.compile(r"[0-9A-Za-z-]{1,64}")


def origin_of(subject: str) -> str | None:
    """The address of a subject (`kind:id`); None where it has none."""
    kind, _, identity = subject.partition(":")
    if kind == "events":
        return EVENT_SERVICE
    found = ORIGINS.get(kind)
    return None if found is None else f"{found}/{identity}"


def subject_at(origin: str) -> str | None:
    """The subject that is found at an address; None for one that is of no kind that events speak of."""
    if origin == EVENT_SERVICE:
        return "events:test"
    path, _, identity = origin.rpartition("/")
    kind = next((kind for kind, found in ORIGINS.items() if found == path), None)
    return None if kind is None or not _IDENTITY.fullmatch(identity) else f"{kind}:{identity}"


def payload(events: Sequence[Event], *, identity: str, context: str | None = None) -> bytes:
    """The JSON of a Redfish Event, as it is sent.

    Args:
        events: What it tells of, in order.
        identity: Its Id.
        context: The subscriber's own text; left out of streams, whose bytes are shared by all that listen.
    """
    body: dict[str, Any] = {
        "@odata.type": EVENT_TYPE,
        "Id": identity,
        "Name": "Events",
        "Events": [_record(number, event) for number, event in enumerate(events)],
    }
    if context is not None:
        body["Context"] = context
    return json.dumps(body, separators=(",", ":")).encode()


def _record(number: int, event: Event) -> dict[str, Any]:
    origin = origin_of(event.subject)
    record: dict[str, Any] = {
        "MemberId": str(number),
        "EventId": event_id(event),
        "EventTimestamp": event.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "EventType": event.type,
        "MessageId": event.message_id,
        "Message": sentence(event.message_id, event.arguments) or event.message_id,
        "MessageArgs": list(event.arguments),
        "MessageSeverity": event.severity.value,
        "Severity": event.severity.value,
    }
    if origin is not None:
        record["OriginOfCondition"] = {"@odata.id": origin}
    if event.actor is not None:
        record["Username"] = event.actor
    return record | dict(event.data.get("record", {}))


def event_id(event: Event) -> str:
    """The EventId: the event's own, that of the gap that it stands for, or what a test was given."""
    given = event.data.get("record", {}).get("EventId")
    if given is not None:
        return str(given)
    return f"dropped-{event.data['first']}-{event.data['last']}" if "first" in event.data else str(event.id)


def gap(first: int, last: int, at: datetime, count: int | None = None) -> Event:
    """Stands for events between two places that are told no more.

    Args:
        first: The first place.
        last: The last one.
        at: The time that it bears.
        count: How many they are; default all of these places.
    """
    return Event(
        id=0,
        message_id=EVENTS_DROPPED.id,
        severity=EVENTS_DROPPED.severity,
        subject="events:dropped",
        resource_type=resource_type_of("events:dropped"),
        at=at,
        arguments=(str(last - first + 1 if count is None else count),),
        sequence=last,
        data={"first": first, "last": last},
    )
