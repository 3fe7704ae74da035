"""The API as users run it: gunicorn with the gevent-websocket worker, in processes of its own."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

START_SECONDS = 120.0
END_SECONDS = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


PLAIN = ("--workers", "2", "-k", "geventwebsocket.gunicorn.workers.GeventWebSocketWorker")
AS_SHIPPED = ("-c", "python:hawkfish.worker.gunicorn_settings")


@contextmanager
def gunicorn(data_dir: Path, *, tls: bool = False, shipped: bool = False, **variables: str) -> Iterator[str]:
    """Serves `hawkfish.api.wsgi:app` with two workers, under a plain gunicorn or with our settings, as over TLS; gives its URL."""
    port = free_port()
    url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    own = {
        "HF_DATA_DIR": str(data_dir),
        "HF_TLS": str(tls).lower(),
        "HF_BIND": f"127.0.0.1:{port}",
        "HF_API_WORKERS": "2",
    }
    options = AS_SHIPPED if tls or shipped else (*PLAIN, "--bind", f"127.0.0.1:{port}")
    command = [sys.executable, "-m", "gunicorn", *options, "hawkfish.api.wsgi:app"]
    with (data_dir / "gunicorn.log").open("ab") as log:
        process = subprocess.Popen(command, env={**os.environ, **own, **variables}, stdout=log, stderr=log)
    try:
        _wait_until_answered(url, process)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()  # else it would be found by whatever test comes later
            process.wait()
            raise


def _wait_until_answered(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/redfish", timeout=2, trust_env=False, verify=False).status_code == 200:
                return
        except httpx.TransportError:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.1)  # its end would be noticed at once
        assert process.poll() is None, "gunicorn ended at its start"
    raise AssertionError("gunicorn did not answer in time")
