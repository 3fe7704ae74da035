"""Helpers for pools whose volumes are files: safe file names, what an image really is, and empty qcow2 images.

An image comes from a stranger. `inspect_image` reads a few bounded pieces of it and refuses whatever could make a hypervisor
open another file, read beyond sense, or guess. It never starts a program and never trusts a name.
"""

from __future__ import annotations

import io
import re
import struct
from pathlib import Path
from typing import BinaryIO

from hawkfish.domain.storage import ImageFacts, VolumeFormat
from hawkfish.errors import InvalidRequest

SMALLEST_VIRTUAL_BYTES = 512
LARGEST_VIRTUAL_BYTES = 64 * 2**40
PARTIAL_SUFFIX = ".partial"
"""Ending of hidden files that are not volumes yet; whoever finds one without an owner may delete it."""

_SECTOR = 512
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,199}")

_QCOW2_MAGIC = b"QFI\xfb"
_QCOW2_HEADER = struct.Struct(">4sIQIIQIIQQIIQ")  # version 2: 72 bytes
_QCOW2_HEADER_3 = struct.Struct(">QQQII")  # what version 3 adds: 32 bytes
_QCOW2_V3_LENGTH = 104
_QCOW2_CLUSTER_BITS = range(9, 22)
_QCOW2_DIRTY, _QCOW2_CORRUPT, _QCOW2_DATA_FILE = 1, 2, 4
_QCOW2_HARMLESS = _QCOW2_DIRTY | 8 | 16  # 8: compression type, 16: extended L2 entries
_L2_ENTRY_BYTES, _L2_ENTRY_BYTES_EXTENDED = 8, 16
_DATA_FILE_NAME_EXTENSION = 0x44415441
_MAX_EXTENSIONS = 64

_VMDK_MAGIC = b"KDMV"
_VMDK_HEADER = struct.Struct("<4sIIQQQQIQQQ")
_VMDK_VERSIONS = (1, 2, 3)
_VMDK_SINGLE_FILE = ("monolithicSparse", "streamOptimized")
_VMDK_DESCRIPTOR_LIMIT = 64 * 1024
_VMDK_TEXT = b"# Disk DescriptorFile"
_VMDK_EXTENT = re.compile(rb'^\s*(?:RW|RDONLY|NOACCESS)\s+\d+\s+(\w+)\b(?:\s+"([^"\n]*)")?', re.MULTILINE)
_VMDK_CREATE_TYPE = re.compile(rb'^\s*createType\s*=\s*"([^"\n]*)"', re.MULTILINE)
_VMDK_PARENT = re.compile(rb"^\s*parentFileNameHint\s*=", re.MULTILINE)

