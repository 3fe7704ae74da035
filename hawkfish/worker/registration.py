"""Registers the hosts that `serve` was told of: `python -m hawkfish.worker.registration`, beside the running worker.

What is registered already is left as it is, so every start may ask for the same.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from hawkfish import logs
from hawkfish.bootstrap import Application
from hawkfish.config import load_settings
from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.pages import PageRequest
from hawkfish.domain.systems import NewDisk, NewSystem
from hawkfish.errors import BackendTimeout, ConfigurationError, HawkFishError
from hawkfish.services.accepted import Accepted

log = structlog.get_logger("hawkfish.serve")

SIMULATED = "simulated"
MOST_SYSTEMS = 100_000
DEADLINE_SECONDS = 300.0
PAGE = 1000
SYSTEMS_A_BATCH = 500
SYSTEM_MEMORY_MIB = 512
USUAL_MEMORY_MIB = 262144  # of a simulated host


@dataclass(frozen=True, kw_only=True)
class WantedHost:
    """A host that is to be registered, and how many systems it is to have at least."""

    name: str
    driver: str
    uri: str
    systems: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)


def simulated_host(text: str) -> WantedHost:
    """Reads `NAME[:SYSTEMS]`; for argparse."""
    name, colon, count = text.partition(":")
    if not name or (colon and not (count.isdigit() and int(count) <= MOST_SYSTEMS)):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME or NAME:SYSTEMS with at most {MOST_SYSTEMS} systems")
    systems = int(count or 0)
    return WantedHost(
        name=name, driver=SIMULATED, uri=f"{SIMULATED}:///{name}", systems=systems, settings=_room_for(systems)
    )


def _room_for(systems: int) -> dict[str, Any]:
    """Settings of a simulated host that is larger than the usual one, where so many systems would not fit."""
    if systems * SYSTEM_MEMORY_MIB <= USUAL_MEMORY_MIB // 2:
        return {}
    return {
        "cpus": min(4096, max(64, systems)),
        "memory_mib": 2 * systems * SYSTEM_MEMORY_MIB,
        "storage_gib": max(10240, 2 * systems),
    }


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that name hosts."""
    parser.add_argument("--simulated-host", type=simulated_host, action="append", default=[], metavar="NAME[:SYSTEMS]")
    parser.add_argument("--add-host", nargs=3, action="append", default=[], metavar=("NAME", "DRIVER", "URI"))


def wanted_hosts(options: argparse.Namespace) -> list[WantedHost]:
    """The hosts that the options name."""
    added = [WantedHost(name=name, driver=driver, uri=uri) for name, driver, uri in options.add_host]
    return [*options.simulated_host, *added]


def arguments(hosts: Sequence[WantedHost]) -> list[str]:
    """The options that name these hosts."""
    words: list[str] = []
    for host in hosts:
        if host.driver == SIMULATED:
            words += ["--simulated-host", f"{host.name}:{host.systems}"]
        else:
            words += ["--add-host", host.name, host.driver, host.uri]
    return words


def register(application: Application, wanted: WantedHost) -> None:
    """Registers one host and makes the systems that it lacks.

    Raises:
        HawkFishError: The host or a system cannot be made.
    """
    known = {host.name: host for host in application.hosts.list(SYSTEM_ACTOR)}
    if wanted.name not in known:
        _finish(
            application,
            application.hosts.add(SYSTEM_ACTOR, wanted.name, wanted.driver, wanted.uri, settings=wanted.settings),
        )
        log.info("host.registered", host=wanted.name, driver=wanted.driver, uri=wanted.uri)
    elif known[wanted.name].driver != wanted.driver:
        raise ConfigurationError(
            f"The host {wanted.name!r} is registered with the driver {known[wanted.name].driver!r}, not {wanted.driver!r}; "
            "choose another name.",
            setting="host",
        )
    _pass_on_warnings(application, wanted.name)
    if wanted.systems:
        _make_systems(application, wanted)


def _pass_on_warnings(application: Application, name: str) -> None:
    """Says what an administrator should know of a host, such as that its guests are emulated: before somebody waits for them."""
    for host in application.hosts.list(SYSTEM_ACTOR):
        if host.name == name and host.facts is not None:
            for warning in host.facts.warnings:
                log.warning("host.warning", host=name, warning=warning)


def _make_systems(application: Application, wanted: WantedHost) -> None:
    """Makes `NAME-1` and so on, in batches that are all accepted first, so that the worker runs several at once."""
    there = _system_names(application)
    names = [f"{wanted.name}-{number}" for number in range(1, wanted.systems + 1)]
    missing = [name for name in names if name not in there]
    pattern = NewSystem(
        name=wanted.name,
        vcpus=1,
        memory_mib=SYSTEM_MEMORY_MIB,
        disks=(NewDisk(capacity_bytes=2**30),),
        host=wanted.name,
    )
    accepted = [
        application.systems.create_batch(SYSTEM_ACTOR, pattern, missing[start : start + SYSTEMS_A_BATCH])
        for start in range(0, len(missing), SYSTEMS_A_BATCH)
    ]
    for one in accepted:
        _finish(application, one)
    if missing:
        log.info("systems.made", host=wanted.name, count=len(missing))


def _system_names(application: Application) -> set[str]:
    names: set[str] = set()
    wanted = PageRequest(top=PAGE)
    while True:
        page = application.systems.page(SYSTEM_ACTOR, wanted)
        names.update(system.name for system in page.items)
        if page.next_after is None:
            return names
        wanted = replace(wanted, after=page.next_after)


def _finish(application: Application, accepted: Accepted) -> None:
    """Waits until the work is done, and raises the error that it ended with."""
    if accepted.task is None:
        return
    deadline = time.monotonic() + DEADLINE_SECONDS
    task = application.tasks.wait(SYSTEM_ACTOR, accepted.task.id, DEADLINE_SECONDS)
    while not task.state.ended:
        if time.monotonic() > deadline:
            raise BackendTimeout(f"{task.title} has not ended in {DEADLINE_SECONDS:.0f} s; it goes on.", task=task.id)
        task = application.tasks.wait(SYSTEM_ACTOR, task.id, 1.0)
    if task.error is not None:
        raise application.tasks.error_of(task)


def main(argv: Sequence[str] | None = None) -> int:
    """Registers all hosts; one that fails does not keep the others from being registered."""
    parser = argparse.ArgumentParser(prog="hawkfish serve")
    add_options(parser)
    hosts = wanted_hosts(parser.parse_args(argv))
    settings = load_settings()
    logs.configure(log_format=settings.log_format, level=settings.log_level)
    application = Application.open(settings)
    failed = 0
    try:
        for host in hosts:
            try:
                register(application, host)
            except HawkFishError as error:
                failed += 1
                log.error("host.not_registered", host=host.name, error=error.message)  # noqa: TRY400  said by the message
    finally:
        application.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
