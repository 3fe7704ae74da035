"""Images, their contents and copies, and node profiles."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hawkfish.db import base

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "hf_image_contents",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column(
            "format",
            sa.Enum("raw", "qcow2", "vmdk", name="format", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("virtual_bytes", sa.BigInteger(), nullable=False),
        sa.Column("file_bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", base.UtcDateTime(), nullable=False),
        sa.CheckConstraint("length(digest) = 64", name=op.f("ck_hf_image_contents_digest")),
        sa.CheckConstraint("virtual_bytes > 0 AND file_bytes > 0", name=op.f("ck_hf_image_contents_sizes")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_hf_image_contents")),
    )
    op.create_table(
        "hf_profiles",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("name_key", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=1024), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", base.UtcDateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=255), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 64", name=op.f("ck_hf_profiles_name")),
        sa.CheckConstraint("revision > 0", name=op.f("ck_hf_profiles_revision")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hf_profiles")),
        sa.UniqueConstraint("name_key", name=op.f("uq_hf_profiles_name_key")),
    )
    op.create_table(
        "hf_downloads",
        sa.Column("url_key", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("etag", sa.Text(), nullable=True),
        sa.Column("last_modified", sa.Text(), nullable=True),
        sa.Column("fetched_at", base.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["digest"], ["hf_image_contents.digest"], name=op.f("fk_hf_downloads_digest"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("url_key", name=op.f("pk_hf_downloads")),
    )
    op.create_table(
        "hf_image_copies",
        sa.Column("pool_id", sa.String(length=36), nullable=False),
        sa.Column("host_id", sa.String(length=36), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("volume_name", sa.String(length=255), nullable=False),
        sa.Column("ready", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["host_id"], ["hf_hosts.id"], name=op.f("fk_hf_image_copies_host_id")),
        sa.ForeignKeyConstraint(["pool_id"], ["hf_storage_pools.id"], name=op.f("fk_hf_image_copies_pool_id")),
        sa.PrimaryKeyConstraint("pool_id", "host_id", "digest", name=op.f("pk_hf_image_copies")),
    )
    op.create_index("ix_hf_image_copies_digest", "hf_image_copies", ["digest"])

    op.create_table(
        "hf_images",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("name_key", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=1024), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "AwaitingContent",
                "Fetching",
                "Available",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("local_path", sa.Text(), nullable=True),
        sa.Column("verify_certificate", sa.Boolean(), nullable=False),
        sa.Column("expected_digest", sa.String(length=64), nullable=True),
        sa.Column("digest", sa.String(length=64), nullable=True),
        sa.Column("created_at", base.UtcDateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=255), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("state <> 'Available' OR digest IS NOT NULL", name=op.f("ck_hf_images_content")),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 64", name=op.f("ck_hf_images_name")),
        sa.CheckConstraint("url IS NULL OR local_path IS NULL", name=op.f("ck_hf_images_source")),
        sa.ForeignKeyConstraint(["digest"], ["hf_image_contents.digest"], name=op.f("fk_hf_images_digest")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hf_images")),
        sa.UniqueConstraint("name_key", name=op.f("uq_hf_images_name_key")),
    )
    op.create_index("ix_hf_images_digest", "hf_images", ["digest"])

    op.create_table(
        "hf_profile_revisions",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("profile_id", sa.String(length=36), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("vcpus", sa.Integer(), nullable=False),
        sa.Column("memory_mib", sa.Integer(), nullable=False),
        sa.Column("disk_gib", sa.Integer(), nullable=True),
        sa.Column(
            "firmware",
            sa.Enum("UEFI", "BIOS", name="firmware", native_enum=False, create_constraint=True, length=32),
            nullable=True,
        ),
        sa.Column("image_id", sa.String(length=36), nullable=True),
        sa.Column("network_interfaces", base.JsonType, nullable=True),
        sa.Column("labels", base.JsonType, nullable=False),
        sa.Column("created_at", base.UtcDateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=255), nullable=False),
        sa.CheckConstraint("disk_gib > 0", name=op.f("ck_hf_profile_revisions_disk")),
        sa.CheckConstraint("memory_mib > 0", name=op.f("ck_hf_profile_revisions_memory")),
        sa.CheckConstraint("vcpus > 0", name=op.f("ck_hf_profile_revisions_vcpus")),
        sa.ForeignKeyConstraint(["image_id"], ["hf_images.id"], name=op.f("fk_hf_profile_revisions_image_id")),
        sa.ForeignKeyConstraint(
            ["profile_id"], ["hf_profiles.id"], name=op.f("fk_hf_profile_revisions_profile_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hf_profile_revisions")),
        sa.UniqueConstraint("profile_id", "revision", name=op.f("uq_hf_profile_revisions_profile_id_revision")),
    )
    op.create_index("ix_hf_profile_revisions_image_id", "hf_profile_revisions", ["image_id"])

    op.create_table(
        "hf_system_profiles",
        sa.Column("system_id", sa.String(length=36), nullable=False),
        sa.Column("revision_id", sa.String(length=36), nullable=False),
        sa.ForeignKeyConstraint(
            ["revision_id"], ["hf_profile_revisions.id"], name=op.f("fk_hf_system_profiles_revision_id")
        ),
        sa.ForeignKeyConstraint(
            ["system_id"], ["hf_systems.id"], name=op.f("fk_hf_system_profiles_system_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("system_id", name=op.f("pk_hf_system_profiles")),
    )
    op.create_index("ix_hf_system_profiles_revision_id", "hf_system_profiles", ["revision_id"])

    op.add_column("hf_storage_volumes", sa.Column("image_digest", sa.String(length=64), nullable=True))
    op.create_index("ix_hf_storage_volumes_image_digest", "hf_storage_volumes", ["image_digest"])


def downgrade() -> None:
    op.drop_index("ix_hf_storage_volumes_image_digest", table_name="hf_storage_volumes")
    op.drop_column("hf_storage_volumes", "image_digest")

    op.drop_index("ix_hf_system_profiles_revision_id", table_name="hf_system_profiles")

    op.drop_table("hf_system_profiles")
    op.drop_index("ix_hf_profile_revisions_image_id", table_name="hf_profile_revisions")

    op.drop_table("hf_profile_revisions")
    op.drop_index("ix_hf_images_digest", table_name="hf_images")

    op.drop_table("hf_images")
    op.drop_index("ix_hf_image_copies_digest", table_name="hf_image_copies")

    op.drop_table("hf_image_copies")
    op.drop_table("hf_downloads")
    op.drop_table("hf_profiles")
    op.drop_table("hf_image_contents")
