"""Systems that are asked for: what a user gets, and what is refused or fails and leaves nothing."""

from __future__ import annotations

import contextlib
import itertools
import os
from dataclasses import replace
from uuid import uuid4

import pytest

from hawkfish.builtin.simulated.control import FaultKind
from hawkfish.domain.accounts import SYSTEM_ACTOR, Actor, Role
from hawkfish.domain.machines import Bridge, Firmware, NamedNetwork, PowerState, UserMode
from hawkfish.domain.storage import VolumeFormat
from hawkfish.domain.systems import NewDisk, NewNetworkInterface, ResetType, SystemChanges, SystemState
from hawkfish.domain.tasks import TaskState
from hawkfish.errors import (
    Aborted,
    AlreadyExists,
    BackendError,
    Conflict,
    NoRoom,
    NotFound,
    PropertyConflict,
    PropertyInvalidFormat,
    PropertyMissing,
    PropertyOutOfRange,
)
from hawkfish.testing.waiting import wait_until
from tests.services.access import at_once
from tests.services.system_steps import everything, has_ended, refused
from tests.support.installation import KIB, MIB, empty_qcow2

# --- disks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format_", [None, VolumeFormat.QCOW2, VolumeFormat.RAW])
def test_an_empty_disk_has_the_size_and_the_format_asked_for(installation, format_):
    system = installation.create(disks=(NewDisk(capacity_bytes=MIB + 1, format=format_),))
    (disk,) = system.disks
    assert (disk.capacity_bytes, disk.format) == (MIB + 512, format_ or VolumeFormat.QCOW2)
    assert disk.volume_name in installation.volumes()
    assert system.state is SystemState.READY
    assert system.power_state is PowerState.OFF
    assert installation.machine(system).disk_ids == (disk.id,)


def content_of(installation, system, position=0):
    with installation.application.drivers.pool(system.disks[position].pool_id, system.host_id) as (pool, host):
        return b"".join(pool.download(host, system.disks[position].volume_name)), pool.find(
            host, system.disks[position].volume_name
        )


@pytest.mark.parametrize("capacity", [None, 64 * KIB, 128 * KIB])
def test_a_disk_from_a_raw_image_holds_its_bytes(installation, capacity):
    data = os.urandom(64 * KIB)
    (installation.images / "raw.img").write_bytes(data)
    system = installation.create(disks=(NewDisk(image="raw.img", capacity_bytes=capacity),))
    content, facts = content_of(installation, system)
    assert content[: len(data)] == data
    assert (facts.format, facts.capacity_bytes) == (VolumeFormat.RAW, capacity or 64 * KIB)
    assert system.disks[0].image == str(installation.images / "raw.img")


@pytest.mark.parametrize("capacity", [None, 4 * MIB])
def test_a_disk_from_a_qcow2_image_is_one(installation, capacity):
    (installation.images / "base.qcow2").write_bytes(empty_qcow2(2 * MIB))
    system = installation.create(disks=(NewDisk(image="base.qcow2", capacity_bytes=capacity),))
    _, facts = content_of(installation, system)
    assert (facts.format, facts.capacity_bytes) == (VolumeFormat.QCOW2, capacity or 2 * MIB)


def test_several_disks_keep_their_order(installation):
    (installation.images / "raw.img").write_bytes(os.urandom(4 * KIB))
    wanted = (
        NewDisk(capacity_bytes=2 * MIB),
        NewDisk(image="raw.img"),
        NewDisk(capacity_bytes=MIB, format=VolumeFormat.RAW),
    )
    system = installation.create(disks=wanted)
    assert [disk.capacity_bytes for disk in system.disks] == [2 * MIB, 4 * KIB, MIB]
    assert installation.machine(system).disk_ids == tuple(disk.id for disk in system.disks)


def test_a_disk_needs_a_size_or_an_image(installation):
    error = refused(installation, PropertyMissing, disks=(NewDisk(capacity_bytes=MIB), NewDisk()))
    assert error.data["property"] == "Disks/1/CapacityBytes"


@pytest.mark.parametrize("capacity", [0, -1])
def test_a_disk_of_nothing_is_refused(installation, capacity):
    error = refused(installation, PropertyOutOfRange, disks=(NewDisk(capacity_bytes=capacity),))
    assert error.data["property"] == "Disks/0/CapacityBytes"


