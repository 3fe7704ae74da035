"""The stream of events, as Server-Sent Events."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import falcon

from hawkfish.api.errors import ProtocolError, shown
from hawkfish.api.filters import matches, parse_filter
from hawkfish.api.offload import offload
from hawkfish.api.resources.base import Resource
from hawkfish.bootstrap import Application
from hawkfish.domain.events import Event
from hawkfish.domain.pages import AllOf, AnyOf, Comparison, Condition, Not
from hawkfish.domain.subscriptions import unversioned
from hawkfish.errors import QueryInvalid, QueryNotSupported
from hawkfish.events.payload import origin_of
from hawkfish.services.streams import Stream

MEDIA_TYPE = "text/event-stream"
HEARTBEAT_SECONDS = 10.0
HEARTBEAT = b": still here\n\n"
PLACE = re.compile(r"[0-9]{1,18}")

FILTERS = {
    "EventFormatType": True,
    "EventType": True,
    "MessageId": True,
    "MetricReportDefinition": False,
    "OriginResource": True,
    "RegistryPrefix": True,
    "ResourceType": True,
    "SubordinateResources": False,
}
"""What `$filter` may speak of: SSEFilterPropertiesSupported of the event service."""


class StreamResource(Resource):
    """/redfish/v1/EventService/SSE: events as they happen (`text/event-stream`).

    `Last-Event-ID` goes on where an earlier stream ended. A `$filter` chooses by EventFormatType, EventType, MessageId,
    OriginResource, RegistryPrefix and ResourceType.
    """

    shapeable = False
    reads_query = True

    def __init__(self, application: Application) -> None:
        super().__init__(application)
        self._streams = application.streams(offload)

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Opens a stream, which is a subscription until it is closed."""
        if not req.client_accepts(MEDIA_TYPE):
            text = f"Events come as {MEDIA_TYPE}, which the header Accept does not allow."
            raise ProtocolError(406, "HeaderInvalid", "Accept", text=text)
        condition = _condition(req)
        after = _last_place(req)
        resp.content_type = MEDIA_TYPE
        resp.set_header("Cache-Control", "no-store")
        resp.set_header("X-Accel-Buffering", "no")  # proxies pass it on at once
        if req.method == "HEAD":
            return
        stream = self._streams.open(req.context.actor, lambda event: _accepts(condition, event), after)
        resp.stream = Frames(stream)


class Frames(Iterator[bytes]):
    """What a stream sends, for the server, which calls `close` when the client is gone, even before the first byte."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._opening: bytes | None = stream.opening()

    def __next__(self) -> bytes:
        if self._opening is not None:
            opening, self._opening = self._opening, None
            return opening
        quiet_until = time.monotonic() + HEARTBEAT_SECONDS
        while True:
            found = self._stream.next(max(0.0, quiet_until - time.monotonic()))
            if found is None:
                self._stream.close()
                raise StopIteration
            if found:
                return found
            if time.monotonic() >= quiet_until:
                return HEARTBEAT

    def close(self) -> None:
        """Ends the stream."""
        self._stream.close()


def _last_place(req: falcon.Request) -> int | None:
    text = req.get_header("Last-Event-ID")
    if text is None or not text.strip():
        return None
    if not PLACE.fullmatch(text.strip()):
        raise ProtocolError(
            400,
            "HeaderInvalid",
            "Last-Event-ID",
            text=f"Last-Event-ID {shown(text)} is no id of an event of this service; leave it out to begin now.",
        )
    return int(text)


def _condition(req: falcon.Request) -> Condition | None:
    """What the stream is to tell of; see DSP0266, Server-sent events."""
    unknown = next((name for name in req.params if name.startswith("$") and name != "$filter"), None)
    if unknown is not None:
        text = f"The query parameter {shown(unknown)} is not supported here; a stream takes $filter."
        raise QueryNotSupported(text, parameter=shown(unknown))
    given = req.params.get("$filter")
    if given is None:
        return None
    if not isinstance(given, str) or not given.strip():
        raise QueryInvalid("$filter takes one value.", parameter="$filter", value=shown(given))
    return _plain(parse_filter(given), given)


def _plain(condition: Condition, text: str) -> Condition:
    """The condition with messages without the versions of their registries, which do not matter."""
    if isinstance(condition, Comparison):
        (name, *rest) = condition.path
        if rest or not FILTERS.get(name):
            known = ", ".join(item for item, supported in FILTERS.items() if supported)
            raise QueryInvalid(
                f"$filter of a stream compares {known}, and not {shown('/'.join(condition.path))}.",
                parameter="$filter",
                value=shown(text),
            )
        if name == "MessageId" and isinstance(condition.value, str):
            return Comparison(condition.path, condition.operator, unversioned(condition.value))
        return condition
    if isinstance(condition, Not):
        return Not(_plain(condition.part, text))
    parts = tuple(_plain(part, text) for part in condition.parts)
    return AllOf(parts) if isinstance(condition, AllOf) else AnyOf(parts)


def _accepts(condition: Condition | None, event: Event) -> bool:
    if condition is None:
        return True
    facts: dict[str, Any] = {
        "EventFormatType": "Event",
        "EventType": event.type,
        "MessageId": unversioned(event.message_id),
        "OriginResource": origin_of(event.subject),
        "RegistryPrefix": event.registry_prefix,
        "ResourceType": event.resource_type,
    }
    return matches(condition, facts)
