#!/usr/bin/env python3
"""Takes the events of a subscription and prints them, one a line; it needs nothing but Python.

    examples/receiver.py 127.0.0.1:8888

It believes everybody: docs/how-to/events.md tells how to see that a delivery is genuine.
"""

from __future__ import annotations

import contextlib
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver(BaseHTTPRequestHandler):
    """Answers a delivery at once: what takes longer is better done afterwards."""

    def do_POST(self) -> None:
        """Prints each record of the event."""
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        for record in event["Events"]:
            sys.stdout.write(json.dumps(record) + "\n")
        sys.stdout.flush()
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing of the requests."""


if __name__ == "__main__":
    host, _, port = sys.argv[1].rpartition(":")
    with contextlib.suppress(KeyboardInterrupt):
        ThreadingHTTPServer((host, int(port)), Receiver).serve_forever()
