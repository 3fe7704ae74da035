"""Which host takes a machine, and why another does not."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkfish.domain.hosts import ComputeCapability, Host, HostFacts, HostLimits, HostState, Virtualisation
from hawkfish.domain.machines import Firmware
from hawkfish.domain.placement import (
    Candidate,
    DiskNeed,
    Given,
    PlacementRequest,
    PlacementStrategy,
    PoolRoom,
    scaled,
)
from hawkfish.services.placement import no_room, place, shortages, shown_bytes

GIB = 1 << 30
SPREAD, PACK = PlacementStrategy.SPREAD, PlacementStrategy.PACK


def pool(name="local", **options) -> PoolRoom:
    sizes = {"capacity_bytes": 100 * GIB, "available_bytes": 100 * GIB}
    return PoolRoom(pool_id=uuid4(), name=name, **sizes | options)


def candidate(name, *, memory=1024, cpus=4, vcpus=0, taken=0, pools=None, limits=None, facts=None, **options):
    known = {
        "hostname": name,
        "hypervisor": "test",
        "architecture": "x86_64",
        "cpus": cpus,
        "memory_mib": memory,
        "virtualisation": Virtualisation.SIMULATED,
        "firmwares": frozenset(Firmware),
    }
    host = Host(
        **{
            "id": uuid4(),
            "name": name,
            "driver": "d",
            "uri": "u",
            "state": HostState.UP,
            "facts": HostFacts(**known | (facts or {})),
            "limits": HostLimits(**limits or {}),
        }
        | options
    )
    rooms = (pool(),) if pools is None else tuple(pools)
    return Candidate(host=host, given=Given(vcpus=vcpus, memory_mib=taken), pools=rooms)


def request(**options) -> PlacementRequest:
    return PlacementRequest(**{"vcpus": 1, "memory_mib": 512, "disks": (DiskNeed(capacity_bytes=GIB),)} | options)


def chosen(candidates, **options) -> str | None:
    host = place(candidates, request(**options)).host
    return None if host is None else host.name


def test_spread_takes_the_host_with_most_memory_free_and_of_equals_the_first_by_name():
    a, b, c = candidate("a"), candidate("b", memory=4096), candidate("c")
    assert chosen([c, b, a]) == "b"
    assert chosen([c, candidate("b", memory=4096, taken=3072), a]) == "a"
    assert chosen([c, candidate("a", taken=1)]) == "c"


def test_pack_takes_the_fullest_host_that_still_has_room():
    hosts = [candidate("a"), candidate("b", memory=4096), candidate("c", taken=256), candidate("d", taken=600)]
    assert chosen(hosts, strategy=PACK) == "c"
    assert chosen(hosts, strategy=PACK, memory_mib=1000) == "a"
    assert chosen(hosts, strategy=PACK, memory_mib=1025) == "b"


@pytest.mark.parametrize(
    ("options", "wanted", "reason"),
    [
        ({"state": HostState.DOWN, "state_reason": "no route"}, {}, "it is Down (no route)"),
        ({"state": HostState.SUSPECT, "state_reason": "silent"}, {}, "it is Suspect (silent)"),
        ({"schedulable": False}, {}, "it takes no new systems"),
        ({"cpus": 2}, {"vcpus": 3}, "needs 3 vCPUs, it has 2 processors"),
        (
            {"limits": {"vcpu_overcommit": 1.5, "reserved_vcpus": 2}, "vcpus": 1},
            {"vcpus": 3},
            "needs 3 vCPUs, 2 of 3 free (4 processors, over-commit 1.5, 2 kept for the host)",
        ),
        (
            {"memory": 8704, "limits": {"reserved_memory_mib": 512}, "taken": 7168},
            {"memory_mib": 4096},
            "needs 4096 MiB of memory, 1024 MiB of 8192 MiB free (8704 MiB, over-commit 1, 512 MiB kept for the host)",
        ),
        (
            {"limits": {"memory_overcommit": 1.5}, "taken": 5000},
            {},
            "needs 512 MiB of memory, 0 MiB of 1536 MiB free (1024 MiB, over-commit 1.5, 0 MiB kept for the host)",
        ),
        (
            {"facts": {"firmwares": frozenset({Firmware.BIOS})}},
            {"firmware": Firmware.UEFI},
            "needs UEFI firmware, it has BIOS",
        ),
        ({}, {"capabilities": frozenset({ComputeCapability.NMI})}, "it cannot do nmi"),
        ({"labels": {"rack": "a"}}, {"labels": {"rack": "b"}}, "needs the label rack=b, it has rack=a"),
        ({}, {"labels": {"gpu": "yes"}}, "needs the label gpu=yes, it has no such label"),
        (
            {"facts": {"networks": ("default", "lab")}},
            {"networks": frozenset({"prod"})},
            "needs the network prod, it has default, lab",
        ),
        ({}, {"bridges": frozenset({"br0"})}, "needs the bridge br0, it has none"),
        ({"pools": ()}, {}, "it has no storage pool"),
        ({}, {"disks": (DiskNeed(capacity_bytes=1, pool="fast"),)}, "it has no storage pool fast"),
        (
            {"pools": (pool(given_bytes=90 * GIB),)},
            {"disks": (DiskNeed(capacity_bytes=10 * GIB + 512),)},
            "disk 1 needs 10.01 GiB, 10 GiB of 100 GiB free in the pool local (over-commit 1)",
        ),
        (
            {"pools": (pool(available_bytes=4 * GIB, overcommit=2.0),)},
            {"disks": (DiskNeed(capacity_bytes=9 * GIB, pool="LOCAL"),)},
            "disk 1 needs 9 GiB, 8 GiB of 100 GiB free in the pool local (over-commit 2)",
        ),
    ],
)
def test_each_shortage_is_told_with_its_figures(options, wanted, reason):
    other = candidate("other", **options)
    placement = place([other], request(**wanted))
    assert placement.host is None
    assert placement.reasons == {"other": (reason,)}
    error = no_room(placement, request(**wanted))
    assert f"other: {reason}" in error.message
    assert error.data["reasons"] == {"other": reason}


def test_a_host_that_was_never_seen_is_not_chosen():
    unseen = candidate("unseen", state=HostState.UNKNOWN)
    unseen = Candidate(host=Host(id=uuid4(), name="unseen", driver="d", uri="u"), pools=unseen.pools)
    assert place([unseen], request()).reasons == {"unseen": ("it is Unknown",)}


def test_all_that_a_host_is_short_of_is_told():
    small = candidate("small", memory=256, cpus=1, pools=(), schedulable=False)
    wanted = request(vcpus=2, labels={"rack": "a"}, networks=frozenset({"lab"}))
    assert place([small], wanted).reasons["small"] == (
        "it takes no new systems",
        "needs the label rack=a, it has no such label",
        "needs 2 vCPUs, it has 1 processors",
        "needs 512 MiB of memory, 256 MiB of 256 MiB free (256 MiB, over-commit 1, 0 MiB kept for the host)",
        "needs the network lab, it has none",
        "it has no storage pool",
    )


def test_the_host_that_a_system_is_to_leave_is_not_chosen_and_says_so():
    a, b = candidate("a", memory=4096), candidate("b")
    leaving = request(excluded={a.host.id: "it is to be emptied"})
    assert place([a, b], leaving).host is b.host
    assert place([a], leaving).reasons == {"a": ("it is to be emptied",)}


def test_without_hosts_it_is_said_how_to_add_one():
    error = no_room(place([], request()), request())
    assert "there is no host yet" in error.message
    assert "hosts add" in error.message


def test_disks_go_to_the_first_pool_by_name_that_has_room_for_them_together():
    big, small = pool("b"), pool("a", capacity_bytes=3 * GIB, available_bytes=3 * GIB)
    host = candidate("host", pools=(big, small))
    disks = tuple(DiskNeed(capacity_bytes=size * GIB) for size in (2, 1, 3))
    assert place([host], request(disks=disks)).pools == (big.pool_id, big.pool_id, small.pool_id)
    named = (DiskNeed(capacity_bytes=2 * GIB), DiskNeed(capacity_bytes=2 * GIB, pool=str(small.pool_id)))
    assert place([host], request(disks=named)).pools == (big.pool_id, small.pool_id)


def test_a_pool_that_was_never_measured_refuses_nothing():
    unseen = pool(capacity_bytes=None)
    assert chosen([candidate("a", pools=(unseen,))], disks=(DiskNeed(capacity_bytes=1 << 60),)) == "a"


@pytest.mark.parametrize(
    ("amount", "down", "up"),
    [
        (0, "0 bytes", "0 bytes"),
        (1023, "1023 bytes", "1023 bytes"),
        (GIB, "1 GiB", "1 GiB"),
        (GIB + 1, "1 GiB", "1.01 GiB"),
    ],
)
def test_sizes_are_rounded_so_that_too_little_never_looks_like_enough(amount, down, up):
    assert (shown_bytes(amount), shown_bytes(amount, up=True)) == (down, up)


def test_an_over_commit_is_what_people_mean_by_it():
    assert scaled(1000, 1.15) == 1150
    assert scaled(7, 0.5) == 3


# --- whatever the hosts ----------------------------------------------------------------------------------------------

ratios = st.one_of(st.just(1.0), st.floats(0.1, 20).map(lambda value: round(value, 2)))


@st.composite
def pool_rooms(draw, name):
    capacity = draw(st.one_of(st.none(), st.integers(0, 64)))
    if capacity is None:
        return pool(name, capacity_bytes=None)
    return pool(
        name,
        capacity_bytes=capacity * GIB,
        available_bytes=draw(st.integers(0, capacity)) * GIB,
        given_bytes=draw(st.integers(0, 80)) * GIB,
        overcommit=draw(ratios),
    )


@st.composite
def fleets(draw):
    names = draw(st.lists(st.sampled_from("abcdef"), unique=True, max_size=5))
    return [
        candidate(
            name,
            memory=draw(st.integers(16, 4096)),
            cpus=draw(st.integers(1, 8)),
            taken=draw(st.integers(0, 5000)),
            vcpus=draw(st.integers(0, 40)),
            schedulable=draw(st.integers(0, 9)) > 0,
            labels=draw(st.sampled_from([{}, {"rack": "a"}, {"rack": "b"}])),
            limits={
                "vcpu_overcommit": draw(st.one_of(st.none(), ratios)),
                "memory_overcommit": draw(ratios),
                "reserved_vcpus": draw(st.integers(0, 2)),
                "reserved_memory_mib": draw(st.integers(0, 600)),
            },
            pools=[draw(pool_rooms(stem)) for stem in draw(st.sampled_from([(), ("p",), ("p", "q")]))],
        )
        for name in names
    ]


requests = st.builds(
    request,
    vcpus=st.integers(1, 10),
    memory_mib=st.integers(1, 4096),
    disks=st.lists(
        st.builds(
            DiskNeed,
            capacity_bytes=st.integers(1, 40).map(lambda size: size * GIB),
            pool=st.sampled_from([None, None, "p", "Q"]),
        ),
        max_size=3,
    ).map(tuple),
    labels=st.sampled_from([{}, {}, {"rack": "a"}]),
    strategy=st.sampled_from(PlacementStrategy),
)


def with_it(host: Candidate, wanted: PlacementRequest, pools: tuple[UUID, ...]) -> Candidate:
    """The host as it is once the machine is there."""
    disks = list(zip(wanted.disks, pools, strict=True))
    return Candidate(
        host=host.host,
        given=host.given + Given(vcpus=wanted.vcpus, memory_mib=wanted.memory_mib),
        pools=tuple(
            PoolRoom(
                pool_id=room.pool_id,
                name=room.name,
                capacity_bytes=room.capacity_bytes,
                available_bytes=room.available_bytes,
                given_bytes=room.given_bytes + sum(disk.capacity_bytes for disk, to in disks if to == room.pool_id),
                overcommit=room.overcommit,
            )
            for room in host.pools
        ),
    )


@given(fleets(), requests)
def test_what_is_chosen_fits_and_what_is_refused_is_explained(fleet, wanted):
    placement = place(fleet, wanted)
    assert set(placement.fitting) | set(placement.reasons) == {item.host.name for item in fleet}
    assert not set(placement.fitting) & set(placement.reasons)
    assert all(placement.reasons.values())
    if placement.host is None:
        message = no_room(placement, wanted).message
        assert all(f"{item.host.name}: " in message for item in fleet)
        return
    (taken,) = [item for item in fleet if item.host is placement.host]
    after = with_it(taken, wanted, placement.pools)
    assert after.given.memory_mib <= after.memory_capacity_mib
    assert after.vcpu_capacity is None or after.given.vcpus <= after.vcpu_capacity
    assert wanted.labels.items() <= taken.host.labels.items()
    for room in after.pools:
        if room.pool_id in placement.pools and room.capacity_bytes is not None:
            assert room.given_bytes <= scaled(room.capacity_bytes, room.overcommit)
    for disk, pool_id in zip(wanted.disks, placement.pools, strict=True):
        (room,) = [room for room in taken.pools if room.pool_id == pool_id]
        assert disk.pool is None or disk.pool.lower() == room.name


@given(fleets(), requests, st.randoms())
def test_the_order_of_the_hosts_does_not_matter(fleet, wanted, random):
    shuffled = list(fleet)
    random.shuffle(shuffled)
    assert place(shuffled, wanted) == place(fleet, wanted)


@given(fleets(), requests)
def test_spread_takes_the_emptiest_and_pack_the_fullest_of_those_that_fit(fleet, wanted):
    placement = place(fleet, wanted)
    free = {item.host.name: item.free_memory_mib for item in fleet if not shortages(item, wanted)}
    if placement.host is None:
        assert not free
        return
    best = max(free.values()) if wanted.strategy is SPREAD else min(free.values())
    assert placement.host.name == min(name for name, room in free.items() if room == best)
    assert placement.fitting[0] == placement.host.name


@given(fleets(), requests, st.integers(0, 4096), st.integers(0, 4))
def test_who_asks_for_less_is_not_refused_where_more_fits(fleet, wanted, less_memory, less_vcpus):
    smaller = PlacementRequest(
        vcpus=max(1, wanted.vcpus - less_vcpus),
        memory_mib=max(1, wanted.memory_mib - less_memory),
        disks=wanted.disks[:-1],
        labels=wanted.labels,
    )
    for item in fleet:
        if not shortages(item, wanted):
            assert not shortages(item, smaller)
