"""Bodies of requests to EventService and its subscriptions."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import datetime
from typing import Any, ClassVar

from marshmallow import post_load

from hawkfish.api.schemas.base import ActionSchema, PatchSchema, StrictSchema
from hawkfish.api.schemas.fields import AnyObject, Choice, Items, Part, Secret, Text, Truth, Whole, fail, wrong_type
from hawkfish.domain.events import Severity
from hawkfish.domain.subscriptions import Interest, RetryPolicy, TestEvent
from hawkfish.errors import PropertyInvalidFormat, PropertyOutOfRange
from hawkfish.events.payload import subject_at
from hawkfish.services.subscriptions import NewSubscription
from hawkfish.services.webhooks import SECRET_PREFIX

MOST_CHOSEN = 100
MOST_HEADERS = 16
LONGEST_HEADER = 2048
LONGEST_CONTEXT = 1024
EVENT_TYPES = {
    item: item
    for item in (
        *("StatusChange", "ResourceUpdated", "ResourceAdded", "ResourceRemoved", "Alert", "MetricReport", "Other"),
    )
}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_OUR_HEADERS = frozenset(
    {
        *("host", "content-length", "transfer-encoding", "connection", "te", "trailer", "upgrade", "expect"),
        *("keep-alive", "proxy-connection", "webhook-id", "webhook-timestamp", "webhook-signature"),
    }
)
_SECRET_BYTES = (24, 64)
"""How long secrets may be (Standard Webhooks 1.0)."""


class Header(AnyObject):
    """A header by its name, or several."""

    def _check(self, value: Any) -> dict[str, str]:
        value = super()._check(value)
        if not all(isinstance(text, str) for text in value.values()):
            raise wrong_type("(not shown)", "an object of strings")
        for name, text in value.items():
            if not _TOKEN.fullmatch(name) or name.lower() in _OUR_HEADERS:
                rule = f"cannot set the header {name[:64]!r}: it is none, or one that the service sets itself"
                raise fail(PropertyInvalidFormat, rule, "(not shown)")
            if len(text) > LONGEST_HEADER or not _VALUE.fullmatch(text):
                rule = f"has a value for {name} that is empty, longer than {LONGEST_HEADER}, or not of printable ASCII"
                raise fail(PropertyInvalidFormat, rule, "(not shown)")
        return dict(value)


class Headers(Items):
    """Headers, each an object of its own; one object with all of them, as gofish sends it, is taken too."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[Any]:
        return super()._deserialize([value] if isinstance(value, dict) else value, attr, data, **kwargs)


class Moment(Text):
    """A time as Redfish writes it."""

    def __init__(self, **kwargs: Any) -> None:
        pattern = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})"
        super().__init__(pattern=pattern, form="a time such as 2026-01-31T12:00:00Z", **kwargs)

    def _check(self, value: Any) -> str:
        text = super()._check(value)
        try:
            datetime.fromisoformat(text)
        except ValueError:  # such as the 31st of February
            raise fail(PropertyInvalidFormat, f"must be {self.form}", text) from None
        return text


class SigningSecret(Secret):
    """What deliveries are signed with."""

    def __init__(self, **kwargs: Any) -> None:
        least, most = _SECRET_BYTES
        form = f"{SECRET_PREFIX} and {least} to {most} bytes in base64"
        super().__init__(least=1, most=128, pattern=SECRET_PREFIX + r"[A-Za-z0-9+/]+={0,2}", form=form, **kwargs)

    def _check(self, value: Any) -> str:
        text = super()._check(value)
        try:
            size = len(base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True))
        except binascii.Error:
            size = 0
        if not _SECRET_BYTES[0] <= size <= _SECRET_BYTES[1]:
            raise fail(PropertyInvalidFormat, f"must be {self.form}", "(hidden)")
        return text


class OwnPropertiesSchema(StrictSchema):
    """The part of a subscription that is HawkFish's own."""

    read_only = frozenset(
        {"CreatedBy", "CreatedAt", "EventsDelivered", "EventsDropped", "LastDelivery", "LastError", "Deliveries"}
    )

    secret = SigningSecret(data_key="Secret")


class OemSchema(StrictSchema):
    """Extensions of the standard type."""

    hawkfish = Part(OwnPropertiesSchema, data_key="HawkFish")


class OriginSchema(StrictSchema):
    """A link to a resource."""

    address = Text(data_key="@odata.id", least=1, most=512, required=True)


def _texts(name: str) -> Items:
    return Items(Text(least=1, most=256), data_key=name, most=MOST_CHOSEN)


def _headers() -> Headers:
    return Headers(Header(), data_key="HttpHeaders", most=MOST_HEADERS)


def _context() -> Text:
    return Text(data_key="Context", most=LONGEST_CONTEXT, allow_none=True)


def _settings(values: dict[str, Any]) -> dict[str, Any]:
    """What POST and PATCH have in common, as the service takes it."""
    secret = (values.pop("oem", {}).get("hawkfish") or {}).get("secret")
    if secret is not None:
        values["secret"] = secret
    if "headers" in values:
        headers: dict[str, str] = {}
        for item in values["headers"]:
            headers |= item
        if len(headers) > MOST_HEADERS:
            raise fail(PropertyOutOfRange, f"has {len(headers)} headers; it takes {MOST_HEADERS}", len(headers))
        values["headers"] = headers
    if "context" in values:
        values["context"] = values["context"] or ""
    return values


