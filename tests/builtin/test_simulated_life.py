"""The life of simulated machines, with a clock that the test turns."""

from dataclasses import replace
from pathlib import PurePosixPath
from uuid import uuid4

import pytest

from hawkfish.builtin.simulated.settings import HostSettings, parse_host
from hawkfish.domain.hosts import ComputeCapability, Virtualisation
from hawkfish.domain.machines import (
    BootDevice,
    DiskSpec,
    DriveSpec,
    MachineSpec,
    MachineStamp,
    NetworkInterfaceSpec,
    PowerState,
    StartOptions,
)
from hawkfish.domain.storage import FilePath, PoolDefinition, PoolKind, VolumeSpec
from hawkfish.errors import InUse, InvalidRequest, PluginConfigInvalid, StorageFull
from hawkfish.testing.simulator import in_process_simulator
from hawkfish.testing.volumes import assert_content


@pytest.fixture
def simulator(tmp_path):
    with in_process_simulator(tmp_path) as simulator:
        yield simulator


@pytest.fixture
def driver(simulator):
    driver = simulator.driver("simulated:///rack1?boot_seconds=10&shutdown_seconds=5", "ours")
    yield driver
    driver.close()


@pytest.fixture
def pool(driver, tmp_path):
    target = PurePosixPath(tmp_path / "pool")
    driver.define_pool(PoolDefinition(name="pool", kind=PoolKind.DIRECTORY, target=target))
    driver.start_pool("pool")
    return "pool"


def machine(**changes):
    spec = MachineSpec(
        id=uuid4(),
        name="node",
        vcpus=2,
        memory_mib=2048,
        stamp=MachineStamp(installation_id="ours", task_id="t", epoch=1),
        network_interfaces=(NetworkInterfaceSpec(id="Nic1", mac_address="52:54:00:00:00:01"),),
    )
    return replace(spec, **changes)


def start(driver, spec, options=None):
    driver.define_machine(spec)
    driver.start_machine(spec.id, options)
    return spec.id


def log(driver, machine_id):
    return driver.read_serial_log(machine_id).decode()


def boots(driver, machine_id):
    return [line for line in log(driver, machine_id).splitlines() if line.startswith("Booting from")]


def disk(driver, pool, name):
    facts = driver.create_volume(pool, VolumeSpec(name=name, capacity_bytes=2**20))
    return DiskSpec(id=name, connection=FilePath(path=PurePosixPath(facts.path)))


def test_it_says_what_it_is(driver):
    facts = driver.probe()
    assert facts.hypervisor.startswith("HawkFish simulator ")
    assert facts.virtualisation is Virtualisation.SIMULATED
    machine_id = start(driver, machine())
    assert log(driver, machine_id).startswith("SIMULATED")


def test_a_guest_takes_its_time_to_boot(simulator, driver):
    machine_id = start(driver, machine())
    simulator.advance(9.9)
    assert "GUEST-READY" not in log(driver, machine_id)
    simulator.advance(0.2)
    assert log(driver, machine_id).splitlines()[-1] == "GUEST-READY"


def test_a_guest_that_is_up_shuts_down_in_its_time(simulator, driver):
    machine_id = start(driver, machine())
    simulator.advance(11)
    driver.request_shutdown(machine_id)
    simulator.advance(4)
    assert driver.find_machine(machine_id).power_state is PowerState.ON
    simulator.advance(2)
    assert driver.find_machine(machine_id).power_state is PowerState.OFF


def test_a_guest_that_is_not_up_does_not_hear_the_power_button(simulator, driver):
    machine_id = start(driver, machine())
    driver.request_shutdown(machine_id)
    simulator.advance(100)
    assert driver.find_machine(machine_id).power_state is PowerState.ON


def test_a_guest_may_be_told_to_ignore_the_power_button(simulator):
    driver = simulator.driver("simulated:///stubborn?ignores_shutdown=true&boot_seconds=0", "ours")
    machine_id = start(driver, machine())
    simulator.advance(1)
    driver.request_shutdown(machine_id)
    simulator.advance(100)
    assert driver.find_machine(machine_id).power_state is PowerState.ON
    assert "power button pressed, and ignored" in log(driver, machine_id)
    driver.close()


def test_a_paused_guest_boots_later(simulator, driver):
    machine_id = start(driver, machine())
    simulator.advance(5)
    driver.pause_machine(machine_id)
    simulator.advance(100)
    assert "GUEST-READY" not in log(driver, machine_id)
    driver.resume_machine(machine_id)
    simulator.advance(4)
    assert "GUEST-READY" not in log(driver, machine_id)
    simulator.advance(2)
    assert "GUEST-READY" in log(driver, machine_id)


def test_a_machine_with_nothing_to_boot_never_gets_ready(simulator, driver):
    machine_id = start(driver, machine(network_interfaces=()))
    simulator.advance(1000)
    assert "No bootable device." in log(driver, machine_id)
    assert "GUEST-READY" not in log(driver, machine_id)


