"""Tables of accounts, their sessions and failed logins, and of the installation itself."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from hawkfish.db.base import Base, Instant, UuidKey, Version, enum_by_value
from hawkfish.domain.accounts import Role


class InstallationRow(Base):
    """The one row that says which installation this database belongs to; made by the migration."""

    __tablename__ = "hf_installation"
    __table_args__ = (CheckConstraint("number = 1", "single"),)

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    id: Mapped[str] = mapped_column(String(36))
    secret_key: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[Instant]
    audit_kept_from: Mapped[Instant | None]
    """Audit rows of this time and later cannot be deleted; none can while this is not set."""
    service_identification: Mapped[str] = mapped_column(String(255), default="", server_default="")
    """What all its managers show; empty where nobody has said anything."""


class UserRow(Base):
    """One account."""

    __tablename__ = "hf_users"
    __table_args__ = (
        CheckConstraint("length(user_name) BETWEEN 1 AND 32", "user_name"),
        Index("uq_hf_users_name_key", "name_key", unique=True),
    )

    id: Mapped[UuidKey]
    user_name: Mapped[str] = mapped_column(String(32))
    name_key: Mapped[str] = mapped_column(String(128))
    """The name without its case: `Admin` and `admin` are one account to people."""
    password_hash: Mapped[str] = mapped_column(String(255))
    role: Mapped[Role] = mapped_column(enum_by_value(Role, "role"))
    enabled: Mapped[bool]
    password_change_required: Mapped[bool]
    created_at: Mapped[Instant]
    version: Mapped[Version]


class LoginFailureRow(Base):
    """Failed logins of one name from one source; kept beside the account, so that counting leaves its version alone."""

    __tablename__ = "hf_login_failures"
    __table_args__ = (
        CheckConstraint("failures > 0", "failures"),
        Index("ix_hf_login_failures_expires_at", "expires_at"),
    )

    name_digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    """A digest, because people type passwords where the name belongs."""
    source: Mapped[str] = mapped_column(String(64), primary_key=True)
    failures: Mapped[int]
    expires_at: Mapped[Instant]


class SessionRow(Base):
    """One login. The token itself is known to the client only."""

    __tablename__ = "hf_sessions"
    __table_args__ = (
        Index("uq_hf_sessions_token_hash", "token_hash", unique=True),
        Index("ix_hf_sessions_account_id_used_at", "account_id", "used_at"),
        Index("ix_hf_sessions_used_at", "used_at"),
    )

    id: Mapped[UuidKey]
    token_hash: Mapped[str] = mapped_column(String(64))
    account_id: Mapped[str] = mapped_column(ForeignKey("hf_users.id", ondelete="CASCADE"))
    created_at: Mapped[Instant]
    used_at: Mapped[Instant]
    address: Mapped[str | None] = mapped_column(String(64))
