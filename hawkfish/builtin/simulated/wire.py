"""What passes between the simulator and its clients: frames of one JSON object and, where there are any, raw bytes.

A frame is two big-endian 32-bit lengths, then the JSON, then the bytes. Requests are `{id, op, params}`; answers `{id, result}` or
`{id, error}`; events `{event}`. The first request of a connection is `hello`.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hawkfish.locks import close_descriptor

PROTOCOL = 1
HEADER = struct.Struct(">II")
LARGEST_JSON = 256 * 2**20
LARGEST_BLOB = 16 * 2**20
_LONGEST_ADDRESS = 100  # a unix socket's path has 108 bytes at most


def pack(message: dict[str, Any], blob: bytes = b"") -> bytes:
    """One frame."""
    text = json.dumps(message, separators=(",", ":")).encode()
    return HEADER.pack(len(text), len(blob)) + text + blob


def lengths(header: bytes) -> tuple[int, int]:
    """Lengths of the JSON and of the bytes.

    Raises:
        ValueError: They are absurd; the peer speaks something else.
    """
    text, blob = HEADER.unpack(header)
    if text > LARGEST_JSON or blob > LARGEST_BLOB:
        raise ValueError(f"a frame of {text} and {blob} bytes is not a frame of the simulator")
    return text, blob


@contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """An address for the unix socket at `path`, also where the path is longer than the kernel takes."""
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        close_descriptor(folder)
