"""Deliveries of events: in order, once at least, bounded, and nobody is held up by a receiver that is away, slow or hostile."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from uuid import UUID

import pytest

from hawkfish.bootstrap import Application
from hawkfish.config import load_settings
from hawkfish.domain.accounts import SYSTEM_ACTOR, Actor, Role
from hawkfish.domain.events import Severity
from hawkfish.domain.messages import RESOURCE_CHANGED, RESOURCE_CREATED, TASK_STARTED
from hawkfish.domain.subscriptions import DeliveryState, Interest, RetryPolicy, SubscriptionState
from hawkfish.errors import Conflict, NotFound, PropertyConflict, PropertyError
from hawkfish.events.dispatcher import Dispatcher
from hawkfish.services.subscriptions import NewSubscription
from hawkfish.services.webhooks import sign
from hawkfish.testing.waiting import wait_until
from tests.support.receiver import Receiver
from tests.support.tls import certificate_of_loopback

SYSTEMS = Interest(resource_types=("ComputerSystem",))


@pytest.fixture
def receiver():
    with Receiver() as running:
        yield running


@contextmanager
def opened(database_url, folder, **settings):
    given = {"event_retry_seconds": 0.02, "event_retry_attempts": 2, "event_delivery_seconds": 20.0}
    chosen = load_settings({}, data_dir=folder, database_url=database_url, **given | settings)
    application = Application.open(chosen)
    try:
        yield application
    finally:
        application.close()


@pytest.fixture
def application(database_url, tmp_path):
    with opened(database_url, tmp_path) as found:
        yield found


@contextmanager
def delivering(application):
    """What a worker does for events."""
    dispatcher = Dispatcher(application.database, [], lambda: True)
    deliveries = application.deliveries(lambda: True)
    dispatcher.start()
    deliveries.start()
    try:
        yield deliveries
    finally:
        deliveries.stop(30)
        dispatcher.stop(30)


def subscribe(application, receiver, *, actor=SYSTEM_ACTOR, **options):
    given = {"destination": receiver.url, "interest": SYSTEMS, "retry_policy": RetryPolicy.FOREVER_WITH_BACKOFF}
    return application.subscriptions.create(actor, NewSubscription(**given | options))


def happen(application, *numbers, message=RESOURCE_CHANGED):
    def write(uow):
        for number in numbers:
            uow.events.add(message, f"system:{number}")

    application.database.run(write)


def numbers(*values):
    return [str(value) for value in values]


def deliveries(application, subscription):
    """Oldest first."""
    return application.subscriptions.deliveries(SYSTEM_ACTOR, subscription.id)[::-1]


# --- what is sent ----------------------------------------------------------------------------------------------------


def test_events_arrive_in_order_signed_and_with_what_the_subscriber_gave(application, receiver):
    happen(application, 0)  # before anybody wanted to hear of it
    subscription, secret = subscribe(
        application, receiver, context="mine", headers={"Authorization": "Bearer abc", "User-Agent": "own"}
    )
    with delivering(application):
        happen(application, *range(1, 251))
        receiver.wait_for(250)
    assert receiver.origins == numbers(*range(1, 251))
    for post in receiver.posts:
        assert (post.body["Context"], post.path) == ("mine", "/events")
        assert post.headers["authorization"] == "Bearer abc"
        assert post.headers["user-agent"] == "own"
        identity, moment = post.headers["webhook-id"], int(post.headers["webhook-timestamp"])
        assert identity == post.body["Id"]
        assert abs(time.time() - moment) < 60
        assert post.headers["webhook-signature"] == sign(secret, identity, moment, post.content)
    assert len({post.headers["webhook-id"] for post in receiver.posts}) == len(receiver.posts)
    assert max(len(post.records) for post in receiver.posts) > 1, "events that come together are sent together"
    assert sum(delivery.events for delivery in deliveries(application, subscription)) == 250
    assert application.subscriptions.progress(subscription).delivered == 250


def test_a_receiver_of_an_authority_of_ones_own_is_trusted_once_the_setting_names_it(sqlite_url, tmp_path):
    certificate = certificate_of_loopback(tmp_path / "theirs")
    with Receiver(certificate=certificate) as secure:
        with opened(sqlite_url, tmp_path) as untrusting:
            subscription, _ = subscribe(untrusting, secure)
            with delivering(untrusting):
                happen(untrusting, 1)
                wait_until(lambda: deliveries(untrusting, subscription), "a delivery is tried")
            assert "HF_TRUSTED_CA_FILE" in deliveries(untrusting, subscription)[0].error
        assert secure.posts == []
        with opened(sqlite_url, tmp_path, trusted_ca_file=certificate.ca_file) as trusting, delivering(trusting):
            secure.wait_for(1)
    assert secure.origins == numbers(1)


def test_a_signature_is_that_of_the_specification():
    """The example of Standard Webhooks 1.0."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    signed = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.fixture
