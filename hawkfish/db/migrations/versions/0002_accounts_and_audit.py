"""Accounts, sessions, the audit trail and the installation's own row."""

from __future__ import annotations

import secrets
import uuid
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from hawkfish.db import base

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# A later revision that rebuilds hf_audit on SQLite must make these triggers again: they go with the old table.
SQLITE_GUARDS = (
    """
    CREATE TRIGGER hf_audit_no_update BEFORE UPDATE ON hf_audit
    BEGIN SELECT RAISE(ABORT, 'hf_audit is append-only'); END
    """,
    """
    CREATE TRIGGER hf_audit_no_delete BEFORE DELETE ON hf_audit
    WHEN NOT COALESCE(OLD.at < (SELECT audit_kept_from FROM hf_installation), 0)
    BEGIN SELECT RAISE(ABORT, 'hf_audit is append-only'); END
    """,
)
POSTGRESQL_GUARDS = (
    """
    CREATE FUNCTION hf_audit_guard() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' AND OLD.at < (SELECT audit_kept_from FROM hf_installation) THEN
            RETURN OLD;
        END IF;
        RAISE EXCEPTION 'hf_audit is append-only' USING ERRCODE = 'restrict_violation';
    END $$
    """,
    """
    CREATE TRIGGER hf_audit_guard BEFORE UPDATE OR DELETE ON hf_audit
    FOR EACH ROW EXECUTE FUNCTION hf_audit_guard()
    """,
    "CREATE TRIGGER hf_audit_no_truncate BEFORE TRUNCATE ON hf_audit EXECUTE FUNCTION hf_audit_guard()",
)


def upgrade() -> None:
    installation = op.create_table(
        "hf_installation",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("secret_key", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", base.UtcDateTime(), nullable=False),
        sa.Column("audit_kept_from", base.UtcDateTime(), nullable=True),
        sa.CheckConstraint("number = 1", name=op.f("ck_hf_installation_single")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_hf_installation")),
    )
    op.create_table(
        "hf_users",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("user_name", sa.String(length=32), nullable=False),
        sa.Column("name_key", sa.String(length=128), nullable=False),
        sa.Column("password_hash", sa.String(length=255), nullable=False),
        sa.Column(
            "role",
            sa.Enum(
                "Administrator",
                "Operator",
                "ReadOnly",
                name="role",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("password_change_required", sa.Boolean(), nullable=False),
        sa.Column("created_at", base.UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("length(user_name) BETWEEN 1 AND 32", name=op.f("ck_hf_users_user_name")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hf_users")),
    )
    op.create_index("uq_hf_users_name_key", "hf_users", ["name_key"], unique=True)
    op.create_table(
        "hf_login_failures",
        sa.Column("name_digest", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("expires_at", base.UtcDateTime(), nullable=False),
        sa.CheckConstraint("failures > 0", name=op.f("ck_hf_login_failures_failures")),
        sa.PrimaryKeyConstraint("name_digest", "source", name=op.f("pk_hf_login_failures")),
    )
    op.create_index("ix_hf_login_failures_expires_at", "hf_login_failures", ["expires_at"])
    op.create_table(
        "hf_sessions",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=36), nullable=False),
        sa.Column("created_at", base.UtcDateTime(), nullable=False),
        sa.Column("used_at", base.UtcDateTime(), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["hf_users.id"], name=op.f("fk_hf_sessions_account_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hf_sessions")),
    )
    op.create_index("uq_hf_sessions_token_hash", "hf_sessions", ["token_hash"], unique=True)
    op.create_index("ix_hf_sessions_account_id_used_at", "hf_sessions", ["account_id", "used_at"])
    op.create_index("ix_hf_sessions_used_at", "hf_sessions", ["used_at"])
    op.create_table(
        "hf_audit",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(always=False), nullable=False
        ),
        sa.Column("at", base.UtcDateTime(), nullable=False),
        sa.Column("user_name", sa.String(length=64), nullable=False),
        sa.Column("verb", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column(
            "outcome",
            sa.Enum(
                "allowed",
                "denied",
                "failed",
                name="outcome",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("address", sa.String(length=64), nullable=True),
        sa.Column("session_id", sa.String(length=36), nullable=True),
        sa.Column("request_id", sa.String(length=128), nullable=True),
        sa.Column("project", sa.String(length=36), nullable=True),
        sa.Column(
            "details", sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"), nullable=False
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hf_audit")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_hf_audit_at", "hf_audit", ["at"])
    guards = SQLITE_GUARDS if op.get_bind().dialect.name == "sqlite" else POSTGRESQL_GUARDS
    for statement in guards:
        op.execute(statement)
    op.bulk_insert(
        installation,
        [
            {
                "number": 1,
                "id": str(uuid.uuid4()),
                "secret_key": secrets.token_bytes(32),
                "created_at": datetime.now(UTC),
                "audit_kept_from": None,
            }
        ],
    )


def downgrade() -> None:
    op.drop_table("hf_audit")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION hf_audit_guard()")
    op.drop_table("hf_sessions")
    op.drop_table("hf_login_failures")
    op.drop_table("hf_users")
    op.drop_table("hf_installation")
