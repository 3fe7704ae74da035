"""Systems that are there: deleted, changed, seen, and by whom."""

from __future__ import annotations

from uuid import UUID

import pytest

from hawkfish.builtin.simulated.control import FaultKind
from hawkfish.db.repositories import systems as systems_repository
from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.machines import PowerState
from hawkfish.domain.pages import PageRequest
from hawkfish.domain.systems import ResetType, SystemChanges, SystemState
from hawkfish.domain.tasks import TaskState
from hawkfish.errors import (
    Conflict,
    MachineNotFound,
    NotFound,
    NotPermitted,
    PreconditionFailed,
    PropertyError,
)
from tests.services.system_steps import everything
from tests.support.installation import READER

# --- deleting --------------------------------------------------------------------------------------------------------


def test_a_deleted_system_leaves_nothing(installation):
    before = everything(installation)
    system = installation.create()
    accepted = installation.application.systems.delete(SYSTEM_ACTOR, system.id)
    installation.done(accepted)
    assert everything(installation) == before
    with pytest.raises(NotFound):
        installation.get(system)


def test_a_system_that_is_on_is_not_deleted(installation):
    system = installation.create(power_on=True)
    with pytest.raises(Conflict, match="switch it off"):
        installation.application.systems.delete(SYSTEM_ACTOR, system.id)
    assert installation.get(system).state is SystemState.READY
    assert installation.machine(system).power_state is PowerState.ON


def test_a_deletion_is_joined_by_another(installation):
    system = installation.create()
    installation.control.fail("delete_volume", kind=FaultKind.HANG)
    first = installation.application.systems.delete(SYSTEM_ACTOR, system.id)
    assert installation.application.systems.delete(SYSTEM_ACTOR, system.id).task.id == first.task.id
    assert installation.get(system).state is SystemState.DELETING
    with pytest.raises(Conflict):
        installation.reset(system, ResetType.ON)
    installation.control.clear_faults()
    installation.done(first)


def test_a_deletion_that_fails_half_way_can_only_be_repeated(installation):
    before = everything(installation)
    system = installation.create()
    installation.control.fail("delete_volume", message="The shelf is stuck.")
    error = installation.failed(installation.application.systems.delete(SYSTEM_ACTOR, system.id))
    assert "The shelf is stuck." in error.message
    left = installation.get(system)
    assert left.state is SystemState.FAILED
    assert "The shelf is stuck." in left.failure
    with pytest.raises(Conflict, match="The shelf is stuck"):
        installation.reset(system, ResetType.ON)
    with pytest.raises(Conflict, match="The shelf is stuck"):
        installation.application.systems.update(SYSTEM_ACTOR, system.id, SystemChanges(asset_tag="x"))
    installation.done(installation.application.systems.delete(SYSTEM_ACTOR, system.id))
    assert everything(installation) == before


def test_a_deletion_that_took_nothing_leaves_the_system_as_it_was(installation):
    system = installation.create()
    installation.control.fail("remove_machine", message="The rack is on fire.")
    installation.failed(installation.application.systems.delete(SYSTEM_ACTOR, system.id))
    assert installation.get(system).state is SystemState.READY
    assert installation.start(system).power_state is PowerState.ON


def test_a_deletion_cancelled_in_line_leaves_the_system_as_it_was(installation):
    system = installation.create()
    installation.control.fail("define_machine", kind=FaultKind.HANG)
    update = installation.application.systems.update(SYSTEM_ACTOR, system.id, SystemChanges(vcpus=2))
    deletion = installation.application.systems.delete(SYSTEM_ACTOR, system.id)
    installation.application.tasks.cancel(SYSTEM_ACTOR, deletion.task.id)
    installation.control.clear_faults()
    assert installation.ended(deletion).state is TaskState.CANCELLED
    installation.done(update)
    assert installation.start(system).state is SystemState.READY


# --- changing --------------------------------------------------------------------------------------------------------


