"""Subscriptions: who is sent events, and what became of it."""

from __future__ import annotations

import argparse
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hawkfish.cli.base import BaseCommand, ListCommand, ShowCommand, confirm, seconds
from hawkfish.cli.each import RemoveCommand
from hawkfish.cli.errors import CommandError, ExitCode, one_line
from hawkfish.cli.output import Words, YesNo, key_value
from hawkfish.cli.tables import oem

if TYPE_CHECKING:
    from hawkfish.cli.client import Client

SUBSCRIPTIONS = "/redfish/v1/EventService/Subscriptions"
TEST_EVENT = "/redfish/v1/EventService/Actions/EventService.SubmitTestEvent"
TEST_MESSAGE = "HawkFish.1.0.TestEvent"
POLICIES = ("TerminateAfterRetries", "SuspendRetries", "RetryForever", "RetryForeverWithBackoff")
SUBSCRIPTION_COLUMNS = ("ID", "Destination", "State", "Health", "Delivered", "Dropped", "Context", "Last Error")
SUBSCRIPTION_DETAILS = (
    *SUBSCRIPTION_COLUMNS,
    "Type",
    "Registries",
    "Resource Types",
    "Messages",
    "Origins",
    "Policy",
    "Verify Certificate",
    "Created By",
    "Created At",
    "Last Delivery",
    "Secret",
)
DELIVERY_COLUMNS = ("ID", "At", "State", "Events", "Attempt", "Again", "HTTP Status", "Milliseconds", "Error")
DELIVERY_WORTH = ("ID", "At", "State", "Events", "HTTP Status", "Attempt", "Error", "Milliseconds", "Again")
PAUSE_SECONDS = 0.2
TEST_SECONDS = 30.0


def subscription_row(subscription: Mapping[str, Any]) -> tuple[Any, ...]:
    """Values of SUBSCRIPTION_COLUMNS."""
    own, status = oem(subscription), subscription.get("Status") or {}
    return (
        subscription.get("Id"),
        subscription.get("Destination") or "(stream)",
        status.get("State"),
        status.get("Health"),
        own.get("EventsDelivered", ""),
        own.get("EventsDropped", ""),
        subscription.get("Context") or "",
        own.get("LastError") or "",
    )


def subscription_details(subscription: Mapping[str, Any]) -> tuple[Any, ...]:
    """Values of SUBSCRIPTION_DETAILS."""
    own = oem(subscription)
    return (
        *subscription_row(subscription),
        subscription.get("SubscriptionType"),
        Words(subscription.get("RegistryPrefixes") or []),
        Words(subscription.get("ResourceTypes") or []),
        Words(subscription.get("MessageIds") or []),
        Words([item["@odata.id"] for item in subscription.get("OriginResources") or []]),
        subscription.get("DeliveryRetryPolicy", ""),
        _yes_no(subscription.get("VerifyCertificate")),
        own.get("CreatedBy"),
        own.get("CreatedAt"),
        own.get("LastDelivery", ""),
        own.get("Secret", ""),
    )


def delivery_row(delivery: Mapping[str, Any]) -> tuple[Any, ...]:
    """Values of DELIVERY_COLUMNS."""
    before, after = ("Id", "At", "State", "EventCount", "Attempt"), ("HTTPStatus", "Milliseconds", "Error")
    return (
        *(delivery.get(name, "") for name in before),
        YesNo(bool(delivery.get("Redelivery"))),
        *(delivery.get(name, "") for name in after),
    )


def _yes_no(value: bool | None) -> YesNo | str:
    """Nothing where the subscription has no such thing, as a stream has no certificate to verify."""
    return "" if value is None else YesNo(value)


def find_subscription(client: Client, name: str) -> dict[str, Any]:
    """Reads a subscription by its id."""
    return client.named(SUBSCRIPTIONS, name)


