"""Thousands of simulated systems: how soon they are ready, what they take, and what they cost others: `python bench/scale.py`.

Measures, with 10,000 systems and then with 100: seconds to readiness, memory of all processes, a page of 100 by its nextLink, the same
with its members expanded, the idle worker, and the power-on of 1,000 systems that eight clients ask for one by one. The budget of the
idle worker is for 1,000 systems.
"""

from __future__ import annotations

import http.client
import statistics
import time
from collections.abc import Mapping
from contextlib import closing

from harness import (
    Figure,
    Report,
    Service,
    cpu_seconds,
    parser,
    resident_mib,
    run_each,
    serve,
    total_cpu_seconds,
    tree,
)

READY_SECONDS, MEMORY_MIB = 30.0, 2048.0
PAGE, PAGE_RATIO, EXPAND_RATIO = 100, 1.3, 10.0
POWER_SECONDS, CLIENTS = 15.0, 8
IDLE_SHARE = 0.01
SWEEP_SECONDS = 25.0
"""How often a worker looks at all machines, unless it is set otherwise."""


def page_seconds(service: Service, address: str, rounds: int) -> list[float]:
    """How long a page of 100 takes to be answered, several times."""
    found = []
    with service.client() as client:
        for _ in range(rounds):
            began = time.perf_counter()
            client.get(address).raise_for_status().json()
            found.append(time.perf_counter() - began)
    return found[rounds // 10 :]


def middle_page(service: Service) -> str:
    """The address of a page in the middle of the collection, as a client comes to it: by the links from page to page."""
    address = f"/redfish/v1/Systems?$top={PAGE}"
    with service.client() as client:
        first = client.get(address).raise_for_status().json()
        for _ in range(first["Members@odata.count"] // PAGE // 2):
            address = first["Members@odata.nextLink"]
            first = client.get(address).raise_for_status().json()
    return address


def switch_on(connection: http.client.HTTPConnection, headers: Mapping[str, str], system: str) -> None:
    """Asks for one, and waits until it is on; past httpx, which would use 2 ms of the processors that client and service share."""

    def ask(method: str, address: str, body: str | None = None) -> http.client.HTTPResponse:
        connection.request(method, address, body, {**headers, "Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status >= http.client.BAD_REQUEST:
            raise RuntimeError(f"{method} {address} was answered with {answer.status}: {text!r}")
        return answer

    answer = ask("POST", f"{system}/Actions/ComputerSystem.Reset", '{"ResetType": "On"}')
    while answer.status == http.client.ACCEPTED:
        time.sleep(0.02)
        answer = ask("GET", answer.headers["Location"])


def power_on(service: Service, members: list[str]) -> float:
    """Seconds until all are on; eight clients ask for one after the other, and each waits for its answers."""
    waiting = list(reversed(members))

    def client() -> None:
        with closing(http.client.HTTPConnection(service.url.removeprefix("http://"))) as connection:
            while waiting:
                try:
                    system = waiting.pop()
                except IndexError:
                    return
                switch_on(connection, service.headers, system)

    began = time.monotonic()
    run_each(CLIENTS, client)
    seconds = time.monotonic() - began
    with service.client() as own:
        off = [one for one in members[:: max(1, len(members) // 50)] if own.get(one).json()["PowerState"] != "On"]
    if off:
        raise RuntimeError(f"{len(off)} systems are not on, such as {off[0]}")
    return seconds


def idle_share(service: Service, seconds: float) -> float:
    """Share of one processor that the worker uses while nothing is asked of it."""
    worker = service.process("-m hawkfish.worker ")
    time.sleep(seconds)  # the first sweep reads what was just made; the work of a worker that idles are the later ones
    used = cpu_seconds(worker)
    time.sleep(seconds)
    return (cpu_seconds(worker) - used) / seconds


def main() -> None:
    """Measures the large installation, then the small one."""
    options = parser(__doc__)
    options.add_argument("--systems", type=int, default=10_000)
    options.add_argument("--powered", type=int, default=1_000)
    given = options.parse_args()
    systems, few, powered, rounds, idle = (
        (20, 5, 4, 5, 0.5) if given.tiny else (given.systems, PAGE, given.powered, 200, SWEEP_SECONDS)
    )
    report = Report("scale")
    report.note(systems=systems)
    with serve(systems) as large:
        report.add(Figure.at_most(f"{systems} simulated systems ready", large.ready_seconds, READY_SECONDS, "s", 1))
        report.note(processor_seconds_until_ready=round(sum(map(total_cpu_seconds, tree(large.pid))), 1))
        report.add(Figure.at_most("memory of all processes", resident_mib(large.pid), MEMORY_MIB, "MiB", 1))
        with serve(few) as small:
            kinds = {
                "large": (large, middle_page(large), rounds),
                "small": (small, middle_page(small), rounds),
                "expanded": (small, f"{middle_page(small)}&$expand=.", max(2, rounds // 10)),
            }
            pages: dict[str, list[float]] = {kind: [] for kind in kinds}
            for _ in range(3):  # in turns
                for kind, asked in kinds.items():
                    pages[kind] += page_seconds(*asked)
        middle = {kind: 1000 * statistics.median(found) for kind, found in pages.items()}
        what = f"a page of {PAGE} of {systems}, against of {few}"
        report.add(Figure.at_most(what, middle["large"], middle["small"], "ms", PAGE_RATIO))
        what = f"a page of {PAGE} with its systems expanded, against links"
        report.add(Figure.at_most(what, middle["expanded"], middle["small"], "ms", EXPAND_RATIO))
        report.note(idle_worker_with_all_percent=round(100 * idle_share(large, idle), 2))
        seconds = power_on(large, large.members()[:powered])
        report.add(Figure.at_most(f"power-on of {powered} by {CLIENTS} clients", seconds, POWER_SECONDS, "s", 1))
    with serve(given.powered if not given.tiny else few) as usual:
        what = f"idle worker with {len(usual.members())} systems"
        report.add(Figure.at_most(what, 100 * idle_share(usual, idle), 100 * IDLE_SHARE, "% CPU", 1))
    report.end()


if __name__ == "__main__":
    main()
