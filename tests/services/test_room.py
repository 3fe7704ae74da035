"""Room on hosts: limits that an administrator sets, and room that is held by work under way."""

from __future__ import annotations

import io
from functools import partial

import pytest

from hawkfish.bootstrap import Application
from hawkfish.builtin.simulated.control import FaultKind
from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.hosts import HostChanges, HostLimits
from hawkfish.domain.placement import PlacementRule, PlacementStrategy
from hawkfish.domain.storage import VolumeFormat, VolumeSpec
from hawkfish.domain.systems import NewDisk, SystemChanges
from hawkfish.errors import NoRoom, NotFound, NotPermitted, PreconditionFailed, PropertyOutOfRange
from hawkfish.testing.waiting import wait_until
from tests.services.access import at_once
from tests.services.system_steps import has_ended
from tests.services.test_images import content, upload
from tests.support.installation import GIB, MIB, READER

ROUNDS = 5


def limit(installation, host, **limits):
    return installation.application.hosts.update(SYSTEM_ACTOR, host.id, HostChanges(limits=limits))


def room(installation, host):
    return installation.application.hosts.room(SYSTEM_ACTOR, host.id)


def free(installation, host):
    return room(installation, host).free_memory_mib


def refused(installation, host, **options):
    with pytest.raises(NoRoom) as caught:
        installation.create(host=host.name, **options)
    return caught.value.data["reasons"][host.name]


def resize(installation, system, **sizes):
    return installation.application.systems.update(SYSTEM_ACTOR, system.id, SystemChanges(**sizes))


# --- limits ----------------------------------------------------------------------------------------------------------


def test_memory_is_over_committed_and_kept_as_the_administrator_says(installation):
    host = installation.host("memory_mib=1024")
    limit(installation, host, reserved_memory_mib=24, memory_overcommit=1.5)
    assert (room(installation, host).memory_capacity_mib, free(installation, host)) == (1500, 1500)
    installation.create(host=host.name, memory_mib=1400)
    assert "needs 101 MiB of memory, 100 MiB of 1500 MiB free" in refused(installation, host, memory_mib=101)
    installation.create(host=host.name, memory_mib=100)
    limit(installation, host, memory_overcommit=0.5)
    assert free(installation, host) == 0, "what is given stays given"


def test_vcpus_are_shared_without_end_until_a_limit_is_set(installation):
    host = installation.host("cpus=2")
    for _ in range(3):
        installation.create(host=host.name, vcpus=2)
    assert room(installation, host).free_vcpus is None
    limit(installation, host, vcpu_overcommit=4, reserved_vcpus=0)
    assert room(installation, host).free_vcpus == 2
    assert installation.create(host=host.name, vcpus=1).host_name == host.name
    assert "needs 2 vCPUs, 1 of 8 free" in refused(installation, host, vcpus=2)
    limit(installation, host, vcpu_overcommit=None)
    assert installation.create(host=host.name, vcpus=2).host_name == host.name


def test_a_new_host_keeps_what_the_settings_say_unless_it_is_said_otherwise(installation):
    accepted = installation.application.hosts.add(
        SYSTEM_ACTOR,
        name := installation.name("rack"),
        "simulated",
        f"simulated:///{name}",
        limits={"reserved_vcpus": 1},
    )
    installation.done(accepted)
    assert installation.application.hosts.get(SYSTEM_ACTOR, name).limits == HostLimits(reserved_vcpus=1)


def test_a_host_that_takes_no_new_systems_keeps_those_that_it_has(installation):
    host = installation.host()
    system = installation.create(host=host.name)
    closed = installation.application.hosts.update(
        SYSTEM_ACTOR, host.id, HostChanges(schedulable=False, labels={"rack": "a"}), host.version
    )
    assert (closed.schedulable, dict(closed.labels)) == (False, {"rack": "a"})
    assert closed.version > host.version
    assert refused(installation, host) == "it takes no new systems"
    assert installation.get(system).host_id == host.id
    assert installation.audited(f"host:{host.id}")[-1] == ("hosts.update", "allowed")
    with pytest.raises(PreconditionFailed):
        installation.application.hosts.update(SYSTEM_ACTOR, host.id, HostChanges(schedulable=True), host.version)


@pytest.mark.parametrize(
    "limits", [{"memory_overcommit": 0.01}, {"vcpu_overcommit": 1001}, {"reserved_memory_mib": -1}]
)
def test_limits_that_make_no_sense_are_refused_and_change_nothing(installation, limits):
    host = installation.host()
    with pytest.raises(PropertyOutOfRange, match=r"Settings/.* it takes"):
        limit(installation, host, **limits)
    assert installation.application.hosts.get(SYSTEM_ACTOR, host.id) == host


