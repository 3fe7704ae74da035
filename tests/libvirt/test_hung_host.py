"""A libvirtd that hangs: its host turns Suspect, then Down, its systems are stale and never Off, and nobody else waits for it."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest
import structlog

from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.hosts import Host, HostState
from hawkfish.domain.machines import PowerState
from hawkfish.domain.systems import ResetType, System
from hawkfish.errors import BackendTimeout, HostUnavailable
from hawkfish.testing.waiting import wait_until
from tests.api.installation import PASSWORD
from tests.api.live import gunicorn
from tests.support.installation import Installation, open_installation

pytestmark = pytest.mark.needs_libvirt

log = structlog.get_logger("tests.hung_host")

SYSTEMS = 20
DRIVER_TIMEOUT = 5.0
SILENCE = 20.0
"""Seconds within which the deadline of a look finds the silence and the host is Down, with a margin for a slow machine."""
RATIO = 5.0
"""How much slower than before the others' calls may be; one that waited for the hung host would be a hundred times."""
USUAL_SECONDS, LONGEST_SECONDS = 0.1, DRIVER_TIMEOUT / 2
"""What a busy test machine makes of a few milliseconds, mostly and once; who waited for the host would wait until its deadline."""
PATIENCE = 30.0

Seen = dict[HostState, tuple[float, Host]]
"""The host as it was first seen in each state, and after how many seconds."""


@pytest.fixture(scope="module")
def house(tmp_path_factory, sqlite_template, libvirt_host) -> Iterator[Installation]:
    """A real host `kvm1` beside the simulated host `rack`, and the API in processes of its own."""
    folder = tmp_path_factory.mktemp("house")
    (folder / "hawkfish.db").write_bytes(sqlite_template.read_bytes())
    url = f"sqlite:///{folder / 'hawkfish.db'}"
    with open_installation(
        folder, url, sweep_seconds=2.0, driver_timeout=DRIVER_TIMEOUT, host_down_seconds=2.0
    ) as installation:
        settings = {"virt_type": "qemu", "data_dir": str(libvirt_host.data)}
        added = installation.application.hosts.add(SYSTEM_ACTOR, "kvm1", "libvirt", libvirt_host.uri, settings=settings)
        installation.done(added)
        try:
            yield installation
        finally:
            libvirt_host.thaw()
            wait_until(lambda: host_of(installation).state is HostState.UP, "the host is Up", PATIENCE)
            delete_all(installation)


def host_of(installation: Installation) -> Host:
    return installation.application.hosts.get(SYSTEM_ACTOR, "kvm1")


def delete_all(installation: Installation) -> None:
    found = installation.application.systems.page(SYSTEM_ACTOR).items
    ours = [system for system in found if system.host_name == "kvm1"]
    for accepted in [installation.reset(system, ResetType.FORCE_OFF) for system in ours]:
        installation.done(accepted)
    for accepted in [installation.application.systems.delete(SYSTEM_ACTOR, system.id) for system in ours]:
        installation.done(accepted)


@dataclass(frozen=True)
class Times:
    """Seconds that calls take: half of them no more than `median`, all but the slowest hundredth no more than `p99`."""

    median: float
    p99: float

    @classmethod
    def of(cls, call: Callable[[], object], times: int) -> Times:
        """Calls so many times."""

        def seconds() -> float:
            began = time.monotonic()
            call()
            return time.monotonic() - began

        percentiles = statistics.quantiles([seconds() for _ in range(times)], n=100, method="inclusive")
        return cls(median=percentiles[49], p99=percentiles[98])


class Witness:
    """A system on a simulated host, read and switched again and again by a client of the API."""

    def __init__(self, installation: Installation, api: httpx.Client) -> None:
        self._api = api
        self._path = f"/redfish/v1/Systems/{installation.create(name='witness').id}"
        self._is_on = False

    def measure(self, times: int) -> tuple[Times, Times]:
        """How long it takes to read it and to switch it, which is answered after calls of its driver."""
        return Times.of(self._read, times), Times.of(self._switch, times)

    def _read(self) -> None:
        assert self._api.get(self._path).status_code == 200

    def _switch(self) -> None:
        body = {"ResetType": "ForceOff" if self._is_on else "On"}
        answer = self._api.post(f"{self._path}/Actions/ComputerSystem.Reset", json=body)
        assert answer.status_code == 204, answer.text
        self._is_on = not self._is_on


