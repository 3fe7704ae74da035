"""Disks that are made from images.

An image of the catalogue is written to a pool of a host once, as a volume whose name is its SHA-256; each disk there is a full
copy of that volume, made by the host itself. So a hundred systems cost one upload, and no disk depends on anything but itself: the
copy can be removed at any time without harm. Where a pool cannot clone, and for image files that are named by their path, each
disk is written by us.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

from hawkfish.db import UnitOfWork
from hawkfish.domain.images import ImageContent, ImageCopy
from hawkfish.domain.storage import VolumeFormat, VolumeSpec
from hawkfish.domain.systems import System, SystemDisk
from hawkfish.domain.tasks import Limit, TaskState
from hawkfish.errors import BackendError, NotFound
from hawkfish.plugins.compute import PoolHost
from hawkfish.plugins.control import OperationControl
from hawkfish.plugins.storage import StoragePool, SupportsClone, SupportsContent, SupportsResize
from hawkfish.services.access import Access
from hawkfish.services.drivers import DriverPool
from hawkfish.services.image_files import find_image
from hawkfish.services.image_store import ImageStore
from hawkfish.services.images import copy_lock
from hawkfish.tasks import Step, StepContext, TaskKind

IMAGES_AT_ONCE = 2  # on a host: one is written while the other's machine is made
SUFFIXES = {VolumeFormat.QCOW2: ".qcow2", VolumeFormat.RAW: ".raw", VolumeFormat.VMDK: ".vmdk"}


def limit_of(host_id: UUID) -> Limit:
    """Writing an image is long and a pool takes one at a time: who waits for it keeps no worker from others."""
    return Limit(f"images@{host_id}", IMAGES_AT_ONCE)


class ImageDisks:
    """Fills the disks of new systems, and holds the kind `image.copy`."""

    def __init__(self, access: Access, drivers: DriverPool, store: ImageStore) -> None:
        self._settings = access.settings
        self._database = access.database
        self._drivers = drivers
        self._store = store

    def kinds(self) -> tuple[TaskKind, ...]:
        """What a worker registers."""
        return (
            TaskKind(
                name="image.copy",
                steps=(
                    Step(
                        name="write",
                        run=self._write_copy,
                        record=self._record_copy,
                        undo=self._remove_copy,
                        record_undo=self._forget_copy,
                    ),
                ),
            ),
        )

    # --- the disks of a system -----------------------------------------------------------------------------------

    def make_empty(self, system: System, disk: SystemDisk) -> None:
        """Makes the volume of a disk, unless it is made by cloning."""
        with self._drivers.pool(disk.pool_id, system.host_id) as (pool, host):
            if disk.image_digest is None or not isinstance(pool, SupportsClone):
                # A disk with an image gets its full size after the image was written: what is written brings its own size.
                size = self._source_of(disk).virtual_bytes if _has_image(disk) else disk.capacity_bytes
                pool.create(host, VolumeSpec(name=disk.volume_name, capacity_bytes=size, format=disk.format))

    def fill(self, ctx: StepContext, system: System) -> None:
        """Writes the images of all disks; runs again after the copies that it needs were made."""
        disks = [disk for disk in system.disks if _has_image(disk)]
        self._ensure_copies(ctx, system, disks)
        for number, disk in enumerate(disks, start=1):
            ctx.progress(message=f"Writing the image of disk {number} of {len(disks)}")
            with self._drivers.pool(disk.pool_id, system.host_id) as (pool, host):
                ctx.check()
                if disk.image_digest is not None and isinstance(pool, SupportsClone):
                    spec = VolumeSpec(name=disk.volume_name, capacity_bytes=disk.capacity_bytes, format=disk.format)
                    control = OperationControl(check=ctx.check)
                    pool.clone(host, _copy_for(system, disk).volume_name, spec, control)
                else:
                    self._write_disk(ctx, system, disk, pool, host)

    def _ensure_copies(self, ctx: StepContext, system: System, disks: list[SystemDisk]) -> None:
        needed = {
            (copy.pool_id, copy.digest): copy
            for disk in disks
            if disk.image_digest is not None and self._lacks_copy(copy := _copy_for(system, disk))
        }
        if not needed:
            return
        children = {child.id: child for child in ctx.children()}
        failed = next((child for child in children.values() if child.ended and child.error is not None), None)
        if failed is not None and failed.error is not None:
            raise failed.error.revive()
        if children and all(child.state is TaskState.COMPLETED for child in children.values()):
            raise BackendError(
                f"The copy of an image that {system.name} was to be cloned from was taken away; ask again.",
                operation="write image",
                host=system.host_name,
                reason="the copy is gone",
            )
        for copy in needed.values():
            ctx.spawn(
                f"copy-{copy.pool_id}-{copy.digest}",
                "image.copy",
                title=f"Copy an image to {system.host_name}",
                subject=f"host:{system.host_id}",
                arguments={
                    "digest": copy.digest,
                    "pool_id": str(copy.pool_id),
                    "host_id": str(copy.host_id),
                    "volume_name": copy.volume_name,
                },
                locks=[copy_lock(copy.pool_id, copy.host_id, copy.digest)],
                limits=[limit_of(system.host_id)],
            )
        ctx.progress(message="Waiting for the image to be on the host")
        ctx.wait_for_children()

    def _lacks_copy(self, wanted: ImageCopy) -> bool:
        with self._drivers.pool(wanted.pool_id, wanted.host_id) as (pool, host):
            if not isinstance(pool, SupportsClone):
                return False
            with self._database.read() as uow:
                found = uow.image_copies.find(wanted.pool_id, wanted.host_id, wanted.digest)
            return found is None or not found.ready or pool.find(host, wanted.volume_name) is None

    def _write_disk(
        self, ctx: StepContext, system: System, disk: SystemDisk, pool: StoragePool, host: PoolHost
    ) -> None:
        source = self._source_of(disk)
        if source.format is not disk.format:
            raise BackendError(
                f"The image {disk.image} has become {source.format} since the request; ask again.",
                operation="write image",
                host=system.host_name,
                reason="the image changed",
            )
        with self._open(disk) as content:
            self._upload(ctx, pool, host, disk.pool_id, disk.volume_name, content, source.file_bytes)
        if disk.capacity_bytes > source.virtual_bytes and isinstance(pool, SupportsResize):
            pool.resize(host, disk.volume_name, disk.capacity_bytes, OperationControl(check=ctx.check))

    def _source_of(self, disk: SystemDisk) -> ImageContent:
        if disk.image_digest is not None:
            return self._content(disk.image_digest)
        facts = find_image(self._settings, str(disk.image), property_path="Image").facts
        return ImageContent(
            digest="", format=facts.format, virtual_bytes=facts.virtual_bytes, file_bytes=facts.file_bytes
        )

    def _open(self, disk: SystemDisk) -> BinaryIO:
        if disk.image_digest is not None:
            return self._store.open(disk.image_digest)
        return _open_file(find_image(self._settings, str(disk.image), property_path="Image").path)

    # --- the copies that disks are cloned from -------------------------------------------------------------------

    def _write_copy(self, ctx: StepContext) -> None:
        copy = _copy_of(ctx)
        if not self._lacks_copy(copy):
            return
        content = self._content(copy.digest)
        self._database.run(lambda uow: uow.image_copies.begin(copy))
        spec = VolumeSpec(name=copy.volume_name, capacity_bytes=content.virtual_bytes, format=content.format)
        with self._drivers.pool(copy.pool_id, copy.host_id) as (pool, host):
            ctx.check()
            pool.delete(host, copy.volume_name)  # what an earlier try left, or another of the name with another size
            pool.create(host, spec)
            with self._store.open(copy.digest) as stream:
                self._upload(ctx, pool, host, copy.pool_id, copy.volume_name, stream, content.file_bytes)

    def _record_copy(self, uow: UnitOfWork, ctx: StepContext, _: Any) -> None:
        uow.image_copies.finish(_copy_of(ctx))

    def _remove_copy(self, ctx: StepContext) -> None:
        copy = _copy_of(ctx)
        if self._is_unfinished(copy):
            ctx.check()
            with self._drivers.pool(copy.pool_id, copy.host_id) as (pool, host):
                pool.delete(host, copy.volume_name)

    def _is_unfinished(self, copy: ImageCopy) -> bool:
        """A copy that was whole before this task looked at it is not this task's to remove."""
        with self._database.read() as uow:
            found = uow.image_copies.find(copy.pool_id, copy.host_id, copy.digest)
        return found is not None and not found.ready

    def _forget_copy(self, uow: UnitOfWork, ctx: StepContext) -> None:
        copy = _copy_of(ctx)
        found = uow.image_copies.find(copy.pool_id, copy.host_id, copy.digest)
        if found is not None and not found.ready:
            uow.image_copies.remove(copy)

    # --- both ----------------------------------------------------------------------------------------------------

    def _content(self, digest: str) -> ImageContent:
        with self._database.read() as uow:
            content = uow.images.find_content(digest)
        if content is None:
            raise NotFound(
                f"The content {digest} is not in the image store (any more); add the image again.",
                kind="HawkFishImage",
                id=digest,
            )
        return content

    def _upload(  # noqa: PLR0917  what a transfer consists of
        self,
        ctx: StepContext,
        pool: StoragePool,
        host: PoolHost,
        pool_id: UUID,
        volume_name: str,
        content: BinaryIO,
        length: int,
    ) -> None:
        if not isinstance(pool, SupportsContent):
            raise BackendError(
                f"The pool of {volume_name} cannot take an image; choose another pool.",
                operation="write image",
                host=host.name,
                reason="the pool has no SupportsContent",
            )

        def report(done: int) -> None:
            self._drivers.pool_gets_on(pool_id, UUID(str(host.id)))
            ctx.progress(percent=min(90, done * 90 // max(1, length)))

        pool.upload(host, volume_name, content, length, OperationControl(check=ctx.check, progress=report))


def _has_image(disk: SystemDisk) -> bool:
    return disk.image is not None or disk.image_digest is not None


def _copy_for(system: System, disk: SystemDisk) -> ImageCopy:
    """The copy that a disk is cloned from; its name is the same at each try, and no other installation's."""
    return ImageCopy(
        digest=str(disk.image_digest),
        pool_id=disk.pool_id,
        host_id=system.host_id,
        volume_name=f"image-{disk.image_digest}-{disk.pool_id.hex[:8]}{SUFFIXES[disk.format]}",
    )


def _copy_of(ctx: StepContext) -> ImageCopy:
    return ImageCopy(
        digest=ctx.arguments["digest"],
        pool_id=UUID(ctx.arguments["pool_id"]),
        host_id=UUID(ctx.arguments["host_id"]),
        volume_name=ctx.arguments["volume_name"],
    )


def _open_file(path: Path) -> BinaryIO:
    """Opens the very file that was inspected: a symbolic link put in its place is not followed."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")
