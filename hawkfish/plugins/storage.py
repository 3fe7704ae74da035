"""The interface of storage pool plugins.

Core always calls the pool plugin and hands it the host. The plugin knows its own semantics and uses what the host offers:
`PoolHost.storage` for what the host's storage manager does, `PoolHost.commands` for what it cannot. Operations are idempotent
(making what exists with the same size succeeds, with another size fails; deleting the absent succeeds), have deadlines and raise
only classes of `hawkfish.errors`. At most one call is in flight per pool and host.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import BinaryIO

from hawkfish.domain.storage import ConnectionInfo, PoolStats, VolumeFacts, VolumeFormat, VolumeSpec
from hawkfish.plugins.compute import PoolHost
from hawkfish.plugins.control import UNCONTROLLED, OperationControl


class PoolCapability(StrEnum):
    """What a pool type may be able to do beyond making and deleting volumes."""

    SHARED = "shared"
    THIN = "thin"
    RESIZE = "resize"
    ONLINE_RESIZE = "online-resize"
    CLONE = "clone"
    CONTENT = "content"
    FIXED_VOLUMES = "fixed-volumes"
    BULK = "bulk"


class StoragePool(ABC):
    """A pool of volumes on one or more hosts."""

    @property
    @abstractmethod
    def formats(self) -> frozenset[VolumeFormat]:
        """Formats that its volumes may have."""

    @abstractmethod
    def prepare(self, host: PoolHost) -> None:
        """Makes the pool usable on the host."""

    @abstractmethod
    def release(self, host: PoolHost) -> None:
        """Lets the host forget the pool; volumes stay where they are."""

    @abstractmethod
    def stats(self, host: PoolHost) -> PoolStats:
        """Sizes as the host sees them now."""

    @abstractmethod
    def find(self, host: PoolHost, name: str) -> VolumeFacts | None:
        """One volume, or None."""

    @abstractmethod
    def list_volumes(self, host: PoolHost) -> tuple[VolumeFacts, ...]:
        """All volumes, foreign ones included: what a pool of fixed volumes offers, and what a crash left behind."""

    @abstractmethod
    def create(self, host: PoolHost, spec: VolumeSpec) -> VolumeFacts:
        """Makes an empty volume."""

    @abstractmethod
    def delete(self, host: PoolHost, name: str) -> None:
        """Deletes a volume and its content."""

    @abstractmethod
    def connect(self, host: PoolHost, name: str) -> ConnectionInfo:
        """Makes the volume reachable on the host and says how a machine there attaches it."""

    @abstractmethod
    def disconnect(self, host: PoolHost, name: str) -> None:
        """The reverse of `connect`; a volume that is not connected is success."""


class SupportsResize(ABC):
    """Volumes can grow while no machine uses them (`PoolCapability.RESIZE`); with ONLINE_RESIZE also while one does."""

    @abstractmethod
    def resize(
        self, host: PoolHost, name: str, capacity_bytes: int, control: OperationControl = UNCONTROLLED
    ) -> VolumeFacts:
        """Grows the volume; the same size is success, a smaller one is refused."""


class SupportsClone(ABC):
    """A volume can be copied within the pool (`PoolCapability.CLONE`)."""

    @abstractmethod
    def clone(
        self, host: PoolHost, source: str, spec: VolumeSpec, control: OperationControl = UNCONTROLLED
    ) -> VolumeFacts:
        """Copies `source` into a new volume of at least its size; the limits are those of `HostStorage.clone_volume`."""


class SupportsContent(ABC):
    """A volume's whole content can be written and read (`PoolCapability.CONTENT`)."""

    @abstractmethod
    def upload(
        self,
        host: PoolHost,
        name: str,
        content: BinaryIO,
        length: int,
        control: OperationControl = UNCONTROLLED,
    ) -> None:
        """Writes `length` bytes, in the volume's format, as its whole content."""

    @abstractmethod
    def download(self, host: PoolHost, name: str) -> Iterator[bytes]:
        """The whole content, in pieces."""


class SupportsBulk(ABC):
    """Many volumes can be made and connected by one call (`PoolCapability.BULK`), faster where the host can do that, too."""

    @abstractmethod
    def create_many(self, host: PoolHost, specs: Sequence[VolumeSpec]) -> tuple[VolumeFacts, ...]:
        """As `create` for each of `specs`, in their order; core hands over at most 100. After an error some may have been made."""

    @abstractmethod
    def connect_many(self, host: PoolHost, names: Sequence[str]) -> tuple[ConnectionInfo, ...]:
        """As `connect` for each of `names`, in their order; core hands over at most 100."""


POOL_CAPABILITY_INTERFACES: dict[PoolCapability, type] = {
    PoolCapability.RESIZE: SupportsResize,
    PoolCapability.CLONE: SupportsClone,
    PoolCapability.CONTENT: SupportsContent,
    PoolCapability.BULK: SupportsBulk,
}
"""The interface that a pool fills where its record provides the capability; the others are facts without methods."""
