"""Looking at a running system: its screen and its serial log. Drivers live in the worker, so a look is a short task too."""

from __future__ import annotations

import codecs
import io
from typing import Any
from uuid import UUID

from PIL import Image

from hawkfish.db import UnitOfWork
from hawkfish.domain.accounts import Actor
from hawkfish.domain.hosts import ComputeCapability
from hawkfish.domain.machines import Screenshot
from hawkfish.domain.systems import System, SystemState
from hawkfish.errors import ActionNotSupported, Conflict
from hawkfish.plugins.compute import SupportsScreenshot, SupportsSerialLog
from hawkfish.services.accepted import Accepted
from hawkfish.services.access import Access
from hawkfish.services.drivers import DriverPool
from hawkfish.services.host_limits import tasks_on
from hawkfish.tasks import Step, StepContext, TaskKind

LOG_PIECE = 64 * 1024
PNG = "image/png"


class PictureVerbs:
    """The verbs that look at a system's screen and serial log."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._database = access.database

    def screenshot(self, actor: Actor, system_id: UUID) -> Accepted:
        """Accepts that a picture of the screen be taken; the task's result names it.

        Raises:
            NotFound: There is no such system.
            ActionNotSupported: Its host cannot.
            Conflict: It is off.
        """
        self._access.authorize(actor, "systems.screenshot", f"system:{system_id}")
        return self._look(actor, system_id, "system.screenshot", ComputeCapability.SCREENSHOT, {}, running=True)

    def read_screenshot(self, actor: Actor, system_id: UUID, screenshot_id: str) -> Screenshot:
        """A picture that was taken, as PNG.

        Raises:
            NotFound: There is none (any more).
        """
        self._access.authorize(actor, "systems.screenshot", f"system:{system_id}")
        with self._database.read() as uow:
            return uow.systems.get_screenshot(system_id, screenshot_id)

    def serial_log(self, actor: Actor, system_id: UUID, *, offset: int = 0, limit: int = LOG_PIECE) -> Accepted:
        """Accepts that a piece of the serial log be read; the task's result holds `text` and `next_offset`.

        Args:
            actor: Who asks.
            system_id: The system.
            offset: First byte; negative counts from the end, and then `next_offset` is None.
            limit: At most that many bytes, up to 64 KiB.

        Raises:
            NotFound: There is no such system.
            ActionNotSupported: Its host keeps none.
        """
        self._access.authorize(actor, "systems.serial_log", f"system:{system_id}")
        arguments = {"offset": offset, "limit": max(0, min(limit, LOG_PIECE))}
        return self._look(
            actor, system_id, "system.read-serial-log", ComputeCapability.SERIAL_LOG, arguments, running=False
        )

    def _look(
        self,
        actor: Actor,
        system_id: UUID,
        kind: str,
        capability: ComputeCapability,
        arguments: dict[str, Any],
        *,
        running: bool,
    ) -> Accepted:
        def write(uow: UnitOfWork) -> Accepted:
            system = uow.systems.get(system_id)
            _refuse(system, capability, running=running)
            task = self._access.queue.submit(
                uow,
                kind,
                title=f"Look at system {system.name}",
                actor=actor.user_name,
                subject=f"system:{system_id}",
                arguments={"system_id": str(system_id), **arguments},
                limits=[tasks_on(system.host_id, self._access.settings.host_tasks)],
            )
            return Accepted(system_id, task)

        return self._database.run(write)


def _refuse(system: System, capability: ComputeCapability, *, running: bool) -> None:
    if capability not in system.capabilities:
        raise ActionNotSupported(
            f"The host {system.host_name} of {system.name} does not offer {capability}.", action=str(capability)
        )
    if system.state is not SystemState.READY or (running and not system.is_running):
        raise Conflict(
            f"The system {system.name} is {system.power_state or system.state}; there is nothing to see.",
            kind="ComputerSystem",
            id=str(system.id),
        )


class PictureTasks:
    """The kinds of task that look."""

    def __init__(self, access: Access, drivers: DriverPool) -> None:
        self._database = access.database
        self._drivers = drivers

    def kinds(self) -> tuple[TaskKind, ...]:
        """What a worker registers."""
        return (
            TaskKind(name="system.screenshot", steps=(Step(name="look", run=self._take),)),
            TaskKind(name="system.read-serial-log", steps=(Step(name="read", run=self._read),)),
        )

    def _take(self, ctx: StepContext) -> dict[str, Any]:
        system_id = UUID(ctx.arguments["system_id"])
        with self._database.read() as uow:
            system = uow.systems.get(system_id)
        driver = self._drivers.driver(system.host_id)
        if not isinstance(driver, SupportsScreenshot):
            raise ActionNotSupported(f"{system.host_name} takes no pictures.", action="Screenshot")
        picture = as_png(driver.take_screenshot(system_id))
        self._database.run(lambda uow: uow.systems.add_screenshot(ctx.task_id, system_id, picture))
        return {"screenshot_id": ctx.task_id}

    def _read(self, ctx: StepContext) -> dict[str, Any]:
        with self._database.read() as uow:
            system = uow.systems.get(UUID(ctx.arguments["system_id"]))
        driver = self._drivers.driver(system.host_id)
        if not isinstance(driver, SupportsSerialLog):
            raise ActionNotSupported(f"{system.host_name} keeps no serial logs.", action="SerialLog")
        offset = ctx.arguments["offset"]
        text, length = whole_characters(driver.read_serial_log(system.id, offset, ctx.arguments["limit"]))
        # Counted from the end, the piece does not tell where in the log it lies.
        return {"text": text, "next_offset": offset + length if offset >= 0 else None}


def whole_characters(piece: bytes) -> tuple[str, int]:
    """The text of a piece of a log, and of how many bytes: a character that the end cuts in two is left to the next piece."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(piece)
    cut = len(decoder.getstate()[0])
    if text or not cut:
        return text, len(piece) - cut
    return decoder.decode(b"", final=True), len(piece)


def as_png(picture: Screenshot) -> Screenshot:
    """The picture as PNG, whatever the hypervisor sends."""
    if picture.media_type == PNG:
        return picture
    converted = io.BytesIO()
    with Image.open(io.BytesIO(picture.data)) as image:
        image.save(converted, "PNG")
    return Screenshot(media_type=PNG, data=converted.getvalue())
