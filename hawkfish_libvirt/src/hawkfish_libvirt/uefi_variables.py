"""UEFI's variables as EDK II's firmware keeps them in a file, and the few bytes by which it is asked to enter its set-up menu.

The file is a firmware volume with one store of variables (`VARIABLE_STORE_HEADER` and `AUTHENTICATED_VARIABLE_HEADER` in EDK II's
MdeModulePkg/Include/Guid/VariableFormat.h): records behind each other, the rest erased, which is all ones. What a variable was
before stays as a record whose state says so. The variable that asks is `OsIndications` of the UEFI specification (8.5.4): firmware
clears its lowest bit before it shows the menu.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from uuid import UUID

from hawkfish.errors import BackendError

_VOLUME = UUID("fff12b8d-7696-4c8b-a985-2747075b4f50")  # EFI_SYSTEM_NV_DATA_FV_GUID
_STORE = UUID("aaf32c78-947b-439a-a180-2e144ec37792")  # gEfiAuthenticatedVariableGuid
_GLOBAL = UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")  # EFI_GLOBAL_VARIABLE
_NAME = "OsIndications\0".encode("utf-16-le")
_BOOT_TO_FIRMWARE_UI = 0x01
_KEPT_AND_SEEN_BY_ALL = 0x07  # NON_VOLATILE, BOOTSERVICE_ACCESS, RUNTIME_ACCESS

_VOLUME_HEADER = struct.Struct("<16x16sQ4sLH")  # GUID, length, signature, attributes, length of the header
_STORE_HEADER = struct.Struct("<16sLBB")  # GUID, size, format, state; then 6 bytes that are kept free
_STORE_HEADER_SIZE = 28
_RECORD = struct.Struct("<HBxL8x16xLLL16s")  # start, state, attributes, key, sizes of name and data, GUID
_START = 0x55AA
_ADDED = 0x3F
_BEING_DELETED = 0x3E  # a newer record was being written; this one holds if that was not finished
_ALIGNMENT = 4


@dataclass(frozen=True, kw_only=True)
class Change:
    """Bytes to be written in place of those at an offset of the file. They are so few that they arrive at once or not at all."""

    offset: int
    data: bytes


@dataclass(frozen=True, kw_only=True)
class _Record:
    """One record: where it ends, and where the data of the variable begin."""

    state: int
    name: bytes
    guid: bytes
    data: int
    size: int
    end: int


def request_setup(file: bytes, *, wanted: bool) -> Change | None:
    """What has to be written so that firmware is asked to enter its set-up menu, or is not; None where that is so already.

    Raises:
        BackendError: The file holds no such variables, or has no room left for one more.
    """
    position, end = _bounds(file)
    known: _Record | None = None
    while (record := _read(file, position, end)) is not None:
        holds = record.state == _ADDED or (record.state == _BEING_DELETED and known is None)
        if holds and record.size and (record.name, record.guid) == (_NAME, _GLOBAL.bytes_le):
            known = record
        position = -(-record.end // _ALIGNMENT) * _ALIGNMENT
    if known is not None:
        flags = file[known.data]
        asked = flags | _BOOT_TO_FIRMWARE_UI if wanted else flags & ~_BOOT_TO_FIRMWARE_UI
        return None if asked == flags else Change(offset=known.data, data=bytes([asked]))
    if not wanted:
        return None
    data = _BOOT_TO_FIRMWARE_UI.to_bytes(8, "little")
    added = _RECORD.pack(_START, _ADDED, _KEPT_AND_SEEN_BY_ALL, 0, len(_NAME), len(data), _GLOBAL.bytes_le)
    added += _NAME + data
    added += b"\xff" * (-len(added) % _ALIGNMENT)
    room = file[position : min(position + len(added), end)]
    if room != b"\xff" * len(added):
        raise _unusable("they have no room for one more; start the machine once, which makes room")
    return Change(offset=position, data=added)


def _bounds(file: bytes) -> tuple[int, int]:
    """Where the first record begins, and where the last must end."""
    if file.startswith(b"QFI\xfb"):
        raise _unusable("they are kept as qcow2, and HawkFish reads raw files")
    if len(file) < _VOLUME_HEADER.size:
        raise _unusable("the file is too short")
    volume, _length, signature, _attributes, header = _VOLUME_HEADER.unpack_from(file)
    if (volume, signature) != (_VOLUME.bytes_le, b"_FVH") or len(file) < header + _STORE_HEADER_SIZE:
        raise _unusable("the file is no firmware volume of EDK II")
    store, size, form, state = _STORE_HEADER.unpack_from(file, header)
    if (store, form, state) != (_STORE.bytes_le, 0x5A, 0xFE) or len(file) < header + size:
        raise _unusable("their store is of a kind that is not known here, or is not whole")
    return header + _STORE_HEADER_SIZE, header + size


def _read(file: bytes, position: int, end: int) -> _Record | None:
    """The record at a position; None where they end."""
    name = position + _RECORD.size
    if name > end:
        return None
    start, state, _attributes, _key, name_size, size, guid = _RECORD.unpack_from(file, position)
    data = name + name_size
    if start != _START or data + size > end:
        return None
    return _Record(state=state, name=file[name:data], guid=guid, data=data, size=size, end=data + size)


def _unusable(reason: str) -> BackendError:
    return BackendError(
        f"UEFI's variables cannot be changed: {reason}. Start the machine without the set-up menu.",
        operation="set-up menu",
        reason=reason,
    )