def test_a_disk_smaller_than_its_image_is_refused(installation):
    (installation.images / "raw.img").write_bytes(bytes(MIB))
    error = refused(installation, PropertyOutOfRange, disks=(NewDisk(image="raw.img", capacity_bytes=MIB - 1),))
    assert error.data["property"] == "Disks/0/CapacityBytes"
    assert str(MIB) in error.message


def test_a_format_other_than_the_images_is_refused(installation):
    (installation.images / "raw.img").write_bytes(bytes(MIB))
    error = refused(installation, PropertyConflict, disks=(NewDisk(image="raw.img", format=VolumeFormat.QCOW2),))
    assert error.data["property"] == "Disks/0/Format"


def test_an_image_that_cannot_be_used_names_the_property_and_changes_nothing(installation):
    error = refused(installation, PropertyConflict, disks=(NewDisk(capacity_bytes=MIB), NewDisk(image="absent.img")))
    assert error.data["property"] == "Disks/1/Image"
    assert "absent.img" in error.message


# --- what is named and is not there, or is taken ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "property_"),
    [
        ({"host": "nowhere"}, "HostId"),
        ({"disks": (NewDisk(capacity_bytes=MIB, pool="lake"),)}, "Disks/0/Pool"),
        (
            {"network_interfaces": (NewNetworkInterface(attachment=NamedNetwork(name="lost")),)},
            "NetworkInterfaces/0/Network",
        ),
        ({"network_interfaces": (NewNetworkInterface(attachment=Bridge(name="br9")),)}, "NetworkInterfaces/0/Bridge"),
    ],
)
def test_an_unknown_host_pool_or_network_is_named(installation, options, property_):
    assert refused(installation, PropertyConflict, **options).data["property"] == property_


@pytest.mark.parametrize(
    ("options", "error", "property_"),
    [
        ({"name": "web 1"}, PropertyInvalidFormat, "Name"),
        ({"name": ""}, PropertyInvalidFormat, "Name"),
        ({"name": "x" * 65}, PropertyInvalidFormat, "Name"),
        ({"vcpus": -1}, PropertyOutOfRange, "CPU"),
        ({"memory_mib": -1}, PropertyOutOfRange, "MemoryMiB"),
        # 0 is what a profile fills in, and there is none.
        ({"vcpus": 0}, PropertyMissing, "CPU"),
        ({"memory_mib": 0}, PropertyMissing, "MemoryMiB"),
    ],
)
def test_what_no_host_could_make_is_refused_by_its_property(installation, options, error, property_):
    assert refused(installation, error, **options).data["property"] == property_


def test_a_name_a_uuid_and_a_mac_address_belong_to_one_system(installation):
    mac = "52:54:00:aa:bb:01"
    first = installation.create(name="Taken", id=uuid4(), network_interfaces=(NewNetworkInterface(mac_address=mac),))
    assert refused(installation, AlreadyExists, name="tAKEN").data["property"] == "Name"
    assert refused(installation, AlreadyExists, id=first.id).data["property"] == "UUID"
    again = (NewNetworkInterface(), NewNetworkInterface(mac_address=mac.upper()))
    assert refused(installation, AlreadyExists, network_interfaces=again).data["property"] == "MACAddress"


def test_one_mac_address_for_two_interfaces_is_refused(installation):
    twice = tuple(NewNetworkInterface(mac_address=mac) for mac in ("52:54:00:aa:bb:02", "52:54:00:AA:BB:02"))
    assert refused(installation, PropertyConflict, network_interfaces=twice).data["property"] == "NetworkInterfaces"


def test_interfaces_without_an_address_get_free_ones(installation):
    system = installation.create(network_interfaces=(NewNetworkInterface(),) * 3)
    addresses = [item.mac_address for item in system.network_interfaces]
    assert len(set(addresses)) == 3
    assert all(address.startswith("52:54:00:") for address in addresses)
    assert [item.attachment for item in system.network_interfaces] == [UserMode()] * 3
    assert installation.machine(system).mac_addresses == tuple(addresses)
    assert installation.create(network_interfaces=()).network_interfaces == ()


