"""Installs from an ISO: image, one boot from it and power are asked for one after the other, without waiting."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.api.installation import PASSWORD
from tests.clients.conftest import Machine, Served

pytestmark = [pytest.mark.needs_libvirt, pytest.mark.slow, pytest.mark.timeout(900)]

NewMachine = Callable[[str, str], Machine]


def check_installed(machine: Machine, cd_url: str, firmware: str) -> None:
    """The first boot came from the CD; what is next comes from the disk."""
    assert machine.boots(1) == [f"cd by {firmware}"]
    assert machine.read()["PowerState"] == "On"
    assert machine.medium() == (cd_url, True)
    assert machine.boot() == ("Disabled", "None")


def test_sushy_by_uefi(served: Served, new_machine: NewMachine, cd_url: str) -> None:
    import sushy
    from sushy.auth import SessionAuth

    machine = new_machine("sushy", "UEFI")
    root = sushy.Sushy(served.url, auth=SessionAuth("admin", PASSWORD), verify=str(served.ca_file))
    system = root.get_system(machine.path)
    (manager,) = system.managers
    (drive,) = [
        drive for drive in manager.virtual_media.get_members() if sushy.VirtualMediaType.CD in drive.media_types
    ]
    drive.insert_media(cd_url)
    system.set_system_boot_options(target=sushy.BootSource.CD, enabled=sushy.BootSourceOverrideEnabled.ONCE)
    system.reset_system(sushy.ResetType.ON)
    check_installed(machine, cd_url, "uefi")
    system.reset_system(sushy.ResetType.FORCE_RESTART)
    assert machine.boots(2)[1] == "disk by uefi"
    drive.refresh(force=True)
    assert drive.inserted
    drive.eject_media()
    assert machine.medium() == (None, False)
    root._conn.close()


def test_redfishtool_by_bios(served: Served, new_machine: NewMachine, secure_cd_url: str) -> None:
    machine = new_machine("tool", "BIOS")

    def tool(*words: str) -> str:
        login = ["-r", urlsplit(served.url).netloc, "-S", "Always", "-u", "admin", "-p", PASSWORD, "-A", "Session"]
        program = Path(sys.executable).with_name("redfishtool")
        done = subprocess.run([program, *login, *words], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    media = f"{machine.path}/VirtualMedia/Cd/Actions/VirtualMedia"
    trust = json.dumps({"VerifyCertificate": False})
    tool("raw", "PATCH", f"{machine.path}/VirtualMedia/Cd", "-d", trust)
    tool("raw", "POST", f"{media}.InsertMedia", "-d", json.dumps({"Image": secure_cd_url}))
    tool("Systems", "-I", machine.id, "setBootOverride", "Once", "Cd")
    tool("Systems", "-I", machine.id, "reset", "On")
    check_installed(machine, secure_cd_url, "bios")
    tool("Systems", "-I", machine.id, "reset", "ForceRestart")
    assert machine.boots(2)[1] == "disk by bios"
    tool("raw", "POST", f"{media}.EjectMedia", "-d", "{}")
    assert machine.medium() == (None, False)


def test_plain_redfish(served: Served, new_machine: NewMachine, cd_url: str, tmp_path: Path) -> None:
    """The example, as it is."""
    machine = new_machine("example", "BIOS")
    ready = {"url": served.url, "username": "admin", "password": PASSWORD, "ca_file": str(served.ca_file)}
    (tmp_path / "ready.json").write_text(json.dumps(ready))
    program = Path(__file__).parents[2] / "examples" / "install_from_iso.py"
    words = [sys.executable, program, tmp_path / "ready.json", "example", cd_url]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "example: On, boot override Disabled\n"), done.stderr
    check_installed(machine, cd_url, "bios")
