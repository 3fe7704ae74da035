"""The interface of quota checkers. All are asked; any denial wins; a checker that fails denies, with its name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True)
class ResourceUsage:
    """What a project has of one resource; `limit` None means unlimited. vCPUs and counts as they are, memory in MiB, disk in MiB."""

    used: int
    reserved: int
    limit: int | None = None


@dataclass(frozen=True, kw_only=True)
class QuotaRequest:
    """What is about to be taken.

    Attributes:
        project: Name of the project.
        actor: Name of the account that asks.
        verb: Such as `systems.create`.
        amounts: Resource (`Systems`, `vCPUs`, `MemoryMiB`, `DiskMiB`, `Volumes`, ...) to the amount asked for.
        usage: What the project has of each resource, read in the transaction that will reserve.
    """

    project: str
    actor: str
    verb: str
    amounts: Mapping[str, int]
    usage: Mapping[str, ResourceUsage] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, kw_only=True)
class QuotaDenial:
    """Why a request is denied: `resource` that is short and a sentence that says what to do next."""

    resource: str
    message: str


class QuotaChecker(ABC):
    """Says yes or no to a request. Pure: it is asked inside a transaction, must not wait and must not change anything."""

    @abstractmethod
    def check(self, request: QuotaRequest) -> QuotaDenial | None:
        """None to allow."""
