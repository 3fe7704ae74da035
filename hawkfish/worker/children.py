"""Child processes of the supervisor: started so that they cannot outlive it, and restarted when they die."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

import structlog

log = structlog.get_logger("hawkfish.serve")

FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 30.0
LONG_LIFE_SECONDS = 60.0
"""A child that lived this long is restarted at once when it dies."""

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def _before_exec() -> None:
    """Runs in the new process: the kernel ends it when the supervisor dies, and the signals held back there are let through."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


class Child:
    """One process that is to run as long as the supervisor does.

    Args:
        name: How logs call it.
        argv: The command.
        is_ready: Whether it does its work now; asked from time to time until it says yes.
        environment: Variables added to the supervisor's own.
        grace: Seconds that it is given to end.
        inherited: File descriptors that it gets.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        is_ready: Callable[[], bool],
        environment: Mapping[str, str] | None = None,
        grace: float = 3.0,
        inherited: Sequence[int] = (),
    ) -> None:
        self.name = name
        self.grace = grace
        self.starts = 0
        self._argv = list(argv)
        self._is_ready = is_ready
        self._environment = dict(environment or {})
        self._inherited = tuple(inherited)
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._backoff = 0.0
        self._start_at = 0.0

    @property
    def pid(self) -> int | None:
        """The process id, while it runs."""
        return self._process.pid if self._process is not None else None

    @property
    def ended(self) -> bool:
        """Whether it was started and runs no more."""
        return self._process is not None and self._process.poll() is not None

    @property
    def restart_in(self) -> float | None:
        """Seconds until it is to be started again; None while it runs."""
        return None if self._process is not None else max(0.0, self._start_at - time.monotonic())

    def start(self) -> None:
        """Starts it, in a session of its own so that a terminal's Ctrl-C reaches the supervisor only."""
        self._process = subprocess.Popen(
            self._argv,
            env={**os.environ, **self._environment},
            pass_fds=self._inherited,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,  # stdout is for what the supervisor says to people
            start_new_session=True,
            preexec_fn=_before_exec,  # noqa: PLW1509  the supervisor has one thread
        )
        self.starts += 1
        self._started_at = time.monotonic()
        log.debug("child.started", child=self.name, child_pid=self.pid)

    def look(self) -> None:
        """Notices that it died and starts it again when its time has come; each death in a row doubles the pause."""
        if self._process is not None:
            status = self._process.poll()
            if status is None:
                return
            lived = time.monotonic() - self._started_at
            self._process = None
            doubled = min(max(FIRST_BACKOFF_SECONDS, 2 * self._backoff), LONGEST_BACKOFF_SECONDS)
            self._backoff = 0.0 if lived > LONG_LIFE_SECONDS else doubled
            self._start_at = time.monotonic() + self._backoff
            log.warning(
                "child.died", child=self.name, how=_how(status), lived=round(lived, 1), restart_in=self._backoff
            )
        if self.restart_in == 0.0:
            self.start()

    def ready(self) -> bool:
        """Whether it runs and does its work."""
        return self._process is not None and self._process.poll() is None and self._is_ready()

    def stop(self) -> None:
        """Asks it to end, and kills it when its grace is over."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(self.grace)
        except subprocess.TimeoutExpired:
            log.warning("child.killed", child=self.name, after=self.grace)
            self.kill()
        self._process = None

    def kill(self) -> None:
        """Ends it and what it started, at once."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def _how(status: int) -> str:
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
