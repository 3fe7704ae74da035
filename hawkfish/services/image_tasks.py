"""The tasks that fetch images and remove what nobody needs. A failed or ended download leaves nothing behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from hawkfish.db import UnitOfWork
from hawkfish.domain.images import Image, ImageContent, ImageCopy, ImageState, KnownDownload
from hawkfish.domain.messages import RESOURCE_CHANGED, RESOURCE_REMOVED
from hawkfish.domain.storage import VolumeFormat
from hawkfish.domain.tasks import Task, TaskError
from hawkfish.errors import BackendError, HawkFishError, ImageRefused, NotFound
from hawkfish.services.access import Access
from hawkfish.services.downloads import Downloader, Validators, url_key
from hawkfish.services.drivers import DriverPool
from hawkfish.services.image_files import find_image
from hawkfish.services.image_store import CATALOGUE, ImageStore, PartialFile
from hawkfish.services.images import judge, remove_leftovers
from hawkfish.tasks import Step, StepContext, TaskKind

Result = dict[str, Any]

COPY_BYTES = 1 << 20


class ImageTasks:
    """The kinds `image.add` and `image.prune`."""

    def __init__(self, access: Access, drivers: DriverPool, store: ImageStore) -> None:
        self._settings = access.settings
        self._database = access.database
        self._drivers = drivers
        self._store = store
        self._downloader = Downloader.of(access.settings, access.settings.image_max_bytes)

    def kinds(self) -> tuple[TaskKind, ...]:
        """What a worker registers."""
        return (
            TaskKind(
                name="image.add",
                steps=(Step(name="fetch", run=self._fetch, record=self._record_content, undo=self._discard),),
                on_failure=_not_added,
            ),
            TaskKind(
                name="image.prune",
                steps=(
                    Step(name="remove-contents", run=self._remove_contents),
                    Step(name="remove-copies", run=self._remove_copies),
                ),
            ),
        )

    # --- adding --------------------------------------------------------------------------------------------------

    def _fetch(self, ctx: StepContext) -> Result:
        with self._database.read() as uow:
            image = uow.images.get(ctx.arguments["image_id"])
        if (held := self._held(ctx, image)) is not None:
            return held
        with self._store.full_disk_told():
            if image.url is not None:
                return self._download(ctx, image, image.url)
            return self._copy(ctx, image)

    def _held(self, ctx: StepContext, image: Image) -> Result | None:
        """What the store has already and the request cannot mean otherwise.

        That is the content with the SHA-256 that was asked for, or what was fetched from the same URL since the request.
        """

        def hold(uow: UnitOfWork) -> Result | None:
            uow.serialize_on([CATALOGUE])
            digest = image.expected_digest
            if digest is None and image.url is not None:
                known = uow.images.find_download(url_key(image.url))
                if known is not None and known.fetched_at >= ctx.task.created_at:
                    digest = known.digest
            return None if digest is None else _hold(uow, image, digest)

        return self._database.run(hold)

    def _download(self, ctx: StepContext, image: Image, url: str) -> Result:
        with self._database.read() as uow:
            known = uow.images.find_download(url_key(url))
        fetched = self._downloader.fetch(
            url,
            self._store.partial(ctx.task_id),
            self._teller(ctx, "Downloading"),
            verify_certificate=image.verify_certificate,
            known=_validators(known),
            pause=ctx.sleep,
            check=ctx.check,
        )
        if fetched is None:
            digest = "" if known is None else known.digest
            held = self._database.run(lambda uow: _hold(uow, image, digest))
            if held is not None:
                return held
            # What was known was pruned while the server was asked.
            return self._download(ctx, image, url)
        return {
            **self._judged(ctx, image, fetched.digest),
            "etag": fetched.validators.etag,
            "last_modified": fetched.validators.last_modified,
        }

    def _copy(self, ctx: StepContext, image: Image) -> Result:
        found = find_image(self._settings, str(image.local_path), property_path="LocalPath")
        if found.facts.file_bytes > self._settings.image_max_bytes:
            raise ImageRefused(
                f"{found.path} has {found.facts.file_bytes} bytes and at most {self._settings.image_max_bytes} are taken "
                "(HF_IMAGE_MAX_BYTES).",
                reason="too large",
            )
        tell = self._teller(ctx, "Copying")
        with _opened(found.path) as source, PartialFile(self._store, ctx.task_id) as copy:
            while piece := os.read(source, COPY_BYTES):
                tell(copy.size + len(piece), found.facts.file_bytes)
                copy.write(piece)
            digest = copy.finish()
        return self._judged(ctx, image, digest)

    def _judged(self, ctx: StepContext, image: Image, digest: str) -> Result:
        content = judge(self._store, ctx.task_id, digest, image.expected_digest)
        return {
            "digest": content.digest,
            "format": content.format,
            "virtual_bytes": content.virtual_bytes,
            "file_bytes": content.file_bytes,
        }

    def _teller(self, ctx: StepContext, doing: str) -> Any:
        ctx.progress(percent=0, message=doing)

        def tell(done: int, total: int | None) -> None:
            ctx.check()
            self._store.check_room(max(0, (total or done) - done))
            ctx.progress(percent=None if not total else min(99, done * 100 // total), message=doing)

        return tell

    def _record_content(self, uow: UnitOfWork, ctx: StepContext, result: Any) -> None:
        """The file gets its name, and the image its content, together: whoever prunes waits for the key meanwhile."""
        uow.serialize_on([CATALOGUE])
        image = uow.images.get(ctx.arguments["image_id"])
        digest = result["digest"]
        if "format" in result:
            self._store.publish(ctx.task_id, digest)
            content = {**result, "format": VolumeFormat(result["format"])}
            names = ("digest", "format", "virtual_bytes", "file_bytes")
            uow.images.add_content(ImageContent(**{name: content[name] for name in names}))
            if image.url is not None:
                uow.images.record_download(
                    url_key(image.url), digest, etag=result["etag"], last_modified=result["last_modified"]
                )
        else:
            self._store.discard(ctx.task_id)  # the head of an answer, or what an earlier try had
        uow.images.write(image.id, state=ImageState.AVAILABLE, digest=digest)
        uow.images.tell(RESOURCE_CHANGED, image)

    def _discard(self, ctx: StepContext) -> None:
        self._store.discard(ctx.task_id)

    # --- pruning -------------------------------------------------------------------------------------------------

    def _remove_contents(self, ctx: StepContext) -> None:
        ctx.progress(message="Removing contents that nobody needs")
        wanted = ctx.arguments["digest"]
        with self._database.read() as uow:
            unneeded = set(uow.images.unneeded_contents(wanted))
        files = self._store.digests() if wanted is None else set()
        for digest in sorted(unneeded | files):
            ctx.check()
            self._remove_content(digest)
        if wanted is None:
            remove_leftovers(self._database, self._store)

    def _remove_content(self, digest: str) -> None:
        """Forgets a content and then removes its file, each after judging once more: a file without a row harms nobody."""

        def forget(uow: UnitOfWork) -> None:
            uow.serialize_on([CATALOGUE])
            if uow.images.unneeded_contents(digest):
                uow.images.remove_content(digest)

        def remove(uow: UnitOfWork) -> None:
            uow.serialize_on([CATALOGUE])  # whoever adds the same content anew does so before or after us
            if uow.images.find_content(digest) is None:
                self._store.remove(digest)

        self._database.run(forget)
        self._database.run(remove)

    def _remove_copies(self, ctx: StepContext) -> None:
        failed: list[str] = []
        copies = [_copy_of(item) for item in ctx.arguments["copies"]]
        for number, copy in enumerate(copies, start=1):
            ctx.check()
            ctx.progress(percent=number * 99 // len(copies), message=f"Removing copy {number} of {len(copies)}")
            try:
                with self._drivers.pool(copy.pool_id, copy.host_id) as (pool, host):
                    pool.delete(host, copy.volume_name)
            except NotFound:
                ctx.log.info("the host or the pool of a copy is gone", copy=copy.volume_name)
            except HawkFishError as error:
                failed.append(error.message)
                continue
            self._database.run(lambda uow, copy=copy: uow.image_copies.remove(copy))  # type: ignore[misc]  # the same
        if failed:
            raise BackendError(
                f"{len(failed)} of {len(copies)} copies are still there; prune again later. The first reason: {failed[0]}",
                operation="prune",
                reason=failed[0],
            )


def _hold(uow: UnitOfWork, image: Image, digest: str) -> Result | None:
    """Has the image refer to a content of the store, so that it is not pruned; None if there is none."""
    uow.serialize_on([CATALOGUE])
    if uow.images.find_content(digest) is None:
        return None
    uow.images.write(image.id, digest=digest)
    return {"digest": digest}


def _validators(known: KnownDownload | None) -> Validators | None:
    if known is None or (known.etag is None and known.last_modified is None):
        return None
    return Validators(etag=known.etag, last_modified=known.last_modified)


def _copy_of(item: Any) -> ImageCopy:
    return ImageCopy(
        digest=item["digest"],
        pool_id=UUID(item["pool_id"]),
        host_id=UUID(item["host_id"]),
        volume_name=item["volume_name"],
    )


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """Opens the very file that was judged: a symbolic link put in its place is not followed."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _not_added(uow: UnitOfWork, task: Task, _: TaskError) -> None:
    """An image that could not be fetched leaves nothing behind; the task says why."""
    image = uow.images.find(task.arguments["image_id"])
    if image is not None and image.state is ImageState.FETCHING:
        uow.images.remove(image.id)
        uow.images.tell(RESOURCE_REMOVED, image)
