"""Copies of images for virtual drives on hosts: a folder of each host's own, one file a content."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import BinaryIO
from uuid import UUID

from hawkfish.db import Database
from hawkfish.domain.machines import DriveSpec
from hawkfish.domain.media import file_name
from hawkfish.domain.storage import ConnectionInfo, VolumeFormat, VolumeSpec
from hawkfish.domain.systems import System
from hawkfish.errors import BackendError
from hawkfish.plugins.context import PoolConfig
from hawkfish.plugins.control import OperationControl
from hawkfish.plugins.loader import PluginHost
from hawkfish.plugins.storage import StoragePool, SupportsContent
from hawkfish.services.drivers import DriverPool


class MediaFiles:
    """The copies.

    Args:
        database: Which drive holds what.
        drivers: Reach the hosts.
        plugins: Has the pool type of folders.
        installation_id: Keeps the folders of two installations on one host apart.
    """

    def __init__(self, database: Database, drivers: DriverPool, plugins: PluginHost, installation_id: str) -> None:
        self._database = database
        self._drivers = drivers
        self._plugins = plugins
        self._installation_id = installation_id

    def find(self, host_id: UUID, digest: str) -> ConnectionInfo | None:
        """How a drive gets the copy of a content; None if the host has none."""
        host = self._drivers.pool_host(host_id)
        if self._pool.find(host, file_name(digest)) is None:
            return None
        return self._pool.connect(host, file_name(digest))

    def write(self, host_id: UUID, digest: str, content: BinaryIO, length: int, control: OperationControl) -> None:
        """Writes a copy; what an earlier try left of it goes first."""
        host = self._drivers.pool_host(host_id)
        if not isinstance(self._pool, SupportsContent):
            raise BackendError(
                "The pool type `dir` of this installation takes no content, so that no image gets to a host.",
                operation="copy an image",
                host=host.name,
                reason="the pool has no SupportsContent",
            )
        self._pool.prepare(host)
        self._pool.delete(host, file_name(digest))
        # Never inspected by the hypervisor: whatever it may hold, a drive gets the bytes as they are.
        spec = VolumeSpec(name=file_name(digest), capacity_bytes=length, format=VolumeFormat.RAW)
        self._pool.create(host, spec)
        self._pool.upload(host, file_name(digest), content, length, control)

    def delete(self, host_id: UUID, digest: str) -> None:
        """Removes a copy; an absent one is success."""
        host = self._drivers.pool_host(host_id)
        self._pool.prepare(host)
        self._pool.delete(host, file_name(digest))

    def drives(self, system: System) -> tuple[DriveSpec, ...]:
        """The drives of a system with what they hold, as its machine is to be defined."""
        with self._database.read() as uow:
            held = {drive.drive.id: drive.held_digest for drive in uow.media.drives(system.id, system.drives)}
        return tuple(
            replace(spec, medium=None if (digest := held[spec.id]) is None else self.find(system.host_id, digest))
            for spec in system.drives
        )

    @cached_property
    def _pool(self) -> StoragePool:
        return self._plugins.create_storage_pool("dir", PoolConfig(id=self._installation_id, name="media", config={}))
