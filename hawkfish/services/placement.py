"""Which host takes a new system: deterministic, and explained when none can."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

from hawkfish.domain.hosts import Host, HostState
from hawkfish.domain.machines import Firmware
from hawkfish.domain.pools import Pool
from hawkfish.errors import NoRoom

PLACEMENT = "placement"
"""Whoever takes room on a host holds this key (`UnitOfWork.serialize_on`), so that no two take the same."""


def choose_host(
    hosts: Iterable[Host],
    demand: Mapping[UUID, tuple[int, int]],
    pools: Iterable[Pool],
    *,
    vcpus: int,
    memory_mib: int,
    firmware: Firmware | None,
    needs_disk: bool,
) -> Host:
    """The host with the most free memory among those that can take the system; of equals, the first by name.

    Args:
        hosts: The candidates; one, where the caller named it.
        demand: vCPUs and MiB that each host has given already, systems being made included.
        pools: All pools.
        vcpus: Asked for; a machine may not have more than its host has, while sums may exceed it.
        memory_mib: Asked for, in MiB; never over-committed.
        firmware: Asked for, if it matters.
        needs_disk: A pool must be ready on the host.

    Raises:
        NoRoom: None can; the reasons are given for each.
    """
    with_pool = {host_id for pool in pools for host_id in pool.hosts}
    reasons: dict[str, str] = {}
    fitting: list[tuple[int, str, Host]] = []
    for host in hosts:
        free = _free_memory(host, demand)
        reason = _why_not(host, free, vcpus, memory_mib, firmware)
        if not reason and needs_disk and host.id not in with_pool:
            reason = "it has no storage pool"
        if reason:
            reasons[host.name] = reason
        else:
            fitting.append((-free, host.name, host))
    if not fitting:
        told = "; ".join(f"{name}: {reason}" for name, reason in sorted(reasons.items())) or "there is no host yet"
        raise NoRoom(
            f"No host can take {vcpus} vCPUs and {memory_mib} MiB of memory: {told}. Ask for less, free something or add a "
            "host with `hawkfish hosts add`.",
            reasons=reasons,
        )
    return min(fitting, key=lambda item: item[:2])[2]


def _free_memory(host: Host, demand: Mapping[UUID, tuple[int, int]]) -> int:
    total = host.facts.memory_mib if host.facts else 0
    return total - demand.get(host.id, (0, 0))[1]


def _why_not(host: Host, free: int, vcpus: int, memory_mib: int, firmware: Firmware | None) -> str:
    if host.facts is None or host.state is not HostState.UP:
        return f"it is {host.state}" + (f" ({host.state_reason})" if host.state_reason else "")
    if not host.schedulable:
        return "it takes no new systems"
    if vcpus > host.facts.cpus:
        return f"it has {host.facts.cpus} processors"
    if memory_mib > free:
        return f"it has {max(free, 0)} MiB of memory free"
    if firmware is not None and firmware not in host.facts.firmwares:
        return f"it has no {firmware} firmware"
    return ""
