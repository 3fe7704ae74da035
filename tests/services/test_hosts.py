"""Hosts taken in, refused and let go, and the pools on them."""

from __future__ import annotations

import pytest

from hawkfish.builtin.simulated.control import FaultKind
from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.hosts import ComputeCapability, HostState, Virtualisation
from hawkfish.domain.systems import NewDisk
from hawkfish.errors import (
    Aborted,
    AlreadyExists,
    HostUnavailable,
    InUse,
    NotFound,
    NotPermitted,
    PreconditionFailed,
    PropertyConflict,
)
from hawkfish.testing.waiting import wait_until
from tests.services.access import at_once
from tests.support.installation import MIB, READER


def add(installation, name, uri=None, **options):
    uri = uri or f"simulated:///{name}"
    return installation.application.hosts.add(SYSTEM_ACTOR, name, "simulated", uri, **options)


def remove(installation, host, version=None):
    return installation.application.hosts.remove(SYSTEM_ACTOR, host.id, version)


def everything(installation):
    hosts = [host.name for host in installation.application.hosts.list(SYSTEM_ACTOR)]
    pools = [(pool.name, pool.hosts) for pool in installation.application.hosts.pools(SYSTEM_ACTOR)]
    with installation.application.database.read() as uow:
        return hosts, pools, [task.title for task in uow.tasks.search(ended=False)]


def pools_of(installation, host):
    return [pool for pool in installation.application.hosts.pools(SYSTEM_ACTOR) if host.id in pool.hosts]


def test_a_host_that_was_taken_in_says_what_it_is_and_has_a_pool(installation):
    host = installation.host("cpus=8&memory_mib=4096&storage_gib=7&lacks=nmi")
    assert (host.state, host.state_reason) == (HostState.UP, "")
    assert (host.facts.cpus, host.facts.memory_mib) == (8, 4096)
    assert host.facts.virtualisation is Virtualisation.SIMULATED
    assert ComputeCapability.NMI not in host.facts.capabilities
    assert ComputeCapability.PAUSE in host.facts.capabilities
    (pool,) = pools_of(installation, host)
    assert (pool.name, pool.type, pool.stats[host.id].capacity_bytes) == ("local", "dir", 7 << 30)
    assert installation.audited(f"host:{host.id}") == [("hosts.add", "allowed")]


def test_hosts_are_found_by_name_and_id_and_listed_by_name(installation):
    host = installation.host()
    assert installation.application.hosts.get(READER, host.name.upper()).id == host.id
    assert installation.application.hosts.get(READER, host.id).name == host.name
    names = [item.name.lower() for item in installation.application.hosts.list(READER)]
    assert names == sorted(names)
    with pytest.raises(NotFound):
        installation.application.hosts.get(READER, "nowhere")


def test_settings_of_a_host_win_over_its_address(installation):
    name = installation.name("rack")
    accepted = add(installation, name, f"simulated:///{name}?cpus=2", settings={"cpus": 3}, labels={"room": "east"})
    installation.done(accepted)
    host = installation.application.hosts.get(SYSTEM_ACTOR, accepted.subject_id)
    assert (host.facts.cpus, host.settings, host.labels) == (3, {"cpus": 3}, {"room": "east"})


@pytest.mark.parametrize(
    ("options", "error", "property_"),
    [
        ({"name": "RACK"}, AlreadyExists, "Name"),
        ({"uri": "simulated:///rack?boot_seconds=0.05&shutdown_seconds=0.05"}, AlreadyExists, "URI"),
        ({"driver": "vapour"}, PropertyConflict, "Driver"),
        ({"settings": {"cpus": 0}}, PropertyConflict, "Settings/cpus"),
        ({"settings": {"wheels": 4}}, PropertyConflict, "Settings/wheels"),
    ],
)
def test_what_cannot_be_is_refused_by_its_property_at_once(installation, options, error, property_):
    before = everything(installation)
    asked = {"name": "other", "driver": "simulated", "uri": "simulated:///other"} | options
    with pytest.raises(error) as caught:
        installation.application.hosts.add(SYSTEM_ACTOR, **asked)
    assert caught.value.data["property"] == property_
    assert everything(installation) == before


def test_of_two_who_add_one_host_at_once_one_does(installation):
    name = installation.name("rack")
    outcomes = at_once(*[lambda: add(installation, name)] * 4)
    accepted = [item for item in outcomes if not isinstance(item, Exception)]
    assert len(accepted) == 1
    assert all(isinstance(item, AlreadyExists) for item in outcomes if item is not accepted[0])
    installation.done(accepted[0])


@pytest.mark.parametrize("operation", ["probe", "define_pool", "start_pool", "pool_stats"])
@pytest.mark.parametrize("after", [False, True])
def test_a_host_that_cannot_be_taken_in_leaves_nothing_and_the_task_tells_why(installation, operation, after):
    before = everything(installation)
    name = installation.name("rack")
    # More than once: the watcher may ask a new host before its task does, and take a failure for itself.
    installation.control.fail(operation, host=name, message="The rack is on fire.", after=after, count=1000)
    accepted = add(installation, name, pool_path=str(installation.images / name))
    assert "The rack is on fire." in installation.failed(accepted).message
    assert everything(installation) == before
    installation.control.clear_faults()
    installation.done(add(installation, name))
    assert installation.create(host=name).host_name == name, "nothing of the first try is in the way"


