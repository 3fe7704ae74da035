"""Tables of hosts and of the pools on them."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from hawkfish.db.base import Base, BigInt, Instant, Json, Name, UuidKey, Version, enum_by_value
from hawkfish.domain.hosts import HostState


class HostRow(Base):
    """One host; `name_key` is its name in lower case, since `Rack1` and `rack1` are one host to people.

    Attributes:
        vcpu_overcommit: vCPUs given for each processor; NULL sets no limit to their sum.
        memory_overcommit: MiB given for each MiB of memory.
        reserved_vcpus: Processors kept for the host itself.
        reserved_memory_mib: MiB kept for the host itself.
    """

    __tablename__ = "hf_hosts"
    __table_args__ = (
        UniqueConstraint("name_key"),
        CheckConstraint("length(name) > 0", "name"),
        CheckConstraint("state <> 'Up' OR state_reason = ''", "reason"),
        CheckConstraint("vcpu_overcommit BETWEEN 0.1 AND 1000", "vcpu_overcommit"),
        CheckConstraint("memory_overcommit BETWEEN 0.1 AND 1000", "memory_overcommit"),
        CheckConstraint("reserved_vcpus >= 0", "reserved_vcpus"),
        CheckConstraint("reserved_memory_mib >= 0", "reserved_memory_mib"),
    )

    id: Mapped[UuidKey]
    name: Mapped[Name]
    name_key: Mapped[Name]
    driver: Mapped[Name]
    uri: Mapped[str] = mapped_column(String(1024))
    settings: Mapped[Json]
    labels: Mapped[Json]
    state: Mapped[HostState] = mapped_column(enum_by_value(HostState, "state"), default=HostState.UNKNOWN)
    state_reason: Mapped[str] = mapped_column(Text, default="")
    state_changed_at: Mapped[Instant | None]
    seen_at: Mapped[Instant | None]
    facts: Mapped[Json | None]
    schedulable: Mapped[bool] = mapped_column(default=True)
    vcpu_overcommit: Mapped[float | None]
    memory_overcommit: Mapped[float] = mapped_column(default=1.0, server_default="1")
    reserved_vcpus: Mapped[int] = mapped_column(default=0, server_default="0")
    reserved_memory_mib: Mapped[int] = mapped_column(default=0, server_default="0")
    created_at: Mapped[Instant]
    version: Mapped[Version]


class HostWatchRow(Base):
    """The one worker that watches a host; a number is never given twice, so it tells an old watch from a new one."""

    __tablename__ = "hf_host_watches"
    __table_args__ = (
        UniqueConstraint("host_id"),
        Index("ix_hf_host_watches_worker_id", "worker_id"),
        {"sqlite_autoincrement": True},
    )

    number: Mapped[int] = mapped_column(BigInt, Identity(), primary_key=True)
    host_id: Mapped[str] = mapped_column(ForeignKey("hf_hosts.id", ondelete="CASCADE"))
    worker_id: Mapped[int] = mapped_column(BigInt, ForeignKey("hf_task_workers.id", ondelete="CASCADE"))
    since: Mapped[Instant]


class StoragePoolRow(Base):
    """One pool: a definition that one or more hosts use; `overcommit` is bytes given for each byte that there is."""

    __tablename__ = "hf_storage_pools"
    __table_args__ = (
        UniqueConstraint("name_key"),
        CheckConstraint("overcommit BETWEEN 0.1 AND 1000", "overcommit"),
    )

    id: Mapped[UuidKey]
    name: Mapped[Name]
    name_key: Mapped[Name]
    type: Mapped[Name]
    config: Mapped[Json]
    overcommit: Mapped[float] = mapped_column(default=1.0, server_default="1")
    created_at: Mapped[Instant]
    version: Mapped[Version]


class StoragePoolHostRow(Base):
    """A pool on a host: usable there once `ready`; sizes in bytes as last seen."""

    __tablename__ = "hf_storage_pool_hosts"

    pool_id: Mapped[str] = mapped_column(ForeignKey("hf_storage_pools.id"), primary_key=True)
    host_id: Mapped[str] = mapped_column(ForeignKey("hf_hosts.id"), primary_key=True)
    ready: Mapped[bool] = mapped_column(default=False)
    stats: Mapped[Json | None]


class HostReservationRow(Base):
    """Room on a host that a task holds for a system, until it ends.

    A system's own row counts for the host that it is on; a reservation counts for what goes beyond that: more vCPUs or memory
    there, or all of it on another host. It holds the whole size, not a difference.
    """

    __tablename__ = "hf_host_reservations"
    __table_args__ = (
        CheckConstraint("vcpus > 0", "vcpus"),
        CheckConstraint("memory_mib > 0", "memory"),
        Index("ix_hf_host_reservations_host_id", "host_id"),
        Index("ix_hf_host_reservations_system_id", "system_id"),
    )

    task_id: Mapped[str] = mapped_column(ForeignKey("hf_tasks.id", ondelete="CASCADE"), primary_key=True)
    host_id: Mapped[str] = mapped_column(ForeignKey("hf_hosts.id"))
    system_id: Mapped[str] = mapped_column(ForeignKey("hf_systems.id", ondelete="CASCADE"))
    vcpus: Mapped[int]
    memory_mib: Mapped[int]
    created_at: Mapped[Instant]
