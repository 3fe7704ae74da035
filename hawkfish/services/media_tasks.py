"""The tasks that bring an image into a drive and take it out again.

An insertion is three tasks, each after the one before it: the image is fetched once for all who want it, copied once to each host,
and then put into the drive in the turn of its system. Only the last one stands in the system's line, where it keeps its place
meanwhile. A failed one leaves the drive as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from uuid import UUID

from hawkfish.db import UnitOfWork
from hawkfish.domain.machines import DriveKind, MachineStamp
from hawkfish.domain.media import DriveMedia, MediaContent, MediaSource, drives_of, image_name
from hawkfish.domain.messages import MEDIA_EJECTED, MEDIA_INSERTED
from hawkfish.domain.storage import ConnectionInfo
from hawkfish.domain.systems import System
from hawkfish.domain.tasks import Task, TaskError, TaskState
from hawkfish.errors import BackendError, Conflict, NotFound, NotSupported
from hawkfish.plugins.compute import SupportsMedia
from hawkfish.plugins.control import OperationControl
from hawkfish.services.access import Access
from hawkfish.services.boot import as_present, has_drives_of
from hawkfish.services.downloads import Downloader, Login, shown_url
from hawkfish.services.drivers import DriverPool
from hawkfish.services.failures import tell_failure
from hawkfish.services.machines import machine_spec
from hawkfish.services.media_cache import MEDIA, MediaCache, check_digest, judge_medium
from hawkfish.services.media_files import MediaFiles
from hawkfish.services.media_order import CLEAN, COPY, EJECT, FETCH, INSERT
from hawkfish.services.power import machine_gone
from hawkfish.services.secret_box import SecretBox
from hawkfish.tasks import Step, StepContext, TaskKind

Result = dict[str, Any]

ROOM_STEP = 64 << 20
"""Bytes for which room is made ahead where a server does not tell the length of its image."""


class MediaTasks:
    """The kinds `media.fetch`, `media.copy`, `media.insert`, `media.eject` and `media.clean`."""

    def __init__(  # noqa: PLR0917  all that media are made with
        self,
        access: Access,
        drivers: DriverPool,
        cache: MediaCache,
        files: MediaFiles,
        secrets: SecretBox,
        installation_id: str,
    ) -> None:
        self._database = access.database
        self._drivers = drivers
        self._cache = cache
        self._store = cache.store
        self._files = files
        self._secrets = secrets
        self._installation_id = installation_id
        self._downloader = Downloader.of(access.settings, access.settings.media_max_bytes)

    def kinds(self) -> tuple[TaskKind, ...]:
        """What a worker registers."""
        return (
            TaskKind(
                name=FETCH,
                steps=(Step(name="fetch", run=self._fetch, record=self._record_fetch, undo=self._discard),),
                on_success=_forget_password,
                on_failure=lambda uow, task, _: _forget_password(uow, task),
            ),
            TaskKind(
                name=COPY,
                steps=(
                    Step(
                        name="copy",
                        run=self._copy,
                        record=self._record_copy,
                        undo=self._remove_copy,
                        record_undo=self._forget_copy,
                    ),
                ),
            ),
            TaskKind(
                name=INSERT,
                steps=(
                    Step(name="prepare", run=self._prepare),
                    Step(name="insert", run=self._insert, record=self._record_insert, undo=self._put_back),
                ),
                on_failure=_give_back,
            ),
            TaskKind(
                name=EJECT,
                steps=(Step(name="eject", run=self._eject, record=self._record_eject, undo=self._put_back),),
                on_failure=_give_back,
            ),
            TaskKind(name=CLEAN, steps=(Step(name="remove", run=self._clean),)),
        )

    # --- fetching ------------------------------------------------------------------------------------------------

    def _source(self, ctx: StepContext) -> MediaSource:
        with self._database.read() as uow:
            source = uow.media.source(ctx.arguments["source_key"])
        if source is None:
            raise NotFound("What was to be fetched is known no more; ask again.", kind="VirtualMedia", id=ctx.task_id)
        return source

    def _fetch(self, ctx: StepContext) -> Result:
        source = self._source(ctx)
        with self._store.full_disk_told():
            fetched = self._downloader.fetch(
                source.url,
                self._store.partial(ctx.task_id),
                self._teller(ctx, f"Fetching {shown_url(source.url)}"),
                verify_certificate=source.verify_certificate,
                login=self._login(source),
                known=self._cache.known(source),
                pause=ctx.sleep,
                check=ctx.check,
            )
        digest = source.digest if fetched is None else fetched.digest
        check_digest(digest, ctx.arguments.get("sha256"), source.url)
        path = self._store.partial(ctx.task_id) if fetched is not None else self._store.path(str(digest))
        file_bytes = judge_medium(path, shown_url(source.url), DriveKind(ctx.arguments.get("kind", DriveKind.CD)))
        if fetched is None:
            return {"digest": digest}
        return {
            "digest": digest,
            "file_bytes": file_bytes,
            "etag": fetched.validators.etag,
            "last_modified": fetched.validators.last_modified,
        }

    def _login(self, source: MediaSource) -> Login | None:
        if source.user_name is None or source.sealed_password is None:
            return None
        return Login(user_name=source.user_name, password=self._secrets.open(source.sealed_password))

    def _teller(self, ctx: StepContext, message: str) -> Any:
        promised = 0

        def tell(done: int, total: int | None) -> None:
            nonlocal promised
            ctx.check()
            if (total or done) > promised:
                promised = total or done + ROOM_STEP
                self._cache.make_room(promised if total else done, done)
            if done or total:  # a server that is asked whether its image has changed sends nothing, mostly
                ctx.progress(percent=min(99, done * 100 // total) if total else None, message=message)

        return tell

    def _record_fetch(self, uow: UnitOfWork, ctx: StepContext, result: Any) -> None:
        """The file gets its name and its row together: whoever makes room waits for the key meanwhile."""
        uow.serialize_on([MEDIA])
        digest, key = result["digest"], ctx.arguments["source_key"]
        if "file_bytes" in result:
            self._store.publish(ctx.task_id, digest)
            uow.media.add_content(MediaContent(digest=digest, file_bytes=result["file_bytes"]))
            uow.media.record_fetch(key, digest, etag=result["etag"], last_modified=result["last_modified"])
            return
        self._store.discard(ctx.task_id)  # the head of an answer, or what an earlier try had
        if not uow.media.use_content(digest):
            raise BackendError(
                "The image was taken from the cache while its server was asked for it; ask again.",
                operation="fetch an image",
                reason="not in the cache any more",
            )

    def _discard(self, ctx: StepContext) -> None:
        self._store.discard(ctx.task_id)

    # --- copying -------------------------------------------------------------------------------------------------

    def _copy(self, ctx: StepContext) -> Result:
        digest, host_id = self._digest(ctx, "fetch"), UUID(ctx.arguments["host_id"])

        def begin(uow: UnitOfWork) -> MediaContent | None:
            uow.serialize_on([MEDIA])
            copy = uow.media.copy(host_id, digest)
            if copy is not None and copy.ready:
                return None
            if not uow.media.use_content(digest):
                raise BackendError(
                    "The image was taken from the cache before it was copied; ask again.",
                    operation="copy an image",
                    reason="not in the cache any more",
                )
            uow.media.begin_copy(host_id, digest)
            return uow.media.content(digest)

        with self._database.read() as uow:
            copy = uow.media.copy(host_id, digest)
        content = None if copy is not None and copy.ready else self._database.run(begin)
        if content is None and self._files.find(host_id, digest) is not None:
            return {"digest": digest, "copied": False}
        if content is None:  # somebody took it from the host
            self._database.run(lambda uow: uow.media.begin_copy(host_id, digest))
            content = self._database.run(begin)
        assert content is not None  # noqa: S101  it is not ready, so `begin` gave it
        self._write_copy(ctx, host_id, content)
        return {"digest": digest, "copied": True}

    def _write_copy(self, ctx: StepContext, host_id: UUID, content: MediaContent) -> None:
        length = content.file_bytes
        ctx.progress(percent=0, message="Copying the image to the host")

        def report(done: int) -> None:
            ctx.progress(percent=min(99, done * 100 // length))

        with self._store.open(content.digest) as stream:
            control = OperationControl(check=ctx.check, progress=report)
            self._files.write(host_id, content.digest, stream, length, control)

    def _record_copy(self, uow: UnitOfWork, ctx: StepContext, result: Any) -> None:
        uow.serialize_on([MEDIA])
        uow.media.use_content(result["digest"])
        if result["copied"]:
            uow.media.finish_copy(UUID(ctx.arguments["host_id"]), result["digest"])

    def _unfinished(self, ctx: StepContext) -> list[str]:
        """What this task may have left: no other copy is being made on the host meanwhile."""
        with self._database.read() as uow:
            return uow.media.unready_copies(UUID(ctx.arguments["host_id"]))

    def _remove_copy(self, ctx: StepContext) -> None:
        for digest in self._unfinished(ctx):
            ctx.check()
            self._files.delete(UUID(ctx.arguments["host_id"]), digest)

    def _forget_copy(self, uow: UnitOfWork, ctx: StepContext) -> None:
        host_id = UUID(ctx.arguments["host_id"])
        for digest in uow.media.unready_copies(host_id):
            uow.media.remove_copy(host_id, digest)

    def _clean(self, ctx: StepContext) -> None:
        """Removes copies whose content has gone from the cache. One at a time with those that are made, so none is touched."""
        host_id = UUID(ctx.arguments["host_id"])
        for digest in self._unfinished(ctx):
            ctx.check()
            self._files.delete(host_id, digest)
            self._database.run(lambda uow, digest=digest: uow.media.remove_copy(host_id, digest))  # type: ignore[misc]  # mypy cannot type a lambda's default

    # --- what was awaited ----------------------------------------------------------------------------------------

    def _digest(self, ctx: StepContext, step: str) -> str:
        """The content that the task before this one has brought.

        Raises:
            Conflict: It was cancelled. That takes back no insertion which waits for it: as a cancelled one, it would not be missed
                by a start that was accepted after it.
            HawkFishError: It failed; this is why.
        """
        source = self._source(ctx)
        with self._database.read() as uow:
            before = None if ctx.task.after_id is None else uow.tasks.find(ctx.task.after_id)
        if before is not None and before.state is TaskState.CANCELLED:
            why = "It was cancelled." if before.error is None else before.error.message
            raise Conflict(f"{before.title}: {why} Ask again.", kind="Task", id=before.id)
        if before is not None and before.error is not None:
            raise before.error.revive()
        result: Mapping[str, Any] = {} if before is None else before.results[step]
        digest = result.get("digest") or source.digest
        if digest is None:
            raise NotFound("The image is in the cache no more; ask again.", kind="VirtualMedia", id=source.key)
        return str(digest)

    # --- the drive -----------------------------------------------------------------------------------------------

    def _system(self, ctx: StepContext) -> System:
        with self._database.read() as uow:
            return uow.systems.get(UUID(ctx.arguments["system_id"]))

    def _drive(self, ctx: StepContext, system: System) -> DriveMedia:
        spec = next((item for item in drives_of(system) if item.id == ctx.arguments["drive_id"]), None)
        if spec is None:
            raise NotSupported(
                f"The host {system.host_name} of {system.name} cannot change media any more.", operation="change medium"
            )
        with self._database.read() as uow:
            return uow.media.drive(system.id, spec)

    def _prepare(self, ctx: StepContext) -> Result:
        """Finds out whether there is something to insert, and a machine to insert it into, before anything is touched."""
        digest = self._digest(ctx, "copy")
        system = self._system(ctx)
        self._drive(ctx, system)
        driver = self._drivers.driver(system.host_id)
        machine = driver.find_machine(system.id)
        if machine is None:
            raise machine_gone(system, "insert media")
        if not has_drives_of(system, machine):
            ctx.check()
            stamp = MachineStamp(installation_id=self._installation_id, task_id=ctx.task_id, epoch=ctx.epoch)
            driver.define_machine(machine_spec(as_present(system), self._drivers, stamp))
        return {"digest": digest}

    def _insert(self, ctx: StepContext) -> Result:
        system = self._system(ctx)
        digest = ctx.results["prepare"]["digest"]
        medium = self._files.find(system.host_id, digest)
        if medium is None:
            raise BackendError(
                f"The copy of the image was taken away from {system.host_name}; ask again.",
                operation="insert media",
                host=system.host_name,
                reason="the copy is gone",
            )
        return {"digest": digest, **self._change(ctx, system, medium)}

    def _eject(self, ctx: StepContext) -> Result:
        return self._change(ctx, self._system(ctx), None)

    def _change(self, ctx: StepContext, system: System, medium: ConnectionInfo | None) -> Result:
        driver = self._drivers.driver(system.host_id)
        if not isinstance(driver, SupportsMedia):
            raise NotSupported(f"{system.host_name} cannot change media.", operation="change medium")
        ctx.check()
        driver.change_medium(system.id, ctx.arguments["drive_id"], medium)
        machine = driver.find_machine(system.id)
        return {"facts": None if machine is None else asdict(machine.facts)}

    def _put_back(self, ctx: StepContext) -> None:
        """Gives the drive what it held before. A machine that is gone holds nothing, and takes nothing back."""
        system = self._system(ctx)
        drive = self._drive(ctx, system)
        if self._drivers.driver(system.host_id).find_machine(system.id) is None:
            return
        held = None if drive.held_digest is None else self._files.find(system.host_id, drive.held_digest)
        self._change(ctx, system, held)

    def _record_insert(self, uow: UnitOfWork, ctx: StepContext, result: Any) -> None:
        key = ctx.arguments["source_key"]
        source = uow.media.source(key)
        name = "image" if source is None else image_name(source.url)
        self._record_change(uow, ctx, result, key=key, digest=result["digest"])
        system = uow.systems.get(UUID(ctx.arguments["system_id"]))
        uow.systems.tell(MEDIA_INSERTED, system.id, name, ctx.arguments["drive_id"], system.name)

    def _record_eject(self, uow: UnitOfWork, ctx: StepContext, result: Any) -> None:
        self._record_change(uow, ctx, result, key=None, digest=None)
        system = uow.systems.get(UUID(ctx.arguments["system_id"]))
        uow.systems.tell(MEDIA_EJECTED, system.id, ctx.arguments["drive_id"], system.name)

    def _record_change(
        self, uow: UnitOfWork, ctx: StepContext, result: Any, *, key: str | None, digest: str | None
    ) -> None:
        uow.serialize_on([MEDIA])
        system_id = UUID(ctx.arguments["system_id"])
        uow.media.settle(system_id, ctx.arguments["drive_id"], ctx.task_id, key=key, digest=digest)
        # What the drive shows is compared with what the hypervisor says of it.
        uow.systems.write(system_id, observed=result["facts"])


def _forget_password(uow: UnitOfWork, task: Task) -> None:
    """It was used; unless the same was asked for once more meanwhile, and is still to be fetched."""
    waiting = [item for item in uow.tasks.search(subject=task.subject, ended=False) if item.kind == FETCH]
    if all(item.id == task.id for item in waiting):
        uow.media.forget_password(task.arguments["source_key"])


def _give_back(uow: UnitOfWork, task: Task, error: TaskError) -> None:
    uow.media.give_back(UUID(task.arguments["system_id"]), task.arguments["drive_id"], task.id)
    tell_failure(uow, task, error)