def places_are_saved_at_once(monkeypatch):
    """So that it is known that all is told."""
    monkeypatch.setattr("hawkfish.services.deliveries.SAVE_SECONDS", 0.0)


@pytest.mark.usefixtures("places_are_saved_at_once")
@pytest.mark.parametrize(
    ("interest", "wanted"),
    [
        (Interest(), ["1", "2", "t"]),
        (Interest(registry_prefixes=("TaskEvent",)), ["t"]),
        (Interest(message_ids=("ResourceEvent.ResourceCreated",)), ["2"]),
        (Interest(message_ids=("ResourceEvent.1.0.ResourceCreated",)), ["2"]),
        (Interest(message_ids=("ResourceEvent.ResourceCreated",), registry_prefixes=("TaskEvent",)), ["2", "t"]),
        (Interest(origin_resources=("/redfish/v1/Systems/1",)), ["1"]),
        (Interest(origin_resources=("/redfish/v1/Systems",)), []),
        (Interest(origin_resources=("/redfish/v1/Systems",), subordinate_resources=True), ["1", "2"]),
        (Interest(event_types=("ResourceAdded",)), ["2"]),
        (Interest(severities=(Severity.WARNING,)), []),
        (Interest(resource_types=("Task",), registry_prefixes=("ResourceEvent",)), []),
    ],
)
def test_only_what_is_wanted_is_sent(sqlite_url, tmp_path, receiver, interest, wanted):
    with opened(sqlite_url, tmp_path) as application, delivering(application):
        subscription, _ = subscribe(application, receiver, interest=interest)

        def write(uow):
            uow.events.add(RESOURCE_CHANGED, "system:1")
            uow.events.add(RESOURCE_CREATED, "system:2")
            uow.events.add(TASK_STARTED, "task:t", "t")

        application.database.run(write)

        def is_told():
            with application.database.read() as uow:
                (place,) = [sink.sequence for sink in uow.events.sinks() if sink.name == subscription.subject]
                return place == uow.events.newest()

        wait_until(is_told, "the last is told")
        assert [item for item in receiver.origins if item != str(subscription.id)] == wanted


def test_what_the_owner_does_not_see_is_not_sent(database_url, tmp_path, receiver):
    with opened(database_url, tmp_path, events_allowed_networks=("127.0.0.0/8",)) as application:
        owner = operator(application)
        subscribe(application, receiver, actor=owner, interest=Interest(registry_prefixes=("ResourceEvent",)))
        with delivering(application):

            def tell(uow):
                uow.events.add(RESOURCE_CHANGED, "account:another")
                uow.events.add(RESOURCE_CHANGED, f"account:{owner.account_id}")
                uow.events.add(RESOURCE_CHANGED, "system:1")

            application.database.run(tell)
            wait_until(lambda: receiver.origins == [str(owner.account_id), "1"], "what it sees arrives")


