"""Tables of images, their contents and copies, of what is known of downloads, and of profiles."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from hawkfish.db.base import Base, Instant, Json, Name, UuidKey, Version, enum_by_value
from hawkfish.domain.images import ImageState
from hawkfish.domain.machines import Firmware
from hawkfish.domain.storage import VolumeFormat


class ImageContentRow(Base):
    """One content of the store, by its SHA-256 in hexadecimal; a file without a row here is a leftover."""

    __tablename__ = "hf_image_contents"
    __table_args__ = (
        CheckConstraint("length(digest) = 64", "digest"),
        CheckConstraint("virtual_bytes > 0 AND file_bytes > 0", "sizes"),
    )

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    format: Mapped[VolumeFormat] = mapped_column(enum_by_value(VolumeFormat, "format"))
    virtual_bytes: Mapped[int] = mapped_column(BigInteger)
    file_bytes: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[Instant]


class ImageRow(Base):
    """One image; while it is being made it may refer to a content already, which keeps that from being pruned."""

    __tablename__ = "hf_images"
    __table_args__ = (
        UniqueConstraint("name_key"),
        CheckConstraint("length(name) BETWEEN 1 AND 64", "name"),
        CheckConstraint("state <> 'Available' OR digest IS NOT NULL", "content"),
        CheckConstraint("url IS NULL OR local_path IS NULL", "source"),
        Index("ix_hf_images_digest", "digest"),
    )

    id: Mapped[UuidKey]
    name: Mapped[Name]
    name_key: Mapped[Name]
    description: Mapped[str] = mapped_column(String(1024), default="")
    state: Mapped[ImageState] = mapped_column(enum_by_value(ImageState, "state"))
    url: Mapped[str | None] = mapped_column(Text)
    local_path: Mapped[str | None] = mapped_column(Text)
    verify_certificate: Mapped[bool] = mapped_column(default=True)
    expected_digest: Mapped[str | None] = mapped_column(String(64))
    digest: Mapped[str | None] = mapped_column(ForeignKey("hf_image_contents.digest"))
    created_at: Mapped[Instant]
    created_by: Mapped[Name]
    version: Mapped[Version]


class DownloadRow(Base):
    """What is known of a URL since it was last downloaded; `url_key` is its SHA-256, so that no address is kept here."""

    __tablename__ = "hf_downloads"

    url_key: Mapped[str] = mapped_column(String(64), primary_key=True)
    digest: Mapped[str] = mapped_column(ForeignKey("hf_image_contents.digest", ondelete="CASCADE"))
    etag: Mapped[str | None] = mapped_column(Text)
    last_modified: Mapped[str | None] = mapped_column(Text)
    fetched_at: Mapped[Instant]


class ImageCopyRow(Base):
    """A copy of a content on a pool of a host; the row is made before the volume and goes after it."""

    __tablename__ = "hf_image_copies"
    __table_args__ = (Index("ix_hf_image_copies_digest", "digest"),)

    pool_id: Mapped[str] = mapped_column(ForeignKey("hf_storage_pools.id"), primary_key=True)
    host_id: Mapped[str] = mapped_column(ForeignKey("hf_hosts.id"), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    volume_name: Mapped[Name]
    ready: Mapped[bool] = mapped_column(default=False)


class ProfileRow(Base):
    """One profile; `revision` is its last one."""

    __tablename__ = "hf_profiles"
    __table_args__ = (
        UniqueConstraint("name_key"),
        CheckConstraint("length(name) BETWEEN 1 AND 64", "name"),
        CheckConstraint("revision > 0", "revision"),
    )

    id: Mapped[UuidKey]
    name: Mapped[Name]
    name_key: Mapped[Name]
    description: Mapped[str] = mapped_column(String(1024), default="")
    revision: Mapped[int]
    created_at: Mapped[Instant]
    created_by: Mapped[Name]
    version: Mapped[Version]


class ProfileRevisionRow(Base):
    """One revision of a profile; never changed."""

    __tablename__ = "hf_profile_revisions"
    __table_args__ = (
        UniqueConstraint("profile_id", "revision"),
        CheckConstraint("vcpus > 0", "vcpus"),
        CheckConstraint("memory_mib > 0", "memory"),
        CheckConstraint("disk_gib > 0", "disk"),
        Index("ix_hf_profile_revisions_image_id", "image_id"),
    )

    id: Mapped[UuidKey]
    profile_id: Mapped[str] = mapped_column(ForeignKey("hf_profiles.id", ondelete="CASCADE"))
    revision: Mapped[int]
    vcpus: Mapped[int]
    memory_mib: Mapped[int]
    disk_gib: Mapped[int | None]
    firmware: Mapped[Firmware | None] = mapped_column(enum_by_value(Firmware, "firmware"))
    image_id: Mapped[str | None] = mapped_column(ForeignKey("hf_images.id"))
    network_interfaces: Mapped[Json | None]
    labels: Mapped[Json]
    created_at: Mapped[Instant]
    created_by: Mapped[Name]


class SystemProfileRow(Base):
    """The revision that a system was made after; while there is one, the profile is not deleted."""

    __tablename__ = "hf_system_profiles"
    __table_args__ = (Index("ix_hf_system_profiles_revision_id", "revision_id"),)

    system_id: Mapped[str] = mapped_column(ForeignKey("hf_systems.id", ondelete="CASCADE"), primary_key=True)
    revision_id: Mapped[str] = mapped_column(ForeignKey("hf_profile_revisions.id"))
