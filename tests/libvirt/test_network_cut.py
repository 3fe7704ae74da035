"""A network that is cut says nothing: the host turns Suspect, then Down, calls end in time, and all comes back by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.hosts import Host, HostState
from hawkfish.domain.machines import PowerState
from hawkfish.domain.systems import ResetType
from hawkfish.errors import BackendTimeout, HostUnavailable
from hawkfish.testing.waiting import wait_until
from tests.support.installation import Installation, open_installation
from tests.support.network_cable import Cable, network_cable

pytestmark = [pytest.mark.needs_libvirt, pytest.mark.slow]

DRIVER_TIMEOUT = 4.0
SILENCE = 60.0
"""Seconds within which the silence is found and the host Down; on a machine that does other things too."""
BACK = 60.0
"""Seconds within which it is Up again: TCP sends again ever more seldom, and the connection is tried with a backoff."""


@pytest.fixture
def cable(libvirt_host) -> Iterator[Cable]:
    with network_cable(libvirt_host) as whole:
        yield whole


@pytest.fixture
def house(tmp_path, sqlite_template, libvirt_host, cable) -> Iterator[Installation]:
    (tmp_path / "hawkfish.db").write_bytes(sqlite_template.read_bytes())
    url = f"sqlite:///{tmp_path / 'hawkfish.db'}"
    with open_installation(
        tmp_path, url, sweep_seconds=1.0, driver_timeout=DRIVER_TIMEOUT, host_down_seconds=2.0
    ) as installation:
        settings = {"virt_type": "qemu", "data_dir": str(libvirt_host.data)}
        installation.done(
            installation.application.hosts.add(SYSTEM_ACTOR, "far", "libvirt", cable.uri, settings=settings)
        )
        yield installation


def test_a_cut_network_is_found_out_and_mended_by_itself(house: Installation, cable: Cable, libvirt_host) -> None:
    def host() -> Host:
        return house.application.hosts.get(SYSTEM_ACTOR, "far")

    system = house.create(host="far", memory_mib=16, disks=())
    house.done(house.reset(system, ResetType.ON))
    cable.cut()
    began = time.monotonic()
    pending = house.reset(system, ResetType.FORCE_RESTART)
    wait_until(lambda: host().state is HostState.SUSPECT, "the host is Suspect", SILENCE)
    assert host().state_reason
    error = house.failed(pending)
    assert isinstance(error, (BackendTimeout, HostUnavailable))
    assert time.monotonic() - began < SILENCE
    wait_until(lambda: host().state is HostState.DOWN, "the host is Down", SILENCE)
    assert host().state_reason
    shown = house.get(system)
    assert (shown.stale, shown.power_state) == (True, PowerState.ON), "it is never called Off"
    asked = time.monotonic()
    refused = house.failed(house.reset(system, ResetType.PAUSE))
    assert "far is Down since" in refused.message
    assert time.monotonic() - asked < DRIVER_TIMEOUT
    assert "running" in libvirt_host.virsh("domstate", str(system.id)), "the machine has noticed nothing"
    cable.mend()
    wait_until(lambda: host().state is HostState.UP, "the host is Up", BACK)
    wait_until(lambda: not house.get(system).stale, "the system is shown as it is", BACK)
    house.done(house.reset(system, ResetType.FORCE_OFF))
    house.done(house.application.systems.delete(SYSTEM_ACTOR, system.id))
