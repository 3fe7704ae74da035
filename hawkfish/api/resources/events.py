"""EventService: subscriptions to events, what becomes of their deliveries, and test events."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

import falcon

from hawkfish.api import links
from hawkfish.api.documents import Document, dump, expected_version, send
from hawkfish.api.links import described_by
from hawkfish.api.offload import offload
from hawkfish.api.resources.base import Address, Collection, Resource, Singleton, not_none, paged, timestamp
from hawkfish.api.resources.streams import FILTERS
from hawkfish.api.schemas.events import (
    NewSubscriptionSchema,
    RedeliverSchema,
    ResumeSubscriptionSchema,
    SubscriptionPatchSchema,
    SuspendSubscriptionSchema,
    TestEventSchema,
)
from hawkfish.domain.accounts import Actor
from hawkfish.domain.events import RESOURCE_TYPES, Severity
from hawkfish.domain.messages import OWN_MESSAGES, STANDARD_MESSAGES
from hawkfish.domain.pages import Page, PageRequest
from hawkfish.domain.subscriptions import (
    Delivery,
    DeliveryState,
    Progress,
    Subscription,
    SubscriptionState,
    SubscriptionType,
)
from hawkfish.errors import NotFound

NUMBER = re.compile(r"[1-9][0-9]{0,17}")
REGISTRIES = sorted({message.id.partition(".")[0] for message in (*STANDARD_MESSAGES, *OWN_MESSAGES)})
LINKS = frozenset({"OriginResources"})
NOTHING = Progress()


class EventServiceResource(Singleton):
    """/redfish/v1/EventService."""

    def document(self) -> Document:
        """The service."""
        settings = self.application.settings
        body: dict[str, Any] = {
            "@odata.id": links.EVENT_SERVICE,
            "@odata.type": "#EventService.v1_12_0.EventService",
            "Id": "EventService",
            "Name": "Event service",
            "ServiceEnabled": True,
            "Status": {"State": "Enabled", "Health": "OK"},
            "DeliveryRetryAttempts": settings.event_retry_attempts,
            "DeliveryRetryIntervalSeconds": max(1, round(settings.event_retry_seconds)),
            "EventFormatTypes": ["Event"],
            "RegistryPrefixes": REGISTRIES,
            "ResourceTypes": sorted(set(RESOURCE_TYPES.values())),
            "Severities": list(Severity),
            "SubordinateResourcesSupported": True,
            "OriginResourcesSupported": True,
            "IncludeOriginOfConditionSupported": False,
            "ServerSentEventUri": links.STREAM,
            # EventType is taken, too, and not shown: it is deprecated.
            "SSEFilterPropertiesSupported": {name: FILTERS[name] for name in FILTERS if name != "EventType"},
            "SSEIncludeOriginOfConditionSupported": False,
            "Subscriptions": {"@odata.id": links.SUBSCRIPTIONS},
            "Actions": {
                "#EventService.SubmitTestEvent": {
                    "target": f"{links.EVENT_SERVICE}/Actions/EventService.SubmitTestEvent"
                }
            },
        }
        return Document(body)


class SubmitTestEventResource(Resource):
    """The action EventService.SubmitTestEvent."""

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Tells a test event to all who want to hear of such."""
        test = TestEventSchema.read(self.read(req, optional=True))
        offload(self.application.subscriptions.submit_test, req.context.actor, test)
        resp.status = 204


# --- subscriptions ---------------------------------------------------------------------------------------------------