# --- bad receivers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "mode", "said"),
    [
        (500, "answer", "answers 500"),
        (404, "answer", "answers 404"),
        (302, "answer", "redirects"),
        (200, "hang", "took more than 2 s"),
        (200, "drip", "took more than 2 s"),
    ],
)
def test_only_2xx_in_time_is_delivered_and_nobody_else_waits(sqlite_url, tmp_path, status, mode, said):
    with (
        opened(sqlite_url, tmp_path, event_delivery_seconds=20.0 if mode == "answer" else 2.0) as application,
        Receiver(status=status, mode=mode) as bad,
        Receiver() as receiver,
    ):
        failing, _ = subscribe(application, bad)
        subscribe(application, receiver)
        with delivering(application):
            happen(application, 1)
            receiver.wait_for(1)
            happen(application, 2)
            receiver.wait_for(2)
            failed = wait_until(lambda: deliveries(application, failing), "a delivery fails")[0]
            assert failed.state is DeliveryState.FAILED
            assert said in failed.error
            assert failed.status == (status if mode == "answer" else None)
            bad.status, bad.mode = 204, "answer"
            wait_until(lambda: bad.origins[-2:] == ["1", "2"], "all arrives once it is well again")
        assert {post.path for post in bad.posts} == {"/events"}
    assert receiver.origins == ["1", "2"]


def test_a_body_without_an_end_is_not_read(sqlite_url, tmp_path):
    with opened(sqlite_url, tmp_path) as application, Receiver(mode="endless") as endless, delivering(application):
        subscribe(application, endless)
        for number in (1, 2, 3):
            happen(application, number)
            endless.wait_for(number)
    assert endless.origins == ["1", "2", "3"]


def test_a_receiver_that_is_away_costs_a_bounded_backlog_and_is_told_of_the_gap(database_url, tmp_path):
    with opened(database_url, tmp_path, event_backlog=50) as application, Receiver(status=503) as receiver:
        made, _ = subscribe(application, receiver)
        with delivering(application):
            happen(application, *range(200))
            wait_until(lambda: application.subscriptions.progress(made).dropped == 150, "the oldest are given up")
        with delivering(application):  # and this is remembered by the next worker
            receiver.posts.clear()
            receiver.status = 200
            receiver.wait_for(51)
        gap, *rest = receiver.records[-51:]
        assert (gap["MessageId"], gap["MessageArgs"]) == ("HawkFish.1.0.EventsDropped", ["150"])
        origins = [record["OriginOfCondition"]["@odata.id"].rpartition("/")[2] for record in rest]
        assert origins == numbers(*range(150, 200))
        assert application.subscriptions.progress(made).delivered == 50


def test_what_was_pruned_before_it_was_delivered_is_a_gap(database_url, tmp_path, receiver):
    with opened(database_url, tmp_path, events_kept=10) as application:
        subscribe(application, receiver)
        happen(application, *range(30))
        application.database.run(lambda uow: uow.events.give_places())
        application.events.prune()
        with delivering(application):
            receiver.wait_for(11)
    gap, *rest = receiver.records
    assert gap["MessageId"] == "HawkFish.1.0.EventsDropped"
    assert len(rest) == 10
    assert gap["EventId"].startswith("dropped-")


@pytest.mark.parametrize("policy", [RetryPolicy.SUSPEND, RetryPolicy.TERMINATE])
def test_after_as_many_tries_as_there_may_be_the_policy_holds(database_url, tmp_path, policy):
    with opened(database_url, tmp_path) as application, Receiver(status=500) as receiver:
        made, _ = subscribe(application, receiver, retry_policy=policy)

        def state():
            try:
                return application.subscriptions.get(SYSTEM_ACTOR, made.id).state
            except NotFound:
                return "gone"

        with delivering(application):
            happen(application, 1, 2)
            wanted = SubscriptionState.SUSPENDED if policy is RetryPolicy.SUSPEND else "gone"
            wait_until(lambda: state() == wanted, f"the subscription is {wanted}")
            assert len(receiver.posts) == 3, "the first try, and two more"
            if policy is RetryPolicy.TERMINATE:
                return
            happen(application, 3)
            receiver.status = 200
            receiver.posts.clear()
            application.subscriptions.resume(SYSTEM_ACTOR, made.id)
            receiver.wait_for(3)
            assert receiver.origins == ["1", "2", "3"]


