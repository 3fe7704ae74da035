"""Streams of events: replay, gaps, what may be seen, and how they begin and end."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from hawkfish.bootstrap import Application
from hawkfish.config import load_settings
from hawkfish.db.models.subscriptions import SubscriptionRow
from hawkfish.db.repositories.subscriptions import SubscriptionRepository
from hawkfish.domain.accounts import SYSTEM_ACTOR, Actor, Role
from hawkfish.domain.messages import RESOURCE_CHANGED, RESOURCE_REMOVED
from hawkfish.domain.subscriptions import TestEvent
from hawkfish.errors import DatabaseUnavailable, ServiceBusy
from hawkfish.events.dispatcher import Dispatcher
from hawkfish.services import streams as module
from hawkfish.services.streams import StreamService
from hawkfish.testing.waiting import wait_until

SERVICES = []
PASSWORD = "correct horse battery"


@contextmanager
def opened(database_url, folder, **settings):
    application = Application.open(load_settings({}, data_dir=folder, database_url=database_url, **settings))
    dispatcher = Dispatcher(application.database, [], lambda: True)
    dispatcher.start()
    try:
        yield application
    finally:
        while SERVICES:
            service = SERVICES.pop()
            wait_until(lambda service=service: service._signal is None, "nothing is read for nobody")
        dispatcher.stop()
        application.close()


@pytest.fixture
def application(database_url, tmp_path):
    with opened(database_url, tmp_path) as found:
        yield found


def service_of(application):
    SERVICES.append(application.streams(lambda function, *arguments: function(*arguments)))
    return SERVICES[-1]


def account(application, name="ann", role=Role.ADMINISTRATOR):
    made = application.accounts.create(SYSTEM_ACTOR, name, PASSWORD, role)
    return Actor(user_name=name, role=role, account_id=made.id)


class Listener:
    """Reads a stream in a thread, as the server does."""

    def __init__(self, stream):
        self.stream = stream
        self.frames = []
        self.over = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        while (found := self.stream.next(0.5)) is not None:
            self.frames += [frame for frame in found.split(b"\n\n") if frame]
        self.stream.close()
        self.over.set()

    @property
    def records(self):
        return [json.loads(frame.partition(b"data: ")[2])["Events"][0] for frame in self.frames]

    @property
    def ids(self):
        return [int(frame.partition(b"\n")[0].removeprefix(b"id: ")) for frame in self.frames]

    @property
    def origins(self):
        return [record["OriginOfCondition"]["@odata.id"].rpartition("/")[2] for record in self.records]

    def close(self):
        self.stream.close()
        assert self.over.wait(30)


@contextmanager
def listening(service, actor, wants=lambda _: True, after=None):
    listener = Listener(service.open(actor, wants, after))
    try:
        yield listener
    finally:
        listener.close()


def happen(application, *numbers, kind="system"):
    def write(uow):
        for number in numbers:
            uow.events.add(RESOURCE_CHANGED, f"{kind}:{number}")

    application.database.run(write)


def streams_of(application):
    return [item for item in application.subscriptions.all(SYSTEM_ACTOR) if item.type == "SSE"]


def numbers(*values):
    return [str(value) for value in values]


def test_a_stream_tells_what_happens_from_now_on_and_goes_on_where_another_ended(application):
    service, ann = service_of(application), account(application)
    happen(application, 0)
    application.database.run(lambda uow: uow.events.give_places())
    only_systems = lambda event: event.resource_type == "ComputerSystem"  # noqa: E731  a condition, as the API makes it
    with listening(service, ann, only_systems) as first, listening(service, ann, only_systems) as second:
        opening = first.stream.opening()
        assert b"HawkFish.1.0.StreamOpened" in opening
        assert len(opening) < 600
        happen(application, 1, 2, 3)
        for listener in (first, second):
            wait_until(lambda listener=listener: listener.origins == ["1", "2", "3"], "all arrives")
        assert first.ids == sorted(first.ids)
    with listening(service, ann, only_systems, after=first.ids[0]) as third:
        happen(application, 4)
        wait_until(lambda: third.origins == ["2", "3", "4"], "it goes on behind the first")
    with listening(service, ann, only_systems, after=10**15) as later:
        happen(application, 5)
        wait_until(lambda: later.origins == ["5"], "an id from elsewhere begins now")


def test_a_stream_that_is_opened_takes_nothing_from_those_that_are_open(application, monkeypatch):
    monkeypatch.setattr(module, "GATHER_SECONDS", 0.3)  # so that the other comes between an event and its being read
    service, ann = service_of(application), account(application)
    only_systems = lambda event: event.resource_type == "ComputerSystem"  # noqa: E731  a condition, as the API makes it
    with listening(service, ann, only_systems) as first:
        happen(application, 1)
        wait_until(lambda: first.origins == ["1"], "the first event has been read")
        happen(application, 2)
        with listening(service, ann, only_systems) as second:
            happen(application, 3)
            wait_until(lambda: second.origins == ["3"], "the other one hears from now on")
            wait_until(lambda: first.origins[-1:] == ["3"], "the first one goes on")
    assert first.origins == ["1", "2", "3"]
    assert second.origins == ["3"]


def test_a_slow_listener_loses_nothing_and_costs_no_memory(application):
    service, ann = service_of(application), account(application)
    slow = service.open(ann, lambda event: event.resource_type == "ComputerSystem")
    with listening(service, ann) as quick:
        for begin in range(0, module.KEPT + 500, 500):
            happen(application, *range(begin, begin + 500))
        wait_until(lambda: len(quick.frames) == module.KEPT + 500, "the quick one has heard all", 60)
        assert len(service._kept) == module.KEPT
    late = Listener(slow)
    wait_until(lambda: len(late.frames) == module.KEPT + 500, "the slow one hears all, too", 60)
    late.close()
    assert late.origins == numbers(*range(module.KEPT + 500))


@pytest.mark.parametrize("way", ["backlog", "pruned"])
def test_a_gap_is_told(database_url, tmp_path, way):
    settings = {"event_backlog": 10} if way == "backlog" else {"events_kept": 10}
    with opened(database_url, tmp_path, **settings) as application:
        service, ann = service_of(application), account(application)
        application.database.run(lambda uow: uow.events.give_places())
        begin = application.database.run(lambda uow: uow.events.newest())
        stream = service.open(ann, lambda _: True, begin) if way == "backlog" else None
        happen(application, *range(30))
        application.database.run(lambda uow: uow.events.give_places())
        if stream is None:
            assert application.events.prune() > 0
            stream = service.open(ann, lambda _: True, begin)
        else:
            wait_until(lambda: service.newest >= begin + 30, "the reader has read them")
        listener = Listener(stream)
        wait_until(lambda: len(listener.frames) >= 11, "what is left arrives")
        listener.close()
    gap, *rest = listener.records
    assert (gap["MessageId"], gap["MessageArgs"]) == ("HawkFish.1.0.EventsDropped", ["20"])
    assert [record["OriginOfCondition"]["@odata.id"][-2:] for record in rest] == numbers(*range(20, 30))
    assert listener.ids[0] == begin + 20


def test_what_the_account_does_not_see_any_more_is_not_sent(application, monkeypatch):
    monkeypatch.setattr(module, "VIEW_SECONDS", 0.0)
    service, ann = service_of(application), account(application)
    account(application, "boss")
    with listening(service, ann) as listener:
        happen(application, "x", kind="account")
        wait_until(lambda: listener.origins[-1:] == ["x"], "an administrator hears of accounts")
        application.accounts.update(SYSTEM_ACTOR, ann.account_id, role=Role.READ_ONLY)
        happen(application, "y", kind="account")
        happen(application, "z")
        wait_until(lambda: listener.origins[-1:] == ["z"], "others hear of systems")
        assert "y" not in listener.origins
        application.accounts.update(SYSTEM_ACTOR, ann.account_id, enabled=False)
        happen(application, "w")
        assert listener.over.wait(30), "a disabled account hears nothing more"
    assert "w" not in listener.origins


def test_a_stream_is_a_subscription_as_long_as_it_lasts(application, monkeypatch):
    monkeypatch.setattr(module, "KEEP_SECONDS", 0.1)
    service, ann = service_of(application), account(application)
    account(application, "boss")  # so that the other may be deleted
    with listening(service, ann) as listener:
        (shown,) = streams_of(application)
        assert (shown.id, shown.owner_id, shown.destination) == (listener.stream.id, ann.account_id, None)
        assert shown.context.startswith("stream-")
        said = TestEvent(message_id=RESOURCE_REMOVED.id, subject=shown.subject)
        application.subscriptions.submit_test(ann, said)
        wait_until(lambda: listener.origins[-1:] == [str(shown.id)], "a test event says that it is gone")
        assert not listener.stream.ended
        application.subscriptions.delete(ann, shown.id)
        assert listener.over.wait(30), "deleting it closes the stream"
    with listening(service, ann):
        assert len(streams_of(application)) == 1
    wait_until(lambda: not streams_of(application), "closing the stream deletes it")
    with listening(service, ann) as last:
        application.accounts.delete(SYSTEM_ACTOR, ann.account_id)
        assert last.over.wait(30), "and so does deleting the account"


def test_streams_stay_open_and_are_closed_while_something_happens_all_the_time(application, monkeypatch):
    """Else the other processes would take them for dead."""
    monkeypatch.setattr(module, "KEEP_SECONDS", 0.1)
    read = StreamService._after

    def something_happens_meanwhile(self, place):
        found = read(self, place)
        happen(application, 1)
        application.database.run(lambda uow: uow.events.give_places())
        return found

    monkeypatch.setattr(StreamService, "_after", something_happens_meanwhile)
    service, ann = service_of(application), account(application)
    with listening(service, ann) as listener:
        happen(application, 0)
        with listening(service, ann):
            (seen,) = [item.seen_at for item in streams_of(application) if item.id == listener.stream.id]
        wait_until(lambda: [item.id for item in streams_of(application)] == [listener.stream.id], "one is closed")
        wait_until(lambda: streams_of(application)[0].seen_at > seen, "the other is known to be open")
        monkeypatch.setattr(StreamService, "_after", read)


def test_the_end_of_a_stream_is_written_down_later_where_the_database_does_not_answer(application, monkeypatch):
    monkeypatch.setattr(module, "KEEP_SECONDS", 0.1)
    monkeypatch.setattr(module, "TROUBLE_SECONDS", 0.1)
    close_streams, failed = SubscriptionRepository.close_streams, threading.Event()

    def fail(*_):
        failed.set()
        raise DatabaseUnavailable("The database does not answer.")

    service, ann = service_of(application), account(application)
    with listening(service, ann) as listener:
        monkeypatch.setattr(SubscriptionRepository, "close_streams", fail)
        with listening(service, ann):
            pass
        assert failed.wait(30)
        monkeypatch.setattr(SubscriptionRepository, "close_streams", close_streams)
        wait_until(lambda: [item.id for item in streams_of(application)] == [listener.stream.id], "it is gone")


def test_a_stream_of_a_process_that_is_gone_is_not_shown(application):
    service, ann = service_of(application), account(application)
    stream = service.open(ann, lambda _: True)
    long_ago = datetime.now(UTC) - timedelta(minutes=1)
    with application.database.write() as uow:
        uow.session.execute(update(SubscriptionRow).values(seen_at=long_ago))
    assert streams_of(application) == []
    assert application.subscriptions.purge() == 1
    stream.close()


def test_a_process_has_no_more_streams_than_the_setting_says(sqlite_url, tmp_path):
    with opened(sqlite_url, tmp_path, event_streams=1) as application:
        service, ann = service_of(application), account(application)
        with listening(service, ann), pytest.raises(ServiceBusy, match="HF_EVENT_STREAMS"):
            service.open(ann, lambda _: True)


def test_an_account_has_no_more_of_them_than_the_setting_says_and_others_have_room(sqlite_url, tmp_path):
    with opened(sqlite_url, tmp_path, event_streams_per_account=1) as application:
        service, ann, bob = service_of(application), account(application), account(application, "bob")
        full = pytest.raises(ServiceBusy, match=r"ann has 1 streams .*HF_EVENT_STREAMS_PER_ACCOUNT")
        with listening(service, ann), listening(service, bob), full:
            service.open(ann, lambda _: True)
        with listening(service, ann):
            pass  # its place was given back


def test_a_stream_counts_while_it_is_being_opened_and_not_if_it_fails(sqlite_url, tmp_path):
    with opened(sqlite_url, tmp_path, event_streams_per_account=1) as application:
        ann, refused = account(application), []

        def meanwhile(_function, *_arguments):
            with pytest.raises(ServiceBusy) as caught:
                service.open(ann, lambda _: True)
            refused.append(caught.value)
            raise DatabaseUnavailable("The database does not answer.")

        service = application.streams(meanwhile)
        for _ in range(2):
            with pytest.raises(DatabaseUnavailable):
                service.open(ann, lambda _: True)
        assert len(refused) == 2
