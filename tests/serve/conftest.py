"""A service started as a user starts it, and ended with everything that it started."""

import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

HAWKFISH = Path(sys.executable).with_name("hawkfish")
START_SECONDS = 120.0


def until(condition, seconds=60.0, what="it"):
    """Waits for a condition and returns what it gave."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen in {seconds} s"
        time.sleep(0.05)
    return found


def processes_of(data_dir):
    """The processes of a service, by what they do: `{"worker": [pid], "gunicorn": [pid, pid], ...}`."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"HF_DATA_DIR={data_dir}".encode() not in (folder / "environ").read_bytes().split(b"\0"):
                continue
            words = (folder / "cmdline").read_text().split("\0")
            if "-m" in words:
                found.setdefault(words[words.index("-m") + 1].removeprefix("hawkfish."), []).append(int(folder.name))
    return found


class Service:
    """`hawkfish serve` on a data directory of its own and a free port."""

    def __init__(self, data_dir, *options, **variables):
        self.data_dir = data_dir
        self.ready_file = data_dir.with_name(f"{data_dir.name}.ready")
        self.ready_file.unlink(missing_ok=True)
        self.error_file = data_dir.with_name(f"{data_dir.name}.err")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        words = ["serve", "--data-dir", data_dir, "--bind", "127.0.0.1:0", "--ready-file", self.ready_file, *options]
        with self.error_file.open("a") as errors:
            self.process = subprocess.Popen(
                [HAWKFISH, *words], env={**environment, **variables}, stdout=subprocess.PIPE, stderr=errors, text=True
            )

    def wait(self):
        until(
            lambda: self.ready_file.exists() or self.process.poll() is not None,
            START_SECONDS,
            "the start of the service",
        )
        assert self.process.poll() is None, self.error_file.read_text()
        self.ready = json.loads(self.ready_file.read_text())
        return self

    def get(self, path, **arguments):
        trust = ssl.create_default_context(cafile=self.ready["ca_file"]) if self.ready["ca_file"] else True
        return httpx.get(self.ready["url"] + path, verify=trust, timeout=60, **arguments)

    @property
    def login(self):
        return (self.ready["username"], self.ready["password"])

    def stop(self):
        """Asks it to end; gives its exit code and what it said."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        try:
            output, _ = self.process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        return self.process.returncode, output


@pytest.fixture
def serve(tmp_path):
    """Starts services; `serve("--no-tls", name="two", HF_ADMIN_PASSWORD=...)`."""
    started = []

    def start(*options, name="data", **variables):
        service = Service(tmp_path / name, *options, **variables)
        started.append(service)
        return service

    yield start
    for service in started:
        if service.process.poll() is None:
            service.stop()