class NewSubscriptionSchema(StrictSchema):
    """The body of POST to Subscriptions."""

    read_only = frozenset({"Name", "Description"})

    destination = Text(data_key="Destination", least=1, most=2048, required=True)
    protocol = Choice({"Redfish": "Redfish"}, data_key="Protocol", required=True)
    context = _context()
    event_format_type = Choice({"Event": "Event"}, data_key="EventFormatType")
    subscription_type = Choice({"RedfishEvent": "RedfishEvent"}, data_key="SubscriptionType")
    registry_prefixes = _texts("RegistryPrefixes")
    resource_types = _texts("ResourceTypes")
    message_ids = _texts("MessageIds")
    origin_resources = Items(Part(OriginSchema), data_key="OriginResources", most=MOST_CHOSEN)
    subordinate_resources = Truth(data_key="SubordinateResources")
    severities = Items(Choice(Severity), data_key="Severities", most=len(Severity))
    event_types = Items(Choice(EVENT_TYPES), data_key="EventTypes", most=len(EVENT_TYPES))
    headers = _headers()
    verify_certificate = Truth(data_key="VerifyCertificate")
    retry_policy = Choice(RetryPolicy, data_key="DeliveryRetryPolicy")
    oem = Part(OemSchema, data_key="Oem")

    @post_load
    def make(self, values: dict[str, Any], **_: Any) -> NewSubscription:
        """Makes the domain value."""
        for name in ("protocol", "event_format_type", "subscription_type"):
            values.pop(name, None)
        chosen: dict[str, Any] = {
            name: tuple(values.pop(name, ()))
            for name in ("registry_prefixes", "resource_types", "message_ids", "severities", "event_types")
        }
        origins = [str(item["address"]).rstrip("/") for item in values.pop("origin_resources", ())]
        interest = Interest(
            **chosen,
            origin_resources=tuple(origins),
            subordinate_resources=values.pop("subordinate_resources", False),
        )
        return NewSubscription(interest=interest, **_settings(values))


class SubscriptionPatchSchema(PatchSchema):
    """The body of PATCH on a subscription; gives the changes that `subscriptions.update` takes."""

    read_only = frozenset(
        {
            *("Name", "Description", "Destination", "Protocol", "EventFormatType", "SubscriptionType", "MessageIds"),
            *("RegistryPrefixes", "ResourceTypes", "OriginResources", "SubordinateResources", "Severities"),
            "EventTypes",
        }
    )

    context = _context()
    headers = _headers()
    verify_certificate = Truth(data_key="VerifyCertificate")
    retry_policy = Choice(RetryPolicy, data_key="DeliveryRetryPolicy")
    oem = Part(OemSchema, data_key="Oem")

    @post_load
    def make(self, values: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Gives the changes."""
        return _settings(values)


class TestEventSchema(ActionSchema):
    """The parameters of EventService.SubmitTestEvent."""

    __test__ = False
    action: ClassVar[str] = "EventService.SubmitTestEvent"

    message_id = Text(
        data_key="MessageId",
        most=128,
        pattern=r"\w+(\.\d+){1,3}\.\w+",
        form="a message's id such as HawkFish.1.0.TestEvent",
    )
    arguments = Items(Text(most=256), data_key="MessageArgs", most=9)
    message = Text(data_key="Message", most=1024)
    message_severity = Choice(Severity, data_key="MessageSeverity")
    severity = Choice(Severity, data_key="Severity")
    origin = Text(data_key="OriginOfCondition", least=1, most=512)
    event_id = Text(data_key="EventId", least=1, most=128)
    event_group_id = Whole(data_key="EventGroupId", least=0, most=2**31 - 1)
    event_timestamp = Moment(data_key="EventTimestamp")
    event_type = Choice(EVENT_TYPES, data_key="EventType")

    @post_load
    def make(self, values: dict[str, Any], **_: Any) -> TestEvent | None:
        """Makes the domain value; None where nothing is said."""
        if "message_id" not in values:
            if values:
                raise fail(PropertyInvalidFormat, "needs a MessageId beside its other parameters", "")
            return None
        subject = None
        if "origin" in values:
            subject = subject_at(values["origin"].rstrip("/"))
            if subject is None:
                raise fail(
                    PropertyInvalidFormat,
                    "has an OriginOfCondition that no event speaks of; give the address of a system, a task, a host or the like",
                    values["origin"],
                )
        severity = values.get("message_severity") or values.get("severity") or Severity.OK
        named = {
            "Message": "message",
            "EventId": "event_id",
            "EventGroupId": "event_group_id",
            "EventTimestamp": "event_timestamp",
            "EventType": "event_type",
        }
        return TestEvent(
            message_id=values["message_id"],
            arguments=tuple(values.get("arguments", ())),
            severity=severity,
            subject=subject,
            overrides={name: values[key] for name, key in named.items() if key in values},
        )


class RedeliverSchema(ActionSchema):
    """The parameters of HawkFishEventDestination.Redeliver."""

    action: ClassVar[str] = "HawkFishEventDestination.Redeliver"

    delivery_id = Text(
        data_key="DeliveryId", pattern=r"[1-9][0-9]{0,17}", form="the Id of a delivery, a number", required=True
    )

    @post_load
    def make(self, values: dict[str, Any], **_: Any) -> int:
        """Gives the number."""
        return int(values["delivery_id"])


class ResumeSubscriptionSchema(ActionSchema):
    """The parameters of EventDestination.ResumeSubscription: none; all that waits is delivered."""

    action: ClassVar[str] = "EventDestination.ResumeSubscription"


class SuspendSubscriptionSchema(ActionSchema):
    """The parameters of EventDestination.SuspendSubscription: none."""

    action: ClassVar[str] = "EventDestination.SuspendSubscription"
