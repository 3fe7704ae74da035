"""Finding out what a host is, by trying."""

import os
from pathlib import Path, PurePosixPath

import pytest
from hawkfish_libvirt.capabilities import HostCapabilities
from hawkfish_libvirt.probe import is_local, unreachable_folder

from hawkfish.domain.hosts import Virtualisation
from hawkfish.domain.machines import Firmware
from hawkfish_libvirt import kvm_proof


@pytest.mark.needs_libvirt
def test_auto_uses_kvm_only_where_a_guest_ran(new_libvirt_driver, libvirt_host):
    facts = new_libvirt_driver(virt_type="auto").probe()
    assert facts.virtualisation_reason
    if facts.virtualisation is Virtualisation.QEMU:
        assert any("plain emulation" in warning for warning in facts.warnings)
    else:
        assert facts.virtualisation_reason == "a test guest ran under KVM"
    assert "hawkfish-probe" not in libvirt_host.virsh("list", "--all", "--name")
    assert "hawkfish-probe" not in libvirt_host.virsh("pool-list", "--all", "--name")
    assert facts.firmwares == {Firmware.BIOS, Firmware.UEFI}
    assert facts.memory_mib * 2**20 == pytest.approx(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), rel=0.02)


@pytest.mark.needs_libvirt
def test_the_proof_succeeds_where_guests_run(driver, libvirt_host, monkeypatch):
    """The same guest under emulation, which works everywhere: so a failure under KVM is KVM's."""
    monkeypatch.setattr(kvm_proof, "_SECONDS", 120.0)  # emulated, and on a machine that may be busy
    folder = PurePosixPath(libvirt_host.data)
    assert kvm_proof.prove(driver._host, driver, folder, "qemu", "maximum") is None
    assert "hawkfish-probe" not in libvirt_host.virsh("list", "--all", "--name")


@pytest.mark.needs_libvirt
def test_the_proof_fails_for_a_guest_that_executes_nothing(driver, libvirt_host, monkeypatch):
    monkeypatch.setattr(kvm_proof, "boot_sector", lambda: bytes(512))
    monkeypatch.setattr(kvm_proof, "_SECONDS", 2.0)
    folder = PurePosixPath(libvirt_host.data)
    assert "executed nothing" in kvm_proof.prove(driver._host, driver, folder, "qemu", "maximum")
    assert "hawkfish-probe" not in libvirt_host.virsh("list", "--all", "--name")
    assert driver.list_machines() is not None


@pytest.mark.needs_libvirt
def test_a_proof_does_not_mind_another_that_ends_meanwhile(driver, libvirt_host, monkeypatch):
    upload, pools = driver.upload_volume, []

    def another_ends(pool, *arguments):
        monkeypatch.setattr(driver, "upload_volume", upload)
        driver.remove_pool(pool)
        pools.append(pool)
        upload(pool, *arguments)

    monkeypatch.setattr(driver, "upload_volume", another_ends)
    monkeypatch.setattr(kvm_proof, "_run_guest", lambda *_: driver.remove_pool(*pools))
    folder = PurePosixPath(libvirt_host.data / "shared")
    assert kvm_proof.prove(driver._host, driver, folder, "qemu", "maximum") is None
    assert [file for file in Path(folder).rglob("*") if file.is_file()] == []
    assert "hawkfish-probe" not in libvirt_host.virsh("pool-list", "--all", "--name")


def test_the_boot_sector_is_one():
    sector = kvm_proof.boot_sector()
    assert (len(sector), sector[-2:]) == (512, b"\x55\xaa")


@pytest.mark.parametrize(
    ("uri", "local"),
    [
        ("qemu:///system", True),
        ("qemu+unix:///system?socket=/run/x", True),
        ("qemu+ssh://root@host/system", False),
        ("qemu+tcp://10.0.0.1/system", False),
    ],
)
def test_local_addresses(uri, local):
    assert is_local(uri) is local


def test_a_folder_that_qemus_user_cannot_pass_is_named(tmp_path):
    private = tmp_path / "private"
    (private / "data").mkdir(parents=True)
    for folder in (tmp_path, *tmp_path.parents):
        if folder == Path("/"):
            break
        mode = folder.stat().st_mode
        if not mode & 0o001:
            private = folder  # pytest's own folders are private already
    private.chmod(0o700) if private.name == "private" else None
    assert unreachable_folder(tmp_path / "private" / "data", 64055) == private
    assert unreachable_folder(Path("/var/lib"), 64055) is None


def test_the_user_of_qemu_is_read_from_capabilities():
    text = """<capabilities><host><uuid>u</uuid><cpu><arch>x86_64</arch><model>m</model></cpu>
    <secmodel><model>none</model></secmodel>
    <secmodel><model>dac</model><baselabel type='kvm'>+64055:+64055</baselabel></secmodel></host>
    <guest><arch name='x86_64'><domain type='qemu'/></arch></guest></capabilities>"""
    parsed = HostCapabilities.parse(text)
    assert (parsed.qemu_user, parsed.guest_types, parsed.architecture) == (64055, frozenset({"qemu"}), "x86_64")
