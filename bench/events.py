"""From the commit of an event to the server that it is posted to, and how many a stream takes: `python bench/events.py`.

An event's time is that of its transaction, a moment before the commit; both ends read one clock.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

import httpx
from harness import Figure, Report, Service, parser, percentile, serve, wait_for

from hawkfish.db import Database
from hawkfish.domain.messages import RESOURCE_CHANGED

P50_MS = 100.0
RATE = 1000.0
AT_ONCE = 50
EVENT_SERVICE = "/redfish/v1/EventService"


@dataclass
class Receiver:
    """A server that notes when each event came."""

    waits: list[float] = field(default_factory=list)
    came: threading.Event = field(default_factory=threading.Event)


@contextmanager
def receiving() -> Iterator[tuple[Receiver, str]]:
    """Listens on loopback."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Takes a delivery."""
            now = datetime.now(UTC)
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            for record in body["Events"]:
                wait = now - datetime.fromisoformat(record["EventTimestamp"])
                receiver.waits.append(1000 * wait.total_seconds())
            self.send_response(204)
            self.end_headers()
            receiver.came.set()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield receiver, f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()


def measure_posts(service: Service, count: int) -> list[float]:
    """Milliseconds from each of some events to its receiver."""
    with receiving() as (receiver, url), service.client() as client:
        body = {"Destination": url, "Protocol": "Redfish", "MessageIds": ["HawkFish.TestEvent"]}
        made = client.post(f"{EVENT_SERVICE}/Subscriptions", json=body).raise_for_status()
        for _ in range(count + 1):  # the first one finds everything cold
            receiver.came.clear()
            client.post(f"{EVENT_SERVICE}/Actions/EventService.SubmitTestEvent").raise_for_status()
            if not receiver.came.wait(30):
                raise TimeoutError("an event did not come")
        client.delete(made.headers["Location"]).raise_for_status()
        return receiver.waits[1:]


class Listener:
    """A stream that is read in a thread."""

    def __init__(self, service: Service) -> None:
        self.places: list[int] = []
        self.first = threading.Event()
        self._service = service
        threading.Thread(target=self._read, daemon=True).start()
        if not self.first.wait(30):
            raise TimeoutError("the stream did not open")

    def _read(self) -> None:
        with (
            contextlib.suppress(httpx.TransportError),  # the service ends first
            self._service.client() as client,
            client.stream("GET", f"{EVENT_SERVICE}/SSE") as answer,
        ):
            for line in answer.iter_lines():
                if line.startswith("id: "):
                    self.places.append(int(line.removeprefix("id: ")))
                    self.first.set()


def measure_stream(service: Service, seconds: float) -> tuple[float, int]:
    """Events a second that a listener got while so many were committed, and how many it did not get."""
    listener = Listener(service)
    began_with = len(listener.places)
    database = Database(f"sqlite:///{service.data_dir / 'hawkfish.db'}")

    def write(uow: Any) -> None:
        for number in range(AT_ONCE):
            uow.events.add(RESOURCE_CHANGED, f"system:{number}")

    count = int(seconds * RATE / AT_ONCE)
    began = time.monotonic()
    for turn in range(count):
        # The stream is open, so that more than is asked for would be no harm; less would be no measurement.
        time.sleep(max(0.0, began + turn * AT_ONCE / RATE - time.monotonic()))
        database.run(write)
    wanted = began_with + count * AT_ONCE
    wait_for(lambda: len(listener.places) >= wanted, 60)
    rate = count * AT_ONCE / (time.monotonic() - began)
    database.close()
    places = listener.places[began_with - 1 :]
    lost = sum(after - before - 1 for before, after in pairwise(places))
    return rate, lost


def main() -> None:
    """Posts, then streams."""
    given = parser(__doc__).parse_args()
    report = Report("events")
    with serve() as service:
        waits = measure_posts(service, 5 if given.tiny else 200)
        rate, lost = measure_stream(service, 1.0 if given.tiny else 10.0)
    if lost:
        raise RuntimeError(f"{lost} events were lost")
    report.note(posts=len(waits), p99_ms=round(percentile(waits, 99), 1), lost=lost)
    report.add(Figure.at_most("commit of an event to its receiver, p50", statistics.median(waits), P50_MS, "ms", 1))
    # They are committed at the rate that is asked for, so that a stream which keeps up gets a little less in the end.
    report.add(Figure.at_least("events to one stream, without loss", rate, RATE, "a second", 0.95))
    report.end()


if __name__ == "__main__":
    main()
