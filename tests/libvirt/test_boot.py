"""What real firmware starts from: an installer once, a disk behind an empty drive, a server of the network; and which firmware."""

import shutil
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

KERNEL = ("vmlinuz", "initrd.img")
FIRMWARES = pytest.mark.parametrize("firmware", list(Firmware))


def boots(driver, spec):
    """By what firmware and with what words the guest came up, each time."""
    *lines, _unfinished = serial(driver, spec).decode(errors="replace").split("\n")
    return [line for line in lines if line.startswith("BOOTED by ")]


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
    wait_until(lambda: b"NMI received" in serial(driver, spec), "the guest's word of the NMI", BOOT_SECONDS)


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


def make_efi_program(folder):
    """One file with a loader, the kernel and its files: what UEFI fetches and starts."""
    (folder / "grub.cfg").write_text(
        "linux (memdisk)/vmlinuz console=ttyS0 quiet hf.network\ninitrd (memdisk)/initrd.img\nboot\n"
    )
    modules = "linux normal echo"
    command = ["grub-mkstandalone", "--format=x86_64-efi", f"--output={folder / 'boot.efi'}", f"--modules={modules}"]
    command += [f"--install-modules={modules}", "--locales=", "--fonts=", "--themes="]
    content = [f"boot/grub/grub.cfg={folder / 'grub.cfg'}", *(f"{name}={folder / name}" for name in KERNEL)]
    subprocess.run([*command, *content], check=True, timeout=240)


@pytest.fixture
def boot_server(libvirt_host, guest_iso, tmp_path):
    """The name of a bridge on which a DHCP and TFTP server offers the guest, to each firmware what it can start."""
    for file in KERNEL:
        shutil.copy(guest_iso.with_name(file), tmp_path)
    (tmp_path / "boot.ipxe").write_text(
        "#!ipxe\nkernel vmlinuz console=ttyS0 quiet hf.network\ninitrd initrd.img\nboot\n"
    )
    make_efi_program(tmp_path)
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
            "--dhcp-boot=tag:!uefi,boot.ipxe",
            "--dhcp-boot=tag:uefi,boot.efi",
            "--enable-tftp",
            f"--tftp-root={tmp_path}",
        ]
    )
    yield "br-boot"
    server.terminate()
    server.wait(60)
    subprocess.run([*inside, "ip", "link", "del", "br-boot"], check=True, timeout=30)


@FIRMWARES
def test_a_guest_comes_from_a_server_of_the_network(driver, new_machine, guest_disk, boot_server, firmware):
    nic = NetworkInterfaceSpec(id="NIC1", mac_address="52:54:00:12:34:99", attachment=Bridge(name=boot_server))
    spec = new_machine(firmware=firmware, memory_mib=512, disks=(guest_disk,), network_interfaces=(nic,))
    driver.start_machine(spec.id, StartOptions(boot_first=BootDevice.NETWORK))
    (first,) = wait_for_boots(driver, spec, 1)
    assert first.startswith(f"BOOTED by {'uefi' if firmware is Firmware.UEFI else 'bios'} ")
    assert "hf.network" in first