# --- once more -------------------------------------------------------------------------------------------------------


WORKER = """
import sys, threading
from hawkfish.bootstrap import Application
from hawkfish.config import load_settings
from hawkfish.events.dispatcher import Dispatcher
application = Application.open(load_settings({}, data_dir=sys.argv[1], database_url=sys.argv[2]))
Dispatcher(application.database, [], lambda: True).start()
application.deliveries(lambda: True).start()
threading.Event().wait()
"""


@pytest.mark.slow
def test_a_delivery_in_which_the_worker_is_killed_is_made_again_in_order(application, receiver):
    subscribe(application, receiver)
    happen(application, 1, 2)
    url = application.database.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", WORKER, str(application.settings.data_dir), url]
    with subprocess.Popen(command) as worker:
        receiver.on_post = lambda _: worker.kill()  # before it is answered
        assert worker.wait(60) == -signal.SIGKILL
    receiver.on_post = lambda _: None
    assert receiver.origins == ["1", "2"]
    happen(application, 3)
    with delivering(application):
        wait_until(lambda: receiver.origins == ["1", "2", "1", "2", "3"], "all is delivered again, in order")
    again = [record["EventId"] for record in receiver.records]
    assert again[:2] == again[2:4], "a receiver knows them by their EventId"


def test_a_subscription_that_is_resumed_while_it_is_delivered_to_is_sent_nothing_twice(sqlite_url, tmp_path):
    came, answers = threading.Event(), threading.Event()

    def answer_late(_):
        came.set()
        assert answers.wait(30)

    with (
        Receiver(on_post=answer_late) as receiver,
        opened(sqlite_url, tmp_path) as application,
        delivering(application) as deliveries,
    ):
        subscription, _ = subscribe(application, receiver)
        happen(application, 1)
        assert came.wait(30)
        courier = deliveries._couriers[subscription.id]
        application.subscriptions.suspend(SYSTEM_ACTOR, subscription.id)
        happen(application, 2)
        wait_until(lambda: courier._stopped, "the worker has seen that")
        application.subscriptions.resume(SYSTEM_ACTOR, subscription.id)
        time.sleep(0.3)  # another that began beside it would deliver by then; that none does cannot be waited for
        answers.set()
        receiver.wait_for(2)
        wait_until(lambda: application.subscriptions.progress(subscription).delivered == 2, "both are delivered")
    assert receiver.origins == numbers(1, 2)


def test_a_delivery_is_made_again_when_it_is_asked_for(application, receiver):
    made, _ = subscribe(application, receiver)
    with delivering(application):
        happen(application, 1, 2)
        receiver.wait_for(2)
        (first, *_) = wait_until(lambda: deliveries(application, made), "the delivery is written down")
        again = application.subscriptions.redeliver(SYSTEM_ACTOR, made.id, first.id)
        assert (again.state, again.redelivery) == (DeliveryState.WAITING, True)
        receiver.wait_for(2 + first.events)

        def ended():
            found = application.subscriptions.delivery(SYSTEM_ACTOR, made.id, again.id)
            return found if found.state is not DeliveryState.WAITING else None

        done = wait_until(ended, "it is written down")
    assert (done.state, done.status, done.events) == (DeliveryState.DELIVERED, 200, first.events)
    assert receiver.posts[-1].records == receiver.posts[0].records
    with pytest.raises(NotFound):
        application.subscriptions.redeliver(SYSTEM_ACTOR, made.id, 10**6)


def test_the_last_deliveries_are_kept_and_no_more(application, receiver):
    made, _ = subscribe(application, receiver)

    def write(uow):
        for number in range(1, 121):
            uow.subscriptions.add_delivery(made.id, first=number, last=number, events=1, state=DeliveryState.DELIVERED)

    application.database.run(write)
    assert [delivery.first for delivery in deliveries(application, made)] == list(range(21, 121))


# --- where to --------------------------------------------------------------------------------------------------------


