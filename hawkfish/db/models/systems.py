"""Tables of systems, their disks, network interfaces and pictures."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from hawkfish.db.base import Base, Instant, Json, Name, UuidKey, Version, enum_by_value
from hawkfish.domain.machines import BootDevice, DiskBus, Firmware, NetworkInterfaceModel, PowerState
from hawkfish.domain.storage import VolumeFormat
from hawkfish.domain.systems import BootOverrideEnabled, SystemState


class SystemRow(Base):
    """One system.

    Attributes:
        power_transition: PoweringOn or PoweringOff from the acceptance of a task until its end.
        power_task_id: That task.
    """

    __tablename__ = "hf_systems"
    __table_args__ = (
        UniqueConstraint("name_key"),
        CheckConstraint("vcpus > 0", "vcpus"),
        CheckConstraint("memory_mib > 0", "memory"),
        CheckConstraint("length(name) BETWEEN 1 AND 64", "name"),
        CheckConstraint("(power_transition IS NULL) = (power_task_id IS NULL)", "transition"),
        CheckConstraint("boot_enabled = 'Disabled' OR boot_device IS NOT NULL", "boot"),
        # All that placement sums is in the index, so that it never reads the systems themselves.
        Index("ix_hf_systems_room", "host_id", "vcpus", "memory_mib"),
        Index("ix_hf_systems_project_name_key", "project", "name_key"),
    )

    id: Mapped[UuidKey]
    name: Mapped[Name]
    name_key: Mapped[Name]
    project: Mapped[Name]
    host_id: Mapped[str] = mapped_column(ForeignKey("hf_hosts.id"))
    state: Mapped[SystemState] = mapped_column(enum_by_value(SystemState, "state"))
    failure: Mapped[str] = mapped_column(Text, default="")
    vcpus: Mapped[int]
    memory_mib: Mapped[int]
    firmware: Mapped[Firmware] = mapped_column(enum_by_value(Firmware, "firmware"))
    description: Mapped[str] = mapped_column(String(1024), default="")
    asset_tag: Mapped[str] = mapped_column(String(255), default="")
    labels: Mapped[Json]
    boot_enabled: Mapped[BootOverrideEnabled] = mapped_column(enum_by_value(BootOverrideEnabled, "boot_enabled"))
    boot_device: Mapped[BootDevice | None] = mapped_column(enum_by_value(BootDevice, "boot_device"))
    boot_number: Mapped[int] = mapped_column(default=0, server_default="0")
    boot_order: Mapped[Json | None]
    setup: Mapped[Json | None]
    setup_applied_at: Mapped[Instant | None]
    setup_applied: Mapped[Json | None]
    setup_failure: Mapped[str] = mapped_column(Text, default="", server_default="")
    manager_reset_at: Mapped[Instant | None]
    power_state: Mapped[PowerState | None] = mapped_column(enum_by_value(PowerState, "power_state"))
    power_transition: Mapped[PowerState | None] = mapped_column(enum_by_value(PowerState, "power_transition"))
    power_task_id: Mapped[str | None] = mapped_column(String(36))
    run_id: Mapped[str | None] = mapped_column(String(255))
    observed: Mapped[Json | None]
    observed_at: Mapped[Instant | None]
    stale: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[Instant]
    created_by: Mapped[Name]
    version: Mapped[Version]


class NetworkInterfaceRow(Base):
    """One network interface; no two of an installation have one MAC address."""

    __tablename__ = "hf_network_interfaces"
    __table_args__ = (UniqueConstraint("mac_address"),)

    system_id: Mapped[str] = mapped_column(ForeignKey("hf_systems.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    mac_address: Mapped[str] = mapped_column(String(17))
    attachment: Mapped[Json]
    model: Mapped[NetworkInterfaceModel] = mapped_column(enum_by_value(NetworkInterfaceModel, "model"))


class VolumeRow(Base):
    """One volume of a pool; `host_id` is the host that holds it where the pool is not shared."""

    __tablename__ = "hf_storage_volumes"
    __table_args__ = (
        CheckConstraint("capacity_bytes > 0", "capacity"),
        UniqueConstraint("pool_id", "name"),
        Index("ix_hf_storage_volumes_room", "host_id", "pool_id", "capacity_bytes"),
        Index("ix_hf_storage_volumes_image_digest", "image_digest"),
    )

    id: Mapped[UuidKey]
    name: Mapped[Name]
    project: Mapped[Name]
    pool_id: Mapped[str] = mapped_column(ForeignKey("hf_storage_pools.id"))
    host_id: Mapped[str | None] = mapped_column(ForeignKey("hf_hosts.id"))
    capacity_bytes: Mapped[int] = mapped_column(BigInteger)
    format: Mapped[VolumeFormat] = mapped_column(enum_by_value(VolumeFormat, "format"))
    image: Mapped[str | None] = mapped_column(Text)
    image_digest: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[Instant]
    version: Mapped[Version]


class VolumeAttachmentRow(Base):
    """A volume that is a disk of a system; a volume has one writer at most."""

    __tablename__ = "hf_volume_attachments"
    __table_args__ = (UniqueConstraint("system_id", "disk_id"), UniqueConstraint("system_id", "position"))

    volume_id: Mapped[str] = mapped_column(ForeignKey("hf_storage_volumes.id", ondelete="CASCADE"), primary_key=True)
    system_id: Mapped[str] = mapped_column(ForeignKey("hf_systems.id", ondelete="CASCADE"))
    disk_id: Mapped[str] = mapped_column(String(20))
    position: Mapped[int]
    bus: Mapped[DiskBus] = mapped_column(enum_by_value(DiskBus, "bus"))


class ScreenshotRow(Base):
    """One picture of a system's screen; kept for a short while."""

    __tablename__ = "hf_screenshots"
    __table_args__ = (
        Index("ix_hf_screenshots_system_id", "system_id"),
        Index("ix_hf_screenshots_taken_at", "taken_at"),
    )

    id: Mapped[UuidKey]
    system_id: Mapped[str] = mapped_column(ForeignKey("hf_systems.id", ondelete="CASCADE"))
    media_type: Mapped[str] = mapped_column(String(64))
    data: Mapped[bytes] = mapped_column(LargeBinary)
    taken_at: Mapped[Instant]
