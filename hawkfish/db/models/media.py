"""Tables of virtual media: what is in which drive, where it comes from, and what the cache and the hosts have of it."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from hawkfish.db.base import Base, Instant, Version


class MediaContentRow(Base):
    """One content of the cache, by its SHA-256 in hexadecimal; a file without a row here is a leftover."""

    __tablename__ = "hf_media_contents"
    __table_args__ = (
        CheckConstraint("length(digest) = 64", "digest"),
        CheckConstraint("file_bytes > 0", "size"),
        Index("ix_hf_media_contents_used_at", "used_at"),
    )

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    file_bytes: Mapped[int] = mapped_column(BigInteger)
    used_at: Mapped[Instant]


class MediaSourceRow(Base):
    """One URL with its login; `key` is made of both, and the password stays, sealed, only until it was used."""

    __tablename__ = "hf_media_sources"
    __table_args__ = (Index("ix_hf_media_sources_digest", "digest"),)

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    url: Mapped[str] = mapped_column(Text)
    user_name: Mapped[str | None] = mapped_column(Text)
    sealed_password: Mapped[str | None] = mapped_column(Text)
    verify_certificate: Mapped[bool] = mapped_column(default=True)
    digest: Mapped[str | None] = mapped_column(ForeignKey("hf_media_contents.digest", ondelete="SET NULL"))
    etag: Mapped[str | None] = mapped_column(Text)
    last_modified: Mapped[str | None] = mapped_column(Text)
    fetched_at: Mapped[Instant | None]


class VirtualMediaRow(Base):
    """One drive that was ever used; what it holds cannot go from the cache."""

    __tablename__ = "hf_virtual_media"
    __table_args__ = (
        CheckConstraint("(held_key IS NULL) = (held_digest IS NULL)", "held"),
        Index("ix_hf_virtual_media_held_digest", "held_digest"),
        Index("ix_hf_virtual_media_source_key", "source_key"),
        Index("ix_hf_virtual_media_held_key", "held_key"),
    )

    system_id: Mapped[str] = mapped_column(ForeignKey("hf_systems.id", ondelete="CASCADE"), primary_key=True)
    drive_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    source_key: Mapped[str | None] = mapped_column(ForeignKey("hf_media_sources.key"))
    held_key: Mapped[str | None] = mapped_column(ForeignKey("hf_media_sources.key"))
    held_digest: Mapped[str | None] = mapped_column(ForeignKey("hf_media_contents.digest"))
    task_id: Mapped[str | None] = mapped_column(String(36))
    verify_certificate: Mapped[bool] = mapped_column(default=True)
    version: Mapped[Version]


class MediaCopyRow(Base):
    """A copy of a content on a host; the row is made before the file and goes after it, also when its content is gone already."""

    __tablename__ = "hf_media_copies"

    host_id: Mapped[str] = mapped_column(ForeignKey("hf_hosts.id", ondelete="CASCADE"), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    ready: Mapped[bool] = mapped_column(default=False)
