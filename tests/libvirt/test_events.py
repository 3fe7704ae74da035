"""What others do to a host is reported within two seconds."""

import statistics
import time
from contextlib import suppress
from uuid import UUID, uuid4

import pytest

from hawkfish.domain.machines import MachineEventKind
from hawkfish.testing.waiting import wait_until

pytestmark = pytest.mark.needs_libvirt

SOON = 2.0
PATIENCE = 30.0
"""On a machine that does other things too, one report may be late; that most are says something of us."""
MACHINE = """
<domain type='qemu'><name>{name}</name><uuid>{id}</uuid><memory unit='MiB'>64</memory>
<os><type machine='q35'>hvm</type></os><devices/></domain>
"""
INTERFACE = "<interface type='user'><mac address='52:54:00:12:34:56'/><model type='virtio'/></interface>"


@pytest.fixture
def theirs(libvirt_host, tmp_path):
    """A machine that an administrator made with virsh."""
    machine_id = uuid4()
    name = f"theirs-{machine_id.hex[:6]}"
    path = tmp_path / "machine.xml"
    path.write_text(MACHINE.format(name=name, id=machine_id))
    yield name, machine_id, path
    for command in ("destroy", "undefine"):
        with suppress(RuntimeError):  # it is off, or gone, already
            libvirt_host.virsh(command, name)


def test_what_an_administrator_does_is_reported(driver, libvirt_host, theirs):
    name, machine_id, path = theirs
    seen, took = [], []
    driver.subscribe(seen.append)

    def expect(kind):
        began = time.monotonic()
        wait_until(lambda: kind in {event.kind for event in seen if event.machine_id == machine_id}, kind, PATIENCE)
        took.append(time.monotonic() - began)

    libvirt_host.virsh("define", str(path))
    expect(MachineEventKind.DEFINED)
    libvirt_host.virsh("start", name)
    expect(MachineEventKind.STARTED)
    libvirt_host.virsh("suspend", name)
    expect(MachineEventKind.PAUSED)
    libvirt_host.virsh("resume", name)
    expect(MachineEventKind.RESUMED)
    libvirt_host.virsh("reset", name)
    expect(MachineEventKind.REBOOTED)
    interface = path.with_name("interface.xml")
    interface.write_text(INTERFACE)
    libvirt_host.virsh("attach-device", name, str(interface))
    expect(MachineEventKind.DEVICE_ADDED)
    libvirt_host.virsh("destroy", name)
    expect(MachineEventKind.STOPPED)
    libvirt_host.virsh("undefine", name)
    expect(MachineEventKind.UNDEFINED)
    assert statistics.median(took) < SOON


def test_a_machine_of_others_is_listed_without_a_stamp(driver, libvirt_host, theirs):
    name, machine_id, path = theirs
    libvirt_host.virsh("define", str(path))
    listed = {machine.id: machine for machine in driver.list_machines()}
    assert (listed[machine_id].name, listed[machine_id].stamp) == (name, None)
    assert isinstance(machine_id, UUID)
