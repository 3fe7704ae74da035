"""Programs that none of us wrote, against the served API."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from hawkfish.db import Database
from hawkfish.db.models.systems import SystemRow
from hawkfish.domain.hosts import HostState
from tests.api.conformance import BASIC, BOTH, INTEROP, PROTOCOL, SERVICE, SESSION, SILENT, SIMULATED, tell
from tests.api.installation import GIB, PASSWORD, installation
from tests.api.live import gunicorn
from tests.api.validators import (
    ABSENT,
    PROGRAMS,
    REDFISH,
    run_interop_validator,
    run_protocol_validator,
    run_service_validator,
)
from tests.support.sushy_client import sushy_client


def until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"


@pytest.fixture(scope="package")
def system(url: str) -> str:
    """The id of a system."""
    with httpx.Client(base_url=url, auth=("admin", PASSWORD), timeout=60, trust_env=False) as client:
        answer = client.post(
            "/redfish/v1/Systems", json={"Name": "for-clients", "CPU": 2, "MemoryMiB": 1024, "DiskGiB": 5}
        )
        monitor = answer.headers["Location"]
        until(lambda: client.get(monitor).status_code != 202)
        found = client.get("/redfish/v1/Systems/for-clients", follow_redirects=True).json()
        # A system without secure boot, for the validators to look at.
        by_bios = {"Name": "for-clients-too", "CPU": 1, "MemoryMiB": 512, "DiskGiB": 1, "Firmware": "BIOS"}
        other = client.post("/redfish/v1/Systems", json=by_bios).headers["Location"]
        until(lambda: client.get(other).status_code != 202)
        return str(found["Id"])


@pytest.mark.slow
def test_sushy_switches_a_system_on_and_off(url: str, system: str) -> None:
    import sushy

    with sushy_client(url) as root:
        assert system in {item.identity for item in root.get_system_collection().get_members()}
        machine = root.get_system(f"/redfish/v1/Systems/{system}")
        assert (machine.name, machine.memory_summary.size_gib) == ("for-clients", 1)
        assert [manager.identity for manager in machine.managers] == [system]
        machine.set_system_boot_options(target=sushy.BOOT_SOURCE_TARGET_PXE, enabled=sushy.BOOT_SOURCE_ENABLED_ONCE)

        def is_in(state: object) -> bool:
            machine.refresh(force=True)
            return machine.power_state is state

        machine.refresh(force=True)
        assert machine.boot.target is sushy.BOOT_SOURCE_TARGET_PXE
        assert machine.boot.enabled is sushy.BOOT_SOURCE_ENABLED_ONCE
        machine.reset_system(sushy.RESET_ON)
        until(lambda: is_in(sushy.PowerState.ON))
        until(lambda: (is_in(sushy.PowerState.ON), machine.boot.enabled)[1] is sushy.BOOT_SOURCE_ENABLED_DISABLED)
        machine.reset_system(sushy.RESET_FORCE_OFF)
        until(lambda: is_in(sushy.PowerState.OFF))
        with pytest.raises(sushy.exceptions.ResourceNotFoundError):
            root.get_system("/redfish/v1/Systems/none")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["session", "basic"])
def test_the_redfish_library_logs_in(url: str, system: str, method: str) -> None:
    import redfish

    client = redfish.redfish_client(base_url=url, username="admin", password=PASSWORD)
    client.login(auth=method)
    try:
        answer = client.get(f"/redfish/v1/Systems/{system}")
        assert (answer.status, answer.dict["Name"]) == (200, "for-clients")
    finally:
        client.logout()
        client._session.close()


@pytest.mark.slow
def test_sushy_inspects_a_system(url: str, system: str) -> None:
    """What Ironic's inspection reads, by the means that it reads it with."""
    import sushy

    with sushy_client(url) as root:
        machine = root.get_system(f"/redfish/v1/Systems/{system}")
        processors = machine.processors.summary
        assert (processors.count, processors.architecture) == (2, sushy.ProcessorArchitecture.X86)
        (address,) = machine.ethernet_interfaces.summary
        assert machine.ethernet_interfaces.summary == {address: sushy.State.ENABLED}
        assert machine.storage.drives_sizes_bytes == [5 * GIB]
        assert machine.storage.volumes_sizes_bytes == []
        (storage,) = machine.storage.get_members()
        (drive,) = storage.drives
        assert (drive.serial_number, drive.status.health) == (drive.identity, sushy.Health.OK)
        assert [controller.name for controller in storage.controllers.get_members()] == ["VirtIO controller"]
        (chassis,) = machine.chassis
        assert (chassis.uuid, chassis.chassis_type) == (system, sushy.ChassisType.OTHER)
        (manager,) = machine.managers
        assert [item.identity for item in manager.systems] == [system]


