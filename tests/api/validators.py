"""DMTF's validators, run as programs against a served API; what they need offline is found by HF_REDFISH_DATA."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.api.installation import PASSWORD

REDFISH = Path(os.environ.get("HF_REDFISH_DATA") or Path(__file__).parents[3] / "shared" / "redfish")
ABSENT = "DMTF's schema files are missing; set HF_REDFISH_DATA"
PROGRAMS = Path(sys.executable).parent


def run_service_validator(url: str, folder: Path, seconds: float = 300.0) -> int:
    """Runs the service validator, which must find nothing, and gives the number of checks that passed."""
    command = [
        *(str(PROGRAMS / "rf_service_validator"), "--rhost", url, "--user", "admin", "--password", PASSWORD),
        *("--authtype", "Session", "--skipschema", "--logdir", str(folder)),
        *("--schema_directory", str(REDFISH / "csdl")),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    totals = re.search(r"\|\s+(\d+)\s+\|\s+(\d+)\s+\|\s+(\d+)\s+\|\s+(\d+)\s+\|", done.stdout)
    assert totals is not None, done.stdout[-2000:] + done.stderr[-2000:]
    passed, _, failed, _ = (int(number) for number in totals.groups())
    assert failed == 0, _failures(folder) or done.stdout[-4000:]
    return passed


def _failures(folder: Path) -> str:
    lines = [line for log in folder.rglob("*.log") for line in log.read_text("utf-8").splitlines()]
    return "\n".join(line for line in lines if "FAIL - " in line)
