"""Virtual media on simulated hosts: `python bench/media.py`.

Measures how soon an insertion is answered while the server of the image is slow, how soon a drive holds an image that is in the cache,
and a hundred systems that are given one image, told to boot from it once, and switched on, by eight clients, with one download.
"""

from __future__ import annotations

import statistics
import sys
import threading
import time
from pathlib import Path

import httpx
from harness import Figure, Report, Service, cpu_seconds, finished, parser, percentile, run_each, serve, tree

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.support.file_server import FileServer, Plan
from tests.support.iso import iso

ANSWER_SECONDS, CACHED_MS, ALL_SECONDS = 1.0, 100.0, 10.0
CLIENTS = 8
IMAGE_MIB = 64
SHARED, SLOW = "/shared.iso", "/slow.iso"
BOOT_ONCE = {"Boot": {"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Cd"}}


def insert(client: httpx.Client, system: str, url: str) -> httpx.Response:
    """Asks for an image in the drive of a system."""
    action = f"{system}/VirtualMedia/Cd/Actions/VirtualMedia.InsertMedia"
    return client.post(action, json={"Image": url}).raise_for_status()


def eject(client: httpx.Client, system: str) -> httpx.Response:
    """Asks for an empty drive."""
    return client.post(f"{system}/VirtualMedia/Cd/Actions/VirtualMedia.EjectMedia", json={}).raise_for_status()


def answer_seconds(service: Service, systems: list[str], server: FileServer, image: bytes) -> list[float]:
    """How long each insertion takes to be answered of an image whose server falls silent in its middle."""
    found = []
    with service.client() as client:
        for number, system in enumerate(systems):
            path, gate = f"/{number}{SLOW}", threading.Event()
            server.plans[path] = Plan(image, gate=gate)
            began = time.perf_counter()
            answer = insert(client, system, server.url(path))
            found.append(time.perf_counter() - began)
            gate.set()
            finished(client, answer)
            finished(client, eject(client, system))
    return found


def cached_ms(service: Service, systems: list[str], url: str) -> list[float]:
    """Milliseconds until a drive holds an image of the cache, whose server is asked whether it has changed, one after the other."""
    found = []
    with service.client() as client:
        for system in systems:
            finished(client, eject(client, system))
            began = time.perf_counter()
            finished(client, insert(client, system, url))  # answered when the drive has changed
            found.append(1000 * (time.perf_counter() - began))
    return found


def all_seconds(service: Service, systems: list[str], url: str) -> float:
    """Until each of many systems runs from one image."""
    waiting = list(reversed(systems))

    def client() -> None:
        with service.client() as own:
            while waiting:
                try:
                    system = waiting.pop()
                except IndexError:
                    return
                # As installers do: what is accepted is taken for done, and only the power-on is waited for.
                insert(own, system, url)
                own.patch(system, json=BOOT_ONCE).raise_for_status()
                reset = f"{system}/Actions/ComputerSystem.Reset"
                finished(own, own.post(reset, json={"ResetType": "On"}).raise_for_status())

    began = time.monotonic()
    run_each(CLIENTS, client)
    seconds = time.monotonic() - began
    with service.client() as own:
        for system in systems:
            shown, drive = own.get(system).json(), own.get(f"{system}/VirtualMedia/Cd").json()
            if shown["PowerState"] != "On" or not drive["Inserted"] or drive["Image"] != url:
                raise RuntimeError(f"{system} does not run with its image")
            if shown["Boot"]["BootSourceOverrideEnabled"] != "Disabled":
                raise RuntimeError(f"{system} did not boot from its image")
    return seconds


def processor_seconds(service: Service) -> float:
    """What all processes of the service have used."""
    return sum(map(cpu_seconds, tree(service.pid)))


def main() -> None:
    """Answers first, then what is cached, then many at once."""
    given = parser(__doc__).parse_args()
    count, few, rounds = (4, 1, 3) if given.tiny else (100, 5, 50)
    image = iso(size=(1 if given.tiny else IMAGE_MIB) << 20)
    report = Report("media")
    with FileServer() as server, serve(count) as service:
        systems = service.members()
        answers = answer_seconds(service, systems[:few], server, image)
        what = "insertion of an image from a slow server, answered, slowest"
        report.add(Figure.at_most(what, max(answers), ANSWER_SECONDS, "s", 1))
        shared = server.plans[SHARED] = Plan(image, etag='"1"')
        url = server.url(SHARED)
        used = processor_seconds(service)
        seconds = all_seconds(service, systems, url)
        used = processor_seconds(service) - used
        if shared.sent != len(image):
            raise RuntimeError(f"{shared.sent} bytes were fetched of an image of {len(image)}")
        report.note(processor_ms_each=round(1000 * used / count, 1), asked=server.count(SHARED))
        what = f"{count} systems inserted, set to boot once, and on, with one download"
        report.add(Figure.at_most(what, seconds, ALL_SECONDS, "s", 1))
        waits = cached_ms(service, systems[:rounds], url)
        report.note(p99_ms=round(percentile(waits, 99), 1))
        report.add(
            Figure.at_most("cached insertion to changed drive, p50", statistics.median(waits), CACHED_MS, "ms", 1)
        )
    report.end()


if __name__ == "__main__":
    main()
