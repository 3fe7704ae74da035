"""Accounts, sessions, roles and the audit trail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from uuid import UUID


class Role(StrEnum):
    """The standard roles of Redfish (DSP0266 13.2)."""

    ADMINISTRATOR = "Administrator"
    OPERATOR = "Operator"
    READ_ONLY = "ReadOnly"


class Privilege(StrEnum):
    """The standard privileges of Redfish."""

    LOGIN = "Login"
    CONFIGURE_MANAGER = "ConfigureManager"
    CONFIGURE_USERS = "ConfigureUsers"
    CONFIGURE_COMPONENTS = "ConfigureComponents"
    CONFIGURE_SELF = "ConfigureSelf"


ROLE_PRIVILEGES: Mapping[Role, frozenset[Privilege]] = MappingProxyType(
    {
        Role.ADMINISTRATOR: frozenset(Privilege),
        Role.OPERATOR: frozenset({Privilege.LOGIN, Privilege.CONFIGURE_COMPONENTS, Privilege.CONFIGURE_SELF}),
        Role.READ_ONLY: frozenset({Privilege.LOGIN, Privilege.CONFIGURE_SELF}),
    }
)


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who does something: an account on a request, or the service itself.

    Attributes:
        account_id: None for the service itself.
        session_id: None with Basic authentication.
        address: Where the request came from.
        password_change_required: Only the account's own password may be changed until that is done.
    """

    user_name: str
    role: Role
    account_id: UUID | None = None
    session_id: str | None = None
    address: str | None = None
    request_id: str | None = None
    password_change_required: bool = False

    @property
    def privileges(self) -> frozenset[Privilege]:
        """What the role allows."""
        return ROLE_PRIVILEGES[self.role]


SYSTEM_ACTOR = Actor(user_name="hawkfish", role=Role.ADMINISTRATOR)
"""The service itself: bootstrap, sweeps, expiry."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """An account, without its password."""

    id: UUID
    user_name: str
    role: Role
    enabled: bool = True
    locked: bool = False
    password_change_required: bool = False
    created_at: datetime | None = None
    version: int = 1


@dataclass(frozen=True, kw_only=True)
class Session:
    """A login; its token is known to the client only."""

    id: str
    account_id: UUID
    user_name: str
    created_at: datetime
    used_at: datetime
    address: str | None = None


class AuditOutcome(StrEnum):
    """How an audited request ended."""

    ALLOWED = "allowed"
    DENIED = "denied"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class AuditRecord:
    """Who did what to what, from where, and whether it was allowed."""

    id: int
    at: datetime
    user_name: str
    verb: str
    subject: str
    outcome: AuditOutcome
    address: str | None = None
    session_id: str | None = None
    request_id: str | None = None
    project: str | None = None
    details: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class StrangerRefusals:
    """How often callers whom nobody knows were refused.

    Attributes:
        source: Where from: an address, or the network that counts as one.
        verb: What they asked for.
        subject: The account that they asked for, as `account:<id>`; empty where it is none.
        count: How often.
        began_at: When first.
        ended_at: When last.
    """

    source: str
    verb: str
    subject: str
    count: int
    began_at: datetime
    ended_at: datetime
