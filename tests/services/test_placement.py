"""Which host takes a new system, and why another does not."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkfish.domain.hosts import Host, HostFacts, HostState, Virtualisation
from hawkfish.domain.machines import Firmware
from hawkfish.domain.pools import Pool
from hawkfish.errors import NoRoom
from hawkfish.services.placement import choose_host


def host(name, *, memory=1024, cpus=4, firmwares=frozenset(Firmware), **options) -> Host:
    facts = HostFacts(
        hostname=name,
        hypervisor="test",
        architecture="x86_64",
        cpus=cpus,
        memory_mib=memory,
        virtualisation=Virtualisation.SIMULATED,
        firmwares=firmwares,
    )
    return Host(
        **{"id": uuid4(), "name": name, "driver": "d", "uri": "u", "state": HostState.UP, "facts": facts} | options
    )


def choose(hosts, demand=None, *, pools=None, **wanted):
    pools = [Pool(id=uuid4(), name="local", type="dir", hosts=tuple(h.id for h in hosts))] if pools is None else pools
    asked = {"vcpus": 1, "memory_mib": 512, "firmware": None, "needs_disk": True} | wanted
    return choose_host(hosts, demand or {}, pools, **asked)


def test_the_host_with_most_memory_free_takes_it_and_of_equals_the_first_by_name():
    a, b, c = host("a"), host("b", memory=4096), host("c")
    assert choose([c, b, a]) is b
    assert choose([c, b, a], {b.id: (1, 3072)}) is a
    assert choose([c, b, a], {b.id: (1, 3072), a.id: (1, 1)}) is b


@pytest.mark.parametrize(
    ("options", "wanted", "reason"),
    [
        ({"state": HostState.DOWN, "state_reason": "no route"}, {}, "it is Down (no route)"),
        ({"state": HostState.SUSPECT, "state_reason": "silent"}, {}, "it is Suspect (silent)"),
        ({"state": HostState.UNKNOWN, "facts": None}, {}, "it is Unknown"),
        ({"schedulable": False}, {}, "it takes no new systems"),
        ({"cpus": 2}, {"vcpus": 3}, "it has 2 processors"),
        ({"memory": 511}, {}, "it has 511 MiB of memory free"),
        ({"firmwares": frozenset({Firmware.BIOS})}, {"firmware": Firmware.UEFI}, "it has no UEFI firmware"),
    ],
)
def test_each_reason_is_told(options, wanted, reason):
    fitting, other = host("fit"), host("other", **options)
    assert choose([other, fitting], **wanted) is fitting
    with pytest.raises(NoRoom) as caught:
        choose([other], **wanted)
    assert caught.value.data["reasons"] == {"other": reason}
    assert f"other: {reason}" in caught.value.message


def test_a_disk_needs_a_pool():
    one = host("one")
    with pytest.raises(NoRoom, match="one: it has no storage pool"):
        choose([one], pools=[])
    assert choose([one], pools=[], needs_disk=False) is one


def test_without_hosts_it_is_said_how_to_add_one():
    with pytest.raises(NoRoom, match=r"there is no host yet.*hosts add"):
        choose([])


def test_a_host_that_gave_more_than_it_has_shows_nothing_free():
    one = host("one")
    with pytest.raises(NoRoom, match="it has 0 MiB"):
        choose([one], {one.id: (99, 4096)})


@given(
    st.lists(st.tuples(st.integers(16, 4096), st.integers(0, 5000)), max_size=6),
    st.integers(1, 4096),
)
def test_memory_is_never_given_twice_and_room_is_found_where_there_is_some(sizes, asked):
    hosts = [host(f"h{number}", memory=memory) for number, (memory, _) in enumerate(sizes)]
    demand: dict[UUID, tuple[int, int]] = {item.id: (1, given) for item, (_, given) in zip(hosts, sizes, strict=True)}
    free = {item.id: memory - given for item, (memory, given) in zip(hosts, sizes, strict=True)}
    try:
        chosen = choose(hosts, demand, memory_mib=asked)
    except NoRoom as error:
        assert all(room < asked for room in free.values())
        assert set(error.data["reasons"]) == {item.name for item in hosts}  # noqa: PT017  both outcomes are right
    else:
        assert free[chosen.id] == max(free.values()) >= asked
        assert choose(list(reversed(hosts)), demand, memory_mib=asked) is chosen
