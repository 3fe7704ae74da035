"""Volumes and pools as pool plugins and compute drivers see them; the only words in which the two meet."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath


class VolumeFormat(StrEnum):
    """Formats of a volume's bytes."""

    RAW = "raw"
    QCOW2 = "qcow2"
    VMDK = "vmdk"


@dataclass(frozen=True, kw_only=True)
class FilePath:
    """A file on the host."""

    path: PurePosixPath


@dataclass(frozen=True, kw_only=True)
class BlockDevice:
    """A block device of the host."""

    path: PurePosixPath


@dataclass(frozen=True, kw_only=True)
class NetworkDisk:
    """A disk that the hypervisor reaches by itself (`iscsi`, `nbd`, `https`); `secret` is a reference, never a value."""

    protocol: str
    name: str
    host: str
    port: int
    user: str | None = None
    secret: str | None = None


ConnectionInfo = FilePath | BlockDevice | NetworkDisk


class PoolKind(StrEnum):
    """Kinds of storage that a host's storage manager may offer."""

    DIRECTORY = "directory"
    NFS = "nfs"
    LVM = "lvm"
    ISCSI = "iscsi"


@dataclass(frozen=True, kw_only=True)
class PoolDefinition:
    """A pool that a host is asked to keep.

    Attributes:
        name: Unique on the host.
        kind: What the host is to use for it.
        target: Folder where its volumes appear on the host.
        source_host: Server, for pools that have one.
        source_path: Exported folder, or device.
        source_name: Volume group or target name.
        source_devices: Devices that make up a volume group.
    """

    name: str
    kind: PoolKind
    target: PurePosixPath
    source_host: str | None = None
    source_path: str | None = None
    source_name: str | None = None
    source_devices: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PoolStats:
    """Sizes of a pool on a host, in bytes."""

    capacity_bytes: int
    allocated_bytes: int
    available_bytes: int


@dataclass(frozen=True, kw_only=True)
class VolumeSpec:
    """A volume that is asked for; `name` is unique in its pool and chosen by core (a UUID where we make it)."""

    name: str
    capacity_bytes: int
    format: VolumeFormat = VolumeFormat.QCOW2


@dataclass(frozen=True, kw_only=True)
class VolumeFacts:
    """A volume as it is; sizes in bytes. `path` is where the host's own tools find it."""

    name: str
    capacity_bytes: int
    allocated_bytes: int
    format: VolumeFormat
    path: str


@dataclass(frozen=True, kw_only=True)
class ImageFacts:
    """What an image file really is, by its bytes and never by its name."""

    format: VolumeFormat
    virtual_bytes: int
    file_bytes: int
