"""`hawkfish events` and `hawkfish subscriptions` against a real service."""

from __future__ import annotations

import json
import subprocess

import httpx
import pytest

from hawkfish.testing.waiting import wait_until
from tests.cli.fake import Fake, run
from tests.support.receiver import Receiver


def rows(done):
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.mark.slow
def test_a_subscription_is_made_tried_looked_at_and_removed(hawkfish):
    with Receiver() as receiver:
        made = rows(hawkfish("subscriptions", "create", receiver.url, "--event-context", "mine", "-f", "json"))
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
        wait_until(lambda: "(stream)" in hawkfish("subscriptions", "ls").stdout, "the stream is open")
        assert hawkfish("profiles", "create", "told").returncode == 0
        assert hawkfish("profiles", "rm", "told", "--yes").returncode == 0
        shown = [json.loads(line) for line in tail.communicate(timeout=60)[0].splitlines()]
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
