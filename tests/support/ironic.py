"""A real Ironic, API and conductor in one process, that knows nothing but what its files and its users tell it.

It is installed from PyPI into an environment of its own, since it wants other versions than we do; that is kept in `tests/.cache`.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
from tenacity import retry, stop_after_attempt, wait_incrementing

from hawkfish.testing.waiting import wait_until
from tests.support.guest import CACHE

REQUIREMENTS = ("ironic>=39,<40", "sushy>=5.14,<6")
INSTALL_SECONDS = 600.0
INSTALL_ATTEMPTS = 3  # a registry may be away for a moment
START_SECONDS = 240.0
END_SECONDS = 30.0
STEP_SECONDS = 300.0
POLL_SECONDS = 0.5  # an answer costs Ironic a twentieth of a second of a processor, which the guest could use

CONFIGURATION = """
[DEFAULT]
auth_strategy = noauth
rpc_transport = none
host = localhost
my_ip = 127.0.0.1
use_stderr = true
state_path = {folder}
enabled_hardware_types = redfish
enabled_boot_interfaces = redfish-virtual-media
enabled_deploy_interfaces = ramdisk
enabled_management_interfaces = redfish
enabled_power_interfaces = redfish
enabled_inspect_interfaces = redfish
enabled_bios_interfaces = redfish,no-bios
enabled_raid_interfaces = no-raid
enabled_network_interfaces = noop
enabled_vendor_interfaces = redfish,no-vendor
enabled_firmware_interfaces = no-firmware
enabled_console_interfaces = no-console
[api]
host_ip = 127.0.0.1
port = {port}
[conductor]
api_url = http://127.0.0.1:{port}
automated_clean = false
[database]
connection = sqlite:///{folder}/ironic.sqlite
[deploy]
http_url = {http_url}
http_root = {folder}/http
[redfish]
use_swift = false
[dhcp]
dhcp_provider = none
[pxe]
tftp_root = {folder}/tftp
[oslo_messaging_notifications]
driver = noop
[service_catalog]
auth_type = none
endpoint_override = http://127.0.0.1:{port}
"""

LOST = "Transient error during Redfish request"
"""What sushy logs of a request without an answer."""


class Ironic:
    """Its API, as its administrators use it.

    Attributes:
        media_url: Where it publishes the images that it has downloaded for nodes.
    """

    def __init__(self, client: httpx.Client, media_url: str, log: Path) -> None:
        self._client = client
        self.media_url = media_url
        self._log = log

    def lost_requests(self) -> list[str]:
        """The lines of its log about requests that were not answered; it tries them again, so that nothing else tells of them."""
        return [
            line
            for line in self._log.read_text("utf-8", "replace").splitlines()
            if "sushy.connector" in line and LOST in line
        ]

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One request; gives the answer's body."""
        answer = self._client.request(method, f"/v1/{path}", json=body)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def enroll(self, name: str, **driver_info: str) -> Node:
        """Makes a node of the hardware type redfish."""
        self.call("POST", "nodes", {"name": name, "driver": "redfish", "driver_info": driver_info})
        return Node(self, name)


class Node:
    """A machine, as Ironic knows it."""

    def __init__(self, ironic: Ironic, name: str) -> None:
        self._ironic = ironic
        self._name = name

    def call(self, method: str, path: str = "", body: Any = None) -> Any:
        """One request about it, once Ironic is done with what it does to it."""
        self.settle()
        return self._ironic.call(method, f"nodes/{self._name}{path}", body)

    def settle(self) -> None:
        """Waits until nothing is done to it any more."""
        self._wait(lambda node: node["reservation"] is None, "the end of what Ironic does")

    def show(self) -> dict[str, Any]:
        """What is known of it."""
        return dict(self._ironic.call("GET", f"nodes/{self._name}"))

    def ports(self) -> list[dict[str, Any]]:
        """Its network interfaces."""
        return list(self._ironic.call("GET", f"ports?node={self._name}")["ports"])

    def set(self, **fields: Any) -> None:
        """Writes fields."""
        self.call("PATCH", "", [{"op": "add", "path": f"/{name}", "value": value} for name, value in fields.items()])

    def provision(self, target: str, awaited: str) -> None:
        """Has its provision state changed, and waits until it is."""
        self.call("PUT", "/states/provision", {"target": target})
        self._wait(
            lambda node: node["provision_state"] == awaited and node["target_provision_state"] is None,
            f"provision state {awaited}",
        )

    def power(self, target: str, awaited: str) -> None:
        """Has its power changed, and waits until it is."""
        self.call("PUT", "/states/power", {"target": target})
        self._wait(
            lambda node: node["power_state"] == awaited and node["target_power_state"] is None,
            f"power state {awaited}",
        )

    def _wait(self, condition: Callable[[dict[str, Any]], bool], what: str) -> None:
        def reached() -> bool:
            node = self.show()
            assert node["last_error"] is None, f"waiting for {what}: {node['last_error']}"
            if condition(node):
                return True
            time.sleep(POLL_SECONDS)
            return False

        wait_until(reached, what, STEP_SECONDS)


