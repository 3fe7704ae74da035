from __future__ import annotations

from hawkfish.domain.storage import ConnectionInfo, NetworkDisk, PoolStats, VolumeFacts, VolumeFormat, VolumeSpec
from hawkfish.plugins.compute import PoolHost
from hawkfish.plugins.storage import StoragePool


class ArrayPool(StoragePool):
    """Volumes of an array that is a dictionary."""

    def __init__(self, address: str, password: str) -> None:
        self.address = address
        self.password = password
        self._volumes: dict[str, VolumeFacts] = {}

    @property
    def formats(self) -> frozenset[VolumeFormat]:
        return frozenset({VolumeFormat.RAW})

    def prepare(self, host: PoolHost) -> None:
        """Every host reaches the array."""

    def release(self, host: PoolHost) -> None:
        """No host keeps anything."""

    def stats(self, host: PoolHost) -> PoolStats:
        used = sum(volume.capacity_bytes for volume in self._volumes.values())
        return PoolStats(capacity_bytes=2**40, allocated_bytes=used, available_bytes=2**40 - used)

    def find(self, host: PoolHost, name: str) -> VolumeFacts | None:
        return self._volumes.get(name)

    def list_volumes(self, host: PoolHost) -> tuple[VolumeFacts, ...]:
        return tuple(self._volumes.values())

    def create(self, host: PoolHost, spec: VolumeSpec) -> VolumeFacts:
        volume = VolumeFacts(
            name=spec.name,
            capacity_bytes=spec.capacity_bytes,
            allocated_bytes=0,
            format=VolumeFormat.RAW,
            path=f"{self.address}/{spec.name}",
        )
        return self._volumes.setdefault(spec.name, volume)

    def delete(self, host: PoolHost, name: str) -> None:
        self._volumes.pop(name, None)

    def connect(self, host: PoolHost, name: str) -> ConnectionInfo:
        return NetworkDisk(protocol="nbd", name=name, host=self.address, port=10809)

    def disconnect(self, host: PoolHost, name: str) -> None:
        """The hypervisor connects by itself."""
