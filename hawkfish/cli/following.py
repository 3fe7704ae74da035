"""Following work to its end, with a live line on a terminal."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from hawkfish.cli.errors import CommandError, ExitCode, one_line
from hawkfish.cli.messages import sentences

if TYPE_CHECKING:
    from hawkfish.cli.client import Reply
    from hawkfish.cli.main import HawkFishApp

TASKS = "/redfish/v1/TaskService/Tasks"
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 1.0
MOST_AWAITED = 4
PATIENCE = 60.0
"""Seconds for which the service may be away while its work is followed: it may be restarted, and the task goes on."""

GOOD_STATES = frozenset({"Completed"})
BAD_STATES = frozenset({"Exception", "Cancelled", "Killed", "Interrupted"})

Show = Callable[[Mapping[str, Any]], None]
Ended = TypeVar("Ended")


def follow(app: HawkFishApp, reply: Reply, *, timeout: float | None = None) -> Reply:
    """Waits for the end of what a reply has accepted; a reply that is final already is given back.

    Returns:
        The answer that the request would have got, had it been done at once.

    Raises:
        CommandError: The work failed, the time is over (code 7), or Ctrl-C was pressed (code 130); it goes on in both.
    """
    if not reply.accepted:
        return reply
    task, monitor = reply.body, reply.location

    def look(show: Show) -> Reply | None:
        answer = app.client.request("GET", monitor)
        if not answer.accepted:
            return answer
        show(_at_work(app, answer.body))
        return None

    return _wait(app, task, look, timeout)


def follow_task(app: HawkFishApp, task: Mapping[str, Any], *, timeout: float | None = None) -> dict[str, Any]:
    """Waits for the end of a task, whatever it is.

    Returns:
        The task as it ended, well or not.

    Raises:
        CommandError: The time is over (code 7), or Ctrl-C was pressed (code 130).
    """

    def look(show: Show) -> dict[str, Any] | None:
        found = app.client.get(f"{TASKS}/{task['Id']}")
        if found.get("TaskState") in GOOD_STATES | BAD_STATES:
            return found
        show(_at_work(app, found))
        return None

    return _wait(app, task, look, timeout)


def _at_work(app: HawkFishApp, task: Mapping[str, Any]) -> Mapping[str, Any]:
    """The task that the given one waits for, or itself: a download tells more than what is to be done with it."""
    for _ in range(MOST_AWAITED):
        awaited = ((task.get("Oem") or {}).get("HawkFish") or {}).get("WaitsFor")
        if not awaited:
            break
        try:
            before = app.client.get(str(awaited["@odata.id"]))
        except CommandError:  # it is another's, or gone; the one that is followed is what matters
            break
        if before.get("TaskState") in GOOD_STATES | BAD_STATES:
            break
        task = before
    return task


def why_failed(task: Mapping[str, Any]) -> str:
    """What a task says about its end, in one line."""
    text = " ".join(sentences(task.get("Messages") or [])) or "it gives no reason."
    state = "was cancelled" if task.get("TaskState") == "Cancelled" else "failed"
    return f"Task {task.get('Id')} ({task.get('Name')}) {state}: {text}"


def _wait(
    app: HawkFishApp, task: Mapping[str, Any], look: Callable[[Show], Ended | None], timeout: float | None
) -> Ended:
    identity = one_line(task.get("Id", "?"))
    hint = f"look at it with `hawkfish tasks show {identity}`, follow it with `hawkfish tasks wait {identity}`"
    started = time.monotonic()
    pause = FIRST_PAUSE
    try:
        with progress_line(app, task) as show:
            while True:
                left = PATIENCE if timeout is None else timeout - (time.monotonic() - started)
                ended = _look_patiently(look, show, min(PATIENCE, left))
                if ended is not None:
                    return ended
                if timeout is not None and time.monotonic() - started + pause > timeout:
                    raise CommandError(
                        f"Task {identity} has not ended within {timeout:g} s and goes on; {hint}.", ExitCode.TIMEOUT
                    )
                time.sleep(pause)  # the service has no call that blocks until a task ends
                pause = min(pause * 1.5, LONGEST_PAUSE)
    except KeyboardInterrupt:
        raise CommandError(
            f"Interrupted. Task {identity} goes on; {hint}, stop it with `hawkfish tasks cancel {identity}`.",
            ExitCode.INTERRUPTED,
        ) from None


def _look_patiently(look: Callable[[Show], Ended | None], show: Show, patience: float) -> Ended | None:
    deadline = time.monotonic() + patience
    while True:
        try:
            return look(show)
        except CommandError as error:
            if error.code is not ExitCode.UNREACHABLE or time.monotonic() > deadline:
                raise
            show({"Name": "waiting for the service to answer again"})
            time.sleep(LONGEST_PAUSE)


@contextlib.contextmanager
def progress_line(app: HawkFishApp, task: Mapping[str, Any]) -> Iterator[Show]:
    """A line that lives while work is followed; only on a terminal, and gone at the end."""
    if not app.stderr.isatty() or not app.options.verbose_level:
        yield lambda _task: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(file=app.stderr), transient=True, redirect_stdout=False) as progress:
        line = progress.add_task(_describe(task), total=100)

        def show(found: Mapping[str, Any]) -> None:
            progress.update(line, description=_describe(found), completed=found.get("PercentComplete"))

        yield show


def _describe(task: Mapping[str, Any]) -> str:
    name = one_line(task.get("Name") or "working")
    now = one_line(task.get("Oem", {}).get("HawkFish", {}).get("Progress") or "")
    return f"{name}: {now}" if now and now != name else name
