"""What an administrator does with virsh shows within two seconds where libvirt reports it; the sweep is an hour away."""

from __future__ import annotations

import re
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from uuid import uuid4

import pytest

from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.hosts import HostState
from hawkfish.domain.machines import MachineFacts, PowerState
from hawkfish.domain.systems import ResetType, System
from hawkfish.errors import MachineNotFound
from hawkfish.services.observation import Observer
from hawkfish.testing.waiting import wait_until
from tests.libvirt.conftest import kill_machine
from tests.support.installation import Installation, open_installation

pytestmark = pytest.mark.needs_libvirt

SOON = 2.0
PATIENCE = 30.0
"""On a machine that does other things too, one change may be shown late; that most are would be our fault."""
ON, OFF, PAUSED = PowerState.ON, PowerState.OFF, PowerState.PAUSED
MAC = "52:54:00:aa:bb:01"
INTERFACE = f"<interface type='user'><mac address='{MAC}'/><model type='virtio'/></interface>"
FOREIGN = """
<domain type='qemu'><name>{name}</name><uuid>{id}</uuid><memory unit='MiB'>64</memory>
<os><type machine='q35'>hvm</type></os><devices/></domain>
"""


class House:
    """An installation with a real host, and an administrator who knows nothing of it."""

    def __init__(self, installation: Installation, host, virsh: Callable[..., str]) -> None:
        self.installation = installation
        self.host = host
        self.virsh = virsh

    def create(self) -> System:
        return self.installation.create(host="kvm1", memory_mib=64, disks=())

    def get(self, system: System) -> System:
        return self.installation.get(system)

    def seen(self, system: System) -> MachineFacts:
        found = self.get(system).observed
        assert found is not None
        return found

    def shows(self, system: System, power: PowerState) -> None:
        self.soon(lambda: self.get(system).power_state is power, f"it shows {power}")

    def sweep(self) -> None:
        """The look that comes by itself every `sweep_seconds`."""
        application = self.installation.application
        assert Observer(application.database, application.drivers).sweep(self.host.id)

    def soon(self, condition: Callable[[], object], what: str) -> None:
        wait_until(condition, what, PATIENCE)


@pytest.fixture(scope="module")
def house(tmp_path_factory, sqlite_template, libvirt_host) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    (folder / "hawkfish.db").write_bytes(sqlite_template.read_bytes())
    url = f"sqlite:///{folder / 'hawkfish.db'}"
    with open_installation(folder, url, sweep_seconds=3600.0) as installation:
        added = installation.application.hosts.add(
            SYSTEM_ACTOR,
            "kvm1",
            "libvirt",
            libvirt_host.uri,
            settings={"virt_type": "qemu", "data_dir": str(libvirt_host.data)},
        )
        installation.done(added)
        yield House(installation, installation.application.hosts.get(SYSTEM_ACTOR, "kvm1"), libvirt_host.virsh)


@pytest.fixture
def system(house) -> Iterator[System]:
    """A system that is off; it goes after the test, whatever happened to its machine."""
    made = house.create()
    yield made
    house.installation.done(house.installation.reset(made, ResetType.FORCE_OFF))
    house.installation.done(house.installation.application.systems.delete(SYSTEM_ACTOR, made.id))


def test_power(house, system) -> None:
    house.virsh("start", system.name)
    house.shows(system, ON)
    run_id = house.get(system).run_id
    house.virsh("suspend", system.name)
    house.shows(system, PAUSED)
    house.virsh("resume", system.name)
    house.shows(system, ON)
    house.virsh("reset", system.name)
    house.virsh("destroy", system.name)
    house.shows(system, OFF)
    house.virsh("start", system.name)
    house.soon(lambda: house.get(system).run_id not in {None, run_id}, "it shows another run")


def test_most_changes_are_shown_within_two_seconds(house, system) -> None:
    house.virsh("start", system.name)
    took = []
    for command, shown in (("suspend", PAUSED), ("resume", ON), ("suspend", PAUSED), ("resume", ON), ("destroy", OFF)):
        house.virsh(command, system.name)
        began = time.monotonic()
        house.shows(system, shown)
        took.append(time.monotonic() - began)
    assert statistics.median(took) < SOON


def test_a_definition(house, system, tmp_path) -> None:
    text = house.virsh("dumpxml", "--inactive", system.name)
    definition = tmp_path / "machine.xml"
    changed = re.sub(r"(<(currentM|m)emory unit='KiB'>)\d+", rf"\g<1>{96 << 10}", text)
    changed = re.sub(r"<topology [^>]*/>", "", re.sub(r"(<vcpu[^>]*>)1<", r"\g<1>2<", changed))
    definition.write_text(changed)
    house.virsh("define", str(definition))
    house.soon(lambda: (house.seen(system).memory_mib, house.seen(system).vcpus) == (96, 2), "it shows the definition")
    assert (house.get(system).memory_mib, house.get(system).vcpus) == (64, 1), "what is wanted is another thing"
    assert house.get(system).differences == ("processors: 2 instead of 1", "memory in MiB: 96 instead of 64")


