"""What real firmware starts from: an installer once, a disk behind an empty drive, a server of the network; and which firmware."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from hawkfish.domain.machines import (
    BootDevice,
    Bridge,
    DriveKind,
    DriveSpec,
    Firmware,
    NetworkInterfaceSpec,
    PowerState,
    StartOptions,
)
from hawkfish.testing.waiting import wait_until
from tests.libvirt.conftest import BOOT_SECONDS, serial, upload, wait_for_guest
from tests.support.libvirt_host import enter_network

pytestmark = [pytest.mark.needs_libvirt, pytest.mark.slow, pytest.mark.timeout(900)]

FIRMWARES = pytest.mark.parametrize("firmware", list(Firmware))


def boots(driver, spec):
    """By what firmware and with what words the guest came up, each time."""
    *lines, _unfinished = serial(driver, spec).decode(errors="replace").split("\n")
    return [line.strip() for line in lines if line.strip().startswith("BOOTED by ")]


def wait_for_boots(driver, spec, number):
    for each in range(1, number + 1):
        wait_until(lambda count=each: len(boots(driver, spec)) >= count, f"boot number {each}", 2 * BOOT_SECONDS)
    return boots(driver, spec)


def test_an_installer_on_a_stick_runs_once_though_it_reboots_by_itself(  # noqa: PLR0917  fixtures
    driver, libvirt_host, new_machine, guest_disk, pool, installer_iso
):
    """By BIOS; a stick by UEFI, and CDs by both, are booted through the API elsewhere."""
    medium = upload(driver, pool, "installer", installer_iso)
    stick = DriveSpec(id="Usb", kind=DriveKind.USB, medium=medium)
    spec = new_machine(disks=(guest_disk,), drives=(stick,))
    before = libvirt_host.virsh("dumpxml", "--inactive", spec.name)
    started = driver.start_machine(spec.id, StartOptions(boot_first=BootDevice.USB))
    assert libvirt_host.virsh("dumpxml", "--inactive", spec.name) == before
    first, second = wait_for_boots(driver, spec, 2)
    assert first.startswith("BOOTED by bios ")
    assert "hf.reboot" in first
    assert second.startswith("BOOTED by bios ")
    assert "hf.reboot" not in second
    now = driver.find_machine(spec.id)
    assert (now.power_state, now.run_id) == (PowerState.ON, started.run_id), "nobody but the guest did it"
    driver.power_off_machine(spec.id)
    assert libvirt_host.virsh("dumpxml", "--inactive", spec.name) == before


def test_an_empty_drive_is_passed_over_and_an_nmi_is_seen_by_the_guest(driver, new_machine, guest_disk):
    spec = new_machine(disks=(guest_disk,))
    driver.start_machine(spec.id, StartOptions(boot_first=BootDevice.CD, once=False))
    wait_for_guest(driver, spec)
    driver.send_nmi(spec.id)
    wait_until(lambda: b"NMI received" in serial(driver, spec), "the guest's word of the NMI")


def test_variables_of_uefi_stay_while_a_machine_has_bios_and_go_with_it(driver, libvirt_host, new_machine):
    spec = new_machine(firmware=Firmware.UEFI)
    driver.start_machine(spec.id)
    driver.power_off_machine(spec.id)

    def variables():
        root = Path(f"/proc/{libvirt_host.pid}/root")
        return [file for file in root.glob("var/lib/libvirt/qemu/nvram/*") if spec.name in file.name]

    (file,) = variables()
    content = file.read_bytes()
    bios = replace(spec, firmware=Firmware.BIOS)
    for _ in range(2):
        assert driver.define_machine(bios).firmware is Firmware.BIOS
        driver.start_machine(spec.id)
        driver.power_off_machine(spec.id)
        assert driver.define_machine(spec).firmware is Firmware.UEFI
        assert (variables(), file.read_bytes()) == ([file], content)
    driver.define_machine(bios)
    driver.remove_machine(spec.id)
    assert variables() == []


# --- the network ------------------------------------------------------------------------------------------------------


def make_network_program(folder, platform, name, firmware):
    """A GRUB that says on the serial port that it is there: small, since emulated firmware fetches it."""
    words = folder / f"{name}.cfg"
    words.write_text(f"serial --unit=0\nterminal_output serial\necho\necho BOOTED by {firmware} with hf.network\n")
    command = ["grub-mkimage", f"--format={platform}", f"--output={folder / name}", f"--config={words}", "--prefix=/"]
    subprocess.run([*command, "serial", "terminal", "echo"], check=True, timeout=60)


@pytest.fixture
def boot_server(libvirt_host, tmp_path):
    """The name of a bridge on which a DHCP and TFTP server offers a program, to each firmware one that it can start."""
    make_network_program(tmp_path, "i386-pc-pxe", "boot.pxe", "bios")
    make_network_program(tmp_path, "x86_64-efi", "boot.efi", "uefi")
    for file in (tmp_path, *tmp_path.iterdir()):
        file.chmod(0o755)
    inside = enter_network(libvirt_host)
    for command in (
        "link add br-boot type bridge",
        "addr add 192.168.178.1/24 dev br-boot",
        "link set br-boot up",
    ):
        subprocess.run([*inside, "ip", *command.split()], check=True, timeout=30)
    server = subprocess.Popen(
        [
            *inside,
            "dnsmasq",
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            f"--pid-file={tmp_path}/pid",
            f"--dhcp-leasefile={tmp_path}/leases",
            "--port=0",
            "--user=root",
            "--interface=br-boot",
            "--bind-interfaces",
            "--dhcp-range=192.168.178.10,192.168.178.50,1h",
            "--dhcp-match=set:uefi,option:client-arch,7",
            "--dhcp-boot=tag:!uefi,boot.pxe",
            "--dhcp-boot=tag:uefi,boot.efi",
            "--enable-tftp",
            f"--tftp-root={tmp_path}",
        ]
    )
    yield "br-boot"
    server.terminate()
    server.wait(10)
    subprocess.run([*inside, "ip", "link", "del", "br-boot"], check=True, timeout=30)


@FIRMWARES
def test_a_guest_comes_from_a_server_of_the_network(driver, new_machine, guest_disk, boot_server, firmware):
    nic = NetworkInterfaceSpec(id="NIC1", mac_address="52:54:00:12:34:99", attachment=Bridge(name=boot_server))
    spec = new_machine(firmware=firmware, memory_mib=512, disks=(guest_disk,), network_interfaces=(nic,))
    driver.start_machine(spec.id, StartOptions(boot_first=BootDevice.NETWORK))
    (first,) = wait_for_boots(driver, spec, 1)
    assert first.startswith(f"BOOTED by {'uefi' if firmware is Firmware.UEFI else 'bios'} ")
    assert "hf.network" in first
