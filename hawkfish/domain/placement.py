"""Placement as values: what a machine needs, what each host has, and which host it is to be."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from uuid import UUID

from hawkfish.domain.hosts import ComputeCapability, Host, HostLimits
from hawkfish.domain.machines import Firmware


class PlacementStrategy(StrEnum):
    """Which of several hosts with room is taken."""

    SPREAD = "spread"
    """The one with the most memory free."""
    PACK = "pack"
    """The one with the least, so that others stay empty."""


@dataclass(frozen=True, kw_only=True)
class PlacementRule:
    """What a request says about its host.

    Attributes:
        labels: The host must bear all of these.
        strategy: None for the installation's own.
    """

    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    strategy: PlacementStrategy | None = None


@dataclass(frozen=True, kw_only=True)
class Given:
    """What of a host is given away, to systems that are being made too."""

    vcpus: int = 0
    memory_mib: int = 0

    def __add__(self, other: Given) -> Given:
        return Given(vcpus=self.vcpus + other.vcpus, memory_mib=self.memory_mib + other.memory_mib)


@dataclass(frozen=True, kw_only=True)
class PoolRoom:
    """A pool on a host, in bytes.

    Attributes:
        capacity_bytes: Its size as last seen; None where it was never seen, and nothing is refused.
        available_bytes: What was free of it then, whoever uses the rest.
        given_bytes: Capacities of the volumes that are recorded, and the copies of images.
        copies: Digests of the images of which it has a copy, or is about to get one; their room is given already.
    """

    pool_id: UUID
    name: str
    capacity_bytes: int | None = None
    available_bytes: int = 0
    given_bytes: int = 0
    copies: frozenset[str] = frozenset()
    overcommit: float = 1.0

    @property
    def free_bytes(self) -> int | None:
        """What new volumes may have; None for no limit.

        Neither may the sum of all volumes exceed the pool's size, nor a new one what is really free; both times the
        over-commit.
        """
        if self.capacity_bytes is None:
            return None
        total = scaled(self.capacity_bytes, self.overcommit) - self.given_bytes
        return max(0, min(total, scaled(self.available_bytes, self.overcommit)))


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A host that may be chosen, with what is given of it."""

    host: Host
    given: Given = field(default_factory=Given)
    pools: tuple[PoolRoom, ...] = ()

    @property
    def memory_capacity_mib(self) -> int:
        """MiB that may be given in all."""
        total = 0 if self.host.facts is None else self.host.facts.memory_mib
        return memory_capacity(total, self.host.limits)

    @property
    def free_memory_mib(self) -> int:
        """MiB that may still be given."""
        return max(0, self.memory_capacity_mib - self.given.memory_mib)

    @property
    def vcpu_capacity(self) -> int | None:
        """VCPUs that may be given in all; None for no limit."""
        limits = self.host.limits
        if limits.vcpu_overcommit is None:
            return None
        total = 0 if self.host.facts is None else self.host.facts.cpus
        return scaled(max(0, total - limits.reserved_vcpus), limits.vcpu_overcommit)

    @property
    def free_vcpus(self) -> int | None:
        """VCPUs that may still be given; None for no limit."""
        capacity = self.vcpu_capacity
        return None if capacity is None else max(0, capacity - self.given.vcpus)


@dataclass(frozen=True, kw_only=True)
class DiskNeed:
    """Room for one disk; `pool` None means any pool of the host.

    Attributes:
        image: Digest of the image that it is made from; a pool that has no copy of it yet needs room for one.
        image_bytes: How much that is.
    """

    capacity_bytes: int
    pool: str | None = None
    image: str | None = None
    image_bytes: int = 0

    def bytes_in(self, copies: Collection[str]) -> int:
        """What it takes in a pool that has these copies."""
        return self.capacity_bytes + (0 if self.image is None or self.image in copies else self.image_bytes)


@dataclass(frozen=True, kw_only=True)
class PlacementRequest:
    """What a machine needs of a host; for a new system, and for one that is to move.

    Attributes:
        networks: Networks of the host that it is to have.
        bridges: Bridges of the host that it is to have.
        capabilities: What the host must offer.
        labels: Labels that the host must bear.
        excluded: Hosts that are out of the question, such as the one it is to leave, with the reason.
    """

    vcpus: int
    memory_mib: int
    disks: tuple[DiskNeed, ...] = ()
    networks: frozenset[str] = frozenset()
    bridges: frozenset[str] = frozenset()
    firmware: Firmware | None = None
    capabilities: frozenset[ComputeCapability] = frozenset()
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    excluded: Mapping[UUID, str] = field(default_factory=lambda: MappingProxyType({}))
    strategy: PlacementStrategy = PlacementStrategy.SPREAD


@dataclass(frozen=True, kw_only=True)
class Placement:
    """The answer of the scheduler.

    Attributes:
        host: The chosen host; None where none can take it.
        pools: The pool of each disk on it, in the order of the request.
        fitting: Names of the hosts that could take it, the best first.
        reasons: All that each other host is short of, by its name.
    """

    host: Host | None
    pools: tuple[UUID, ...] = ()
    fitting: tuple[str, ...] = ()
    reasons: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))


def memory_capacity(total_mib: int, limits: HostLimits) -> int:
    """MiB that may be given to machines on a host of that size."""
    return scaled(max(0, total_mib - limits.reserved_memory_mib), limits.memory_overcommit)


def scaled(amount: int, ratio: float) -> int:
    """An amount times a ratio, rounded down; 1000 times 1.15 is 1150 and not what binary fractions make of it."""
    return math.floor(amount * Decimal(str(ratio)))