def test_firmware_is_uefi_where_the_host_has_it_and_what_was_asked_for_else(installation):
    assert installation.create().firmware is Firmware.UEFI
    assert installation.machine(installation.create(firmware=Firmware.BIOS)).firmware is Firmware.BIOS


def test_a_uuid_that_is_free_again_can_be_used_again(installation):
    chosen = uuid4()
    first = installation.create(id=chosen)
    installation.done(installation.application.systems.delete(SYSTEM_ACTOR, first.id))
    assert installation.create(id=chosen).state is SystemState.READY


def test_a_uuid_whose_creation_failed_can_be_used_again(installation):
    chosen, new = uuid4(), installation.new()
    installation.control.fail("define_machine", message="The rack is on fire.")
    installation.failed(installation.application.systems.create(SYSTEM_ACTOR, replace(new, id=chosen)))
    accepted = installation.application.systems.create(SYSTEM_ACTOR, replace(new, id=chosen))
    installation.done(accepted)
    assert installation.get(accepted).state is SystemState.READY


# --- room ------------------------------------------------------------------------------------------------------------


def test_no_room_tells_of_each_host_why(installation):
    small = installation.host("memory_mib=512")
    assert "512" in refused(installation, NoRoom, memory_mib=513, host=small.name).data["reasons"][small.name]
    reasons = refused(installation, NoRoom, memory_mib=1 << 25, host=None).data["reasons"]
    assert {"rack", small.name} <= set(reasons)
    installation.create(host=small.name, memory_mib=300)
    assert "212 MiB" in refused(installation, NoRoom, memory_mib=213, host=small.name).message
    assert installation.create(host=small.name, memory_mib=212).host_name == small.name


def test_a_machine_has_no_more_processors_than_its_host(installation):
    few = installation.host("cpus=2")
    assert "2 processors" in refused(installation, NoRoom, vcpus=3, host=few.name).message
    assert installation.create(vcpus=2, host=few.name).vcpus == 2
    assert installation.create(vcpus=2, host=few.name).vcpus == 2, "processors are shared"


def test_systems_that_are_asked_for_at_once_never_share_memory(installation):
    small = installation.host("memory_mib=1000")
    outcomes = at_once(
        *[
            lambda: installation.application.systems.create(
                SYSTEM_ACTOR, installation.new(host=small.name, memory_mib=300, disks=())
            )
        ]
        * 6
    )
    accepted = [item for item in outcomes if not isinstance(item, Exception)]
    assert len(accepted) == 3
    assert all(isinstance(item, NoRoom) for item in outcomes if isinstance(item, Exception))
    for item in accepted:
        installation.done(item)


def test_a_system_goes_where_the_pool_is_that_it_names(installation):
    name = installation.name("rack")
    accepted = installation.application.hosts.add(
        SYSTEM_ACTOR, name, "simulated", f"simulated:///{name}?memory_mib=512", pool_path=str(installation.images / "p")
    )
    installation.done(accepted)
    (pool,) = [pool for pool in installation.application.hosts.pools(SYSTEM_ACTOR) if accepted.subject_id in pool.hosts]
    system = installation.create(host=None, disks=(NewDisk(capacity_bytes=MIB, pool=pool.name.upper()),))
    assert system.host_name == name
    assert system.disks[0].pool_id == pool.id


# --- asked twice -----------------------------------------------------------------------------------------------------


def test_an_equal_request_joins_the_one_that_runs(installation):
    installation.control.fail("define_machine", kind=FaultKind.HANG)
    new = installation.new()
    first = installation.application.systems.create(SYSTEM_ACTOR, new)
    again = installation.application.systems.create(SYSTEM_ACTOR, new)
    assert (again.subject_id, again.task.id) == (first.subject_id, first.task.id)
    with pytest.raises(AlreadyExists):
        installation.application.systems.create(SYSTEM_ACTOR, replace(new, memory_mib=256))
    with pytest.raises(AlreadyExists):
        installation.application.systems.create(Actor(user_name="other", role=Role.OPERATOR), new)
    installation.control.clear_faults()
    installation.done(first)
    with pytest.raises(AlreadyExists):
        installation.application.systems.create(SYSTEM_ACTOR, new)