def subscription_document(subscription: Subscription, progress: Progress = NOTHING) -> Document:
    """An EventDestination, without what is secret in it."""
    address = f"{links.SUBSCRIPTIONS}/{subscription.id}"
    interest = subscription.interest
    body: dict[str, Any] = {
        "@odata.id": address,
        "@odata.type": "#EventDestination.v1_16_0.EventDestination",
        "Id": str(subscription.id),
        "Name": f"Subscription of {subscription.created_by}",
        "Context": subscription.context,
        "Protocol": "Redfish",
        "SubscriptionType": subscription.type,
        "EventFormatType": "Event",
        "RegistryPrefixes": list(interest.registry_prefixes),
        "ResourceTypes": list(interest.resource_types),
        "MessageIds": list(interest.message_ids),
        "OriginResources": [{"@odata.id": item} for item in interest.origin_resources],
        "SubordinateResources": interest.subordinate_resources,
        "Severities": list(interest.severities),
        "Status": _status(subscription, progress),
    }
    own = not_none(
        **{"@odata.type": "#HawkFishEventDestination.v1_0_0.EventDestination"},
        CreatedBy=subscription.created_by,
        CreatedAt=timestamp(subscription.created_at),
    )
    if interest.event_types:
        body["EventTypes"] = list(interest.event_types)
    if subscription.type is SubscriptionType.POST:
        last = progress.last
        body |= {
            "Destination": subscription.destination,
            "HttpHeaders": [],  # they may be secret
            "VerifyCertificate": subscription.verify_certificate,
            "DeliveryRetryPolicy": subscription.retry_policy,
            "Actions": _actions(address),
        }
        own |= not_none(
            EventsDelivered=progress.delivered,
            EventsDropped=progress.dropped,
            LastDelivery=None if last is None else timestamp(last.at),
            LastError=None if last is None else last.error,
            Deliveries={"@odata.id": f"{address}/Oem/HawkFish/Deliveries"},
        )
    body["Oem"] = {"HawkFish": own}
    return Document(body, subscription.version)


def _actions(address: str) -> dict[str, Any]:
    standard = {
        f"#EventDestination.{name}": {"target": f"{address}/Actions/EventDestination.{name}"}
        for name in ("ResumeSubscription", "SuspendSubscription")
    }
    target = f"{address}/Actions/Oem/HawkFishEventDestination.Redeliver"
    return {**standard, "Oem": {"#HawkFishEventDestination.Redeliver": {"target": target}}}


def _status(subscription: Subscription, progress: Progress) -> dict[str, str]:
    failing = progress.last is not None and progress.last.state is DeliveryState.FAILED
    if subscription.state is SubscriptionState.SUSPENDED:
        return {"State": "Disabled", "Health": "Critical" if failing else "OK"}
    return {"State": "Enabled", "Health": "Warning" if failing else "OK"}


class SubscriptionCollectionResource(Collection[Subscription]):
    """/redfish/v1/EventService/Subscriptions: what is posted to subscribers, and the streams that are open."""

    path = links.SUBSCRIPTIONS
    kind = "EventDestinationCollection"
    title = "Subscriptions"

    def page(self, actor: Actor, wanted: PageRequest, _address: Address) -> Page[Subscription]:
        """The subscriptions that the actor may see, oldest first."""
        return paged(self.application.subscriptions.all(actor), wanted, self.key)

    def key(self, item: Subscription) -> str:
        """Its age, then its id."""
        return f"{item.created_at} {item.id}"

    def document(self, item: Subscription) -> Document:
        """One subscription."""
        return subscription_document(item, self.application.subscriptions.progress(item))

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Makes a subscription; what its deliveries are signed with is told this once."""
        new = NewSubscriptionSchema.read(self.read(req, keep=LINKS))
        made, secret = offload(self.application.subscriptions.create, req.context.actor, new)
        document = subscription_document(made)
        own = {**document.body["Oem"]["HawkFish"], "Secret": secret}
        resp.status = 201
        resp.set_header("Location", document.body["@odata.id"])
        resp.set_header("ETag", document.etag)
        resp.set_header("Link", described_by(document.body["@odata.type"]) or "")
        resp.set_header("Cache-Control", "no-store")
        resp.data = dump({**document.full(), "Oem": {"HawkFish": own}})


class SubscriptionPart(Resource):
    """Anything that belongs to one subscription."""

    def find(self, req: falcon.Request, subscription_id: str) -> Subscription:
        """The subscription that an address names.

        Raises:
            NotFound: There is none that the caller may see.
        """
        return offload(self.application.subscriptions.get, req.context.actor, _identity(subscription_id))


class SubscriptionResource(SubscriptionPart):
    """One subscription."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, subscription_id: str) -> None:
        """Shows the subscription."""
        send(req, resp, self._show(self.find(req, subscription_id)))

    def on_patch(self, req: falcon.Request, resp: falcon.Response, subscription_id: str) -> None:
        """Changes the subscription."""
        changes = SubscriptionPatchSchema.read(self.read(req))
        version = self._version(req, subscription_id)
        service = self.application.subscriptions
        changed = offload(service.update, req.context.actor, _identity(subscription_id), changes, version)
        send(req, resp, self._show(changed))

    def on_delete(self, req: falcon.Request, resp: falcon.Response, subscription_id: str) -> None:
        """Deletes the subscription; a stream is closed."""
        version = self._version(req, subscription_id)
        offload(self.application.subscriptions.delete, req.context.actor, _identity(subscription_id), version)
        resp.status = 204

    def _show(self, found: Subscription) -> Document:
        return subscription_document(found, offload(self.application.subscriptions.progress, found))

    def _version(self, req: falcon.Request, subscription_id: str) -> int | None:
        """The version that the caller has read, where it says so with If-Match."""
        if req.get_header("If-Match") is None:
            return None
        return expected_version(req, self._show(self.find(req, subscription_id)))