def test_limits_are_for_who_manages_the_service(installation):
    host = installation.host()
    with pytest.raises(NotPermitted):
        installation.application.hosts.update(READER, host.id, HostChanges(schedulable=False))
    with pytest.raises(NotPermitted):
        installation.application.hosts.update_pool(READER, room(installation, host).pools[0].pool_id, overcommit=1)


def test_labels_and_strategy_choose_among_hosts(installation):
    label = {"fleet": installation.name("fleet")}
    hosts = [installation.host(f"memory_mib={size}") for size in (512, 1024)]
    for host in hosts:
        installation.application.hosts.update(SYSTEM_ACTOR, host.id, HostChanges(labels=label))
    spread = PlacementRule(labels=label)
    pack = PlacementRule(labels=label, strategy=PlacementStrategy.PACK)
    small, large = hosts
    assert installation.create(host=None, placement=spread, memory_mib=16).host_name == large.name
    assert installation.create(host=None, placement=pack, memory_mib=16).host_name == small.name
    with pytest.raises(NoRoom) as caught:
        installation.create(host=small.name, placement=PlacementRule(labels={"fleet": "other"}))
    assert "needs the label fleet=other" in caught.value.message


# --- pools -----------------------------------------------------------------------------------------------------------


def test_a_disk_larger_than_what_its_pool_gives_is_refused_with_figures(installation):
    host = installation.host("storage_gib=10")
    (pool,) = room(installation, host).pools
    found = installation.application.hosts.update_pool(SYSTEM_ACTOR, pool.pool_id, overcommit=1)
    try:
        reason = refused(installation, host, disks=(NewDisk(capacity_bytes=10 * GIB + 1),))
        assert reason == "disk 1 needs 10.01 GiB, 10 GiB of 10 GiB free in the pool local (over-commit 1)"
        system = installation.create(host=host.name, disks=(NewDisk(capacity_bytes=7 * GIB),))
        two = (NewDisk(capacity_bytes=2 * GIB),) * 2
        assert "disk 2 needs 2 GiB, 1 GiB of 10 GiB free" in refused(installation, host, disks=two)
        installation.application.hosts.update_pool(
            SYSTEM_ACTOR, pool.pool_id, overcommit=1.1, expected_version=found.version
        )
        installation.create(host=host.name, disks=two)
        installation.done(installation.application.systems.delete(SYSTEM_ACTOR, system.id))
        assert room(installation, host).pools[0].given_bytes == 4 * GIB
    finally:
        # All hosts share the definition of the pool.
        installation.application.hosts.update_pool(SYSTEM_ACTOR, pool.pool_id, overcommit=10)


# --- room that is held -----------------------------------------------------------------------------------------------


def test_increases_under_way_are_counted_against_each_other_and_against_new_systems(installation):
    host = installation.host("memory_mib=1000")
    first, second = (installation.create(host=host.name, memory_mib=100) for _ in range(2))
    installation.control.fail("define_machine", kind=FaultKind.HANG)
    growing = resize(installation, first, memory_mib=700)
    assert free(installation, host) == 200
    with pytest.raises(PropertyOutOfRange, match=r"needs 301 MiB of memory, 300 MiB of 1000 MiB free") as caught:
        resize(installation, second, memory_mib=301)
    assert caught.value.data["property"] == "Oem/HawkFish/MemoryMiB"
    assert "200 MiB of 1000 MiB free" in refused(installation, host, memory_mib=201)
    also = resize(installation, second, memory_mib=300)
    assert free(installation, host) == 0
    installation.control.clear_faults()
    for accepted in (growing, also):
        installation.done(accepted)
    assert free(installation, host) == 0
    assert installation.get(first).memory_mib == 700
    installation.done(resize(installation, first, memory_mib=100))
    assert free(installation, host) == 600


def test_of_several_sizes_under_way_the_largest_is_held(installation):
    host = installation.host("memory_mib=1000")
    system = installation.create(host=host.name, memory_mib=100)
    installation.control.fail("define_machine", kind=FaultKind.HANG)
    tasks = [resize(installation, system, memory_mib=size) for size in (400, 900, 200)]
    assert free(installation, host) == 100
    installation.control.clear_faults()
    for accepted in tasks:
        installation.done(accepted)
    assert (installation.get(system).memory_mib, free(installation, host)) == (200, 800)


def test_an_increase_that_fails_gives_its_room_back(installation):
    host = installation.host("memory_mib=1000")
    system = installation.create(host=host.name, memory_mib=100)
    installation.control.fail("define_machine", message="The rack is on fire.")
    installation.failed(resize(installation, system, memory_mib=900))
    assert (installation.get(system).memory_mib, free(installation, host)) == (100, 900)


def test_a_creation_that_fails_gives_its_room_back(installation, abort_heard):
    host = installation.host("memory_mib=1000")
    installation.control.fail("define_machine", kind=FaultKind.HANG)
    accepted = installation.application.systems.create(SYSTEM_ACTOR, installation.new(host=host.name, memory_mib=900))
    assert free(installation, host) == 100
    installation.application.tasks.cancel(SYSTEM_ACTOR, accepted.task.id)
    wait_until(lambda: abort_heard.is_set() or has_ended(installation, accepted), "the worker hears of it")
    installation.control.clear_faults()
    installation.failed(accepted)
    assert free(installation, host) == 1000
    with pytest.raises(NotFound):
        installation.get(accepted)


