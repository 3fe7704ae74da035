"""The example plugins are built, installed and used as a third party's would be."""

import json
import os
import shutil
import ssl
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.serve.conftest import HAWKFISH, serve

__all__ = ["serve"]  # the fixture

pytestmark = pytest.mark.slow
EXAMPLES = Path(__file__).parents[2] / "examples"
PLUGINS = ("compute_driver", "quota_checker")


def run(*words, site, cwd):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env={**environment, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def finish(client, answer):
    """Follows a task to its end."""
    deadline = time.monotonic() + 120
    while answer.status_code == httpx.codes.ACCEPTED:
        assert time.monotonic() < deadline, answer.headers["Location"]
        time.sleep(0.2)
        answer = client.get(answer.headers["Location"])
    assert answer.is_success, answer.text


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with both distributions installed; the sources are copied, since a build leaves traces."""
    folder = tmp_path_factory.mktemp("plugins")
    copies = [Path(shutil.copytree(EXAMPLES / name, folder / name)) for name in PLUGINS]
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", folder / "site")
    run(sys.executable, "-m", "pip", "install", *options, *copies, site="", cwd=folder)
    return folder / "site"


@pytest.mark.parametrize("plugin", PLUGINS)
def test_its_own_tests_pass(site, plugin, tmp_path):
    shutil.copytree(EXAMPLES / plugin / "tests", tmp_path / "tests")
    said = run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", site=site, cwd=tmp_path)
    assert " passed" in said
    assert "skipped" not in said


def test_they_are_listed(site, tmp_path):
    listed = json.loads(run(HAWKFISH, "plugins", "list", "-f", "json", site=site, cwd=tmp_path))
    rows = {row["Name"]: row for row in listed}
    for name in ("processes", "machine-size"):
        assert rows[name]["Status"] == "active"
        assert rows[name]["API"] == 1


def test_a_service_keeps_machines_by_the_driver(site, serve, tmp_path):
    service = serve("--no-tls", PYTHONPATH=str(site)).wait()
    trust = ssl.create_default_context()
    with httpx.Client(base_url=service.ready["url"], auth=service.login, verify=trust, timeout=60) as client:
        host = {"Name": "here", "Driver": "processes", "URI": f"processes://{tmp_path}/machines"}
        finish(client, client.post("/redfish/v1/Oem/HawkFish/Hosts", json=host))
        body = {"Name": "sleeper", "CPU": 1, "MemoryMiB": 64, "Firmware": "BIOS"}
        finish(client, client.post("/redfish/v1/Systems", json=body))
        found = client.get("/redfish/v1/Systems/sleeper", follow_redirects=True).raise_for_status().json()
        offered = found["Actions"]["#ComputerSystem.Reset"]["ResetType@Redfish.AllowableValues"]
        assert "Pause" in offered
        assert "Nmi" not in offered, "what the driver does not claim is not offered"
        path, action = found["@odata.id"], found["Actions"]["#ComputerSystem.Reset"]["target"]
        finish(client, client.post(action, json={"ResetType": "On"}))
        assert client.get(path).json()["PowerState"] == "On"
        (run_file,) = (tmp_path / "machines").glob("*.run")
        process = Path("/proc") / str(json.loads(run_file.read_text())["pid"])
        assert process.joinpath("cmdline").read_text().startswith("sleep")
        finish(client, client.post(action, json={"ResetType": "ForceOff"}))
        assert client.get(path).json()["PowerState"] == "Off"
        finish(client, client.delete(path))
        assert list((tmp_path / "machines").glob("*.json")) == []
