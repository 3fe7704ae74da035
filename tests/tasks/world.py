"""Toy kinds that change a world of files, in which overlap, double effect and a forgotten undo can be seen.

Run as a program it is a nursery of workers: for each line on standard input it forks one and prints its process id.
"""

from __future__ import annotations

import fcntl
import os
import random
import signal
import sys
import threading
from pathlib import Path

from hawkfish.db import Database
from hawkfish.errors import BackendError
from hawkfish.tasks import Runner, RunnerSettings, Step, StepContext, TaskKind, TaskRegistry

STEPS = 4


class World:
    """A folder with effects, locks and a log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("effects", "locks"):
            (folder / name).mkdir(exist_ok=True)

    def say(self, *words: object) -> None:
        """Appends one line to the log; O_APPEND keeps the lines of all processes whole and in order."""
        line = " ".join(str(word) for word in words) + "\n"
        handle = os.open(self.folder / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, line.encode())
        os.close(handle)

    def log(self) -> list[list[str]]:
        """The lines said so far."""
        path = self.folder / "log"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def effect(self, task_id: str, step: str) -> Path:
        """The file that a step makes."""
        return self.folder / "effects" / f"{task_id}.{step}"

    def alone(self, ctx: StepContext) -> list[int]:
        """Locks all keys of the task; the kernel lets go when the process dies."""
        handles = []
        for key in ctx.task.locks:
            handle = os.open(self.folder / "locks" / key, os.O_RDWR | os.O_CREAT)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.say("OVERLAP", key, ctx.task.number, ctx.step)
            handles.append(handle)
        return handles


def saga(world: World) -> TaskKind:
    """A task of four steps that may fail at one of them."""

    def pause(ctx: StepContext) -> None:
        threading.Event().wait(random.uniform(0, ctx.arguments.get("pause", 0.03)))

    def make(index: int) -> Step:
        name = f"s{index}"

        def run(ctx: StepContext) -> dict[str, int]:
            handles = world.alone(ctx)
            world.say("do", ctx.task.number, name, ctx.epoch)
            pause(ctx)
            world.effect(ctx.task_id, name).touch()
            pause(ctx)
            for handle in handles:
                os.close(handle)
            if ctx.arguments.get("fail_at") == index:
                raise BackendError("The toy broke.", operation=name)
            return {"epoch": ctx.epoch}

        def undo(ctx: StepContext) -> None:
            handles = world.alone(ctx)
            world.say("undo", ctx.task.number, name, ctx.epoch)
            pause(ctx)
            world.effect(ctx.task_id, name).unlink(missing_ok=True)
            pause(ctx)
            for handle in handles:
                os.close(handle)

        return Step(
            name=name,
            run=run,
            undo=undo,
            record=lambda uow, ctx, result: uow.tasks.note(ctx.task_id, "recorded", name),
            record_undo=lambda uow, ctx: uow.tasks.note(ctx.task_id, "unrecorded", name),
        )

    return TaskKind(
        name="saga",
        steps=tuple(make(index) for index in range(STEPS)),
        on_success=lambda uow, task: uow.tasks.note(task.id, "succeeded", ""),
        on_failure=lambda uow, task, error: uow.tasks.note(task.id, "gave-up", error.message),
    )


def ticker(world: World) -> TaskKind:
    """A task that leaves a mark every 20 ms for as long as it is told."""

    def run(ctx: StepContext) -> None:
        for _ in range(int(ctx.arguments["seconds"] / 0.02)):
            ctx.check()
            world.say("tick", ctx.task.number, ctx.epoch)
            threading.Event().wait(0.02)

    def undo(ctx: StepContext) -> None:
        world.say("ticker-undo", ctx.task.number, ctx.epoch)

    return TaskKind(name="ticker", steps=(Step(name="tick", run=run, undo=undo),))


def registry(world: World) -> TaskRegistry:
    """Both kinds."""
    return TaskRegistry.of([saga(world), ticker(world)])


def work(url: str, folder: Path, lease: float) -> None:
    """One worker, until it is killed or asked to stop."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    settings = RunnerSettings(threads=8, lease=lease, poll=0.1, sweep=min(1.0, lease / 4), undo_backoff=0.05)
    clean = Runner(Database(url), registry(World(folder)), settings).run(stop)
    os._exit(0 if clean else 1)


def main() -> None:
    """The nursery."""
    url, folder, lease = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            work(url, folder, lease)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
