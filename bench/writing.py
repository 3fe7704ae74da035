"""A trivial GET while the worker writes at full speed, against the same while it rests: `python bench/writing.py`.

A process of its own accepts power changes as fast as the worker makes them; one client reads a system every few milliseconds.
"""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from harness import Figure, Report, Service, parser, percentile, serve

LIMIT = 3.0
PAUSE = 0.004


def read(service: Service, address: str, seconds: float) -> list[float]:
    """Milliseconds that each answer took."""
    found = []
    deadline = time.monotonic() + seconds
    with service.client() as client:
        client.get(address).raise_for_status()
        while time.monotonic() < deadline:
            began = time.perf_counter()
            client.get(address).raise_for_status()
            found.append(1000 * (time.perf_counter() - began))
            time.sleep(PAUSE)
    return found


@contextlib.contextmanager
def writing(service: Service) -> Iterator[None]:
    """Keeps the worker at work."""
    with subprocess.Popen(
        [sys.executable, __file__, "--write", service.data_dir],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            if process.stdout is None or process.stdout.readline() != "writing\n":
                raise RuntimeError("the writer did not start")
            yield
        finally:
            process.terminate()


def write(data_dir: Path) -> None:
    """Accepts power changes without end, but never more than the worker has made of the last ones."""
    from hawkfish.bootstrap import Application
    from hawkfish.config import load_settings
    from hawkfish.domain.accounts import SYSTEM_ACTOR
    from hawkfish.domain.pages import PageRequest
    from hawkfish.domain.systems import ResetType

    application = Application.open(load_settings(data_dir=data_dir))
    systems = application.systems.page(SYSTEM_ACTOR, PageRequest(top=32)).items
    print("writing", flush=True)
    for reset_type in itertools.cycle((ResetType.ON, ResetType.FORCE_OFF)):
        accepted = [application.systems.reset(SYSTEM_ACTOR, system.id, reset_type) for system in systems]
        for one in accepted:
            if one.task is not None:
                application.tasks.wait(SYSTEM_ACTOR, one.task.id, 30)


def main() -> None:
    """Reads in turns while the worker rests and while it writes."""
    options = parser(__doc__)
    options.add_argument("--write", type=Path, help="(used by itself)")
    given = options.parse_args()
    if given.write is not None:
        write(given.write)
        return
    seconds, rounds = (0.5, 1) if given.tiny else (5.0, 3)
    report = Report("writing")
    idle: list[float] = []
    busy: list[float] = []
    with serve(32) as service:
        address = service.members()[0]
        for _ in range(rounds):
            idle += read(service, address, seconds)
            with writing(service):
                busy += read(service, address, seconds)
            time.sleep(1.0)
    report.note(
        answers=len(idle) + len(busy),
        p50_idle_ms=round(percentile(idle, 50), 2),
        p50_busy_ms=round(percentile(busy, 50), 2),
    )
    report.add(
        Figure.at_most(
            "GET System while the worker writes, p99", percentile(busy, 99), percentile(idle, 99), "ms", LIMIT
        )
    )
    report.end()


if __name__ == "__main__":
    main()
