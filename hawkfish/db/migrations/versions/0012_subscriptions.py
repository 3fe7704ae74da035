"""Subscriptions to events, and their deliveries."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hawkfish.db import base

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def _one_of(name: str, *values: str) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=32)


def upgrade() -> None:
    op.create_table(
        "hf_subscriptions",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("type", _one_of("type", "RedfishEvent", "SSE"), nullable=False),
        sa.Column("owner_id", sa.String(length=36), nullable=True),
        sa.Column("created_by", sa.String(length=255), nullable=False),
        sa.Column("created_at", base.UtcDateTime(), nullable=False),
        sa.Column("destination", sa.Text(), nullable=True),
        sa.Column("context", sa.Text(), nullable=False),
        sa.Column("interest", base.JsonType, nullable=False),
        sa.Column("sealed_headers", sa.Text(), nullable=True),
        sa.Column("sealed_secret", sa.Text(), nullable=True),
        sa.Column("verify_certificate", sa.Boolean(), nullable=False),
        sa.Column(
            "retry_policy",
            _one_of(
                "retry_policy", "TerminateAfterRetries", "SuspendRetries", "RetryForever", "RetryForeverWithBackoff"
            ),
            nullable=False,
        ),
        sa.Column("state", _one_of("state", "Enabled", "Suspended"), nullable=False),
        sa.Column("listener", sa.String(length=36), nullable=True),
        sa.Column("seen_at", base.UtcDateTime(), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("(type = 'SSE') = (destination IS NULL)", name=op.f("ck_hf_subscriptions_destination")),
        sa.CheckConstraint("(type = 'SSE') = (listener IS NOT NULL)", name=op.f("ck_hf_subscriptions_listener")),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["hf_users.id"], name=op.f("fk_hf_subscriptions_owner_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hf_subscriptions")),
    )
    op.create_index("ix_hf_subscriptions_owner_id", "hf_subscriptions", ["owner_id"])
    op.create_index("ix_hf_subscriptions_listener", "hf_subscriptions", ["listener"])
    op.create_table(
        "hf_deliveries",
        sa.Column("id", base.BigInt, sa.Identity(always=False), nullable=False),
        sa.Column("subscription_id", sa.String(length=36), nullable=False),
        sa.Column("at", base.UtcDateTime(), nullable=False),
        sa.Column("first", base.BigInt, nullable=False),
        sa.Column("last", base.BigInt, nullable=False),
        sa.Column("events", sa.Integer(), nullable=False),
        sa.Column("state", _one_of("state", "Waiting", "Delivered", "Failed"), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("redelivery", sa.Boolean(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.String(length=512), nullable=True),
        sa.Column("milliseconds", sa.Integer(), nullable=True),
        sa.CheckConstraint("first <= last", name=op.f("ck_hf_deliveries_places")),
        sa.ForeignKeyConstraint(
            ["subscription_id"],
            ["hf_subscriptions.id"],
            name=op.f("fk_hf_deliveries_subscription_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hf_deliveries")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_hf_deliveries_subscription_id_id", "hf_deliveries", ["subscription_id", "id"])
    with op.batch_alter_table("hf_event_sinks") as batch:
        batch.add_column(sa.Column("untold", base.BigInt, server_default="0", nullable=False))


def downgrade() -> None:
    with op.batch_alter_table("hf_event_sinks") as batch:
        batch.drop_column("untold")
    op.drop_table("hf_deliveries")
    op.drop_table("hf_subscriptions")
