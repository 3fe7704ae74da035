"""Events in the database: told if and only if their transaction commits, in one order that never has a late comer."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hawkfish.db import Database
from hawkfish.db.repositories.events import EVENTS_CHANNEL
from hawkfish.domain.messages import RESOURCE_CHANGED, RESOURCE_CREATED, RESOURCE_POWERED_ON, TASK_STARTED

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def add(database, *subjects, message=RESOURCE_CHANGED):
    with database.write() as uow:
        for subject in subjects:
            uow.events.add(message, subject)


def read(database, after=0, limit=1000):
    """What a reader with a cursor does."""
    database.run(lambda uow: uow.events.give_places())
    with database.read() as uow:
        return uow.events.after(after, limit)


def subjects(events):
    return [event.subject for event in events]


def test_an_event_comes_back_as_it_was_written_down(database):
    with database.write() as uow:
        uow.events.add(RESOURCE_POWERED_ON, "system:1", "web1", actor="ann", task_id="t", project="p", data={"a": [1]})
    (event,) = read(database)
    assert (event.message_id, event.arguments, event.severity.value) == (
        "ResourceEvent.1.4.ResourcePoweredOn",
        ("web1",),
        "OK",
    )
    assert (event.subject, event.resource_type) == ("system:1", "ComputerSystem")
    assert (event.actor, event.task_id, event.project, dict(event.data)) == ("ann", "t", "p", {"a": [1]})
    assert event.sequence == 1
    assert abs(event.at - datetime.now(UTC)) < timedelta(minutes=1)


def test_what_is_rolled_back_is_never_told(database):
    with pytest.raises(ZeroDivisionError), database.write() as uow:  # noqa: PT012  the block is the transaction
        uow.events.add(RESOURCE_CREATED, "system:1")
        raise ZeroDivisionError
    add(database, "system:2")
    assert [(event.sequence, event.subject) for event in read(database)] == [(1, "system:2")]


def test_a_wrong_number_of_arguments_or_an_unknown_subject_is_a_mistake_of_the_program(database):
    with database.write() as uow:
        with pytest.raises(LookupError, match="takes 1 arguments, not 0"):
            uow.events.add(TASK_STARTED, "task:1")
        with pytest.raises(LookupError, match="no subjects 'cat'"):
            uow.events.add(RESOURCE_CREATED, "cat:1")


def test_a_commit_wakes_those_who_wait_for_events(database):
    with database.subscribe(EVENTS_CHANNEL) as subscription:
        end = datetime.now(UTC) + timedelta(seconds=60)
        while True:  # on PostgreSQL the listening connection may still be on its way
            add(database, "system:1")
            if subscription.wait(0.2):
                break
            assert datetime.now(UTC) < end, "nobody was woken"


@pytest.mark.needs_postgresql
def test_a_transaction_that_commits_late_is_not_missed_by_a_reader_with_a_cursor(postgresql_url):
    database = Database(postgresql_url)
    with database.write() as late:
        late.events.add(RESOURCE_CHANGED, "system:late")
        late.events.newest()  # by now it is written and has the smaller id ...
        add(database, "system:early-1", "system:early-2")
        seen = read(database)
        assert subjects(seen) == ["system:early-1", "system:early-2"]
        with database.write() as third:
            third.events.add(RESOURCE_CHANGED, "system:third")
            add(database, "system:early-3")
            seen += read(database, after=seen[-1].sequence)
    # ... and is committed only now, after the one that began last.
    seen += read(database, after=seen[-1].sequence)
    assert subjects(seen[2:]) == ["system:early-3", "system:late", "system:third"]
    assert [event.sequence for event in seen] == [1, 2, 3, 4, 5]
    assert min(seen, key=lambda event: event.id).subject == "system:late"
    database.close()


@pytest.mark.needs_postgresql
def test_two_who_give_places_at_once_give_each_number_once(postgresql_url):
    database = Database(postgresql_url)
    add(database, *(f"system:{number}" for number in range(50)))
    reached = threading.Barrier(2)
    counts = []

    def give():
        with database.write() as uow:
            reached.wait(30)
            counts.append(uow.events.give_places(most=30))
            add(database, "system:meanwhile")

    threads = [threading.Thread(target=give) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(counts) in ([21, 30], [20, 30], [22, 30])
    assert [event.sequence for event in read(database)] == list(range(1, 53))
    database.close()


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(moves=st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["add", "commit", "abort", "read"])), max_size=20))
@pytest.mark.needs_postgresql
def test_whatever_the_order_of_writers_and_commits_a_reader_meets_each_event_once(postgresql_url, moves):
    database = Database(postgresql_url)
    with database.write() as uow:
        uow.events.prune(kept=1, before=datetime.now(UTC) + timedelta(days=1), most=10_000)
        start = uow.events.newest()
    open_ones: dict[int, tuple] = {}
    committed, seen = [], []

    def end(writer, *, commit):
        if writer in open_ones:
            context, _, written = open_ones.pop(writer)
            if commit:
                context.__exit__(None, None, None)
                committed.extend(written)
            else:
                assert not context.__exit__(KeyError, KeyError(), None)

    for number, (writer, move) in enumerate(moves):
        if move == "add":
            if writer not in open_ones:
                context = database.write()
                open_ones[writer] = (context, context.__enter__(), [])
            _, uow, written = open_ones[writer]
            written.append(f"system:{number}")
            uow.events.add(RESOURCE_CHANGED, written[-1])
        elif move == "read":
            seen += read(database, after=seen[-1].sequence if seen else start, limit=3)
        else:
            end(writer, commit=move == "commit")
    for writer in list(open_ones):
        end(writer, commit=True)
    while more := read(database, after=seen[-1].sequence if seen else start, limit=3):
        seen += more
    assert sorted(subjects(seen)) == sorted(committed)
    assert [event.sequence for event in seen] == list(range(start + 1, start + 1 + len(committed)))
    database.close()


def test_the_oldest_go_by_number_and_by_age_and_places_go_on(database):
    add(database, *(f"system:{number}" for number in range(10)))
    read(database)
    with database.write() as uow:
        assert uow.events.prune(kept=6, before=LONG_AGO, most=3) == 3
        assert uow.events.prune(kept=6, before=LONG_AGO, most=3) == 1
        assert uow.events.prune(kept=6, before=LONG_AGO) == 0
    assert subjects(read(database)) == [f"system:{number}" for number in range(4, 10)]
    with database.write() as uow:
        assert uow.events.prune(kept=100, before=datetime.now(UTC) + timedelta(days=1)) == 5
    add(database, "system:10")
    assert [(event.sequence, event.subject) for event in read(database)] == [(10, "system:9"), (11, "system:10")]


def test_pruning_an_empty_table_does_nothing(database):
    with database.write() as uow:
        assert uow.events.prune(kept=1, before=datetime.now(UTC)) == 0


def test_pages_go_from_the_newest_back_and_can_be_of_one_subject(database):
    add(database, "system:1", "system:2", "system:1", "host:1")
    with database.read() as uow:
        first = uow.events.page(limit=3)
        rest = uow.events.page(limit=3, before_id=first[-1].id)
        assert subjects(first + rest) == ["host:1", "system:1", "system:2", "system:1"]
        newest = uow.events.for_subject("system:1", limit=1)
        oldest = uow.events.for_subject("system:1", limit=5, before_id=newest[0].id)
        assert [len(newest), len(oldest), uow.events.count("system:1"), uow.events.count()] == [1, 1, 2, 4]


def test_a_new_receiver_hears_from_now_on_and_never_goes_back(database):
    add(database, "system:1", "system:2")
    read(database)
    with database.write() as uow:
        sink = uow.events.open_sink("plugin:acme")
    assert (sink.sequence, sink.delivered) == (2, 0)
    with database.write() as uow:
        uow.events.save_sink(type(sink)(name=sink.name, sequence=9, delivered=7, failed=1, dropped=2))
        uow.events.save_sink(type(sink)(name=sink.name, sequence=5))
    with database.write() as uow:
        again = uow.events.open_sink("plugin:acme")
        assert (again.sequence, again.delivered, again.failed, again.dropped) == (9, 7, 1, 2)
        assert uow.events.sinks() == [again]
        uow.events.close_sink("plugin:acme")
        assert uow.events.sinks() == []
