"""`make demo`, against a service with a simulated host: the same steps as on a real one, and never passed off as real."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
DEMO = Path(__file__).parents[2] / "scripts" / "demo.py"


def demo(data_dir):
    return subprocess.run(
        [sys.executable, DEMO],
        env={**os.environ, "HF_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_demo_shows_the_main_job_and_leaves_nothing(serve):
    service = serve("--simulated-host", "lab").wait()
    result = demo(service.data_dir)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "SIMULATED" in result.stdout.splitlines()[1]
    for said in ("systems create", "GUEST-READY", "screenshot", "removed", "Seen: a SIMULATED guest"):
        assert said in result.stdout
    assert service.get("/redfish/v1/Systems", auth=service.login).json()["Members"] == []
    accounts = service.get("/redfish/v1/AccountService/Accounts", auth=service.login).json()
    assert accounts["Members@odata.count"] == 1


def test_without_a_service_the_demo_says_how_to_start_one(tmp_path):
    result = demo(tmp_path)
    assert result.returncode == 1
    assert "make run" in result.stderr
