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

START_SECONDS = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def gunicorn(data_dir: Path, **variables: str) -> Iterator[str]:
    """Serves `hawkfish.api.wsgi:app` under a plain gunicorn; gives its URL."""
    port = free_port()
    environment = {**os.environ, "HF_DATA_DIR": str(data_dir), "HF_TLS": "false", **variables}
    command = [
        *(sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--workers", "2"),
        *("-k", "geventwebsocket.gunicorn.workers.GeventWebSocketWorker", "hawkfish.api.wsgi:app"),
    ]
    with (data_dir / "gunicorn.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_answered(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _wait_until_answered(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/redfish", timeout=2, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.1)  # its end would be noticed at once
        assert process.poll() is None, "gunicorn ended at its start"
    raise AssertionError("gunicorn did not answer in time")
