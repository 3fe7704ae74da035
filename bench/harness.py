"""What the benchmarks share: a service of their own, its processor time and memory, and one form for figures.

A figure is a ratio of two things measured in one run, in turns and as medians, since a lone number says more of the machine and of
what else it does than of HawkFish.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx

START_SECONDS = 300.0
TICK = 1 / os.sysconf("SC_CLK_TCK")
JSON_PREFIX = "JSON "


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the report.

    Attributes:
        what: What was measured.
        measured: What HawkFish did, in `unit`.
        reference: What it is held against: a bare responder, the same at another size, or the budget itself.
        unit: Of both.
        ratio: Of the two; what the budget speaks of.
        budget: In words.
        holds: Whether it is kept; None where there is no budget.
    """

    what: str
    measured: float
    reference: float
    unit: str
    ratio: float
    budget: str
    holds: bool | None

    @classmethod
    def at_most(cls, what: str, measured: float, reference: float, unit: str, limit: float) -> Figure:
        """A figure whose ratio must not be above `limit`."""
        ratio = measured / reference if reference else float("inf")
        return cls(
            what=what,
            measured=measured,
            reference=reference,
            unit=unit,
            ratio=ratio,
            budget=f"at most {limit:g}",
            holds=ratio <= limit,
        )

    @classmethod
    def at_least(cls, what: str, measured: float, reference: float, unit: str, limit: float) -> Figure:
        """A figure whose ratio must not be below `limit`."""
        ratio = measured / reference if reference else float("inf")
        return cls(
            what=what,
            measured=measured,
            reference=reference,
            unit=unit,
            ratio=ratio,
            budget=f"at least {limit:g}",
            holds=ratio >= limit,
        )


@dataclass
class Report:
    """The figures of one benchmark, printed for people and, on the last line, for programs."""

    name: str
    figures: list[Figure] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)

    def add(self, figure: Figure) -> None:
        """Adds a figure and prints it."""
        self.figures.append(figure)
        verdict = {True: "holds", False: "MISSED", None: ""}[figure.holds]
        sys.stdout.write(
            f"{figure.what}: {figure.measured:.4g} against {figure.reference:.4g} {figure.unit}, "
            f"ratio {figure.ratio:.3g} ({figure.budget}) {verdict}\n"
        )
        sys.stdout.flush()

    def note(self, **facts: Any) -> None:
        """Adds facts that the figures depend on, and prints them."""
        self.notes |= facts
        for name, value in facts.items():
            sys.stdout.write(f"  {name.replace('_', ' ')}: {value}\n")
        sys.stdout.flush()

    def end(self) -> None:
        """Prints all once more, as one line of JSON."""
        self.note(cores=os.cpu_count(), load_average=[round(value, 1) for value in os.getloadavg()])
        figures = [asdict(figure) for figure in self.figures]
        sys.stdout.write(f"{JSON_PREFIX}{json.dumps({'bench': self.name, 'figures': figures, 'notes': self.notes})}\n")
        sys.stdout.flush()


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that all benchmarks have."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--tiny", action="store_true", help="only show that it runs: its figures mean nothing")
    return made


@dataclass(frozen=True)
class Service:
    """A running `hawkfish serve`.

    Attributes:
        url: Where it answers.
        headers: Of a session of the administrator.
        basic: The administrator's name and password.
        pid: Its first process.
        data_dir: Its data directory.
        ready_seconds: From the command to its readiness.
    """

    url: str
    headers: dict[str, str]
    basic: tuple[str, str]
    pid: int
    data_dir: Path
    ready_seconds: float

    def client(self) -> httpx.Client:
        """A client with the session."""
        return httpx.Client(base_url=self.url, headers=self.headers, timeout=60, trust_env=False)

    def members(self, collection: str = "/redfish/v1/Systems", top: int = 1000) -> list[str]:
        """Addresses of members, page by page."""
        found: list[str] = []
        with self.client() as client:
            address: str | None = f"{collection}?$top={top}"
            while address:
                body = client.get(address).raise_for_status().json()
                found += [member["@odata.id"] for member in body["Members"]]
                address = body.get("Members@odata.nextLink")
        return found

    def process(self, *words: str) -> int:
        """The newest of the service's processes whose command line has all these words; the one that works, where it has a parent."""
        found = [pid for pid in tree(self.pid) if all(word in command_line(pid) for word in words)]
        if not found:
            raise LookupError(f"the service has no process with {words}")
        return found[-1]


