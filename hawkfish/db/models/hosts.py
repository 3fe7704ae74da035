"""Tables of hosts and of the pools on them."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from hawkfish.db.base import Base, Instant, Json, Name, UuidKey, Version, enum_by_value
from hawkfish.domain.hosts import HostState


class HostRow(Base):
    """One host; `name_key` is its name in lower case, since `Rack1` and `rack1` are one host to people."""

    __tablename__ = "hf_hosts"
    __table_args__ = (
        UniqueConstraint("name_key"),
        CheckConstraint("length(name) > 0", "name"),
        CheckConstraint("state <> 'Up' OR state_reason = ''", "reason"),
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
    created_at: Mapped[Instant]
    version: Mapped[Version]


class StoragePoolRow(Base):
    """One pool: a definition that one or more hosts use."""

    __tablename__ = "hf_storage_pools"
    __table_args__ = (UniqueConstraint("name_key"),)

    id: Mapped[UuidKey]
    name: Mapped[Name]
    name_key: Mapped[Name]
    type: Mapped[Name]
    config: Mapped[Json]
    created_at: Mapped[Instant]
    version: Mapped[Version]


class StoragePoolHostRow(Base):
    """A pool on a host: usable there once `ready`; sizes in bytes as last seen."""

    __tablename__ = "hf_storage_pool_hosts"

    pool_id: Mapped[str] = mapped_column(ForeignKey("hf_storage_pools.id"), primary_key=True)
    host_id: Mapped[str] = mapped_column(ForeignKey("hf_hosts.id"), primary_key=True)
    ready: Mapped[bool] = mapped_column(default=False)
    stats: Mapped[Json | None]