def environment() -> Path:
    """The folder of the programs, which are installed where they are not there yet."""
    wanted = "\n".join((*REQUIREMENTS, sys.version))
    folder = CACHE / f"ironic-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}"
    CACHE.mkdir(exist_ok=True)
    (CACHE / ".gitignore").write_text("*\n")
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            pip = [sys.executable, "-m", "pip"]
            # Ironic compiles what it imports, which is a small part of all of it.
            _succeed([sys.executable, "-m", "venv", "--clear", "--without-pip", str(folder)])
            python = str(folder / "bin" / "python")
            install = [*pip, "--python", python, "install", "--quiet", "--no-compile", *REQUIREMENTS]
            again = retry(stop=stop_after_attempt(INSTALL_ATTEMPTS), wait=wait_incrementing(10, 10), reraise=True)
            again(_succeed)(install)
            (folder / "complete").touch()
    return folder / "bin"


def _succeed(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False, env=_environ())
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr[-2000:]}"


@contextlib.contextmanager
def running_ironic(folder: Path, port: int) -> Iterator[Ironic]:
    """An Ironic with an empty database.

    Args:
        folder: An empty folder of its own.
        port: A free port for its API.
    """
    programs = environment()
    for name in ("http", "tftp", "images", "master_images"):
        (folder / name).mkdir()
    configuration = folder / "ironic.conf"
    with _served(folder / "http") as http_url, (folder / "ironic.log").open("ab") as log:
        configuration.write_text(CONFIGURATION.format(folder=folder, port=port, http_url=http_url))
        options = ["--config-file", str(configuration)]
        made = subprocess.run(
            [str(programs / "ironic-dbsync"), *options, "create_schema"],
            stdout=log,
            stderr=log,
            timeout=START_SECONDS,
            check=False,
            env=_environ(),
        )
        assert made.returncode == 0, (folder / "ironic.log").read_text()[-2000:]
        process = subprocess.Popen(
            [str(programs / "ironic"), *options], stdout=log, stderr=log, env=_environ(), start_new_session=True
        )
        headers = {"X-OpenStack-Ironic-API-Version": "latest"}
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60, trust_env=False)
        try:
            with client:
                _wait_for_conductor(client, process, folder / "ironic.log")
                yield Ironic(client, http_url, folder / "ironic.log")
        finally:
            _end(process)


def _wait_for_conductor(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    def answers() -> bool:
        assert process.poll() is None, log.read_text()[-2000:]
        with contextlib.suppress(httpx.TransportError):
            answer = client.get("/v1/drivers")
            return answer.is_success and any(driver["name"] == "redfish" for driver in answer.json()["drivers"])
        return False

    wait_until(answers, "Ironic's start", START_SECONDS)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _environ() -> dict[str, str]:
    """Nothing of ours: neither our modules nor trust in certificates that we did not name."""
    strange = ("PYTHON", "HF_", "VIRTUAL_ENV", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    return {name: value for name, value in os.environ.items() if not name.startswith(strange)}


@contextlib.contextmanager
def _served(folder: Path) -> Iterator[str]:
    """The web server beside Ironic, from which machines get what it publishes."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass
