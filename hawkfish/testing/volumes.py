"""What the kits of host storage, of pools and of drivers share: contents, and the pool that a host is asked to keep."""

from __future__ import annotations

import io
import random
from bisect import bisect
from pathlib import Path, PurePosixPath
from uuid import uuid4

import pytest

from hawkfish.domain.storage import PoolDefinition, PoolKind
from hawkfish.plugins.files import write_empty_qcow2

MIB = 2**20


def random_bytes(length: int, seed: int = 1) -> bytes:
    """Bytes that no format begins with and no two seeds share."""
    return b"\x00hawkfish" + random.Random(seed).randbytes(length - 9)  # noqa: S311  test data, not a secret


def empty_qcow2(virtual_bytes: int) -> bytes:
    """A complete qcow2 image."""
    stream = io.BytesIO()
    write_empty_qcow2(stream, virtual_bytes)
    return stream.getvalue()


def assert_content(read: bytes, written: bytes) -> None:
    """Fails unless both are the same, and says where they first differ.

    A plain `assert read == written` would have pytest explain the difference, which takes minutes where the contents are
    large and CI is set.

    Raises:
        AssertionError: They differ.
    """
    if read != written:
        # A part that is the same is a prefix, so that the first difference is found in a few comparisons.
        same = bisect(range(min(len(read), len(written))), False, key=lambda at: read[: at + 1] != written[: at + 1])
        raise AssertionError(f"{len(read)} bytes read, {len(written)} written; they differ from byte {same} on")


class PoolFixtures:
    """The pool that tests define on a host."""

    @pytest.fixture
    def pool_target(self, tmp_path: Path) -> PurePosixPath:
        """A folder on the host that does not exist yet, for a pool of kind DIRECTORY. Override it for a remote host."""
        return PurePosixPath(tmp_path / "pool")

    @pytest.fixture
    def pool_definition(self, pool_target: PurePosixPath) -> PoolDefinition:
        """A definition that the host can keep."""
        return PoolDefinition(name=f"hf-contract-{uuid4().hex[:8]}", kind=PoolKind.DIRECTORY, target=pool_target)
