"""Interfaces that are fixed now and used from 0.9: identity providers (OIDC) and admission policies (OPA)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, kw_only=True)
class ExternalIdentity:
    """A caller that another system vouches for; `subject` is stable and unique within its `issuer`."""

    issuer: str
    subject: str
    user_name: str
    groups: tuple[str, ...] = ()


class IdentityProvider(ABC):
    """Turns a bearer token into an identity."""

    @abstractmethod
    def verify(self, token: str) -> ExternalIdentity | None:
        """The identity, or None if the token is not one of this provider's.

        Raises:
            NotAuthenticated: The token is this provider's and not valid.
        """


@dataclass(frozen=True, kw_only=True)
class AdmissionRequest:
    """What is about to happen: who (`actor`) does what (`verb`) to what (`subject`), with which values."""

    actor: str
    verb: str
    subject: str
    project: str | None = None
    values: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, kw_only=True)
class AdmissionDenial:
    """Why a request is denied: the rule and a sentence for people."""

    rule: str
    message: str


class AdmissionPolicy(ABC):
    """Says yes or no after authorisation. Never asked for reads, power-off, eject and repair, so that nobody is locked out."""

    @abstractmethod
    def admit(self, request: AdmissionRequest) -> AdmissionDenial | None:
        """None to allow."""
