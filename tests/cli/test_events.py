"""`hawkfish events` and `hawkfish subscriptions` against a real service."""

from __future__ import annotations

import json
import subprocess

import httpx
import pytest

from hawkfish.cli.errors import ExitCode
from hawkfish.testing.waiting import wait_until
from tests.cli.fake import Fake, error, ok, run
from tests.support.receiver import Receiver


def rows(done):
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.mark.slow
def test_a_subscription_is_made_tried_looked_at_and_removed(hawkfish):
    # Of what other tests have left under way, nothing comes between.
    words = ("--event-context", "mine", "--registry", "HawkFish")
    with Receiver() as receiver:
        made = rows(hawkfish("subscriptions", "create", receiver.url, *words, "-f", "json"))
        identity = made["ID"]
        assert made["Secret"].startswith("whsec_")
        assert "Secret" not in hawkfish("subscriptions", "ls", "-f", "json").stdout
        (tried, *_) = rows(hawkfish("subscriptions", "test", identity, "-f", "json"))
        assert (tried["State"], tried["HTTP Status"]) == ("Delivered", 200)
        assert receiver.records[-1]["MessageId"] == "HawkFish.1.0.TestEvent"
        history = rows(hawkfish("subscriptions", "history", identity, "-f", "json"))
        assert tried["ID"] in {row["ID"] for row in history}
        count = len(receiver.posts)
        again = rows(hawkfish("subscriptions", "redeliver", identity, tried["ID"], "-f", "json"))
        assert again[0]["Again"] is True
        wait_until(lambda: len(receiver.posts) > count, "it is delivered again")
        assert hawkfish("subscriptions", "suspend", identity).returncode == 0
        assert rows(hawkfish("subscriptions", "show", identity, "-f", "json"))["State"] == "Disabled"
        assert hawkfish("subscriptions", "resume", identity).returncode == 0
        assert hawkfish("subscriptions", "rm", identity, "--yes").returncode == 0
    assert identity not in hawkfish("subscriptions", "ls", "-f", "json").stdout


@pytest.mark.slow
def test_events_are_shown_as_they_happen_and_afterwards(hawkfish):
    command = [hawkfish.program, "events", "tail", "--json", "--count", "2", "--type", "HawkFishProfile"]
    with subprocess.Popen(command, env=hawkfish.variables, stdout=subprocess.PIPE, text=True) as tail:
        wait_until(lambda: "(stream)" in hawkfish("subscriptions", "ls").stdout, "the stream is open", 90)
        assert hawkfish("profiles", "create", "told").returncode == 0
        assert hawkfish("profiles", "rm", "told", "--yes").returncode == 0
        shown = [json.loads(line) for line in tail.communicate(timeout=120)[0].splitlines()]
    messages = ["ResourceEvent.1.4.ResourceCreated", "ResourceEvent.1.4.ResourceRemoved"]
    assert [record["MessageId"] for record in shown] == messages
    listed = rows(hawkfish("events", "ls", "--type", "HawkFishProfile", "-f", "json"))
    assert [row["Message ID"] for row in listed][-2:] == messages
    assert listed[-1]["User"] == "admin"


def frames(*records):
    lines = [f"id: {number}\ndata: {json.dumps({'Events': [record]})}\n\n" for number, record in enumerate(records, 7)]
    return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, content="".join(lines).encode())


def test_a_lost_connection_is_made_again_behind_the_last_event(logged_in, monkeypatch):
    monkeypatch.setattr("hawkfish.cli.events.PAUSE_SECONDS", 0)
    stream = "/redfish/v1/EventService/SSE"
    opened = {"MessageId": "HawkFish.1.0.StreamOpened"}
    told = {"MessageId": "A.1.0.B", "Message": "It\nhappened.", "MessageSeverity": "Warning", "EventTimestamp": "now"}
    fake = Fake({f"GET {stream}": [frames(opened, told), frames(opened, told)]})
    done = run(fake, "events", "tail", "--count", "2", "--registry", "o'neil", terminal=False)
    assert done.code == 0
    assert done.out == "now Warning A.1.0.B It happened. \n" * 2
    first, second = fake.sent("GET", stream)
    assert "Last-Event-ID" not in first.headers
    assert second.headers["Last-Event-ID"] == "8"
    assert first.url.params["$filter"] == "RegistryPrefix eq 'o''neil'"


def test_a_service_that_is_away_for_long_is_said_to_be_once(logged_in, monkeypatch):
    monkeypatch.setattr("hawkfish.cli.events.PAUSE_SECONDS", 0)
    told = {"MessageId": "A.1.0.B", "Message": "It happened.", "MessageSeverity": "OK", "EventTimestamp": "now"}
    away = [httpx.ConnectError("refused")] * 5
    answers = [frames(told), *away, frames(told), *away, frames(told)]
    done = run(Fake({"GET /redfish/v1/EventService/SSE": answers}), "events", "tail", "--count", "3", terminal=False)
    assert (done.code, done.out) == (0, "now OK A.1.0.B It happened. \n" * 3)
    lost = "The connection was lost; it is tried until the service answers again.\n"
    assert done.err == f"{lost}The connection is there again.\n" * 2


