"""Serial logs, kept by the hypervisor in files of the host.

They are read through the host's storage manager, so that hosts far away are no different from this one. virtlogd begins a
file anew at 2 MiB unless it is told otherwise.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import PurePosixPath
from uuid import UUID

from hawkfish.domain.storage import PoolDefinition, PoolKind, VolumeFormat, VolumeSpec
from hawkfish.errors import AlreadyExists, NotFound
from hawkfish_libvirt.storage import LibvirtStorage


class SerialLogs:
    """The serial logs of one installation on one host: a pool of its own, a file a machine."""

    def __init__(self, storage: LibvirtStorage, installation_id: str, folder: PurePosixPath) -> None:
        self._storage = storage
        self._pool = PoolDefinition(
            name=f"hawkfish-serial-{installation_id[:8]}", kind=PoolKind.DIRECTORY, target=folder / installation_id[:8]
        )

    def prepare(self, machine_id: UUID) -> str:
        """Makes the (empty) file, so that the storage manager knows it without listing its folder, and gives its path."""
        self._storage.define_pool(self._pool)
        self._storage.start_pool(self._pool.name)
        spec = VolumeSpec(name=_file_name(machine_id), capacity_bytes=0, format=VolumeFormat.RAW)
        with suppress(AlreadyExists):  # the log of earlier runs, which goes on
            self._storage.create_file(self._pool.name, spec)
        return str(self._pool.target / spec.name)

    def read(self, machine_id: UUID, offset: int, limit: int) -> bytes:
        """A part of the log; see `SupportsSerialLog`."""
        return self._storage.read_volume(self._pool.name, _file_name(machine_id), offset, limit)

    def remove(self, machine_id: UUID) -> None:
        """Deletes the log."""
        try:
            self._storage.delete_volume(self._pool.name, _file_name(machine_id))
        except NotFound:
            return  # this installation never made a pool for logs here


def _file_name(machine_id: UUID) -> str:
    return f"{machine_id}.log"
