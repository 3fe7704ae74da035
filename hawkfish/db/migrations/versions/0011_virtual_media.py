"""Virtual media: what is in which drive, where it comes from, and what the cache and the hosts have of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hawkfish.db import base

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "hf_media_contents",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("file_bytes", sa.BigInteger(), nullable=False),
        sa.Column("used_at", base.UtcDateTime(), nullable=False),
        sa.CheckConstraint("file_bytes > 0", name=op.f("ck_hf_media_contents_size")),
        sa.CheckConstraint("length(digest) = 64", name=op.f("ck_hf_media_contents_digest")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_hf_media_contents")),
    )
    op.create_index("ix_hf_media_contents_used_at", "hf_media_contents", ["used_at"])

    op.create_table(
        "hf_media_copies",
        sa.Column("host_id", sa.String(length=36), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("ready", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["host_id"], ["hf_hosts.id"], name=op.f("fk_hf_media_copies_host_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("host_id", "digest", name=op.f("pk_hf_media_copies")),
    )
    op.create_table(
        "hf_media_sources",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("user_name", sa.Text(), nullable=True),
        sa.Column("sealed_password", sa.Text(), nullable=True),
        sa.Column("verify_certificate", sa.Boolean(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=True),
        sa.Column("etag", sa.Text(), nullable=True),
        sa.Column("last_modified", sa.Text(), nullable=True),
        sa.Column("fetched_at", base.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["digest"], ["hf_media_contents.digest"], name=op.f("fk_hf_media_sources_digest"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_hf_media_sources")),
    )
    op.create_index("ix_hf_media_sources_digest", "hf_media_sources", ["digest"])

    op.create_table(
        "hf_virtual_media",
        sa.Column("system_id", sa.String(length=36), nullable=False),
        sa.Column("drive_id", sa.String(length=32), nullable=False),
        sa.Column("source_key", sa.String(length=64), nullable=True),
        sa.Column("held_key", sa.String(length=64), nullable=True),
        sa.Column("held_digest", sa.String(length=64), nullable=True),
        sa.Column("task_id", sa.String(length=36), nullable=True),
        sa.Column("verify_certificate", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("(held_key IS NULL) = (held_digest IS NULL)", name=op.f("ck_hf_virtual_media_held")),
        sa.ForeignKeyConstraint(
            ["held_digest"], ["hf_media_contents.digest"], name=op.f("fk_hf_virtual_media_held_digest")
        ),
        sa.ForeignKeyConstraint(["held_key"], ["hf_media_sources.key"], name=op.f("fk_hf_virtual_media_held_key")),
        sa.ForeignKeyConstraint(["source_key"], ["hf_media_sources.key"], name=op.f("fk_hf_virtual_media_source_key")),
        sa.ForeignKeyConstraint(
            ["system_id"], ["hf_systems.id"], name=op.f("fk_hf_virtual_media_system_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("system_id", "drive_id", name=op.f("pk_hf_virtual_media")),
    )
    op.create_index("ix_hf_virtual_media_held_digest", "hf_virtual_media", ["held_digest"])
    op.create_index("ix_hf_virtual_media_held_key", "hf_virtual_media", ["held_key"])
    op.create_index("ix_hf_virtual_media_source_key", "hf_virtual_media", ["source_key"])


def downgrade() -> None:
    op.drop_index("ix_hf_virtual_media_source_key", table_name="hf_virtual_media")
    op.drop_index("ix_hf_virtual_media_held_key", table_name="hf_virtual_media")
    op.drop_index("ix_hf_virtual_media_held_digest", table_name="hf_virtual_media")

    op.drop_table("hf_virtual_media")
    op.drop_index("ix_hf_media_sources_digest", table_name="hf_media_sources")

    op.drop_table("hf_media_sources")
    op.drop_table("hf_media_copies")
    op.drop_index("ix_hf_media_contents_used_at", table_name="hf_media_contents")

    op.drop_table("hf_media_contents")
