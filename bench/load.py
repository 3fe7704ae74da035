"""Clients that ask one address as fast as they are answered."""

from __future__ import annotations

import http.client
import re
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from harness import cpu_seconds, percentile

CLIENTS = 8


@dataclass(frozen=True)
class Sample:
    """One measurement.

    Attributes:
        rate: Answers a second.
        p99_ms: 99 of 100 answers came within so many milliseconds.
        cpu_us: Processor time that the server used for one answer, in microseconds; others on the machine change it least.
    """

    rate: float
    p99_ms: float
    cpu_us: float


def tool() -> str:
    """What asks: `wrk` if it is installed, else threads of this process, which cost part of what they measure."""
    return "wrk" if shutil.which("wrk") else "threads in Python"


def measure(url: str, headers: dict[str, str], seconds: float, server: int, clients: int = CLIENTS) -> Sample:
    """Asks for some seconds, and looks at what that costs the process `server`."""
    used = cpu_seconds(server)
    ask = _with_wrk if shutil.which("wrk") and seconds >= 1 else _with_threads
    count, p99_ms, lasted = ask(url, headers, seconds, clients)
    return Sample(rate=count / lasted, p99_ms=p99_ms, cpu_us=(cpu_seconds(server) - used) * 1e6 / count)


def _with_wrk(url: str, headers: dict[str, str], seconds: float, clients: int) -> tuple[int, float, float]:
    given = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds:.0f}s", "--latency", *given, url]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    tail = re.search(r"99%\s+([\d.]+)(us|ms|s)", text)
    total = re.search(r"(\d+) requests in ([\d.]+)s", text)
    if "Non-2xx" in text or "Socket errors" in text or tail is None or total is None:
        raise RuntimeError(text)
    unit = {"us": 0.001, "ms": 1.0, "s": 1000.0}[tail[2]]
    return int(total[1]), float(tail[1]) * unit, float(total[2])


def _with_threads(url: str, headers: dict[str, str], seconds: float, clients: int) -> tuple[int, float, float]:
    parts = urlsplit(url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    deadline = time.monotonic() + seconds
    durations: list[float] = []

    def client() -> None:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
        own = []
        while (began := time.monotonic()) < deadline:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status != http.client.OK:
                raise RuntimeError(f"{url} answered {answer.status}")
            own.append(time.monotonic() - began)
        connection.close()
        durations.extend(own)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(durations), 1000 * percentile(durations, 99), seconds