@contextlib.contextmanager
def serve(systems: int = 0, **variables: str) -> Iterator[Service]:
    """Runs the service in a new data directory, with that many simulated systems."""
    with tempfile.TemporaryDirectory(prefix="hawkfish-bench-") as name:
        folder = Path(name)
        ready_file = folder / "ready.json"
        words: list[Any] = ["serve", "--no-tls", "--bind", "127.0.0.1:0", "--data-dir", folder / "data"]
        words += ["--ready-file", ready_file, "--simulated-host", f"lab:{systems}"]
        environment = {**os.environ, "HF_LOG_LEVEL": "warning", **variables}
        began = time.monotonic()
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [Path(sys.executable).with_name("hawkfish"), *words], env=environment, stdout=log, stderr=log
            )
        try:
            wait_for(lambda: ready_file.exists() or process.poll() is not None, START_SECONDS)
            seconds = time.monotonic() - began
            if not ready_file.exists():
                raise RuntimeError(f"the service did not start: {(folder / 'log').read_text()[-2000:]}")
            ready = json.loads(ready_file.read_text())
            login = httpx.post(
                f"{ready['url']}/redfish/v1/SessionService/Sessions",
                json={"UserName": ready["username"], "Password": ready["password"]},
                timeout=60,
                trust_env=False,
            ).raise_for_status()
            yield Service(
                url=ready["url"],
                headers={"X-Auth-Token": login.headers["X-Auth-Token"]},
                basic=(ready["username"], ready["password"]),
                pid=process.pid,
                data_dir=folder / "data",
                ready_seconds=seconds,
            )
        finally:
            process.terminate()
            process.wait(60)


def wait_for(condition: Callable[[], Any], seconds: float) -> None:
    """Waits until the condition holds.

    Raises:
        TimeoutError: It does not in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("what was waited for did not come")
        time.sleep(0.05)


def tree(pid: int) -> list[int]:
    """A process and all that descend from it, parents first."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parents.setdefault(_stat(int(entry.name))[1], []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += sorted(parents.get(one, []))
    return found


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used so far, its own and the system's for it."""
    stat = _stat(pid)
    return (stat[11] + stat[12]) * TICK


def total_cpu_seconds(pid: int) -> float:
    """The same with that of its children that have ended: of other work on the machine it depends less than the time that passes."""
    return sum(_stat(pid)[11:15]) * TICK


def resident_mib(pid: int) -> float:
    """Memory of a process and all that descend from it, in MiB; pages that they share count in each."""
    total = 0
    for one in tree(pid):
        with contextlib.suppress(OSError):
            total += int((Path("/proc") / str(one) / "statm").read_text().split()[1])
    return total * os.sysconf("SC_PAGE_SIZE") / 2**20


def command_line(pid: int) -> str:
    """The words of a process."""
    with contextlib.suppress(OSError):
        return (Path("/proc") / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def _stat(pid: int) -> list[int]:
    """The numbers of /proc/PID/stat from the state on (the state itself as 0)."""
    words = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return [0, *(int(word) for word in words[1:])]


def percentile(values: Sequence[float], percent: int) -> float:
    """That percentile; of few values the largest."""
    return statistics.quantiles(values, n=100)[percent - 1] if len(values) > 1 else max(values)


def finished(client: httpx.Client, answer: httpx.Response) -> None:
    """Waits for the end of what was accepted.

    Raises:
        httpx.HTTPStatusError: It failed.
    """
    while answer.status_code == httpx.codes.ACCEPTED:
        time.sleep(0.02)
        answer = client.get(answer.headers["Location"]).raise_for_status()


def run_each(count: int, run: Callable[[], None]) -> None:
    """Runs a function in so many threads."""
    errors: list[Exception] = []

    def guarded() -> None:
        try:
            run()
        except Exception as error:  # noqa: BLE001  raised below, in the thread that waits
            errors.append(error)

    threads = [threading.Thread(target=guarded) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
