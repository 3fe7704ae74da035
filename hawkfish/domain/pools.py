"""Storage pools as they are recorded: a definition, and one attachment per host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from uuid import UUID

from hawkfish.domain.storage import PoolStats


@dataclass(frozen=True, kw_only=True)
class Pool:
    """A storage pool.

    Attributes:
        type: Name of the pool plugin.
        hosts: Ids of the hosts on which it is usable.
        stats: Last observed sizes by host id.
        overcommit: Bytes given to volumes for each byte that there is; more than 1 for a thin pool, whose volumes take what is
            written to them.
    """

    id: UUID
    name: str
    type: str
    config: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    hosts: tuple[UUID, ...] = ()
    stats: Mapping[UUID, PoolStats] = field(default_factory=lambda: MappingProxyType({}))
    overcommit: float = 1.0
    version: int = 1