def test_a_key_names_a_request_for_good(installation):
    small = installation.host("memory_mib=512")
    new = installation.new(host=small.name, memory_mib=400, id=uuid4())
    key = installation.name("key")
    first = installation.application.systems.create(SYSTEM_ACTOR, new, idempotency_key=key)
    installation.done(first)
    again = installation.application.systems.create(SYSTEM_ACTOR, new, idempotency_key=key)
    assert (again.subject_id, again.task.id) == (first.subject_id, first.task.id), "though there is no room for another"
    with pytest.raises(Conflict, match="another request"):
        installation.application.systems.create(SYSTEM_ACTOR, replace(new, memory_mib=16), idempotency_key=key)
    assert installation.audited(f"system:{first.subject_id}") == [("systems.create", "allowed")]


def test_a_key_whose_creation_failed_tells_so_again_and_makes_nothing(installation):
    installation.control.fail("define_machine")
    new, key = installation.new(id=uuid4()), installation.name("key")
    first = installation.application.systems.create(SYSTEM_ACTOR, new, idempotency_key=key)
    installation.failed(first)
    before = everything(installation)
    again = installation.application.systems.create(SYSTEM_ACTOR, new, idempotency_key=key)
    assert again.task.id == first.task.id
    assert again.task.state is TaskState.FAILED
    assert everything(installation) == before


# --- creation that fails ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "after"),
    [
        *itertools.product(["create_volume", "write_upload", "finish_upload", "define_machine"], [False, True]),
        ("start_machine", False),
    ],
)
def test_a_creation_that_fails_leaves_nothing_and_tells_why(installation, operation, after):
    (installation.images / "raw.img").write_bytes(os.urandom(64 * KIB))
    before = everything(installation)
    installation.control.fail(operation, message="The rack is on fire.", after=after)
    new = installation.new(power_on=True, disks=(NewDisk(capacity_bytes=MIB), NewDisk(image="raw.img")))
    accepted = installation.application.systems.create(SYSTEM_ACTOR, new)
    error = installation.failed(accepted)
    assert isinstance(error, BackendError)
    assert "The rack is on fire." in error.message
    assert everything(installation) == before
    with pytest.raises(NotFound):
        installation.get(accepted)
    assert installation.create(name=new.name).state is SystemState.READY, "the name is free, and nothing is locked"


def test_a_creation_that_is_cancelled_leaves_nothing(installation, abort_heard):
    before = everything(installation)
    installation.control.fail("define_machine", kind=FaultKind.HANG)
    accepted = installation.application.systems.create(SYSTEM_ACTOR, installation.new())
    wait_until(lambda: installation.volumes() - before[3], "the disk is made")
    installation.application.tasks.cancel(SYSTEM_ACTOR, accepted.task.id)
    assert abort_heard.wait(30)
    installation.control.clear_faults()
    assert isinstance(installation.failed(accepted), Aborted)
    assert everything(installation) == before


def test_a_system_can_be_made_running(installation):
    system = installation.create(power_on=True)
    assert system.power_state is PowerState.ON
    assert installation.machine(system).power_state is PowerState.ON
    installation.control.fail("start_machine", after=True)
    assert installation.create(power_on=True).power_state is PowerState.ON, "though the answer to the start was lost"


def test_a_system_that_is_being_made_is_not_changed(installation):
    installation.control.fail("define_machine", kind=FaultKind.HANG)
    accepted = installation.application.systems.create(SYSTEM_ACTOR, installation.new())
    system = installation.get(accepted)
    assert (system.state, system.power_state) == (SystemState.CREATING, None)
    for attempt in (
        lambda: installation.application.systems.update(SYSTEM_ACTOR, system.id, SystemChanges(vcpus=2)),
        lambda: installation.application.systems.screenshot(SYSTEM_ACTOR, system.id),
    ):
        with pytest.raises(Conflict):
            attempt()
    installation.control.clear_faults()
    installation.done(accepted)
    assert installation.get(system).state is SystemState.READY


# --- asked for while it is being made --------------------------------------------------------------------------------