def test_a_session_that_has_ended_is_renewed_for_a_stream_too(logged_in):
    stream = "/redfish/v1/EventService/SSE"
    told = {"MessageId": "A.1.0.B", "Message": "It happened.", "MessageSeverity": "OK", "EventTimestamp": "now"}
    fake = Fake({f"GET {stream}": [error(401, ("No.", "None.")), frames(told)]})
    done = run(fake, "events", "tail", "--count", "1")
    assert (done.code, done.err) == (0, "")
    assert done.out == "now OK A.1.0.B It happened. \n"
    assert len(fake.sent("POST", "/redfish/v1/SessionService/Sessions")) == 2


def test_what_the_service_says_no_to_is_no_empty_list(logged_in):
    opened = {"MessageId": "HawkFish.1.0.StreamOpened"}
    fake = Fake(
        {"GET /redfish/v1/EventService/SSE": [frames(opened), error(503, ("Too many are open.", "Close one."))]}
    )
    done = run(fake, "events", "ls")
    assert done.code != 0
    assert "Too many are open." in done.error
    assert done.out == ""


@pytest.mark.parametrize("option", ["events ls --last", "events tail --count", "audit ls --limit"])
@pytest.mark.parametrize("text", ["abc", "0", "1001"])
def test_what_is_no_number_of_rows_is_said_in_words(option, text, capsys):
    assert run(None, *option.split(), text).code == 2
    assert f"{text!r} is not a number from 1 to 1000" in capsys.readouterr().err


class ServiceWithDeliveries(Fake):
    """A service with a subscription that is delivered something else first, and the test event only if it is so told."""

    def __init__(self, *, delivers):
        address = "/redfish/v1/EventService/Subscriptions/s1"
        deliveries = f"{address}/Oem/HawkFish/Deliveries"
        action = "POST /redfish/v1/EventService/Actions/EventService.SubmitTestEvent"
        found = {"Id": "s1", "@odata.id": address, "Oem": {"HawkFish": {"Deliveries": {"@odata.id": deliveries}}}}
        super().__init__({f"GET {address}": ok(found), f"GET {deliveries}": self.told, action: httpx.Response(204)})
        self.action, self.delivers, self.asked = action.removeprefix("POST "), delivers, 0

    def told(self, _request):
        self.asked += 1
        made = [{"Id": "1", "@odata.id": "/d/1", "State": "Delivered", "EventIds": ["41"]}]
        if self.asked > 1:
            made.insert(0, {"Id": "2", "@odata.id": "/d/2", "State": "Delivered", "EventIds": ["42"]})
        if self.asked > 2 and self.delivers:
            test = json.loads(self.sent("POST", self.action)[0].content)["EventId"]
            made.insert(0, {"Id": "3", "@odata.id": "/d/3", "State": "Failed", "EventIds": ["43", test]})
        return ok({"Members": made})


def test_the_delivery_that_is_shown_is_that_of_the_very_test_event(logged_in, monkeypatch):
    monkeypatch.setattr("hawkfish.cli.subscriptions.PAUSE_SECONDS", 0.01)
    done = run(ServiceWithDeliveries(delivers=True), "subscriptions", "test", "s1", "-f", "json", terminal=False)
    assert [(row["ID"], row["State"]) for row in json.loads(done.out)] == [("3", "Failed")]


def test_a_test_event_that_is_not_delivered_is_said_not_to_be(logged_in, monkeypatch):
    monkeypatch.setattr("hawkfish.cli.subscriptions.PAUSE_SECONDS", 0.01)
    done = run(ServiceWithDeliveries(delivers=False), "subscriptions", "test", "s1", "--timeout", "1", terminal=False)
    assert (done.code, done.out) == (ExitCode.TIMEOUT, "")
    assert "The test event was not delivered within 1 s. Other events were" in done.err
    assert "hawkfish subscriptions history s1" in done.err


@pytest.mark.parametrize(
    ("state", "error", "said"),
    [
        ("Enabled", "it answers 500", "Deliveries fail, and it waits behind what was not taken yet: it answers 500;"),
        ("Disabled", "it answers 500", "The subscription is suspended: it answers 500;"),
        ("Disabled", None, "The subscription is suspended;"),
        ("Enabled", None, "Nothing was sent: the subscription does not ask for such events, or no worker runs;"),
    ],
)
def test_why_a_test_event_was_not_delivered_is_what_the_subscription_says(logged_in, state, error, said):
    address = "/redfish/v1/EventService/Subscriptions/s1"
    own = {"Deliveries": {"@odata.id": f"{address}/Oem/HawkFish/Deliveries"}, "LastError": error}
    shown = {"Id": "s1", "@odata.id": address, "Status": {"State": state}, "Oem": {"HawkFish": own}}
    service = Fake(
        {
            f"GET {address}": ok(shown),
            f"GET {address}/Oem/HawkFish/Deliveries": ok({"Members": [{"Id": "1", "State": "Failed"}]}),
            "POST /redfish/v1/EventService/Actions/EventService.SubmitTestEvent": httpx.Response(204),
        }
    )
    done = run(service, "subscriptions", "test", "s1", "--timeout", "0.1", terminal=False)
    assert (done.code, done.out) == (ExitCode.TIMEOUT, "")
    assert f"The test event was not delivered within 0.1 s. {said} see" in done.err
