"""Tasks: the work that the service has accepted."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hawkfish.cli.base import ListCommand, ShowCommand, seconds
from hawkfish.cli.errors import CommandError, ExitCode
from hawkfish.cli.following import BAD_STATES, GOOD_STATES, TASKS, follow_task, why_failed
from hawkfish.cli.tables import TASK_COLUMNS, TASK_DETAILS, task_details, task_row

if TYPE_CHECKING:
    from hawkfish.cli.client import Client


def find_task(client: Client, identity: str) -> dict[str, Any]:
    """Reads a task."""
    return client.named(TASKS, identity)


class ListTasks(ListCommand):
    """List the tasks."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--open", action="store_true", help="only those that have not ended")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], list[Sequence[Any]]]:
        """Gives a row for each."""
        tasks = self.client.members(TASKS)
        ended = GOOD_STATES | BAD_STATES if parsed_args.open else frozenset()
        return TASK_COLUMNS, [task_row(task) for task in tasks if task.get("TaskState") not in ended]


class TaskCommand(ShowCommand):
    """A command on one task."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("id", metavar="ID")
        return parser


class ShowTask(TaskCommand):
    """Show a task."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Gives its properties."""
        return TASK_DETAILS, task_details(find_task(self.client, parsed_args.id))


class WaitTask(TaskCommand):
    """Follow a task to its end and show it.

    The exit code is 1 if the task failed or was cancelled.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--timeout", type=seconds, metavar="SECONDS", help="wait no longer (exit code 7)")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Waits."""
        task = follow_task(self.app, find_task(self.client, parsed_args.id), timeout=parsed_args.timeout)
        if task.get("TaskState") not in GOOD_STATES:
            raise CommandError(why_failed(task))
        return TASK_DETAILS, task_details(task)


class CancelTask(TaskCommand):
    """Ask for a task to be cancelled, and show it.

    What it has done so far is undone; `hawkfish tasks wait` follows that.
    """

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Asks for it."""
        task = find_task(self.client, parsed_args.id)
        actions = (task.get("Actions") or {}).get("Oem") or {}
        target = (actions.get("#HawkFishTask.Cancel") or {}).get("target")
        if not target:
            raise CommandError(
                f"Task {task.get('Id')} is {task.get('TaskState')}; it cannot be cancelled any more.", ExitCode.CONFLICT
            )
        self.client.post(target, {})
        return TASK_DETAILS, task_details(find_task(self.client, parsed_args.id))
