"""Programs that none of us wrote, against the served API."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.api.installation import PASSWORD

REDFISH = Path(os.environ.get("HF_REDFISH_DATA") or Path(__file__).parents[3] / "shared" / "redfish")


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"


@pytest.fixture(scope="package")
def system(url: str) -> str:
    """The id of a system."""
    with httpx.Client(base_url=url, auth=("admin", PASSWORD), timeout=30, trust_env=False) as client:
        answer = client.post(
            "/redfish/v1/Systems", json={"Name": "for-clients", "CPU": 2, "MemoryMiB": 1024, "DiskGiB": 5}
        )
        monitor = answer.headers["Location"]
        until(lambda: client.get(monitor).status_code != 202)
        found = client.get("/redfish/v1/Systems/for-clients", follow_redirects=True).json()
        return str(found["Id"])


def test_sushy_switches_a_system_on_and_off(url: str, system: str) -> None:
    import sushy
    from sushy import auth

    root = sushy.Sushy(url, auth=auth.SessionAuth("admin", PASSWORD))
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
    root._conn.close()


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
@pytest.mark.skipif(not REDFISH.is_dir(), reason="DMTF's schema files are missing; set HF_REDFISH_DATA")
def test_the_service_validator_finds_nothing(url: str, system: str, tmp_path: Path) -> None:
    command = [
        *(str(Path(sys.executable).parent / "rf_service_validator"), "--rhost", url, "--user", "admin"),
        *("--password", PASSWORD, "--authtype", "Session", "--skipschema", "--logdir", str(tmp_path)),
        *("--schema_directory", str(REDFISH / "csdl")),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    totals = re.search(r"\|\s+(\d+)\s+\|\s+(\d+)\s+\|\s+(\d+)\s+\|\s+(\d+)\s+\|", done.stdout)
    assert totals is not None, done.stdout[-2000:] + done.stderr[-2000:]
    passed, _, failed, _ = (int(number) for number in totals.groups())
    assert failed == 0, done.stdout[-4000:]
    assert passed > 300