@pytest.fixture(scope="module")
def api(house: Installation) -> Iterator[httpx.Client]:
    """A client of the house's API."""
    house.application.accounts.ensure_administrator(PASSWORD)
    folder = house.application.settings.data_dir
    # A request waits for its task however long that takes, so that what it takes is measured.
    served = gunicorn(folder, shipped=True, HF_SYNC_WAIT_MS="60000")
    with served as url, httpx.Client(base_url=url, timeout=90, trust_env=False) as client:
        body = {"UserName": "admin", "Password": PASSWORD}
        answer = client.post("/redfish/v1/SessionService/Sessions", json=body)
        client.headers["X-Auth-Token"] = answer.headers["X-Auth-Token"]
        yield client


def test_a_hung_libvirtd_holds_up_nobody_else_and_is_found_out(house, api, libvirt_host) -> None:
    witness = Witness(house, api)
    systems = [house.create(host="kvm1", memory_mib=16, disks=()) for _ in range(SYSTEMS)]
    running = systems[0]
    house.done(house.reset(running, ResetType.ON))
    before = witness.measure(25)
    libvirt_host.freeze()
    with following(house) as seen:
        # More than the worker has threads, and the first of them hang until their deadline.
        tasks = [house.reset(system, ResetType.FORCE_RESTART) for system in systems]
        during = witness.measure(25)
        wait_until(lambda: HostState.DOWN in seen, "the host is Down", SILENCE)
    hanging = [thread.name for thread in threading.enumerate() if thread.name.startswith("libvirt ")]
    report(before, during, seen, hanging)
    for calm, busy in zip(before, during, strict=True):
        assert busy.median <= max(RATIO * calm.median, USUAL_SECONDS)
        assert busy.p99 <= max(RATIO * calm.p99, LONGEST_SECONDS)
    assert HostState.SUSPECT in seen, "it is Suspect first"
    assert seen[HostState.SUSPECT][1].state_reason
    assert len(hanging) <= 3 * 8, "the calls that hang are bounded"
    for accepted in tasks:
        assert isinstance(house.failed(accepted), (BackendTimeout, HostUnavailable))
    shown = house.get(running)
    assert (shown.stale, shown.power_state) == (True, PowerState.ON), "it is never called Off"
    refused_soon(house, running)
    libvirt_host.thaw()
    began = time.monotonic()
    wait_until(lambda: host_of(house).state is HostState.UP, "the host is Up", PATIENCE)
    log.info("seconds from the continuation to Up", seconds=round(time.monotonic() - began, 1))
    for system in systems:
        wait_until(
            lambda system=system: as_virsh_says(house, libvirt_host, system), f"{system.name} is shown", PATIENCE
        )
    house.done(house.reset(running, ResetType.FORCE_OFF))


@contextmanager
def following(house: Installation) -> Iterator[Seen]:
    """Notes when the host is seen in which state."""
    seen: Seen = {}
    began, end = time.monotonic(), threading.Event()

    def follow() -> None:
        while not end.wait(0.1):
            host = host_of(house)
            seen.setdefault(host.state, (time.monotonic() - began, host))

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield seen
    finally:
        end.set()
        thread.join()


def refused_soon(house: Installation, system: System) -> None:
    """What is asked of a host that is Down fails at once and says why."""
    began = time.monotonic()
    error = house.failed(house.reset(system, ResetType.PAUSE))
    assert isinstance(error, HostUnavailable)
    assert "kvm1 is Down since" in error.message
    assert time.monotonic() - began < DRIVER_TIMEOUT


def as_virsh_says(house: Installation, libvirt_host, system: System) -> bool:
    shown = house.get(system)
    is_on = "running" in libvirt_host.virsh("domstate", str(system.id))
    return not shown.stale and shown.power_state is (PowerState.ON if is_on else PowerState.OFF)


def report(before: tuple[Times, Times], during: tuple[Times, Times], seen: Seen, hanging: list[str]) -> None:
    for name, calm, busy in zip(("GET System", "Reset"), before, during, strict=True):
        log.info(name, p99_ms_before=round(calm.p99 * 1000, 1), p99_ms_during=round(busy.p99 * 1000, 1))
    log.info("seconds from the stop to each state", **{state.value: round(at, 1) for state, (at, _) in seen.items()})
    log.info("threads of libvirt while it hangs", count=len(hanging))