def test_what_libvirt_does_not_report_is_seen_by_the_sweep(house, system, libvirt_host) -> None:
    """It tells nothing of changes to the definition alone that come piece by piece."""
    house.virsh("setmaxmem", system.name, "96M", "--config")
    house.virsh("attach-disk", system.name, new_disk(libvirt_host, system), "vdx", "--config")
    house.sweep()
    assert house.seen(system).memory_mib == 96
    assert "vdx" in house.seen(system).disk_ids
    house.virsh("detach-disk", system.name, "vdx", "--config")
    house.sweep()
    assert "vdx" not in house.seen(system).disk_ids


def test_a_name(house, system) -> None:
    house.virsh("domrename", system.name, f"{system.name}-renamed")
    house.soon(lambda: house.seen(system).name == f"{system.name}-renamed", "it shows the name")
    assert house.get(system).failure == ""
    house.virsh("domrename", f"{system.name}-renamed", system.name)
    house.soon(lambda: house.seen(system).name == system.name, "it shows the old one")


def test_devices_of_a_running_machine(house, system, libvirt_host, tmp_path) -> None:
    interface = tmp_path / "interface.xml"
    interface.write_text(INTERFACE)
    house.virsh("start", system.name)
    house.shows(system, ON)
    house.virsh("attach-disk", system.name, new_disk(libvirt_host, system), "vdx", "--live")
    house.soon(lambda: "vdx" in house.seen(system).disk_ids, "it shows the disk")
    house.virsh("attach-device", system.name, str(interface), "--live")
    house.soon(lambda: MAC in house.seen(system).mac_addresses, "it shows the interface")
    # A running machine lets go of a device only when its guest does, and this one has none.
    house.virsh("destroy", system.name)
    house.soon(lambda: "vdx" not in house.seen(system).disk_ids, "both are gone with the run")
    assert MAC not in house.seen(system).mac_addresses


def new_disk(libvirt_host, system: System) -> str:
    """Path of an empty image that the hypervisor may use."""
    disk = libvirt_host.data / f"{system.name}.img"
    subprocess.run(["qemu-img", "create", "-q", str(disk), "1M"], check=True, timeout=30)
    disk.chmod(0o666)
    return str(disk)


def test_a_machine_that_is_undefined_is_missed_and_welcome_back(house, system, tmp_path) -> None:
    text = house.virsh("dumpxml", "--inactive", system.name)
    house.virsh("undefine", "--nvram", system.name)
    house.soon(lambda: house.get(system).failure, "it says that its machine is gone")
    assert "no longer defined on kvm1" in house.get(system).failure
    assert isinstance(house.installation.failed(house.installation.reset(system, ResetType.ON)), MachineNotFound)
    definition = tmp_path / "machine.xml"
    definition.write_text(text)
    house.virsh("define", str(definition))
    house.soon(lambda: house.get(system).failure == "", "it is back")
    house.installation.done(house.installation.reset(system, ResetType.ON))


def test_a_running_machine_that_is_undefined_runs_on(house, system) -> None:
    house.virsh("start", system.name)
    house.shows(system, ON)
    house.virsh("undefine", "--nvram", system.name)
    house.virsh("suspend", system.name)
    house.shows(system, PAUSED)
    assert house.get(system).failure == ""
    house.virsh("destroy", system.name)
    house.soon(lambda: house.get(system).failure, "now its machine is gone")


def test_machines_of_others_are_neither_listed_nor_touched(house, tmp_path) -> None:
    machine_id = uuid4()
    name = f"theirs-{machine_id.hex[:6]}"
    definition = tmp_path / "theirs.xml"
    definition.write_text(FOREIGN.format(name=name, id=machine_id))
    house.virsh("define", str(definition))
    house.virsh("start", name)
    before = house.virsh("dumpxml", name)
    try:
        witness = house.create()
        house.virsh("start", witness.name)
        house.shows(witness, ON)  # the events before it were heard
        page = house.installation.application.systems.page(SYSTEM_ACTOR)
        assert machine_id not in {system.id for system in page.items}
        assert page.total == len(page.items)
        assert house.virsh("dumpxml", name) == before
        house.installation.done(house.installation.reset(witness, ResetType.FORCE_OFF))
        house.installation.done(house.installation.application.systems.delete(SYSTEM_ACTOR, witness.id))
    finally:
        for command in ("destroy", "undefine"):
            with suppress(RuntimeError):
                house.virsh(command, name)


def test_a_killed_libvirtd_makes_its_host_suspect_and_comes_back_with_what_happened_meanwhile(
    house, system, libvirt_host
) -> None:
    house.virsh("start", system.name)
    house.shows(system, ON)
    hosts = house.installation.application.hosts
    libvirt_host.kill()
    try:
        wait_until(lambda: hosts.get(SYSTEM_ACTOR, "kvm1").state is HostState.SUSPECT, "Suspect", PATIENCE)
        shown = house.get(system)
        assert (shown.stale, shown.power_state) == (True, ON)
        kill_machine(libvirt_host, system)
    finally:
        libvirt_host.start()
    wait_until(lambda: hosts.get(SYSTEM_ACTOR, "kvm1").state is HostState.UP, "Up", PATIENCE)
    house.shows(system, OFF)
    assert not house.get(system).stale