_OTHERS = (
    (b"vhdxfile", "a VHDX image"),
    (b"conectix", "a VHD image"),
    (b"<<< ", "a VDI image"),
    (b"QED\x00", "a QED image"),
    (b"WithoutFreeSpace", "a Parallels image"),
    (b"WithouFreSpacExt", "a Parallels image"),
    (b"COWD", "an old VMware image"),
    (b"\x1f\x8b\x08", "compressed with gzip"),
    (b"\xfd7zXZ\x00", "compressed with xz"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (b"BZh", "compressed with bzip2"),
    (b"PK\x03\x04", "a ZIP archive"),
)


def check_file_name(name: str) -> str:
    """The name, if it can be the name of a volume's file.

    Raises:
        InvalidRequest: It holds a slash, starts with a dot, is too long or the like.
    """
    if not _FILE_NAME.fullmatch(name):
        raise InvalidRequest(
            f"{name[:80]!r} cannot name a volume: use up to 200 letters, digits and . _ + -, "
            "the first a letter, a digit or an underscore.",
            name=name[:80],
        )
    return name


# --- what an image is ------------------------------------------------------------------------------------------------


def inspect_image(path: Path) -> ImageFacts:
    """What the file is, by its bytes.

    Raises:
        InvalidRequest: The image is broken, could reach other files, or is of a kind that is not taken; says which.
        OSError: The file cannot be read.
    """
    with path.open("rb") as stream:
        return inspect_stream(stream, path.stat().st_size)


def inspect_stream(stream: BinaryIO, file_bytes: int) -> ImageFacts:
    """As `inspect_image`, for a seekable stream of `file_bytes` bytes."""
    head = _piece(stream, 0, 1024)
    if head.startswith(_QCOW2_MAGIC):
        virtual_bytes, kind = _inspect_qcow2(stream, head, file_bytes), VolumeFormat.QCOW2
    elif head.startswith(_VMDK_MAGIC):
        virtual_bytes, kind = _inspect_vmdk(stream, head, file_bytes), VolumeFormat.VMDK
    elif head.startswith(_VMDK_TEXT):
        raise _refused("it is a VMDK descriptor without data, which names other files; convert it to qcow2")
    else:
        for magic, what in _OTHERS:
            if head.startswith(magic):
                raise _refused(f"it is {what}; unpack it or convert it to qcow2 or raw")
        virtual_bytes, kind = file_bytes, VolumeFormat.RAW
    if not SMALLEST_VIRTUAL_BYTES <= virtual_bytes <= LARGEST_VIRTUAL_BYTES:
        raise _refused(f"its size of {virtual_bytes} bytes is not between 512 bytes and 64 TiB")
    return ImageFacts(format=kind, virtual_bytes=virtual_bytes, file_bytes=file_bytes)


def _refused(reason: str) -> InvalidRequest:
    return InvalidRequest(f"The image is refused: {reason}.", reason=reason)


def _piece(stream: BinaryIO, offset: int, length: int) -> bytes:
    stream.seek(offset)
    return stream.read(length)


def _inspect_qcow2(stream: BinaryIO, head: bytes, file_bytes: int) -> int:
    if len(head) < _QCOW2_HEADER.size:
        raise _refused("its qcow2 header is cut off")
    (
        _,
        version,
        backing_offset,
        _,
        cluster_bits,
        size,
        crypt,
        l1_entries,
        l1_offset,
        table_offset,
        table_clusters,
        _,
        _,
    ) = _QCOW2_HEADER.unpack_from(head)
    if version not in (2, 3):
        raise _refused(f"qcow version {version} is not known; convert it to qcow2")
    if backing_offset:
        raise _refused("it names a backing file; flatten it with qemu-img convert")
    if crypt:
        raise _refused("it is encrypted; decrypt it with qemu-img convert")
    if cluster_bits not in _QCOW2_CLUSTER_BITS:
        raise _refused(f"its cluster size of 2^{cluster_bits} bytes is impossible")
    entry_bytes, header_bytes = _L2_ENTRY_BYTES, _QCOW2_HEADER.size
    if version == 3:  # noqa: PLR2004  the version that the surrounding lines speak of
        header_bytes, extended = _check_qcow2_version_3(head)
        entry_bytes = _L2_ENTRY_BYTES_EXTENDED if extended else _L2_ENTRY_BYTES
    cluster_bytes = 1 << cluster_bits
    _check_qcow2_extensions(stream, header_bytes, cluster_bytes)
    covered_by_entry = (cluster_bytes // entry_bytes) * cluster_bytes
    if size <= LARGEST_VIRTUAL_BYTES and l1_entries * covered_by_entry < size:
        raise _refused("its tables are too small for its size")
    _check_qcow2_table("L1 table", l1_offset, l1_entries * 8, cluster_bytes, file_bytes)
    _check_qcow2_table("refcount table", table_offset, table_clusters * cluster_bytes, cluster_bytes, file_bytes)
    return int(size)


def _check_qcow2_version_3(head: bytes) -> tuple[int, bool]:
    """Length of the header, and whether L2 entries are extended."""
    if len(head) < _QCOW2_V3_LENGTH:
        raise _refused("its qcow2 header is cut off")
    incompatible, _, _, refcount_order, header_bytes = _QCOW2_HEADER_3.unpack_from(head, _QCOW2_HEADER.size)
    if incompatible & _QCOW2_DATA_FILE:
        raise _refused("its data is in another file; convert it with qemu-img convert")
    if incompatible & _QCOW2_CORRUPT:
        raise _refused("it is marked as corrupt; repair it with qemu-img check")
    unknown = incompatible & ~_QCOW2_HARMLESS
    if unknown:
        raise _refused(f"it uses unknown qcow2 features (bits {unknown:#x})")
    if refcount_order > 6 or header_bytes < _QCOW2_V3_LENGTH or header_bytes % 8:  # noqa: PLR2004  at most 64 bits
        raise _refused("its qcow2 header is malformed")
    return header_bytes, bool(incompatible & 16)


def _check_qcow2_extensions(stream: BinaryIO, offset: int, cluster_bytes: int) -> None:
    """Header extensions end within the first cluster and name no other file."""
    for _ in range(_MAX_EXTENSIONS):
        if offset + 8 > cluster_bytes:
            return  # as QEMU reads it: the end of the cluster ends the list too
        piece = _piece(stream, offset, 8)
        if len(piece) < 8:  # noqa: PLR2004  two 32-bit numbers
            raise _refused("its qcow2 header extensions are cut off")
        kind, length = struct.unpack(">II", piece)
        if kind == 0:
            return
        if kind == _DATA_FILE_NAME_EXTENSION:
            raise _refused("it names an external data file; convert it with qemu-img convert")
        offset += 8 + (length + 7) // 8 * 8
        if offset > cluster_bytes:
            raise _refused("its qcow2 header extensions are malformed")
    raise _refused("it has too many qcow2 header extensions")


def _check_qcow2_table(name: str, offset: int, length: int, cluster_bytes: int, file_bytes: int) -> None:
    if offset == 0 or offset % cluster_bytes:
        raise _refused(f"its {name} is misplaced")
    if length > 2**26 or offset + length > file_bytes:
        raise _refused(f"its {name} lies beyond the end of the file; the image is cut off or damaged")


def _inspect_vmdk(stream: BinaryIO, head: bytes, file_bytes: int) -> int:
    if len(head) < _VMDK_HEADER.size:
        raise _refused("its VMDK header is cut off")
    (_, version, _, capacity, _, descriptor_offset, descriptor_sectors, _, _, _, _) = _VMDK_HEADER.unpack_from(head)
    if version not in _VMDK_VERSIONS:
        raise _refused(f"VMDK version {version} is not known")
    length = descriptor_sectors * _SECTOR
    if not descriptor_offset or not 0 < length <= _VMDK_DESCRIPTOR_LIMIT:
        raise _refused("its VMDK descriptor is missing or too long")
    if descriptor_offset * _SECTOR + length > file_bytes:
        raise _refused("its VMDK descriptor lies beyond the end of the file")
    descriptor = _piece(stream, descriptor_offset * _SECTOR, length).split(b"\0", 1)[0]
    create_types = _VMDK_CREATE_TYPE.findall(descriptor)
    if len(create_types) != 1 or create_types[0].decode("latin-1") not in _VMDK_SINGLE_FILE:
        raise _refused("it is not a VMDK of one file (monolithicSparse or streamOptimized); convert it to qcow2")
    extents = _VMDK_EXTENT.findall(descriptor)
    if len(extents) != 1 or extents[0][0] != b"SPARSE" or b"/" in extents[0][1]:
        raise _refused("its VMDK extents lie in other files; convert it to qcow2")
    if _VMDK_PARENT.search(descriptor):
        raise _refused("it names a parent file; flatten it with qemu-img convert")
    return int(capacity) * _SECTOR


# --- empty and grown qcow2 images ------------------------------------------------------------------------------------

_CLUSTER_BITS = 16
_CLUSTER = 1 << _CLUSTER_BITS
_L1_COVERS = _CLUSTER // _L2_ENTRY_BYTES * _CLUSTER
_L1_OFFSET = 3 * _CLUSTER
_L1_ENTRIES = LARGEST_VIRTUAL_BYTES // _L1_COVERS
_L1_CLUSTERS = _L1_ENTRIES * 8 // _CLUSTER


def write_empty_qcow2(stream: BinaryIO, virtual_bytes: int) -> None:
    """Writes a complete empty qcow2 image (version 3) to a new seekable file; its sparse table has room for 64 TiB.

    Raises:
        InvalidRequest: The size is absurd.
    """
    _check_new_size(virtual_bytes)
    header = _QCOW2_HEADER.pack(
        _QCOW2_MAGIC, 3, 0, 0, _CLUSTER_BITS, virtual_bytes, 0, _L1_ENTRIES, _L1_OFFSET, _CLUSTER, 1, 0, 0
    )
    stream.write(header + _QCOW2_HEADER_3.pack(0, 0, 0, 4, _QCOW2_V3_LENGTH) + bytes(8))
    stream.seek(_CLUSTER)
    stream.write(struct.pack(">Q", 2 * _CLUSTER))
    stream.seek(2 * _CLUSTER)
    stream.write(struct.pack(">H", 1) * (3 + _L1_CLUSTERS))
    stream.seek(_L1_OFFSET + _L1_CLUSTERS * _CLUSTER - 1)
    stream.write(b"\0")


def grow_qcow2(stream: BinaryIO, capacity_bytes: int) -> None:
    """Raises the virtual size of a qcow2 image in place, in one write of its header.

    Raises:
        InvalidRequest: The image is not sound, or its tables have no room; the file is as it was.
    """
    _check_new_size(capacity_bytes)
    file_bytes = stream.seek(0, io.SEEK_END)
    facts = inspect_stream(stream, file_bytes)
    fields = list(_QCOW2_HEADER.unpack(_piece(stream, 0, _QCOW2_HEADER.size)))
    if facts.format is not VolumeFormat.QCOW2 or capacity_bytes < facts.virtual_bytes:
        raise _refused("only a qcow2 image can be grown so, and never shrunk")
    cluster_bytes = 1 << fields[4]
    entry_bytes = _L2_ENTRY_BYTES_EXTENDED if _extended_l2(stream, fields[1]) else _L2_ENTRY_BYTES
    needed = -(-capacity_bytes // (cluster_bytes // entry_bytes * cluster_bytes))
    present, offset = fields[7], fields[8]
    if needed > present:
        room = -(-present * 8 // cluster_bytes) * cluster_bytes
        if needed * 8 > room or any(_piece(stream, offset + present * 8, (needed - present) * 8)):
            raise _refused("its tables have no room for that size; convert it with qemu-img")
        fields[7] = needed
    fields[5] = capacity_bytes
    stream.seek(0)
    stream.write(_QCOW2_HEADER.pack(*fields))


def _extended_l2(stream: BinaryIO, version: int) -> bool:
    return version == 3 and bool(_piece(stream, 79, 1)[0] & 16)  # noqa: PLR2004  the lowest byte of the features


def _check_new_size(virtual_bytes: int) -> None:
    if not SMALLEST_VIRTUAL_BYTES <= virtual_bytes <= LARGEST_VIRTUAL_BYTES:
        raise InvalidRequest(f"A volume cannot have {virtual_bytes} bytes; ask for 512 bytes to 64 TiB.")