def test_what_is_only_a_record_changes_at_once(installation):
    system = installation.create()
    changes = SystemChanges(description="of the east wing", asset_tag="A-7", labels={"team": "blue"})
    accepted = installation.application.systems.update(SYSTEM_ACTOR, system.id, changes)
    assert accepted.task is None
    changed = installation.get(system)
    assert (changed.description, changed.asset_tag, changed.labels) == ("of the east wing", "A-7", {"team": "blue"})
    assert changed.version > system.version
    installation.application.systems.update(SYSTEM_ACTOR, system.id, changes)
    assert installation.get(system).version == changed.version, "the same again is no change"


def test_a_change_of_what_another_has_changed_is_refused(installation):
    system = installation.create()
    installation.application.systems.update(SYSTEM_ACTOR, system.id, SystemChanges(asset_tag="1"), system.version)
    for changes in (SystemChanges(asset_tag="2"), SystemChanges(asset_tag="1"), SystemChanges(vcpus=2)):
        with pytest.raises(PreconditionFailed):
            installation.application.systems.update(SYSTEM_ACTOR, system.id, changes, system.version)
    with pytest.raises(PreconditionFailed):
        installation.application.systems.delete(SYSTEM_ACTOR, system.id, system.version)
    assert installation.get(system).asset_tag == "1"


def test_hardware_changes_are_seen_by_the_guest_at_its_next_start(installation):
    system = installation.start(installation.create())
    installation.done(
        installation.application.systems.update(SYSTEM_ACTOR, system.id, SystemChanges(vcpus=3, memory_mib=256))
    )
    changed = installation.get(system)
    assert (changed.vcpus, changed.memory_mib, changed.power_state) == (3, 256, PowerState.ON)
    assert "Processors: 1  Memory: 128 MiB" in installation.serial(system)
    assert "Processors: 3" not in installation.serial(system)
    installation.done(installation.reset(system, ResetType.FORCE_OFF))
    installation.start(system)
    assert "Processors: 3  Memory: 256 MiB" in installation.serial(system)


def test_a_hardware_change_that_fails_is_undone(installation):
    system = installation.create()
    installation.control.fail("define_machine", message="The rack is on fire.", after=True)
    accepted = installation.application.systems.update(SYSTEM_ACTOR, system.id, SystemChanges(vcpus=4, asset_tag="new"))
    assert "The rack is on fire." in installation.failed(accepted).message
    left = installation.get(system)
    assert (left.vcpus, left.asset_tag) == (1, "new")
    assert installation.machine(system).vcpus == 1
    installation.start(system)
    assert "Processors: 1 " in installation.serial(system)


def test_of_two_hardware_changes_the_later_holds(installation):
    system = installation.create()
    installation.control.fail("define_machine", kind=FaultKind.HANG)
    first = installation.application.systems.update(SYSTEM_ACTOR, system.id, SystemChanges(vcpus=4))
    second = installation.application.systems.update(SYSTEM_ACTOR, system.id, SystemChanges(vcpus=1))
    installation.control.clear_faults()
    installation.done(first)
    installation.done(second)
    assert (installation.get(system).vcpus, installation.machine(system).vcpus) == (1, 1)


def test_more_than_the_host_has_is_refused_and_less_is_not(installation):
    small = installation.host("cpus=4&memory_mib=1024")
    system = installation.create(host=small.name, memory_mib=512)
    installation.create(host=small.name, memory_mib=256)
    for changes, property_ in (
        (SystemChanges(vcpus=5), "Oem/HawkFish/CPU"),
        (SystemChanges(memory_mib=769), "Oem/HawkFish/MemoryMiB"),
    ):
        with pytest.raises(PropertyError) as caught:
            installation.application.systems.update(SYSTEM_ACTOR, system.id, changes)
        assert caught.value.data["property"] == property_
    installation.done(installation.application.systems.update(SYSTEM_ACTOR, system.id, SystemChanges(memory_mib=768)))
    installation.done(installation.application.systems.update(SYSTEM_ACTOR, system.id, SystemChanges(memory_mib=128)))


