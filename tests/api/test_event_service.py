"""EventService and its subscriptions, as clients see them; what is delivered is the matter of tests/services/test_deliveries.py."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from referencing import Registry
from referencing.jsonschema import DRAFT7

from hawkfish.api.schemas.events import NewSubscriptionSchema
from hawkfish.testing.waiting import wait_until
from tests.api.installation import Api
from tests.support.receiver import Receiver

SERVICE = "/redfish/v1/EventService"
SUBSCRIPTIONS = f"{SERVICE}/Subscriptions"
TEST = f"{SERVICE}/Actions/EventService.SubmitTestEvent"
REDFISH = Path(os.environ.get("HF_REDFISH_DATA") or Path(__file__).parents[3] / "shared" / "redfish")


def body(destination: str = "https://192.0.2.1/events", **more: Any) -> dict[str, Any]:
    return {"Destination": destination, "Protocol": "Redfish", **more}


def test_a_subscription_tells_its_secret_once_and_its_headers_never(api: Api) -> None:
    given = {
        "Context": "mine",
        "HttpHeaders": [{"Authorization": "Bearer hidden"}],
        "RegistryPrefixes": ["ResourceEvent"],
        "OriginResources": [{"@odata.id": "/redfish/v1/Systems/"}],
        "SubordinateResources": True,
        "DeliveryRetryPolicy": "RetryForever",
    }
    made = api.post(SUBSCRIPTIONS, body(**given))
    address = made.headers["Location"]
    assert (made.status_code, made.json["@odata.id"]) == (201, address)
    secret = made.json["Oem"]["HawkFish"]["Secret"]
    assert secret.startswith("whsec_")
    assert made.headers["Cache-Control"] == "no-store"
    shown = api.get(address)
    assert shown.headers["ETag"] == made.headers["ETag"] == made.json["@odata.etag"]
    assert secret not in shown.text
    assert "hidden" not in made.text + shown.text
    for name in ("Context", "RegistryPrefixes", "SubordinateResources", "DeliveryRetryPolicy"):
        assert shown.json[name] == given[name]
    assert shown.json["OriginResources"] == [{"@odata.id": "/redfish/v1/Systems"}]
    assert (shown.json["HttpHeaders"], shown.json["SubscriptionType"]) == ([], "RedfishEvent")
    assert shown.json["Status"] == {"State": "Enabled", "Health": "OK"}
    changed = api.patch(address, {"Context": "new"}, headers={"If-Match": shown.headers["ETag"]})
    assert (changed.status_code, changed.json["Context"]) == (200, "new")
    assert api.patch(address, {"Context": "x"}, headers={"If-Match": shown.headers["ETag"]}).status_code == 412
    assert api.post(f"{address}/Actions/EventDestination.SuspendSubscription").status_code == 204
    assert api.get(address).json["Status"]["State"] == "Disabled"
    assert api.post(f"{address}/Actions/EventDestination.ResumeSubscription").status_code == 204
    assert api.get(address).json["Status"]["State"] == "Enabled"
    assert api.delete(address).status_code == 204
    assert api.get(address).status_code == 404


def test_headers_are_taken_as_one_object_too() -> None:
    """As gofish sends them."""
    apart = NewSubscriptionSchema.read(body(HttpHeaders=[{"X-A": "b"}, {"X-C": "d"}]))
    assert apart.headers == {"X-A": "b", "X-C": "d"}
    assert NewSubscriptionSchema.read(body(HttpHeaders={"X-A": "b", "X-C": "d"})) == apart


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"Protocol": "FTP"}, "Protocol"),
        ({"Protocol": None}, "Protocol"),
        ({"Destination": "ftp://192.0.2.1/"}, "Destination"),
        ({"Destination": "http://169.254.169.254/"}, "Destination"),
        ({"Destination": 7}, "Destination"),
        ({"EventFormatType": "MetricReport"}, "EventFormatType"),
        ({"SubscriptionType": "SSE"}, "SubscriptionType"),
        ({"HttpHeaders": [{"Host": "elsewhere"}]}, "HttpHeaders/0"),
        ({"HttpHeaders": [{"X-A": "b\r\nX-C: d"}]}, "HttpHeaders/0"),
        ({"HttpHeaders": [{"webhook-signature": "v1,x"}]}, "HttpHeaders/0"),
        ({"OriginResources": ["/redfish/v1/Systems"]}, "OriginResources/0"),
        ({"OriginResources": [{}]}, "OriginResources/0/@odata.id"),
        ({"Oem": {"HawkFish": {"Secret": "whsec_c2hvcnQ="}}}, "Oem/HawkFish/Secret"),
        ({"Oem": {"HawkFish": {"Secret": "plain"}}}, "Oem/HawkFish/Secret"),
        ({"Unheard": 1}, "Unheard"),
    ],
)
def test_what_cannot_be_is_refused_by_name(api: Api, wrong: dict[str, Any], named: str) -> None:
    refused = api.post(SUBSCRIPTIONS, body() | wrong)
    assert refused.status_code == 400, refused.text
    assert "Location" not in refused.headers
    infos = refused.json["error"]["@Message.ExtendedInfo"]
    assert {item for info in infos for item in info["RelatedProperties"]} == {f"#/{named}"}
    assert "plain" not in refused.text


def test_a_test_event_is_delivered_in_the_form_of_the_schema(api: Api) -> None:
    system = "/redfish/v1/Systems/0b5c7b9e-6a0e-4a1c-9d3b-5b8c2e9c7c11"
    with Receiver() as receiver:
        made = api.post(SUBSCRIPTIONS, body(receiver.url, Context="mine", ResourceTypes=["ComputerSystem"]))
        sent = {
            "MessageId": "Alert.1.0.LanDisconnect",
            "MessageArgs": ["eth0", "rack1"],
            "Message": "The cable is out.",
            "MessageSeverity": "Warning",
            "OriginOfCondition": system,
            "EventId": "77",
            "EventTimestamp": "2026-01-31T12:00:00Z",
        }
        assert api.post(TEST, sent).status_code == 204
        assert api.post(TEST).status_code == 204  # of the service itself, and so not wanted
        (record,) = receiver.wait_for(1)
        assert {name: record[name] for name in sent if name != "OriginOfCondition"} == {
            name: value for name, value in sent.items() if name != "OriginOfCondition"
        }
        assert record["OriginOfCondition"] == {"@odata.id": system}
        assert receiver.posts[0].body["Context"] == "mine"
        _is_valid(receiver.posts[0].body)
        address = made.headers["Location"]
        listed = f"{address}/Oem/HawkFish/Deliveries"
        (first,) = wait_until(lambda: api.get(f"{listed}?$expand=.").json["Members"], "the delivery is shown")
        assert (first["State"], first["HTTPStatus"], first["EventCount"]) == ("Delivered", 200, 1)
        assert first["EventIds"] == ["77"], "as it was sent"
        assert api.get(first["@odata.id"]).json["Id"] == first["Id"]
        again = api.post(f"{address}/Actions/Oem/HawkFishEventDestination.Redeliver", {"DeliveryId": first["Id"]})
        assert (again.status_code, again.json["Redelivery"], again.json["EventIds"]) == (201, True, ["77"])
        receiver.wait_for(2)
        assert api.get(address).json["Oem"]["HawkFish"]["EventsDelivered"] == 1
        api.delete(address)


def _is_valid(event: dict[str, Any]) -> None:
    if not REDFISH.is_dir():
        return

    def schema(uri: str) -> Any:
        return DRAFT7.create_resource(json.loads((REDFISH / "json-schema" / uri.rsplit("/", 1)[-1]).read_text()))

    reference = "http://redfish.dmtf.org/schemas/v1/Event.v1_13_0.json#/definitions/Event"
    validator = jsonschema.Draft7Validator({"$ref": reference}, registry=Registry(retrieve=schema))
    assert [error.message for error in validator.iter_errors(event)] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"MessageId": "x"},
        {"MessageArgs": ["a"]},
        {"MessageId": "A.1.0.B", "OriginOfCondition": "/redfish/v1/Nowhere/1"},
        {"MessageId": "A.1.0.B", "EventTimestamp": "yesterday"},
        {"MessageId": "A.1.0.B", "EventTimestamp": "2026-02-31T12:00:00Z"},
        {"MessageId": "A.1.0.B", "Severity": "Awful"},
    ],
)
def test_a_test_event_that_is_none_is_refused(api: Api, wrong: dict[str, Any]) -> None:
    assert api.post(TEST, wrong).status_code == 400
