"""Which host takes a machine: one scheduler, deterministic, and explained when none can."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from uuid import UUID

from hawkfish.db import UnitOfWork
from hawkfish.domain.hosts import HostState
from hawkfish.domain.placement import (
    Candidate,
    DiskNeed,
    Given,
    Placement,
    PlacementRequest,
    PlacementStrategy,
    PoolRoom,
)
from hawkfish.errors import NoRoom

PLACEMENT = "placement"
"""Whoever takes room on a host holds this key (`UnitOfWork.serialize_on`), so that no two take the same."""

UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")
UNIT = 1024


def read_candidates(uow: UnitOfWork, *, without: UUID | None = None) -> list[Candidate]:
    """All hosts with what is given of them.

    Args:
        uow: The transaction; whoever is to take room holds `PLACEMENT` in it.
        without: A system that is not counted, since it is the one to be placed.
    """
    given = uow.reservations.given(without=without)
    volumes, copies = uow.pools.given_bytes(), uow.image_copies.room()
    pools = uow.pools.all()
    return [
        Candidate(
            host=host,
            given=given.get(host.id, Given()),
            pools=tuple(
                PoolRoom(
                    pool_id=pool.id,
                    name=pool.name,
                    capacity_bytes=None if stats is None else stats.capacity_bytes,
                    available_bytes=0 if stats is None else stats.available_bytes,
                    given_bytes=volumes.get((pool.id, host.id), 0)
                    + volumes.get((pool.id, None), 0)
                    + sum(copied.values()),
                    copies=frozenset(copied),
                    overcommit=pool.overcommit,
                )
                for pool in pools
                if host.id in pool.hosts
                for stats, copied in [(pool.stats.get(host.id), copies.get((pool.id, host.id), {}))]
            ),
        )
        for host in uow.hosts.all()
    ]


def place(candidates: Iterable[Candidate], request: PlacementRequest) -> Placement:
    """Chooses a host; same hosts and same request, same answer.

    Args:
        candidates: The hosts, in any order; one, where the caller named it.
        request: What the machine needs.

    Returns:
        The host with the most memory free for `spread`, the least for `pack`, of equals the first by name; and of each host
        that cannot take it all that it is short of.
    """
    reasons: dict[str, tuple[str, ...]] = {}
    fitting: list[tuple[int, str, Candidate]] = []
    sign = -1 if request.strategy is PlacementStrategy.SPREAD else 1
    for candidate in sorted(candidates, key=lambda item: item.host.name):
        if short := shortages(candidate, request):
            reasons[candidate.host.name] = short
        else:
            fitting.append((sign * candidate.free_memory_mib, candidate.host.name, candidate))
    fitting.sort(key=lambda item: item[:2])
    if not fitting:
        return Placement(host=None, reasons=reasons)
    chosen = fitting[0][2]
    pools, _ = _pools_for(chosen.pools, request.disks)
    return Placement(
        host=chosen.host, pools=tuple(pools), fitting=tuple(name for _, name, _ in fitting), reasons=reasons
    )


def no_room(placement: Placement, request: PlacementRequest) -> NoRoom:
    """The error that tells of each host why it cannot take the machine."""
    told = "; ".join(f"{name}: {', '.join(short)}" for name, short in placement.reasons.items())
    disks = "".join(f", a disk of {shown_bytes(disk.capacity_bytes, up=True)}" for disk in request.disks)
    return NoRoom(
        f"No host can take {request.vcpus} vCPUs, {request.memory_mib} MiB of memory{disks}: "
        f"{told or 'there is no host yet'}. Ask for less, free something, raise an over-commit with "
        "`hawkfish hosts set` or `hawkfish pools set`, or add a host with `hawkfish hosts add`.",
        reasons={name: ", ".join(short) for name, short in placement.reasons.items()},
    )


def shortages(candidate: Candidate, request: PlacementRequest) -> tuple[str, ...]:
    """All that keeps a machine off a host, with figures; empty where it fits."""
    host = candidate.host
    if (reason := request.excluded.get(host.id)) is not None:
        return (reason,)
    if host.facts is None or host.state is not HostState.UP:
        return (f"it is {host.state}" + (f" ({host.state_reason})" if host.state_reason else ""),)
    found = [] if host.schedulable else ["it takes no new systems"]
    for key, value in sorted(request.labels.items()):
        if host.labels.get(key) != value:
            known = f"{key}={host.labels[key]}" if key in host.labels else "no such label"
            found.append(f"needs the label {key}={value}, it has {known}")
    found += size_shortages(candidate, request.vcpus, request.memory_mib)
    if request.firmware is not None and request.firmware not in host.facts.firmwares:
        found.append(f"needs {request.firmware} firmware, it has {_listed(host.facts.firmwares)}")
    if lacking := request.capabilities - host.facts.capabilities:
        found.append(f"it cannot do {_listed(lacking)}")
    for kind, wanted, offered in (
        ("network", request.networks, host.facts.networks),
        ("bridge", request.bridges, host.facts.bridges),
    ):
        found += [f"needs the {kind} {name}, it has {_listed(offered)}" for name in sorted(wanted - set(offered))]
    _, short = _pools_for(candidate.pools, request.disks)
    return (*found, *short)


def size_shortages(candidate: Candidate, vcpus: int, memory_mib: int) -> list[str]:
    """What of vCPUs and memory the host is short of; of a host that was never seen nothing is known."""
    host = candidate.host
    if host.facts is None:
        return []
    limits = host.limits
    found: list[str] = []
    if vcpus > host.facts.cpus:
        found.append(f"needs {vcpus} vCPUs, it has {host.facts.cpus} processors")
    elif candidate.free_vcpus is not None and vcpus > candidate.free_vcpus:
        found.append(
            f"needs {vcpus} vCPUs, {candidate.free_vcpus} of {candidate.vcpu_capacity} free "
            f"({host.facts.cpus} processors, over-commit {limits.vcpu_overcommit:g}, {limits.reserved_vcpus} kept for the host)"
        )
    if memory_mib > candidate.free_memory_mib:
        found.append(
            f"needs {memory_mib} MiB of memory, {candidate.free_memory_mib} MiB of {candidate.memory_capacity_mib} MiB free "
            f"({host.facts.memory_mib} MiB, over-commit {limits.memory_overcommit:g}, {limits.reserved_memory_mib} MiB kept "
            "for the host)"
        )
    return found


def _pools_for(pools: Sequence[PoolRoom], disks: Sequence[DiskNeed]) -> tuple[list[UUID], list[str]]:
    """A pool for each disk: the first by name that has room. Disks that name their pool come first, then the largest.

    Returns:
        The pools in the order of the disks, and what is short.
    """
    free = {room.pool_id: room.free_bytes for room in pools}
    copies = {room.pool_id: set(room.copies) for room in pools}
    ordered = sorted(pools, key=lambda room: (room.name, str(room.pool_id)))
    chosen: dict[int, UUID] = {}
    short: dict[int, str] = {}
    order = sorted(
        range(len(disks)), key=lambda index: (disks[index].pool is None, -disks[index].capacity_bytes, index)
    )
    for index in order:
        disk = disks[index]
        named = [room for room in ordered if disk.pool is None or is_named(room, disk.pool)]
        for room in named:
            left, needed = free[room.pool_id], disk.bytes_in(copies[room.pool_id])
            if left is None or needed <= left:
                chosen[index] = room.pool_id
                free[room.pool_id] = None if left is None else left - needed
                copies[room.pool_id] |= set() if disk.image is None else {disk.image}
                break
        else:
            short[index] = _disk_short(disk, index, named, free)
    return [chosen[index] for index in sorted(chosen)], [short[index] for index in sorted(short)]


def is_named(room: PoolRoom, name: str) -> bool:
    """Whether that is the pool's name, whatever the case, or its id."""
    return name.lower() in {room.name.lower(), str(room.pool_id)}


def _disk_short(disk: DiskNeed, index: int, pools: Sequence[PoolRoom], free: dict[UUID, int | None]) -> str:
    if not pools:
        return "it has no storage pool" if disk.pool is None else f"it has no storage pool {disk.pool}"
    told = ", ".join(
        f"{shown_bytes(free[room.pool_id] or 0)} of {shown_bytes(room.capacity_bytes or 0)} free in the pool {room.name} "
        f"(over-commit {room.overcommit:g})"
        for room in pools
    )
    copied = f" and {shown_bytes(disk.image_bytes, up=True)} for a copy of its image" if disk.image_bytes else ""
    return f"disk {index + 1} needs {shown_bytes(disk.capacity_bytes, up=True)}{copied}, {told}"


def shown_bytes(amount: int, *, up: bool = False) -> str:
    """A size for people. What is needed is rounded up and what is free down, so that too little never looks like enough."""
    unit, size = 0, Decimal(amount)
    while size >= UNIT and unit < len(UNITS) - 1:
        size /= UNIT
        unit += 1
    rounded = size.quantize(Decimal("0.01"), ROUND_CEILING if up else ROUND_FLOOR)
    return f"{rounded.normalize():f} {UNITS[unit]}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