def test_a_reset_waits_for_the_creation(installation):
    installation.control.fail("define_machine", kind=FaultKind.HANG)
    accepted = installation.application.systems.create(SYSTEM_ACTOR, installation.new())
    system = installation.get(accepted)
    on = installation.reset(system, ResetType.ON)
    shown = installation.get(system)
    assert (shown.state, shown.power_state) == (SystemState.CREATING, PowerState.POWERING_ON)
    off = installation.reset(system, ResetType.FORCE_OFF)
    again = installation.reset(system, ResetType.ON)
    installation.control.clear_faults()
    for task in (accepted, on, off, again):
        installation.done(task)
    assert installation.machine(system).power_state is PowerState.ON
    assert installation.get(system).power_state is PowerState.ON
    assert len(installation.boots(system)) == 2


def test_force_off_switches_off_what_a_creation_has_switched_on(installation):
    installation.control.fail("define_machine", kind=FaultKind.HANG)
    accepted = installation.application.systems.create(SYSTEM_ACTOR, installation.new(power_on=True))
    off = installation.reset(installation.get(accepted), ResetType.FORCE_OFF)
    installation.control.clear_faults()
    installation.done(accepted)
    installation.done(off)
    assert installation.machine(installation.get(accepted)).power_state is PowerState.OFF


def test_a_reset_of_a_system_that_could_not_be_made_fails_and_holds_nothing(installation, abort_heard):
    before = everything(installation)
    installation.control.fail("define_machine", kind=FaultKind.HANG)
    accepted = installation.application.systems.create(SYSTEM_ACTOR, installation.new())
    on = installation.reset(installation.get(accepted), ResetType.ON)
    installation.application.tasks.cancel(SYSTEM_ACTOR, accepted.task.id)
    wait_until(lambda: abort_heard.is_set() or has_ended(installation, accepted), "the worker hears of it")
    installation.control.clear_faults()
    installation.failed(accepted)
    assert isinstance(installation.failed(on), NotFound)
    assert everything(installation) == before


@pytest.mark.parametrize(
    ("operation", "power_on"),
    [*itertools.product(["create_volume", "define_machine"], [False, True]), ("start_machine", True)],
)
def test_a_system_deleted_while_it_is_made_leaves_nothing_and_frees_its_name(
    installation, abort_heard, operation, power_on
):
    before = everything(installation)
    installation.control.fail(operation, kind=FaultKind.HANG)
    new = installation.new(power_on=power_on)
    accepted = installation.application.systems.create(SYSTEM_ACTOR, new)
    on = installation.reset(installation.get(accepted), ResetType.ON)
    deleted = installation.application.systems.delete(SYSTEM_ACTOR, accepted.subject_id)
    with contextlib.suppress(NotFound):  # one that no worker had begun to make is gone at once
        again = installation.application.systems.delete(SYSTEM_ACTOR, accepted.subject_id)
        assert again.task is None or again.task.id == deleted.task.id
    wait_until(lambda: abort_heard.is_set() or has_ended(installation, accepted), "the worker hears of it")
    installation.control.clear_faults()
    installation.done(deleted)
    assert installation.ended(accepted).ended
    assert installation.ended(on).ended
    assert everything(installation) == before
    assert installation.create(name=new.name).state is SystemState.READY


def test_starts_of_creations_count_towards_those_allowed_at_once_on_a_host(installation):
    allowed = installation.application.settings.host_starts
    host = installation.host()
    installation.control.fail("start_machine", kind=FaultKind.HANG, count=100)
    made = [
        installation.application.systems.create(SYSTEM_ACTOR, installation.new(host=host.name, power_on=True, disks=()))
        for _ in range(allowed + 2)
    ]

    def starts():
        with installation.application.database.read() as uow:
            found = [task for item in made for task in uow.tasks.children(item.task.id)]
        return [task.state for task in found]

    wait_until(lambda: len(starts()) == allowed + 2, "all machines are defined")
    wait_until(lambda: starts().count(TaskState.RUNNING) == allowed, "as many as allowed are being started")
    assert starts().count(TaskState.WAITING) == 2
    installation.control.clear_faults()
    for item in made:
        installation.done(item)
        assert installation.get(item).power_state is PowerState.ON