@pytest.mark.parametrize(("once", "second"), [(True, "disk: root"), (False, "network: Nic1 52:54:00:00:00:01")])
def test_a_boot_override_holds_for_one_boot_or_for_all_of_the_run(simulator, driver, pool, once, second):
    spec = machine(disks=(disk(driver, pool, "root"),))
    machine_id = start(driver, spec, StartOptions(boot_first=BootDevice.NETWORK, once=once))
    simulator.advance(11)
    driver.reset_machine(machine_id)
    driver.power_off_machine(machine_id)
    driver.start_machine(machine_id)
    expected = ["network: Nic1 52:54:00:00:00:01", second, "disk: root"]
    assert boots(driver, machine_id) == [f"Booting from {device}" for device in expected]


@pytest.mark.parametrize("once", [True, False])
def test_the_set_up_menu_stays_until_the_next_reset(simulator, driver, pool, once):
    spec = machine(disks=(disk(driver, pool, "root"),))
    machine_id = start(driver, spec, StartOptions(boot_first=BootDevice.SETUP, once=once))
    simulator.advance(1000)
    driver.request_shutdown(machine_id)
    simulator.advance(1000)
    assert driver.find_machine(machine_id).power_state is PowerState.ON, "nothing in the menu hears the power button"
    assert "Entering the set-up menu" in log(driver, machine_id)
    assert (boots(driver, machine_id), "GUEST-READY" in log(driver, machine_id)) == ([], False)
    driver.reset_machine(machine_id)
    simulator.advance(11)
    assert (boots(driver, machine_id), "GUEST-READY" in log(driver, machine_id)) == (["Booting from disk: root"], True)


def test_an_empty_drive_is_passed_over(driver, pool):
    spec = machine(disks=(disk(driver, pool, "root"),))
    machine_id = start(driver, spec, StartOptions(boot_first=BootDevice.CD))
    assert "Trying cd: nothing to boot from" in log(driver, machine_id)
    assert boots(driver, machine_id) == ["Booting from disk: root"]


def test_a_medium_is_booted_from(driver, pool):
    medium = disk(driver, pool, "installer.iso").connection
    machine_id = start(driver, machine(drives=(DriveSpec(id="Cd", medium=medium),)))
    assert boots(driver, machine_id) == ["Booting from cd: Cd"]


def test_two_running_machines_never_share_a_disk(driver, pool):
    shared = disk(driver, pool, "root")
    start(driver, machine(disks=(shared,)))
    second = machine(name="other", disks=(shared,))
    driver.define_machine(second)
    with pytest.raises(InUse, match="is in use by"):
        driver.start_machine(second.id)


def test_a_volume_in_use_is_neither_deleted_nor_resized_nor_overwritten(driver, pool, tmp_path):
    machine_id = start(driver, machine(disks=(disk(driver, pool, "root"),)))
    for act in (
        lambda: driver.delete_volume(pool, "root"),
        lambda: driver.resize_volume(pool, "root", 2**21),
        lambda: driver.upload_volume(pool, "root", None, 10),
    ):
        with pytest.raises(InUse, match=str(machine_id)):
            act()
    driver.power_off_machine(machine_id)
    driver.delete_volume(pool, "root")


def test_what_is_uploaded_must_be_of_the_volumes_format(driver, pool, tmp_path):
    driver.create_volume(pool, VolumeSpec(name="image", capacity_bytes=2**20))
    before = b"".join(driver.download_volume(pool, "image"))
    source = tmp_path / "source"
    source.write_bytes(b"not a qcow2 image" * 1000)
    with source.open("rb") as content, pytest.raises(InvalidRequest, match="make a volume of that format"):
        driver.upload_volume(pool, "image", content, source.stat().st_size)
    assert_content(b"".join(driver.download_volume(pool, "image")), before)
    assert [path.name for path in (tmp_path / "pool").iterdir()] == ["image"]


def test_a_pool_is_as_large_as_the_host_says(simulator, tmp_path):
    driver = simulator.driver("simulated:///small?storage_gib=1", "ours")
    target = PurePosixPath(tmp_path / "pool")
    driver.define_pool(PoolDefinition(name="pool", kind=PoolKind.DIRECTORY, target=target))
    driver.start_pool("pool")
    with pytest.raises(StorageFull) as caught:
        driver.create_volume("pool", VolumeSpec(name="big", capacity_bytes=2 * 2**30))
    assert caught.value.data["requested"] == 2 * 2**30
    driver.close()


def test_settings_come_from_the_address_and_from_the_host():
    name, settings = parse_host("simulated:///rack-1.lab?cpus=8&boot_seconds=1&lacks=nmi", {"cpus": 16})
    assert name == "rack-1.lab"
    assert settings == HostSettings(cpus=16, boot_seconds=1.0, lacks=(ComputeCapability.NMI,))


@pytest.mark.parametrize(
    "uri",
    [
        "simulated://rack1",
        "simulated:///",
        "simulated:///a/b",
        "simulated:///../etc",
        "qemu:///system",
        "simulated:///rack1?cpus=many",
        "simulated:///rack1?cpus=0",
        "simulated:///rack1?colour=red",
        "simulated:///rack1?lacks=wheels",
        "simulated:///rack1?ignores_shutdown=maybe",
    ],
)
def test_an_address_that_means_nothing_is_refused(uri):
    with pytest.raises(PluginConfigInvalid):
        parse_host(uri, {})