class SuspendResource(SubscriptionPart):
    """The action EventDestination.SuspendSubscription."""

    def on_post(self, req: falcon.Request, resp: falcon.Response, subscription_id: str) -> None:
        """Stops deliveries; what happens meanwhile waits."""
        SuspendSubscriptionSchema.read(self.read(req, optional=True))
        offload(self.application.subscriptions.suspend, req.context.actor, _identity(subscription_id))
        resp.status = 204


class ResumeResource(SubscriptionPart):
    """The action EventDestination.ResumeSubscription."""

    def on_post(self, req: falcon.Request, resp: falcon.Response, subscription_id: str) -> None:
        """Goes on with deliveries, first of what waits."""
        ResumeSubscriptionSchema.read(self.read(req, optional=True))
        offload(self.application.subscriptions.resume, req.context.actor, _identity(subscription_id))
        resp.status = 204


class RedeliverResource(SubscriptionPart):
    """The action HawkFishEventDestination.Redeliver."""

    def on_post(self, req: falcon.Request, resp: falcon.Response, subscription_id: str) -> None:
        """Sends the events of a delivery once more, before what waits."""
        delivery_id = RedeliverSchema.read(self.read(req))
        service = self.application.subscriptions
        made = offload(service.redeliver, req.context.actor, _identity(subscription_id), delivery_id)
        document = delivery_document(made)
        resp.set_header("Location", document.body["@odata.id"])
        send(req, resp, document, 201)


# --- deliveries ------------------------------------------------------------------------------------------------------


def delivery_document(delivery: Delivery) -> Document:
    """One delivery."""
    body = not_none(
        **{
            "@odata.id": f"{links.SUBSCRIPTIONS}/{delivery.subscription_id}/Oem/HawkFish/Deliveries/{delivery.id}",
            "@odata.type": "#HawkFishDelivery.v1_0_0.HawkFishDelivery",
        },
        Id=str(delivery.id),
        Name=f"Delivery {delivery.id}",
        At=timestamp(delivery.at),
        State=delivery.state,
        EventCount=delivery.events,
        EventIds=list(delivery.event_ids),
        Attempt=delivery.attempt,
        Redelivery=delivery.redelivery,
        HTTPStatus=delivery.status,
        Error=delivery.error,
        Milliseconds=delivery.milliseconds,
    )
    return Document(body)


class DeliveryCollectionResource(Collection[Delivery]):
    """The last deliveries of a subscription, newest first."""

    path = f"{links.SUBSCRIPTIONS}/{{subscription_id}}/Oem/HawkFish/Deliveries"
    kind = "HawkFishDeliveryCollection"
    title = "Deliveries"
    key_type = int

    def page(self, actor: Actor, wanted: PageRequest, address: Address) -> Page[Delivery]:
        """The deliveries."""
        identity = _identity(address["subscription_id"])
        return paged(self.application.subscriptions.deliveries(actor, identity), wanted, self.key)

    def key(self, item: Delivery) -> int:
        """Its number, the highest first."""
        return -item.id

    def document(self, item: Delivery) -> Document:
        """One delivery."""
        return delivery_document(item)


class DeliveryResource(Resource):
    """One delivery of a subscription."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, subscription_id: str, delivery_id: str) -> None:
        """Shows the delivery."""
        identity = _identity(subscription_id)
        if not NUMBER.fullmatch(delivery_id):
            raise NotFound(
                f"Deliveries have numbers; there is no {delivery_id}.", kind="HawkFishDelivery", id=delivery_id
            )
        found = offload(self.application.subscriptions.delivery, req.context.actor, identity, int(delivery_id))
        send(req, resp, delivery_document(found))


def _identity(subscription_id: str) -> UUID:
    try:
        return UUID(subscription_id)
    except ValueError:
        raise NotFound(
            f"There is no subscription {subscription_id}.", kind="EventDestination", id=subscription_id
        ) from None