@pytest.mark.slow
def test_whatever_is_asked_for_at_once_the_host_never_gives_more_than_it_has(installation):
    host = installation.host("memory_mib=1000&cpus=8")
    limit(installation, host, vcpu_overcommit=1)
    systems = [installation.create(host=host.name, memory_mib=100, disks=()) for _ in range(3)]
    creations = [
        lambda: installation.application.systems.create(
            SYSTEM_ACTOR, installation.new(host=host.name, memory_mib=150, disks=())
        )
    ] * 4
    increases = [lambda system=system: resize(installation, system, memory_mib=300, vcpus=2) for system in systems]
    outcomes = at_once(*creations, *increases)
    accepted = [item for item in outcomes if not isinstance(item, Exception)]
    assert all(isinstance(item, (NoRoom, PropertyOutOfRange)) for item in outcomes if isinstance(item, Exception))
    assert room(installation, host).given.memory_mib <= 1000
    assert room(installation, host).given.vcpus <= 8
    for item in accepted:
        installation.done(item)
    after = room(installation, host)
    assert after.given.memory_mib <= 1000
    # 700 MiB were free: 150 and 200 are the two kinds of steps, and the last one that would have fitted was not refused.
    assert after.free_memory_mib < 150 or after.free_vcpus == 0 or len(accepted) == len(outcomes)
    with installation.application.database.read() as uow:
        recorded = uow.systems.on_host(host.id)
    assert sum(system.memory_mib for system in recorded) == after.given.memory_mib, "nothing is held any more"


@pytest.mark.slow
def test_two_api_processes_that_place_at_once_never_give_more_than_there_is(installation):
    """Each has its own connections, as two processes do; what keeps them apart is the database alone."""
    ours = installation.application
    other = Application.open(ours.settings)
    accepted = []
    try:
        for _ in range(ROUNDS):
            host = installation.host("memory_mib=1000&cpus=8")
            wanted = [installation.new(host=host.name, memory_mib=150, disks=()) for _ in range(8)]
            works = [
                partial((ours, other)[number % 2].systems.create, SYSTEM_ACTOR, new)
                for number, new in enumerate(wanted)
            ]
            outcomes = at_once(*works)
            assert [type(item) for item in outcomes if isinstance(item, Exception)] == [NoRoom] * 2, outcomes
            assert room(installation, host).given.memory_mib == 900
            accepted += [item for item in outcomes if not isinstance(item, Exception)]
    finally:
        other.close()
    for item in accepted:
        installation.done(item)


@pytest.mark.slow
def test_the_copy_that_disks_are_cloned_from_takes_room_once(installation):
    host = installation.host()

    def given() -> int:
        (pool,) = room(installation, host).pools
        return pool.given_bytes

    image = upload(installation, content(installation, MIB))
    disk = NewDisk(image_id=str(image.id), capacity_bytes=3 * MIB)
    installation.control.fail("clone_volume", kind=FaultKind.HANG)
    accepted = installation.application.systems.create(SYSTEM_ACTOR, installation.new(host=host.name, disks=(disk,)))
    assert given() == 3 * MIB + image.content.file_bytes, "as soon as it is accepted"
    installation.control.clear_faults()
    installation.ended(accepted)
    installation.create(host=host.name, disks=(disk,))
    systems = [item for item in installation.application.systems.page(SYSTEM_ACTOR).items if item.host_id == host.id]
    assert given() == 3 * MIB * len(systems) + image.content.file_bytes, "all have one"
    installation.done(installation.application.images.prune(SYSTEM_ACTOR, copies=True))
    assert given() == 3 * MIB * len(systems)


@pytest.mark.slow
def test_sizes_of_pools_are_seen_anew_by_the_sweep(installation):
    host = installation.host()
    (pool,) = room(installation, host).pools
    before = pool.available_bytes
    driver = installation.application.drivers.driver(host.id)
    spec = VolumeSpec(name="foreign", capacity_bytes=8 * MIB, format=VolumeFormat.RAW)
    driver.create_volume(f"hawkfish-{pool.pool_id}", spec)
    driver.upload_volume(f"hawkfish-{pool.pool_id}", "foreign", io.BytesIO(b"x" * 8 * MIB), 8 * MIB)

    def available() -> int:
        return room(installation, host).pools[0].available_bytes

    wait_until(lambda: available() <= before - 7 * MIB, "the sweep sees what others have taken")
    driver.delete_volume(f"hawkfish-{pool.pool_id}", "foreign")
    wait_until(lambda: available() >= before - MIB, "and what they have given back")
