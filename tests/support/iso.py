"""Images of CDs."""

from __future__ import annotations


def iso(label: str = "", size: int = 64 * 1024) -> bytes:
    """The least that is taken for an ISO 9660 image: the head of its one volume, which bears a label (ECMA-119 8.4)."""
    volume = b"\x01CD001\x01\0" + b" " * 32 + label.encode().ljust(32)
    return (bytes(16 * 2048) + volume).ljust(size, b"\0")
