"""Many systems by one task: all of them, or none."""

from __future__ import annotations

import pytest

from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.machines import PowerState
from hawkfish.domain.messages import RESOURCE_CREATED
from hawkfish.domain.systems import NewDisk, SystemState
from hawkfish.errors import InvalidRequest, NoRoom, NotPermitted, PropertyConflict
from hawkfish.services.observation import Observer
from tests.support.installation import READER, Installation

ONE_BY_ONE = "lacks=bulk-define,bulk-volumes"


@pytest.mark.parametrize("options", ["", ONE_BY_ONE])
def test_a_batch_is_real_systems(installation: Installation, options: str) -> None:
    kind = "slow" if options else "fast"
    host = installation.host(options, name=f"batch-{kind}")
    names = [f"{kind}-{number}" for number in range(20)]
    create = installation.application.systems.create_batch
    task = installation.done(create(SYSTEM_ACTOR, installation.new(host=host.name), names))
    assert installation.machines(host.name) == set(names)
    systems = [installation.application.systems.get(SYSTEM_ACTOR, name) for name in names]
    assert {(system.state, system.power_state, system.host_id) for system in systems} == {
        (SystemState.READY, PowerState.OFF, host.id)
    }
    assert installation.volumes(host.name) == {disk.volume_name for system in systems for disk in system.disks}
    addresses = [item.mac_address for system in systems for item in system.network_interfaces]
    assert len(set(addresses)) == len(names)
    machine = installation.machine(systems[7])
    assert machine.stamp is not None
    assert machine.stamp.task_id == task.id
    assert machine.mac_addresses == (systems[7].network_interfaces[0].mac_address,)
    written = {
        record.subject
        for record in installation.application.audit.list(SYSTEM_ACTOR, limit=1000)
        if record.verb == "systems.create" and record.details.get("task") == task.id
    }
    assert written == {f"system:{system.id}" for system in systems}
    with installation.application.database.read() as uow:
        events = [event for event in uow.events.page(limit=1000) if event.task_id == task.id]
    created = {event.subject: event.data["name"] for event in events if event.message_id == RESOURCE_CREATED.id}
    assert created == {f"system:{system.id}": system.name for system in systems}
    with installation.application.database.read() as uow:
        assert uow.tasks.get(task.id).results == {"define": {"others": {}}}
    seen = installation.machine(systems[7])
    assert [system.observed for system in systems if system.id == seen.id] == [seen.facts]
    assert installation.start(systems[3]).power_state is PowerState.ON


def test_what_is_there_is_left_as_it_is(installation: Installation) -> None:
    host = installation.host(name="batch-again")
    pattern = installation.new(host=host.name)
    create = installation.application.systems.create_batch
    installation.done(create(SYSTEM_ACTOR, pattern, ["old-1", "old-2"]))
    before = installation.application.systems.get(SYSTEM_ACTOR, "old-1")
    installation.done(create(SYSTEM_ACTOR, pattern, ["OLD-1", "old-2", "old-3"]))
    assert installation.application.systems.get(SYSTEM_ACTOR, "old-1") == before
    assert installation.machines(host.name) == {"old-1", "old-2", "old-3"}
    assert create(SYSTEM_ACTOR, pattern, ["old-1", "old-3"]).task is None


@pytest.mark.parametrize("operation", ["create_volume", "define_machine", "create_volumes", "define_machines"])
def test_of_a_batch_that_fails_nothing_is_left(installation: Installation, operation: str) -> None:
    options = "" if operation.endswith("s") else ONE_BY_ONE
    host = installation.host(options, name=f"batch-{operation.replace('_', '-')}")
    names = [f"{operation.replace('_', '-')}-{number}" for number in range(8)]
    installation.control.fail(operation, count=1)
    accepted = installation.application.systems.create_batch(SYSTEM_ACTOR, installation.new(host=host.name), names)
    installation.failed(accepted)
    assert installation.machines(host.name) == set()
    assert installation.volumes(host.name) == set()
    with installation.application.database.read() as uow:
        assert uow.system_batches.taken_names(names) == frozenset()
        assert host.id not in uow.reservations.given()
    installation.control.clear_faults()


def test_a_batch_is_not_news_to_the_watch(installation: Installation) -> None:
    """A sweep after thousands were made would else write each of them anew."""
    host = installation.host(name="batch-seen")
    names = [f"seen-{number}" for number in range(3)]
    create = installation.application.systems.create_batch
    installation.done(create(SYSTEM_ACTOR, installation.new(host=host.name), names))
    before = [installation.application.systems.get(SYSTEM_ACTOR, name) for name in names]
    application = installation.application
    assert Observer(application.database, application.drivers).sweep(host.id)
    assert [application.systems.get(SYSTEM_ACTOR, name) for name in names] == before


def test_a_batch_takes_no_more_room_than_there_is(installation: Installation) -> None:
    host = installation.host("memory_mib=2048", name="batch-small")
    create = installation.application.systems.create_batch
    with pytest.raises(NoRoom, match="of memory"):
        create(SYSTEM_ACTOR, installation.new(host=host.name, memory_mib=512), [f"big-{n}" for n in range(5)])
    assert installation.machines(host.name) == set()
    installation.done(create(SYSTEM_ACTOR, installation.new(host=host.name), [f"small-{n}" for n in range(4)]))


def test_what_a_batch_may_not_be(installation: Installation) -> None:
    create = installation.application.systems.create_batch
    with pytest.raises(NotPermitted):
        create(READER, installation.new(), ["a"])
    with pytest.raises(PropertyConflict):
        create(SYSTEM_ACTOR, installation.new(host="nowhere"), ["a"])
    of_image, of_file = NewDisk(image_id="a"), NewDisk(image="a.img")
    for options in (
        {"host": None},
        {"power_on": True},
        {"profile": "a"},
        {"disks": (of_image,)},
        {"disks": (of_file,)},
    ):
        with pytest.raises(InvalidRequest):
            create(SYSTEM_ACTOR, installation.new(**options), ["a"])
    with pytest.raises(InvalidRequest):
        create(SYSTEM_ACTOR, installation.new(), [f"n{number}" for number in range(501)])