def operator(application, name="operator"):
    account = application.accounts.create(SYSTEM_ACTOR, name, "correct horse battery", Role.OPERATOR)
    return Actor(user_name=name, role=Role.OPERATOR, account_id=account.id)


@pytest.mark.parametrize(
    "destination",
    [
        *(
            "http://169.254.169.254/latest",
            "http://[fe80::1]/",
            "http://100.100.100.200/",
            "http://[::ffff:a9fe:a9fe]/",
        ),
        *("http://0.0.0.0/", "ftp://192.0.2.1/", "http://me:secret@192.0.2.1/", "http://", "x", "http://a b/"),
        *("http://192.0.2.1:0/", "http://192.0.2.1:65536/"),
        "http://xn--a/",
    ],
)
def test_nobody_may_have_events_sent_there(sqlite_url, tmp_path, destination):
    with opened(sqlite_url, tmp_path) as application, pytest.raises(PropertyError) as caught:
        application.subscriptions.create(SYSTEM_ACTOR, NewSubscription(destination=destination))
    assert "secret" not in caught.value.message
    assert caught.value.data["property"] == "Destination"


def test_internal_addresses_are_for_administrators_and_for_others_by_a_setting(sqlite_url, tmp_path):
    inside = NewSubscription(destination="http://10.1.2.3/x")
    with opened(sqlite_url, tmp_path) as application:
        actor = operator(application)
        with pytest.raises(PropertyConflict, match="HF_EVENTS_ALLOWED_NETWORKS"):
            application.subscriptions.create(actor, inside)
        for address in (
            "::1",
            "fec0::1",
            "64:ff9b:1::a01:203",
        ):  # the last two are private ones that Python takes for global
            with pytest.raises(PropertyConflict, match="HF_EVENTS_ALLOWED_NETWORKS"):
                application.subscriptions.create(actor, NewSubscription(destination=f"http://[{address}]:8080/"))
        application.subscriptions.create(actor, NewSubscription(destination="https://8.8.8.8/"))
        application.subscriptions.create(SYSTEM_ACTOR, inside)
    with opened(sqlite_url, tmp_path, events_allowed_networks=("10.1.0.0/16",)) as application:
        application.subscriptions.create(actor, inside)


def test_a_name_is_judged_when_something_is_sent_there(sqlite_url, tmp_path, receiver, monkeypatch):
    """And the address that was judged is the one that is connected to."""
    port = receiver.url.split(":")[2].partition("/")[0]
    really = socket.getaddrinfo
    told = {"inside.test": "127.0.0.1", "metadata.test": "169.254.169.254"}

    def look_up(host, *more, **options):
        return [(2, 1, 6, "", (told[host], int(port)))] if host in told else really(host, *more, **options)

    with opened(sqlite_url, tmp_path) as application:
        actor = operator(application)
        plain, _ = subscribe(application, receiver, actor=actor, destination=f"http://inside.test:{port}/")
        metadata, _ = subscribe(application, receiver, destination=f"http://metadata.test:{port}/")
        admin, _ = subscribe(application, receiver, destination=f"http://inside.test:{port}/events")
        monkeypatch.setattr("hawkfish.services.outgoing.socket.getaddrinfo", look_up)
        with delivering(application):
            happen(application, 1)
            receiver.wait_for(1)
            for made, said in ((plain, "HF_EVENTS_ALLOWED_NETWORKS"), (metadata, "metadata")):
                failed = wait_until(lambda made=made: deliveries(application, made), "the delivery is refused")[0]
                assert (failed.state, failed.status) == (DeliveryState.FAILED, None)
                assert said in failed.error
            wait_until(lambda: application.subscriptions.progress(admin).delivered == 1, "the delivery is written down")
    assert {post.path for post in receiver.posts} == {"/events"}
    assert receiver.posts[0].headers["host"] == f"inside.test:{port}"


