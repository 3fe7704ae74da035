"""Hosts, pools, systems with their disks, network interfaces and pictures."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hawkfish.db import base

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.create_table(
        "hf_hosts",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("name_key", sa.String(length=255), nullable=False),
        sa.Column("driver", sa.String(length=255), nullable=False),
        sa.Column("uri", sa.String(length=1024), nullable=False),
        sa.Column("settings", base.JsonType, nullable=False),
        sa.Column("labels", base.JsonType, nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "Unknown", "Up", "Suspect", "Down", name="state", native_enum=False, create_constraint=True, length=32
            ),
            nullable=False,
        ),
        sa.Column("state_reason", sa.Text(), nullable=False),
        sa.Column("state_changed_at", base.UtcDateTime(), nullable=True),
        sa.Column("seen_at", base.UtcDateTime(), nullable=True),
        sa.Column("facts", base.JsonType, nullable=True),
        sa.Column("schedulable", sa.Boolean(), nullable=False),
        sa.Column("created_at", base.UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("state <> 'Up' OR state_reason = ''", name=op.f("ck_hf_hosts_reason")),
        sa.CheckConstraint("length(name) > 0", name=op.f("ck_hf_hosts_name")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hf_hosts")),
        sa.UniqueConstraint("name_key", name=op.f("uq_hf_hosts_name_key")),
    )
    op.create_table(
        "hf_storage_pools",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("name_key", sa.String(length=255), nullable=False),
        sa.Column("type", sa.String(length=255), nullable=False),
        sa.Column("config", base.JsonType, nullable=False),
        sa.Column("created_at", base.UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hf_storage_pools")),
        sa.UniqueConstraint("name_key", name=op.f("uq_hf_storage_pools_name_key")),
    )
    op.create_table(
        "hf_storage_pool_hosts",
        sa.Column("pool_id", sa.String(length=36), nullable=False),
        sa.Column("host_id", sa.String(length=36), nullable=False),
        sa.Column("ready", sa.Boolean(), nullable=False),
        sa.Column("stats", base.JsonType, nullable=True),
        sa.ForeignKeyConstraint(["host_id"], ["hf_hosts.id"], name=op.f("fk_hf_storage_pool_hosts_host_id")),
        sa.ForeignKeyConstraint(["pool_id"], ["hf_storage_pools.id"], name=op.f("fk_hf_storage_pool_hosts_pool_id")),
        sa.PrimaryKeyConstraint("pool_id", "host_id", name=op.f("pk_hf_storage_pool_hosts")),
    )
    op.create_table(
        "hf_storage_volumes",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("project", sa.String(length=255), nullable=False),
        sa.Column("pool_id", sa.String(length=36), nullable=False),
        sa.Column("host_id", sa.String(length=36), nullable=True),
        sa.Column("capacity_bytes", sa.BigInteger(), nullable=False),
        sa.Column(
            "format",
            sa.Enum("raw", "qcow2", "vmdk", name="format", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("image", sa.Text(), nullable=True),
        sa.Column("created_at", base.UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("capacity_bytes > 0", name=op.f("ck_hf_storage_volumes_capacity")),
        sa.ForeignKeyConstraint(["host_id"], ["hf_hosts.id"], name=op.f("fk_hf_storage_volumes_host_id")),
        sa.ForeignKeyConstraint(["pool_id"], ["hf_storage_pools.id"], name=op.f("fk_hf_storage_volumes_pool_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hf_storage_volumes")),
        sa.UniqueConstraint("pool_id", "name", name=op.f("uq_hf_storage_volumes_pool_id_name")),
    )
    with op.batch_alter_table("hf_storage_volumes", schema=None) as batch_op:
        batch_op.create_index("ix_hf_storage_volumes_host_id", ["host_id"], unique=False)

    op.create_table(
        "hf_systems",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("name_key", sa.String(length=255), nullable=False),
        sa.Column("project", sa.String(length=255), nullable=False),
        sa.Column("host_id", sa.String(length=36), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "creating",
                "ready",
                "deleting",
                "failed",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("failure", sa.Text(), nullable=False),
        sa.Column("vcpus", sa.Integer(), nullable=False),
        sa.Column("memory_mib", sa.Integer(), nullable=False),
        sa.Column(
            "firmware",
            sa.Enum("UEFI", "BIOS", name="firmware", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("description", sa.String(length=1024), nullable=False),
        sa.Column("asset_tag", sa.String(length=255), nullable=False),
        sa.Column("labels", base.JsonType, nullable=False),
        sa.Column(
            "boot_enabled",
            sa.Enum(
                "Disabled",
                "Once",
                "Continuous",
                name="boot_enabled",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "boot_device",
            sa.Enum(
                "disk",
                "cd",
                "network",
                "usb",
                "floppy",
                name="boot_device",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=True,
        ),
        sa.Column(
            "power_state",
            sa.Enum(
                "On",
                "Off",
                "PoweringOn",
                "PoweringOff",
                "Paused",
                name="power_state",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=True,
        ),
        sa.Column(
            "power_transition",
            sa.Enum(
                "On",
                "Off",
                "PoweringOn",
                "PoweringOff",
                "Paused",
                name="power_transition",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=True,
        ),
        sa.Column("power_task_id", sa.String(length=36), nullable=True),
        sa.Column("run_id", sa.String(length=255), nullable=True),
        sa.Column("observed_at", base.UtcDateTime(), nullable=True),
        sa.Column("stale", sa.Boolean(), nullable=False),
        sa.Column("created_at", base.UtcDateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=255), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("boot_enabled = 'Disabled' OR boot_device IS NOT NULL", name=op.f("ck_hf_systems_boot")),
        sa.CheckConstraint(
            "(power_transition IS NULL) = (power_task_id IS NULL)", name=op.f("ck_hf_systems_transition")
        ),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 64", name=op.f("ck_hf_systems_name")),
        sa.CheckConstraint("memory_mib > 0", name=op.f("ck_hf_systems_memory")),
        sa.CheckConstraint("vcpus > 0", name=op.f("ck_hf_systems_vcpus")),
        sa.ForeignKeyConstraint(["host_id"], ["hf_hosts.id"], name=op.f("fk_hf_systems_host_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hf_systems")),
        sa.UniqueConstraint("name_key", name=op.f("uq_hf_systems_name_key")),
    )
    with op.batch_alter_table("hf_systems", schema=None) as batch_op:
        batch_op.create_index("ix_hf_systems_host_id", ["host_id"], unique=False)
        batch_op.create_index("ix_hf_systems_project_name_key", ["project", "name_key"], unique=False)

    op.create_table(
        "hf_network_interfaces",
        sa.Column("system_id", sa.String(length=36), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("mac_address", sa.String(length=17), nullable=False),
        sa.Column("attachment", base.JsonType, nullable=False),
        sa.Column(
            "model",
            sa.Enum("virtio", "e1000e", name="model", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["system_id"], ["hf_systems.id"], name=op.f("fk_hf_network_interfaces_system_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("system_id", "position", name=op.f("pk_hf_network_interfaces")),
        sa.UniqueConstraint("mac_address", name=op.f("uq_hf_network_interfaces_mac_address")),
    )
    op.create_table(
        "hf_screenshots",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("system_id", sa.String(length=36), nullable=False),
        sa.Column("media_type", sa.String(length=64), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("taken_at", base.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["system_id"], ["hf_systems.id"], name=op.f("fk_hf_screenshots_system_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hf_screenshots")),
    )
    with op.batch_alter_table("hf_screenshots", schema=None) as batch_op:
        batch_op.create_index("ix_hf_screenshots_system_id", ["system_id"], unique=False)
        batch_op.create_index("ix_hf_screenshots_taken_at", ["taken_at"], unique=False)

    op.create_table(
        "hf_volume_attachments",
        sa.Column("volume_id", sa.String(length=36), nullable=False),
        sa.Column("system_id", sa.String(length=36), nullable=False),
        sa.Column("disk_id", sa.String(length=20), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column(
            "bus",
            sa.Enum("virtio", "scsi", "sata", name="bus", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["system_id"], ["hf_systems.id"], name=op.f("fk_hf_volume_attachments_system_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["volume_id"],
            ["hf_storage_volumes.id"],
            name=op.f("fk_hf_volume_attachments_volume_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("volume_id", name=op.f("pk_hf_volume_attachments")),
        sa.UniqueConstraint("system_id", "disk_id", name=op.f("uq_hf_volume_attachments_system_id_disk_id")),
        sa.UniqueConstraint("system_id", "position", name=op.f("uq_hf_volume_attachments_system_id_position")),
    )


def downgrade() -> None:

    op.drop_table("hf_volume_attachments")
    with op.batch_alter_table("hf_screenshots", schema=None) as batch_op:
        batch_op.drop_index("ix_hf_screenshots_taken_at")
        batch_op.drop_index("ix_hf_screenshots_system_id")

    op.drop_table("hf_screenshots")
    op.drop_table("hf_network_interfaces")
    with op.batch_alter_table("hf_systems", schema=None) as batch_op:
        batch_op.drop_index("ix_hf_systems_project_name_key")
        batch_op.drop_index("ix_hf_systems_host_id")

    op.drop_table("hf_systems")
    with op.batch_alter_table("hf_storage_volumes", schema=None) as batch_op:
        batch_op.drop_index("ix_hf_storage_volumes_host_id")

    op.drop_table("hf_storage_volumes")
    op.drop_table("hf_storage_pool_hosts")
    op.drop_table("hf_storage_pools")
    op.drop_table("hf_hosts")
