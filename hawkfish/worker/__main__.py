"""The worker's process: `python -m hawkfish.worker`."""

from __future__ import annotations

import os
import signal
import sys
import threading

from hawkfish import logs
from hawkfish.config import load_settings
from hawkfish.errors import HawkFishError
from hawkfish.worker.main import run

READY_FD_VARIABLE = "HF_INTERNAL_READY_FD"
"""Where the supervisor wants to hear one byte once the worker works."""


def main() -> int:
    """Runs the worker until SIGTERM or SIGINT."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    descriptor = os.environ.pop(READY_FD_VARIABLE, None)

    def ready() -> None:
        if descriptor is not None:
            os.write(int(descriptor), b"1")
            os.close(int(descriptor))

    try:
        settings = load_settings()
        logs.configure(log_format=settings.log_format, level=settings.log_level)
        return int(run(settings, stop, ready) or 0)
    except HawkFishError as error:
        sys.stderr.write(f"hawkfish worker: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
