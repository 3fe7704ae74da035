"""The pool type `dir`: volumes as files in a folder of each host."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import BinaryIO

from hawkfish.domain.storage import (
    ConnectionInfo,
    FilePath,
    PoolDefinition,
    PoolKind,
    PoolStats,
    VolumeFacts,
    VolumeFormat,
    VolumeSpec,
)
from hawkfish.errors import NotFound, NotSupported, PluginConfigInvalid
from hawkfish.plugins.compute import HostStorage, PoolHost
from hawkfish.plugins.context import PluginContext, PoolConfig
from hawkfish.plugins.control import UNCONTROLLED, OperationControl
from hawkfish.plugins.files import check_file_name
from hawkfish.plugins.storage import StoragePool, SupportsBulk, SupportsClone, SupportsContent, SupportsResize


class DirectoryPool(StoragePool, SupportsResize, SupportsClone, SupportsContent, SupportsBulk):
    """A folder of volume files, kept by each host's storage manager.

    Args:
        pool: `config["path"]` is the folder; without it, a folder of the pool's own in the host's data folder.
        context: Not needed; part of every factory's call.
    """

    def __init__(self, pool: PoolConfig, context: PluginContext) -> None:
        del context
        self._name = pool.name
        check_file_name(pool.name)
        # By its id: two installations that share a host may both have a pool of that name.
        self._host_pool = f"hawkfish-{pool.id}"
        self._folder = f"{pool.name}-{pool.id[:8]}"
        path = pool.config.get("path")
        if path is not None and ".." in PurePosixPath(path).parts:
            raise PluginConfigInvalid(
                f"The folder {path!r} of the pool {pool.name} must be given without '..'.", plugin="dir", field="path"
            )
        self._path = None if path is None else PurePosixPath(path)

    @property
    def formats(self) -> frozenset[VolumeFormat]:
        """Raw and qcow2."""
        return frozenset({VolumeFormat.RAW, VolumeFormat.QCOW2})

    def prepare(self, host: PoolHost) -> None:  # noqa: D102  described by the interface, as are all below
        storage = self._storage(host)
        target = self._target(host)
        storage.define_pool(PoolDefinition(name=self._host_pool, kind=PoolKind.DIRECTORY, target=target))
        storage.start_pool(self._host_pool)

    def release(self, host: PoolHost) -> None:  # noqa: D102
        storage = self._storage(host)
        storage.stop_pool(self._host_pool)
        storage.remove_pool(self._host_pool)

    def stats(self, host: PoolHost) -> PoolStats:  # noqa: D102
        return self._storage(host).pool_stats(self._host_pool)

    def find(self, host: PoolHost, name: str) -> VolumeFacts | None:  # noqa: D102
        return self._storage(host).find_volume(self._host_pool, check_file_name(name))

    def list_volumes(self, host: PoolHost) -> tuple[VolumeFacts, ...]:  # noqa: D102
        return self._storage(host).list_volumes(self._host_pool)

    def create(self, host: PoolHost, spec: VolumeSpec) -> VolumeFacts:  # noqa: D102
        return self._storage(host).create_volume(self._host_pool, self._checked(spec))

    def delete(self, host: PoolHost, name: str) -> None:  # noqa: D102
        self._storage(host).delete_volume(self._host_pool, check_file_name(name))

    def create_many(self, host: PoolHost, specs: Sequence[VolumeSpec]) -> tuple[VolumeFacts, ...]:  # noqa: D102
        if host.bulk_volumes is None:
            return tuple(self.create(host, spec) for spec in specs)
        return host.bulk_volumes.create_volumes(self._host_pool, [self._checked(spec) for spec in specs])

    def connect(self, host: PoolHost, name: str) -> ConnectionInfo:  # noqa: D102
        return self._connection(host, name, self.find(host, name))

    def connect_many(self, host: PoolHost, names: Sequence[str]) -> tuple[ConnectionInfo, ...]:  # noqa: D102
        if host.bulk_volumes is None:
            return tuple(self.connect(host, name) for name in names)
        found = host.bulk_volumes.find_volumes(self._host_pool, [check_file_name(name) for name in names])
        return tuple(self._connection(host, name, facts) for name, facts in zip(names, found, strict=True))

    def _connection(self, host: PoolHost, name: str, facts: VolumeFacts | None) -> ConnectionInfo:
        if facts is None:
            raise NotFound(
                f"The pool {self._name} has no volume {name} on {host.name}; create it first.", kind="Volume", id=name
            )
        return FilePath(path=PurePosixPath(facts.path))

    def disconnect(self, host: PoolHost, name: str) -> None:
        """Does nothing: a file is reached without being connected."""

    def resize(  # noqa: D102
        self, host: PoolHost, name: str, capacity_bytes: int, control: OperationControl = UNCONTROLLED
    ) -> VolumeFacts:
        return self._storage(host).resize_volume(self._host_pool, check_file_name(name), capacity_bytes, control)

    def clone(  # noqa: D102
        self, host: PoolHost, source: str, spec: VolumeSpec, control: OperationControl = UNCONTROLLED
    ) -> VolumeFacts:
        return self._storage(host).clone_volume(self._host_pool, check_file_name(source), self._checked(spec), control)

    def upload(  # noqa: D102
        self,
        host: PoolHost,
        name: str,
        content: BinaryIO,
        length: int,
        control: OperationControl = UNCONTROLLED,
    ) -> None:
        self._storage(host).upload_volume(self._host_pool, check_file_name(name), content, length, control)

    def download(self, host: PoolHost, name: str) -> Iterator[bytes]:  # noqa: D102
        return self._storage(host).download_volume(self._host_pool, check_file_name(name))

    def _checked(self, spec: VolumeSpec) -> VolumeSpec:
        check_file_name(spec.name)
        if spec.format not in self.formats:
            raise NotSupported(
                f"The pool {self._name} holds raw and qcow2 volumes, not {spec.format.value}; choose one of those.",
                operation="create",
            )
        return spec

    def _storage(self, host: PoolHost) -> HostStorage:
        if host.storage is None:
            raise NotSupported(
                f"The pool {self._name} needs a storage manager, and the host {host.name} offers none; "
                "use a host whose driver has one.",
                operation="prepare",
            )
        return host.storage

    def _target(self, host: PoolHost) -> PurePosixPath:
        if self._path is not None:
            return self._path
        if host.data_dir is None:
            raise PluginConfigInvalid(
                f"The host {host.name} names no folder for pools; give the pool {self._name} a path.",
                plugin="dir",
                field="path",
            )
        return PurePosixPath(host.data_dir) / "pools" / self._folder