def run_tool(url: str, name: str, *arguments: str) -> str:
    """Runs one of redfish-utilities; it must end well. Gives what it prints."""
    command = [sys.executable, str(PROGRAMS / name), "-r", url, "-u", "admin", "-p", PASSWORD, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_redfish_utilities_list_parts_and_logs(url: str, system: str) -> None:
    inventory = run_tool(url, "rf_sys_inventory.py", "-details")
    for words in ("Processor: CPU1", "x86 CPU 2 Cores", "1024MB DRAM", "5GB OEM Drive", "SerialNumber: disk1-"):
        assert words in inventory
    assert "'admin' did 'systems.create'" in run_tool(url, "rf_logs.py", "-m", system, "-l", "Audit")
    run_tool(url, "rf_logs.py", "-s", system, "-l", "Events", "-clear")
    run_tool(url, "rf_logs.py", "-m", system, "-l", "Audit", "-clear")
    assert "'systems.create'" not in run_tool(url, "rf_logs.py", "-m", system, "-l", "Audit")


@pytest.mark.slow
@pytest.mark.skipif(not REDFISH.is_dir(), reason=ABSENT)
@pytest.mark.parametrize("login", [SESSION, BASIC])
@pytest.mark.timeout(900)
def test_the_service_validator_finds_nothing(tls_url: str, system: str, tmp_path: Path, login: str) -> None:
    tell((SERVICE, SIMULATED, login), run_service_validator(tls_url, tmp_path, login, includes=system))


@pytest.mark.slow
@pytest.mark.skipif(not REDFISH.is_dir(), reason=ABSENT)
@pytest.mark.parametrize("login", [SESSION, BASIC])
@pytest.mark.timeout(900)
def test_ironics_profile_is_met(tls_url: str, system: str, tmp_path: Path, login: str) -> None:
    tell((INTEROP, SIMULATED, login), run_interop_validator(tls_url, tmp_path, login, includes=system))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_protocol_validator_finds_nothing(tls_url: str, system: str, tmp_path: Path) -> None:
    assert system
    tell((PROTOCOL, SIMULATED, BOTH), run_protocol_validator(tls_url, tmp_path))


@pytest.mark.slow
@pytest.mark.skipif(not REDFISH.is_dir(), reason=ABSENT)
@pytest.mark.timeout(900)
def test_the_service_validator_finds_nothing_where_a_host_is_silent(tmp_path: Path) -> None:
    """What is shown of hosts that are Down and of machines that others changed is judged, too; nobody watches them here."""
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    with installation(data_dir, tls=False) as api:
        made = api.system("silent")
        with api.application.database.read() as uow:
            host_id = uow.systems.get(made["Id"]).host_id
        settings = api.application.settings
    database = Database(settings.database_url)
    with database.write() as uow:
        uow.hosts.set_state(host_id, HostState.DOWN, "It does not answer.")
        uow.systems.mark_stale(host_id)
        row = uow.session.scalars(select(SystemRow)).one()
        assert row.observed is not None
        row.observed = {**row.observed, "vcpus": 7}
    database.close()
    with gunicorn(data_dir, tls=True) as address:
        verdict = run_service_validator(address, tmp_path, SESSION, includes=made["Id"])
    shown = (
        "/Oem/HawkFish/Observed",
        "/Oem/HawkFish/ObservedAt",
        "/StateReason",
        "/Actions/#HawkFishHost.Forget/target",
    )
    for path in shown:
        assert f"PASS - {path}" in verdict.log, path
    tell((SERVICE, SILENT, SESSION), verdict)
