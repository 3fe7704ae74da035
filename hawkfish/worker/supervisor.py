"""Runs the whole service on one machine: `python -m hawkfish.worker.supervisor`, which `hawkfish serve` becomes.

The simulator (where it is needed), the worker and the API are processes of their own. Each is restarted when it dies; all end
with this one, in order, whatever ends it.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import ipaddress
import os
import shutil
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
import structlog

from hawkfish import logs, metrics
from hawkfish.config import Settings, load_settings
from hawkfish.errors import ConfigurationError, HawkFishError
from hawkfish.worker import registration
from hawkfish.worker.children import Child
from hawkfish.worker.preparation import (
    READY_NAME,
    Prepared,
    listen,
    only_one,
    prepare,
    prepare_data_dir,
    write_ready,
)

log = structlog.get_logger("hawkfish.serve")

SIGNALS = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
START_SECONDS = 60.0
START_ATTEMPTS = 3
"""Deaths before the first readiness after which the start is given up."""
TICK_SECONDS = 0.1
LISTENER_VARIABLE = "HF_INTERNAL_LISTENER"  # read by gunicorn_settings
READY_FD_VARIABLE = "HF_INTERNAL_READY_FD"  # read by __main__


class Stopping(Exception):
    """A signal asked for the end."""


class Supervisor:
    """The processes of the service.

    Args:
        settings: With the address that is really listened on.
        listener: The API's socket.
        hosts: Hosts to register once the worker works.
        simulator: Whether the simulator is needed.
        ca_file: What proves the API's certificate to this process.
    """

    def __init__(
        self,
        settings: Settings,
        listener: socket.socket,
        *,
        hosts: Sequence[registration.WantedHost] = (),
        simulator: bool = False,
        ca_file: Path | None = None,
    ) -> None:
        self._settings = settings
        self._hosts = hosts
        self._ca_file = ca_file
        self._ready_read, self._ready_write = os.pipe()
        os.set_blocking(self._ready_read, False)
        self._worker_is_ready = False
        self._socket = settings.data_dir / "simulator.sock"
        worker = Child(
            "worker",
            [sys.executable, "-m", "hawkfish.worker"],
            is_ready=self._worker_ready,
            environment={READY_FD_VARIABLE: str(self._ready_write)},
            inherited=[self._ready_write],
        )
        api = Child(
            "api",
            [
                *(sys.executable, "-m", "gunicorn"),
                *("--config", "python:hawkfish.worker.gunicorn_settings", "hawkfish.api.wsgi:app"),
            ],
            is_ready=self._api_ready,
            environment={LISTENER_VARIABLE: str(listener.fileno())},
            inherited=[listener.fileno()],
            grace=4.0,
        )
        self._first = [self._simulator()] if simulator else []
        self._children = [*self._first, worker, api]

    def _simulator(self) -> Child:
        state = self._settings.data_dir / "simulator.state"
        command = ["-m", "hawkfish.builtin.simulated.server", "--socket", str(self._socket), "--state", str(state)]
        return Child("simulator", [sys.executable, *command], is_ready=self._simulator_ready, grace=2.0)

    def start(self) -> None:
        """Starts everything and returns once requests are answered and the hosts are registered.

        Raises:
            ConfigurationError: A process does not come up.
            Stopping: A signal came first.
        """
        for child in self._first:
            child.start()
            self._until(child.ready, f"the {child.name}")
        rest = [child for child in self._children if child not in self._first]
        for child in rest:
            child.start()
        for child in rest:
            self._until(child.ready, f"the {child.name}")
        if self._hosts:
            command = [sys.executable, "-m", "hawkfish.worker.registration", *registration.arguments(self._hosts)]
            job = Child("registration", command, is_ready=lambda: False)
            job.start()
            try:
                self._until(lambda: job.ended, "the registration of hosts", seconds=2 * registration.DEADLINE_SECONDS)
            finally:
                job.stop()

    def watch(self) -> None:
        """Restarts what dies, until a signal asks for the end.

        Raises:
            Stopping: That signal came.
        """
        while True:
            pauses = [pause for child in self._children if (pause := child.restart_in) is not None]
            self._tick(min(pauses, default=None))

    def stop(self) -> None:
        """Ends all: first the API, so that nothing more is accepted, last the simulator."""
        for child in reversed(self._children):
            child.stop()
        os.close(self._ready_read)
        os.close(self._ready_write)

    def _until(self, condition: Callable[[], bool], what: str, *, seconds: float = START_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            for child in self._children:
                if child.starts >= START_ATTEMPTS and child.pid is None:
                    raise ConfigurationError(
                        f"The {child.name} ended {START_ATTEMPTS} times at its start; its own messages are above.",
                        setting=child.name,
                    )
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    f"The service did not start: {what} took more than {seconds:.0f} s.", setting=what
                )
            self._tick(TICK_SECONDS)

    def _tick(self, seconds: float | None) -> None:
        """Waits for a signal, and looks after the children that were started."""
        found = signal.sigwaitinfo(SIGNALS) if seconds is None else signal.sigtimedwait(SIGNALS, seconds)
        if found is not None and found.si_signo != signal.SIGCHLD:
            raise Stopping
        for child in self._children:
            if child.starts:
                child.look()

    # --- readiness -------------------------------------------------------------------------------------------------

    def _simulator_ready(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1)
            probe.connect(str(self._socket))
            return True
        return False

    def _worker_ready(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            self._worker_is_ready = self._worker_is_ready or bool(os.read(self._ready_read, 1))
        return self._worker_is_ready

    def _api_ready(self) -> bool:
        try:
            answer = httpx.get(f"{self._settings.url}/redfish/v1/", verify=self._trust(), timeout=2, trust_env=False)
        except httpx.HTTPError:
            return False
        return answer.status_code == httpx.codes.OK

    def _trust(self) -> ssl.SSLContext | bool:
        if not self._settings.tls:
            return False
        if self._ca_file is not None:
            return ssl.create_default_context(cafile=str(self._ca_file))
        # A certificate that was given may bear a name that this machine does not know itself by; nothing secret is sent.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context


def serve(settings: Settings, hosts: Sequence[registration.WantedHost], ready_file: Path | None) -> None:
    """Runs the service until a signal ends it.

    Raises:
        HawkFishError: It cannot start.
    """
    os.umask(0o077)
    prepare_data_dir(settings.data_dir)
    with only_one(settings.data_dir), listen(settings) as listener:
        address = listener.getsockname()
        settings = dataclasses.replace(settings, bind=f"{settings.bind.rpartition(':')[0]}:{address[1]}")
        _warn_if_open(settings)
        _tell_children(settings)
        prepared = prepare(settings)
        if prepared.generated:
            # At once: should the start fail later, the account is made all the same.
            _say(f"The account is admin, its password {prepared.password} (shown only this once)")
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        # Not left to the children: gunicorn would report itself ready long before the service is.
        manager = os.environ.pop("NOTIFY_SOCKET", None)
        simulated = registration.SIMULATED
        supervisor = Supervisor(
            settings,
            listener,
            hosts=hosts,
            simulator=simulated in prepared.drivers or any(host.driver == simulated for host in hosts),
            ca_file=prepared.ca_file,
        )
        with contextlib.suppress(Stopping):
            try:
                supervisor.start()
                _announce(settings, prepared, ready_file)
                _tell_manager(manager, "READY=1")
                supervisor.watch()
            finally:
                _tell_manager(manager, "STOPPING=1")
                supervisor.stop()


def _tell_manager(address: str | None, state: str) -> None:
    """Tells systemd how far the service is (sd_notify(3)), where systemd has started it and waits for that."""
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(state.encode(), f"\0{address[1:]}" if address.startswith("@") else address)


def _tell_children(settings: Settings) -> None:
    """Options become the variables that the children read; the first password is none of their business."""
    os.environ["HF_DATA_DIR"] = str(settings.data_dir)
    os.environ["HF_BIND"] = settings.bind
    os.environ["HF_TLS"] = str(settings.tls).lower()
    os.environ.pop("HF_ADMIN_PASSWORD", None)
    metrics.share(settings.metrics_folder, os.environ)


def _warn_if_open(settings: Settings) -> None:
    if settings.tls or _is_loopback(settings.host):
        return
    sys.stderr.write(
        "*** WARNING *****************************************************************\n"
        f"*** Passwords cross the network in clear text: {settings.bind} without TLS.\n"
        "*** Use --tls, or bind to 127.0.0.1, unless this network is yours alone.\n"
        "*****************************************************************************\n"
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _announce(settings: Settings, prepared: Prepared, ready_file: Path | None) -> None:
    content = {
        "url": settings.url,
        "username": "admin",
        "password": prepared.password,
        "ca_file": str(prepared.ca_file) if prepared.ca_file else None,
        "pid": os.getpid(),
    }
    write_ready(settings.data_dir / READY_NAME, {**content, "password": None})
    if ready_file is not None:
        write_ready(ready_file, content)
    _say(f"HawkFish answers at {settings.url}/redfish/v1/")
    command = _command()
    _say("Try next, in another terminal:")
    _say(f"  {command} login")
    _say(f"  {command} systems create first --memory 256M --disk 1G --on")
    _say(f"  {command} systems ls")


def _command() -> str:
    """How a shell in this folder calls the command `hawkfish` of this installation."""
    own = Path(sys.executable).parent / "hawkfish"
    if shutil.which("hawkfish") == str(own):
        return "hawkfish"
    return os.path.relpath(own) if own.is_relative_to(Path.cwd()) else str(own)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(argv: Sequence[str] | None = None) -> int:
    """The command; a start that fails is one line."""
    parser = argparse.ArgumentParser(prog="hawkfish serve")
    registration.add_options(parser)
    parser.add_argument("--ready-file", type=Path)
    options = parser.parse_args(argv)
    try:
        settings = load_settings()
        logs.configure(log_format=settings.log_format, level=settings.log_level)
        serve(settings, registration.wanted_hosts(options), options.ready_file)
    except HawkFishError as error:
        sys.stderr.write(f"hawkfish serve: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
