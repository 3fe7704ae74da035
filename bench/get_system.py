"""GET System against a bare Falcon responder of the same size, as a ratio: `python bench/get_system.py [--seconds 10]`.

Both run under gunicorn with the same worker class and one worker, and are asked by the same clients in turns, so that the machine's
moods meet both. `wrk` asks if it is installed, else threads of this process, which cost part of what they measure.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

CLIENTS = 8
WORKER_CLASS = "geventwebsocket.gunicorn.workers.GeventWebSocketWorker"
GUNICORN = [
    sys.executable,
    "-m",
    "gunicorn",
    "-k",
    WORKER_CLASS,
    "--worker-connections",
    "20000",
    "--no-control-socket",
]
BARE = """
import os, falcon
BODY = b'"' + b"x" * (int(os.environ["BENCH_SIZE"]) - 2) + b'"'
class Responder:
    def on_get(self, req, resp):
        resp.content_type = "application/json"
        resp.data = BODY
app = falcon.App()
app.add_route("/system", Responder())
"""


@dataclass(frozen=True)
class Sample:
    """One measurement."""

    rate: float
    p99_ms: float


@contextlib.contextmanager
def hawkfish(folder: Path) -> Iterator[tuple[str, dict[str, str], int]]:
    """A service with 100 simulated systems; gives the URL of one, headers, and its size."""
    ready_file = folder / "ready.json"
    words = ["serve", "--no-tls", "--bind", "127.0.0.1:0", "--data-dir", folder / "data", "--ready-file", ready_file]
    command = [Path(sys.executable).with_name("hawkfish"), *words, "--simulated-host", "lab:100"]
    with subprocess.Popen(command, env={**os.environ, "HF_LOG_LEVEL": "warning"}, stdout=subprocess.DEVNULL) as process:
        try:
            wait_for(ready_file.exists, 120)
            ready = json.loads(ready_file.read_text())
            login = httpx.post(
                f"{ready['url']}/redfish/v1/SessionService/Sessions",
                json={"UserName": ready["username"], "Password": ready["password"]},
            ).raise_for_status()
            headers = {"X-Auth-Token": login.headers["X-Auth-Token"]}
            members = (
                httpx.get(f"{ready['url']}/redfish/v1/Systems", headers=headers).raise_for_status().json()["Members"]
            )
            url = ready["url"] + members[50]["@odata.id"]
            yield url, headers, len(httpx.get(url, headers=headers).raise_for_status().content)
        finally:
            process.terminate()


@contextlib.contextmanager
def bare(folder: Path, size: int) -> Iterator[str]:
    """A Falcon application that answers with ready bytes."""
    (folder / "bare_responder.py").write_text(BARE)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        command = [*GUNICORN, "--bind", f"fd://{listener.fileno()}", "--log-level", "warning", "bare_responder:app"]
        environment = {**os.environ, "BENCH_SIZE": str(size)}
        with subprocess.Popen(
            command, cwd=folder, env=environment, pass_fds=[listener.fileno()], stderr=subprocess.DEVNULL
        ) as process:
            try:
                wait_for(lambda: answers(f"{address}/system"), 30)
                yield f"{address}/system"
            finally:
                process.terminate()


def answers(url: str) -> bool:
    """Whether the address answers."""
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(url).is_success
    return False


def wait_for(condition, seconds: float) -> None:  # noqa: ANN001  a callable
    """Waits until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("a server did not start")
        time.sleep(0.1)


def measure(url: str, headers: dict[str, str], seconds: int) -> Sample:
    """Asks with eight clients for some seconds."""
    return with_wrk(url, headers, seconds) if shutil.which("wrk") else with_threads(url, headers, seconds)


def with_wrk(url: str, headers: dict[str, str], seconds: int) -> Sample:
    """Uses wrk."""
    given = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    command = ["wrk", "-t1", f"-c{CLIENTS}", f"-d{seconds}s", "--latency", *given, url]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise RuntimeError(text)
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]  # wrk's own form
    return Sample(
        rate=float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1)),  # type: ignore[union-attr]  # wrk's own form
        p99_ms=float(value) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit],
    )


def with_threads(url: str, headers: dict[str, str], seconds: int) -> Sample:
    """Uses threads of this process, each with a connection that it keeps."""
    parts = urlsplit(url)
    deadline = time.monotonic() + seconds
    durations: list[float] = []

    def client() -> None:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
        own = []
        while (began := time.monotonic()) < deadline:
            connection.request("GET", parts.path, headers=headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status != http.client.OK:
                raise RuntimeError(f"{url} answered {answer.status}")
            own.append(time.monotonic() - began)
        connection.close()
        durations.extend(own)

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Sample(rate=len(durations) / seconds, p99_ms=1000 * statistics.quantiles(durations, n=100)[98])


def main() -> None:
    """Measures in turns and prints the ratios of the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=10, help="of each measurement (10)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each kind (3)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with hawkfish(folder) as (url, headers, size), bare(folder, size) as bare_url:
            basic = {"Authorization": "Basic " + base64.b64encode(b"x:y").decode()}
            kinds = {"bare": (bare_url, basic), "GET System": (url, headers)}
            for target, given in kinds.values():
                measure(target, given, 2)
            samples: dict[str, list[Sample]] = {kind: [] for kind in kinds}
            for _ in range(options.rounds):
                for kind, (target, given) in kinds.items():
                    samples[kind].append(measure(target, given, options.seconds))
    print(
        f"{CLIENTS} clients, {size} bytes, {'wrk' if shutil.which('wrk') else 'threads in Python'}, {os.cpu_count()} cores"
    )
    rates = {kind: statistics.median(sample.rate for sample in found) for kind, found in samples.items()}
    tails = {kind: statistics.median(sample.p99_ms for sample in found) for kind, found in samples.items()}
    for kind in kinds:
        print(f"{kind:12} {rates[kind]:8.0f} requests/s   p99 {tails[kind]:7.2f} ms")
    print(f"ratio of rates {rates['GET System'] / rates['bare']:.2f} (at least 0.40)")
    print(f"ratio of p99   {tails['GET System'] / tails['bare']:.2f} (at most 3.00)")


if __name__ == "__main__":
    main()
