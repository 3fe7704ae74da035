"""What the kits of host storage, of pools and of drivers share: contents, and the pool that a host is asked to keep."""

from __future__ import annotations

import io
import random
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
