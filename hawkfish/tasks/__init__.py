"""Durable tasks: accepted work that is finished or undone, whatever dies meanwhile. Knows no machine."""

from hawkfish.tasks.context import StepContext
from hawkfish.tasks.kinds import Step, TaskKind, TaskRegistry
from hawkfish.tasks.queue import TaskQueue
from hawkfish.tasks.runner import Runner, RunnerSettings

__all__ = ["Runner", "RunnerSettings", "Step", "StepContext", "TaskKind", "TaskQueue", "TaskRegistry"]