def test_a_receiver_that_listens_at_one_of_its_addresses_is_reached(sqlite_url, tmp_path, receiver, monkeypatch):
    """As one on `localhost` does mostly, which is an address of IPv6 first."""
    port = receiver.url.split(":")[2].partition("/")[0]
    really = socket.getaddrinfo

    def look_up(host, *more, **options):
        both = [(2, 1, 6, "", (address, int(port))) for address in ("127.0.0.2", "127.0.0.1")]
        return both if host == "localhost" else really(host, *more, **options)

    monkeypatch.setattr("hawkfish.services.outgoing.socket.getaddrinfo", look_up)
    with opened(sqlite_url, tmp_path) as application:
        subscription, _ = subscribe(application, receiver, destination=f"http://localhost:{port}/events")
        with delivering(application):
            happen(application, 1)
            receiver.wait_for(1)
            wait_until(lambda: deliveries(application, subscription), "the delivery is written down")
        assert [delivery.state for delivery in deliveries(application, subscription)] == [DeliveryState.DELIVERED]


# --- the records themselves ------------------------------------------------------------------------------------------


def test_everybody_sees_the_own_and_administrators_all(application, receiver):
    actor, other = operator(application), operator(application, "other")
    mine, _ = subscribe(application, receiver, actor=actor, destination="https://8.8.8.8/")
    subscribe(application, receiver)
    service = application.subscriptions
    assert [item.id for item in service.all(actor)] == [mine.id]
    assert len(service.all(SYSTEM_ACTOR)) == 2
    for refused in (service.get, service.delete, service.suspend, service.deliveries):
        with pytest.raises(NotFound):
            refused(other, mine.id)
    changed = service.update(actor, mine.id, {"context": "new", "headers": {"X-A": "plain-text"}})
    assert (changed.context, changed.version) == ("new", 2)
    assert "plain-text" not in (changed.sealed_headers or "")
    account = next(item for item in application.accounts.list(SYSTEM_ACTOR) if item.user_name == "operator")
    application.accounts.delete(SYSTEM_ACTOR, account.id)
    assert [item.id for item in service.all(SYSTEM_ACTOR)] != [mine.id]
    service.purge()
    with application.database.read() as uow:
        assert f"subscription:{mine.id}" not in {sink.name for sink in uow.events.sinks()}


def test_there_are_no_more_than_the_setting_says(sqlite_url, tmp_path, receiver):
    with opened(sqlite_url, tmp_path, event_subscriptions=1) as application:
        subscribe(application, receiver)
        with pytest.raises(Conflict, match="HF_EVENT_SUBSCRIPTIONS"):
            subscribe(application, receiver)


def test_secrets_are_unreadable_without_the_key(sqlite_url, tmp_path, receiver):
    with opened(sqlite_url, tmp_path) as application:
        made, secret = subscribe(application, receiver, headers={"Authorization": "Bearer abcdef"})
        key = application.settings.secret_key
        assert key.stat().st_mode & 0o777 == 0o600
        with delivering(application):
            happen(application, 1)
            receiver.wait_for(1)
            key.unlink()
        kept = (tmp_path / "hawkfish.db").read_bytes() + (tmp_path / "hawkfish.db-wal").read_bytes()
        assert secret.removeprefix("whsec_").encode() not in kept
        assert b"abcdef" not in kept
    with opened(sqlite_url, tmp_path) as application, delivering(application):
        happen(application, 2)
        failed = wait_until(
            lambda: [item for item in deliveries(application, made) if item.error], "the key does not fit"
        )
        assert "key" in failed[0].error


def test_subjects_have_the_addresses_that_the_api_has():
    from hawkfish.api import links
    from hawkfish.events.payload import ORIGINS, origin_of, subject_at

    assert ORIGINS == {
        "system": links.SYSTEMS,
        "task": links.TASKS,
        "host": links.HOSTS,
        "pool": links.POOLS,
        "image": links.IMAGES,
        "profile": links.PROFILES,
        "account": links.ACCOUNTS,
        "session": links.SESSIONS,
        "subscription": links.SUBSCRIPTIONS,
    }
    subject = f"system:{UUID(int=7)}"
    assert subject_at(origin_of(subject)) == subject
    assert subject_at("/redfish/v1/Chassis/1") is None