def test_an_address_that_is_none_fails_the_task_and_leaves_nothing(installation):
    before = everything(installation)
    assert "simulated:///NAME" in installation.failed(add(installation, "odd", "simulated://elsewhere/x")).message
    assert everything(installation) == before


def test_a_host_that_is_being_taken_in_gets_no_system_and_can_be_removed(installation):
    before = everything(installation)
    name = installation.name("rack")
    # More than once: the watcher may ask a new host before its task does, and hang in its place.
    installation.control.fail("probe", host=name, kind=FaultKind.HANG, count=1000)
    accepted = add(installation, name)
    host = installation.application.hosts.get(SYSTEM_ACTOR, accepted.subject_id)
    assert (host.state, host.facts) == (HostState.UNKNOWN, None)
    with pytest.raises(Exception, match=f"{name}: it is Unknown"):
        installation.create(host=name)
    remove(installation, host)
    installation.control.clear_faults()
    assert isinstance(installation.failed(accepted), Aborted)
    assert everything(installation) == before


def test_a_host_with_systems_is_not_removed(installation):
    host = installation.host()
    system = installation.create(host=host.name)
    with pytest.raises(InUse, match="1 systems"):
        remove(installation, host)
    assert installation.get(system).host_id == host.id
    installation.done(installation.application.systems.delete(SYSTEM_ACTOR, system.id))
    remove(installation, host)
    with pytest.raises(NotFound):
        installation.application.hosts.get(SYSTEM_ACTOR, host.id)
    assert installation.audited(f"host:{host.id}")[-1] == ("hosts.remove", "allowed")


def test_a_host_changed_meanwhile_is_not_removed(installation):
    host = installation.host()
    with pytest.raises(PreconditionFailed):
        remove(installation, host, host.version - 1)
    remove(installation, host, installation.application.hosts.get(SYSTEM_ACTOR, host.id).version)


def test_a_host_that_was_removed_can_be_added_again_with_what_is_on_it(installation):
    host = installation.host()
    remove(installation, host)
    wait_until(lambda: host.id not in installation.application.drivers._connections, "its driver is let go")
    again = add(installation, host.name, host.uri)
    installation.done(again)
    assert installation.create(host=host.name).host_id == again.subject_id


def test_hosts_share_the_definition_of_a_pool_and_never_its_folder(installation):
    one, two = installation.host(), installation.host()
    assert pools_of(installation, one) == pools_of(installation, two)
    first, second = installation.create(host=one.name), installation.create(host=two.name)
    assert installation.volumes(one.name) == {first.disks[0].volume_name}
    assert installation.volumes(two.name) == {second.disks[0].volume_name}
    remove_first = installation.application.systems.delete(SYSTEM_ACTOR, first.id)
    installation.done(remove_first)
    assert installation.volumes(two.name) == {second.disks[0].volume_name}


def test_a_folder_of_its_own_makes_a_pool_of_its_own(installation):
    name, path = installation.name("rack"), installation.images / "store"
    accepted = add(installation, name, pool_path=str(path))
    installation.done(accepted)
    (pool,) = pools_of(installation, installation.application.hosts.get(SYSTEM_ACTOR, name))
    assert (pool.name, pool.config) == (f"local-{name}", {"path": str(path)})
    system = installation.create(host=name, disks=(NewDisk(capacity_bytes=MIB, pool=pool.name),))
    assert [item.name for item in path.iterdir()] == [system.disks[0].volume_name]


def test_only_who_may_manage_adds_and_removes_hosts(installation):
    before = everything(installation)
    host = installation.application.hosts.get(SYSTEM_ACTOR, "rack")
    with pytest.raises(NotPermitted):
        installation.application.hosts.add(READER, "mine", "simulated", "simulated:///mine")
    with pytest.raises(NotPermitted):
        installation.application.hosts.remove(READER, host.id)
    assert installation.audited("host:mine") == [("hosts.add", "denied")]
    assert installation.audited(f"host:{host.id}")[-1] == ("hosts.remove", "denied")
    assert everything(installation) == before


def test_a_simulator_that_is_not_there_is_said_to_be_unreachable(tmp_path, sqlite_url):
    from hawkfish.bootstrap import Application
    from hawkfish.config import load_settings
    from tests.support.installation import Installation, working

    application = Application.open(load_settings({}, data_dir=tmp_path, database_url=sqlite_url, driver_timeout=1.0))
    try:
        with working(application):
            alone = Installation(application, control=None)
            assert isinstance(alone.failed(add(alone, "rack")), HostUnavailable)
            assert everything(alone) == ([], [], [])
    finally:
        application.close()