def test_a_machine_that_is_gone_is_not_defined_anew_by_a_change(installation):
    system = installation.create()
    installation.application.drivers.driver(system.host_id).remove_machine(system.id)
    accepted = installation.application.systems.update(SYSTEM_ACTOR, system.id, SystemChanges(vcpus=2))
    assert isinstance(installation.failed(accepted), MachineNotFound)
    assert system.name not in installation.machines()
    assert installation.get(system).vcpus == 1
    installation.done(installation.application.systems.delete(SYSTEM_ACTOR, system.id))


# --- seeing, and who may ---------------------------------------------------------------------------------------------


def test_systems_are_found_by_id_and_by_name_and_listed_by_name(installation):
    installation.create()
    system = installation.create(name=installation.name("Findable"))
    assert installation.application.systems.get(SYSTEM_ACTOR, system.name.upper()) == system
    assert installation.application.systems.get(SYSTEM_ACTOR, str(system.id)) == system
    page = installation.application.systems.page(READER)
    systems = page.items
    assert page.total == len(systems)
    assert page.next_after is None
    assert [item.name.lower() for item in systems] == sorted(item.name.lower() for item in systems)
    piece = installation.application.systems.page(READER, PageRequest(skip=1, top=1))
    assert piece.items == systems[1:2]
    ids = installation.application.systems.references(READER, PageRequest(skip=1, top=1))
    assert ids.items == [systems[1].id]
    following = installation.application.systems.page(READER, PageRequest(top=1, after=systems[0].name.lower()))
    assert following == piece
    with pytest.raises(NotFound):
        installation.application.systems.get(SYSTEM_ACTOR, UUID(int=1))


def test_every_change_asks_for_the_right_and_is_written_down(installation):
    system = installation.create(power_on=True)
    subject = f"system:{system.id}"
    attempts = {
        "systems.update": lambda: installation.application.systems.update(
            READER, system.id, SystemChanges(asset_tag="x")
        ),
        "systems.delete": lambda: installation.application.systems.delete(READER, system.id),
        "systems.reset": lambda: installation.application.systems.reset(READER, system.id, ResetType.FORCE_OFF),
        "systems.screenshot": lambda: installation.application.systems.screenshot(READER, system.id),
        "systems.serial_log": lambda: installation.application.systems.serial_log(READER, system.id),
    }
    before = installation.get(system)
    for attempt in attempts.values():
        with pytest.raises(NotPermitted):
            attempt()
    with pytest.raises(NotPermitted):
        installation.application.systems.create(READER, installation.new(name="never"))
    assert installation.audited("system:never") == [("systems.create", "denied")]
    assert installation.audited(subject)[1:] == [(verb, "denied") for verb in attempts]
    assert installation.get(system) == before
    assert installation.application.systems.get(READER, system.id) == before


def test_every_change_leaves_one_row_in_the_trail(installation):
    system = installation.create()
    installation.application.systems.update(SYSTEM_ACTOR, system.id, SystemChanges(asset_tag="x"))
    installation.application.systems.update(SYSTEM_ACTOR, system.id, SystemChanges(asset_tag="x"))
    installation.done(installation.reset(system, ResetType.ON))
    installation.done(installation.reset(system, ResetType.FORCE_OFF))
    installation.done(installation.application.systems.delete(SYSTEM_ACTOR, system.id))
    verbs = ["systems.create", "systems.update", "systems.reset", "systems.reset", "systems.delete"]
    assert installation.audited(f"system:{system.id}") == [(verb, "allowed") for verb in verbs]


def test_more_systems_than_a_statement_takes_values_are_read_whole(installation, monkeypatch):
    made = [installation.create(name=name) for name in (f"many-{number}" for number in (3, 1, 5, 2, 4))]
    monkeypatch.setattr(systems_repository, "MOST_PARAMETERS", 2)
    with installation.application.database.read() as uow:
        found = uow.systems.of_ids([system.id for system in made])
        assert [system.name for system in found] == [f"many-{number}" for number in (1, 2, 3, 4, 5)]
        assert {system.id: system.disks for system in found} == {system.id: system.disks for system in made}
        on_host = {system.id: system for system in uow.systems.on_host(made[0].host_id)}
    assert {system.id: on_host[system.id].network_interfaces for system in made} == {
        system.id: system.network_interfaces for system in made
    }
