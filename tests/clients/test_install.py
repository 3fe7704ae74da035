"""Installs from an ISO: image, one boot from it and power are asked for one after the other, without waiting."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.api.installation import PASSWORD
from tests.clients.conftest import Machine, Served
from tests.support.ironic import LOST
from tests.support.sushy_client import sushy_client

pytestmark = [pytest.mark.needs_libvirt, pytest.mark.slow, pytest.mark.timeout(900)]

NewMachine = Callable[[str, str], Machine]


def check_installed(machine: Machine, cd_url: str) -> None:
    """It runs, the CD is still in its drive, and what is next comes from the disk."""
    assert machine.read()["PowerState"] == "On"
    assert machine.medium() == (cd_url, True)
    assert machine.boot() == ("Disabled", "None")


def test_sushy_by_uefi_and_then_by_bios(
    served: Served, new_machine: NewMachine, cd_url: str, unknown_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    import sushy

    machine = new_machine("sushy", "UEFI")
    hardware = machine.hardware()
    with sushy_client(served.url, verify=str(served.ca_file)) as root:
        system = root.get_system(machine.path)
        (manager,) = system.managers
        (drive,) = [
            drive for drive in manager.virtual_media.get_members() if sushy.VirtualMediaType.CD in drive.media_types
        ]
        with pytest.raises(sushy.exceptions.ServerSideError, match="HF_TRUSTED_CA_FILE"):
            drive.insert_media(unknown_url)
        drive.insert_media(cd_url)
        once = {"target": sushy.BootSource.CD, "enabled": sushy.BootSourceOverrideEnabled.ONCE}
        system.set_system_boot_options(**once)
        system.reset_system(sushy.ResetType.ON)
        assert machine.boots(1) == ["cd by uefi"]
        check_installed(machine, cd_url)
        system.reset_system(sushy.ResetType.FORCE_RESTART)
        assert machine.boots(2)[1:] == ["disk by uefi"]

        system.set_system_boot_options(**once, mode=sushy.BootSourceOverrideMode.LEGACY)
        system.reset_system(sushy.ResetType.FORCE_RESTART)
        assert machine.boots(3)[2:] == ["cd by bios"]
        check_installed(machine, cd_url)
        system.reset_system(sushy.ResetType.FORCE_RESTART)
        assert machine.boots(4)[3:] == ["disk by bios"]
        assert machine.hardware() == hardware
        drive.refresh(force=True)
        assert drive.inserted
        drive.eject_media()
        assert machine.medium() == (None, False)
    assert LOST in inspect.getsource(sushy.connector)
    assert LOST not in caplog.text, "it tries again what was not answered, and nothing else tells of that"


def test_redfishtool_by_bios_and_then_by_uefi(served: Served, new_machine: NewMachine, installer_url: str) -> None:
    """The guest on the CD reboots by itself, as installers do; its server is certified by an authority that was named."""
    machine = new_machine("tool", "BIOS")
    hardware = machine.hardware()
    media = f"{machine.path}/VirtualMedia/Cd/Actions/VirtualMedia"

    def tool(*words: str) -> None:
        login = ["-r", urlsplit(served.url).netloc, "-S", "Always", "-u", "admin", "-p", PASSWORD, "-A", "Session"]
        program = Path(sys.executable).with_name("redfishtool")
        done = subprocess.run([program, *login, *words], capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"

    tool("raw", "POST", f"{media}.InsertMedia", "-d", json.dumps({"Image": installer_url}))
    tool("Systems", "-I", machine.id, "setBootOverride", "Once", "Cd")
    tool("Systems", "-I", machine.id, "reset", "On")
    assert machine.boots(2) == ["cd by bios", "disk by bios"]
    check_installed(machine, installer_url)

    tool("raw", "PATCH", machine.path, "-d", json.dumps({"Boot": {"BootSourceOverrideMode": "UEFI"}}))
    tool("Systems", "-I", machine.id, "setBootOverride", "Once", "Cd")
    tool("Systems", "-I", machine.id, "reset", "ForceRestart")
    assert machine.boots(4)[2:] == ["cd by uefi", "disk by uefi"]
    check_installed(machine, installer_url)
    assert machine.hardware() == hardware
    tool("raw", "POST", f"{media}.EjectMedia", "-d", "{}")
    assert machine.medium() == (None, False)


def test_plain_redfish(served: Served, new_machine: NewMachine, cd_url: str, tmp_path: Path) -> None:
    """The example, as it is."""
    machine = new_machine("example", "BIOS")
    ready = {"url": served.url, "username": "admin", "password": PASSWORD, "ca_file": str(served.ca_file)}
    (tmp_path / "ready.json").write_text(json.dumps(ready))
    program = Path(__file__).parents[2] / "examples" / "install_from_iso.py"
    words = [sys.executable, program, tmp_path / "ready.json", "example", cd_url]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout) == (0, "example: On, boot override Disabled\n"), done.stderr
    assert machine.boots(1) == ["cd by bios"]
    check_installed(machine, cd_url)
