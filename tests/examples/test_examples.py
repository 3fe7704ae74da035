"""The examples run as they are."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.serve.conftest import serve, until
from tests.support.file_server import FileServer, Plan
from tests.support.iso import iso

__all__ = ["serve"]  # the fixture

pytestmark = pytest.mark.slow
EXAMPLES = Path(__file__).parents[2] / "examples"


def run(*words):
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=120, check=False)


def test_the_library(serve):
    service = serve("--no-tls", "--simulated-host", "lab").wait()
    result = run(EXAMPLES / "library.py", service.data_dir)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-3:] == ["from-library on lab: On", "from-library on lab: Off", "deleted"]


def test_the_http_client(serve):
    service = serve("--simulated-host", "lab").wait()
    result = run(EXAMPLES / "http_client.py", service.ready_file)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["from-http: On", "from-http: Off", "deleted"]


def test_an_installation_from_an_iso(serve):
    service = serve("--simulated-host", "lab:1").wait()
    (member,) = service.get("/redfish/v1/Systems", auth=service.login).json()["Members"]
    system = service.get(member["@odata.id"], auth=service.login).json()
    with FileServer() as server:
        server.plans["/installer.iso"] = Plan(iso("installer"))
        url = server.url("/installer.iso")
        result = run(EXAMPLES / "install_from_iso.py", service.ready_file, system["Name"], url)
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{system['Name']}: On, boot override Disabled\n"
    medium = service.get(f"{system['@odata.id']}/VirtualMedia/Cd", auth=service.login).json()
    assert (medium["Image"], medium["Inserted"]) == (url, True)


def test_a_gunicorn_of_ones_own(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    script = subprocess.Popen(
        [EXAMPLES / "gunicorn.sh", address],
        env={**os.environ, "HF_DATA_DIR": str(tmp_path), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        start_new_session=True,
    )

    def answers():
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"http://{address}/redfish/v1/", timeout=30).status_code == 200

    try:
        until(answers, 120, "an answer")
        assert httpx.get(f"http://{address}/redfish/v1/Systems", timeout=60).status_code == 401
    finally:
        os.killpg(script.pid, signal.SIGTERM)
        script.wait(60)
