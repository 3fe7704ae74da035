"""docs/conformance.md: what the validators find, written by the runs themselves.

Each run tells its row. Where the page says something else, it is written anew and the test fails, so that the page that is
committed is always what the runs give. It has no times and no numbers that another system in the database would change.
"""

from __future__ import annotations

import fcntl
import re
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from textwrap import fill

from tests.api.validators import NOT_IN_PROFILE, NOT_TESTED, TYPES, WARNINGS, Verdict

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"

SERVICE = "Service validator"
PROTOCOL = "Protocol validator"
INTEROP = "Interop validator, Ironic's profile 1.2.0"
DISTRIBUTIONS = {
    SERVICE: "redfish-service-validator",
    PROTOCOL: "redfish-protocol-validator",
    INTEROP: "redfish-interop-validator",
}
SIMULATED, LIBVIRT, SILENT = "simulated", "libvirt", "simulated, its host silent"
SESSION, BASIC, BOTH = "Session", "Basic", "Session and Basic"
RUNS = (
    *((SERVICE, system, login) for system in (SIMULATED, LIBVIRT) for login in (SESSION, BASIC)),
    (SERVICE, SILENT, SESSION),
    *((PROTOCOL, system, BOTH) for system in (SIMULATED, LIBVIRT)),
    *((INTEROP, system, login) for system in (SIMULATED, LIBVIRT) for login in (SESSION, BASIC)),
)
"""Every run, by its validator, its system and its login; all are over TLS."""

WIDTH = 130

Run = tuple[str, str, str]


def tell(run: Run, verdict: Verdict, page: Path = PAGE) -> None:
    """Compares what a run has found with what the page says of it.

    Args:
        run: One of `RUNS`.
        verdict: What was found; nothing has failed, or there would be none.
        page: The page; tests of this have another one.
    """
    assert run in RUNS
    with page.open("r+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # two tests may end at the same moment
        said = file.read()
        rows = {**_rows(said), run: _row(run, verdict)}
        found = render(rows)
        if found != said:
            file.seek(0)
            file.truncate()
            file.write(found)
    assert found == said, f"{page.name} was not what this run gives, and is now: look at the difference, and commit it"


def rendered_again(page: Path = PAGE) -> str:
    """The page as it would be with the rows that it has."""
    return render(_rows(page.read_text("utf-8")))


def rows_of(page: Path = PAGE) -> set[Run]:
    """The runs that the page tells of."""
    return set(_rows(page.read_text("utf-8")))


def _row(run: Run, verdict: Verdict) -> str:
    judge, system, login = run
    release = ".".join(version(DISTRIBUTIONS[judge]).split(".")[:2])
    cells = (judge, release, system, login, "0", str(len(verdict.warnings)), str(len(verdict.untested)))
    return f"| {' | '.join(cells)} |"


def _rows(page: str) -> dict[Run, str]:
    found: dict[Run, str] = {}
    for line in page.splitlines():
        cells = re.split(r" *\| *", line.strip("| "))
        run = (cells[0], *cells[2:4]) if len(cells) == 7 else None
        if run in RUNS:
            found[run] = line
    return found


def render(rows: Mapping[Run, str]) -> str:
    """The whole page."""
    return f"""\
# Conformance

DMTF's validators, and the profile in which OpenStack Ironic tells what it needs of a BMC, judge the service in every run of
`make test`, over TLS. A run that finds a failure, a warning that is not below, or something untested that is not below, fails. This
page is written by those runs, never by hand: where it is not what a run gives, the run writes it anew and fails.

| Validator | Version | System | Login | Failures | Kinds of warnings | Not tested |
| --- | --- | --- | --- | --- | --- | --- |
{_lines(rows[run] for run in RUNS if run in rows)}

The service validator looks at every resource that can be reached from the service root, those under `Oem` included, and holds it
against the schemas of DMTF and ours. In each run that is at least one of each of these types:

{fill(", ".join(sorted(TYPES)) + ".", WIDTH)}

What it counts as not tested are optional properties that the service does not have, and nothing else.

## Warnings that stay

The service validator warns of these, and of nothing else.

| Warning | Why it stays |
| --- | --- |
{_lines(f"| {name} | {reason} |" for name, (_, reason) in WARNINGS.items())}

## Not tested by the protocol validator

| Assertion | Reason |
| --- | --- |
{_lines(f"| `{name}` | {reason} |" for name, reason in sorted(NOT_TESTED.items()))}

## Not tested of Ironic's profile

| Property | Reason |
| --- | --- |
{_lines(f"| `{name}` | {reason} |" for name, reason in sorted(NOT_IN_PROFILE.items()))}

The profile wants the collection of a storage subsystem's volumes to take POST. It does, and always answers why there is no RAID; the
controllers say the same in `SupportedRAIDTypes`, which is empty.
"""


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(lines)