def deliveries_of(client: Client, subscription: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Its last deliveries, newest first.

    Raises:
        CommandError: It is a stream, to which nothing is posted.
    """
    found = oem(subscription).get("Deliveries")
    if found is None:
        raise CommandError(f"The subscription {subscription.get('Id')} is a stream, which has no deliveries.")
    return list(client.members(str(found["@odata.id"])))


class ListSubscriptions(ListCommand):
    """List the subscriptions to events, streams among them."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], list[Sequence[Any]]]:  # noqa: ARG002  cliff's form
        """Gives a row for each."""
        return SUBSCRIPTION_COLUMNS, [subscription_row(item) for item in self.client.members(SUBSCRIPTIONS)]


class ShowSubscription(ShowCommand):
    """Show a subscription."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="ID")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Gives its properties."""
        return SUBSCRIPTION_DETAILS, subscription_details(find_subscription(self.client, parsed_args.name))


class CreateSubscription(ShowCommand):
    """Subscribe to events, and show the secret that deliveries are signed with: this once."""

    epilog = "Example: hawkfish subscriptions create https://listener.example/events --registry ResourceEvent"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("destination", metavar="URL", help="where events are posted to")
        parser.add_argument("--event-context", metavar="TEXT", help="a text of your own that comes with every event")
        lists = {
            "RegistryPrefixes": ("--registry", "NAME", "only messages of this registry, such as ResourceEvent"),
            "ResourceTypes": ("--type", "TYPE", "only events of such resources, such as ComputerSystem"),
            "MessageIds": ("--message", "ID", "only this message, such as ResourceEvent.ResourceCreated"),
            "OriginResources": ("--origin", "ADDRESS", "only events of the resource at this address"),
        }
        for name, (option, metavar, text) in lists.items():
            parser.add_argument(option, dest=name, action="append", metavar=metavar, help=f"{text}; repeatable")
        parser.add_argument("--below", action="store_true", help="--origin stands for what is below it, too")
        parser.add_argument(
            "--header", dest="headers", type=key_value, action="append", metavar="NAME=VALUE", help="repeatable"
        )
        parser.add_argument("--retry", choices=POLICIES, help="what becomes of it when deliveries go on failing")
        parser.add_argument("--insecure", action="store_true", help="do not verify the receiver's certificate")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Makes it."""
        origins = parsed_args.OriginResources
        named = {
            "Context": parsed_args.event_context,
            "RegistryPrefixes": parsed_args.RegistryPrefixes,
            "ResourceTypes": parsed_args.ResourceTypes,
            "MessageIds": parsed_args.MessageIds,
            "OriginResources": None if origins is None else [{"@odata.id": item} for item in origins],
            "SubordinateResources": True if parsed_args.below else None,
            "HttpHeaders": None if parsed_args.headers is None else [dict([pair]) for pair in parsed_args.headers],
            "DeliveryRetryPolicy": parsed_args.retry,
            "VerifyCertificate": False if parsed_args.insecure else None,
        }
        body = {"Destination": parsed_args.destination, "Protocol": "Redfish"}
        given = {key: value for key, value in named.items() if value is not None}
        return SUBSCRIPTION_DETAILS, subscription_details(self.client.post(SUBSCRIPTIONS, body | given).body)


class TestSubscription(ListCommand):
    """Tell a test event, and show what became of its delivery to a subscription.

    The subscription must want to hear of it: one that asks for other registries or resources is told nothing.
    """

    __test__ = False
    worth = DELIVERY_WORTH

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="ID")
        parser.add_argument("--timeout", type=seconds, default=TEST_SECONDS, metavar="SECONDS", help="wait no longer")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], list[Sequence[Any]]]:
        """Sends it and waits."""
        found = find_subscription(self.client, parsed_args.name)
        known = {delivery["Id"] for delivery in deliveries_of(self.client, found)}
        identity = f"test-{uuid.uuid4()}"
        self.client.post(
            TEST_EVENT,
            {
                "MessageId": TEST_MESSAGE,
                "MessageArgs": [self.client.target.user_name or "hawkfish"],
                "EventId": identity,
            },
        )
        deadline = time.monotonic() + parsed_args.timeout
        others: dict[str, Any] = {}
        while time.monotonic() < deadline:
            deliveries = deliveries_of(self.client, found)
            tried = [item for item in deliveries if identity in item.get("EventIds", ())]
            if tried:
                return DELIVERY_COLUMNS, [delivery_row(item) for item in tried]
            others |= {item["Id"]: item.get("State") for item in deliveries if item["Id"] not in known}
            time.sleep(PAUSE_SECONDS)
        reason = _why_not_delivered(self.client.get(str(found["@odata.id"])), set(others.values()))
        raise CommandError(
            f"The test event was not delivered within {parsed_args.timeout:g} s. {reason}; see `hawkfish subscriptions history "
            f"{parsed_args.name}`.",
            ExitCode.TIMEOUT,
        )


def _why_not_delivered(subscription: Mapping[str, Any], others: set[Any]) -> str:
    """Why a test event did not get through, as far as can be told.

    Args:
        subscription: As it is now.
        others: States of the deliveries of other events meanwhile.
    """
    status, failing = subscription.get("Status") or {}, oem(subscription).get("LastError")
    because = f": {one_line(failing)}" if failing else ""
    if status.get("State") == "Disabled":
        return f"The subscription is suspended{because}"
    if failing:
        return f"Deliveries fail, and it waits behind what was not taken yet{because}"
    if "Delivered" in others:
        return "Other events were: the subscription does not ask for such events, or it waits behind others"
    return "Nothing was sent: the subscription does not ask for such events, or no worker runs"


class SubscriptionHistory(ListCommand):
    """List the last deliveries to a subscription, the newest first."""

    worth = DELIVERY_WORTH

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="ID")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], list[Sequence[Any]]]:
        """Gives a row for each."""
        found = find_subscription(self.client, parsed_args.name)
        return DELIVERY_COLUMNS, [delivery_row(item) for item in deliveries_of(self.client, found)]


class Redeliver(ListCommand):
    """Send the events of a delivery once more."""

    worth = DELIVERY_WORTH

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="ID")
        parser.add_argument("delivery", metavar="DELIVERY", help="its id, as `subscriptions history` shows it")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], list[Sequence[Any]]]:
        """Asks for it, and shows it."""
        found = find_subscription(self.client, parsed_args.name)
        target = f"{found['@odata.id']}/Actions/Oem/HawkFishEventDestination.Redeliver"
        made = self.client.post(target, {"DeliveryId": parsed_args.delivery})
        return DELIVERY_COLUMNS, [delivery_row(made.body)]


class _ActionCommand(BaseCommand):
    """A command that is an action of each subscription that is named."""

    action = ""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("names", nargs="+", metavar="ID")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Does it."""
        for name in parsed_args.names:
            address = find_subscription(self.client, name)["@odata.id"]
            self.client.post(f"{address}/Actions/EventDestination.{self.action}", {})


class SuspendSubscriptions(_ActionCommand):
    """Stop deliveries; what happens meanwhile waits."""

    action = "SuspendSubscription"


class ResumeSubscriptions(_ActionCommand):
    """Go on with deliveries, first of what waits."""

    action = "ResumeSubscription"


class RemoveSubscriptions(RemoveCommand):
    """Remove subscriptions; streams are closed.

    On a terminal it asks; elsewhere it takes --yes.
    """

    noun = "subscription"

    def find(self, name: str) -> dict[str, Any]:
        """Reads the subscription."""
        return find_subscription(self.client, name)

    def approve(self, found: list[dict[str, Any]], parsed_args: argparse.Namespace) -> None:
        """Asks once for all, by what they are known by: where events go."""
        names = ", ".join(f"{item.get('Id')} ({item.get('Destination') or 'stream'})" for item in found)
        what = "the subscription" if len(found) == 1 else f"{len(found)} subscriptions"
        confirm(self.app, f"Remove {what} {names}?", yes=parsed_args.yes)
