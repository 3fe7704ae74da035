"""What is asked of a system and cannot be done is written to the audit trail, and so to the log of the system's manager."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar
from uuid import UUID

from hawkfish.domain.accounts import Actor
from hawkfish.errors import (
    ActionNotSupported,
    Conflict,
    HawkFishError,
    NotSupported,
    PropertyError,
    SeveralErrors,
)
from hawkfish.services.access import Access

P = ParamSpec("P")
T = TypeVar("T")

REFUSALS = (ActionNotSupported, Conflict, NotSupported, PropertyError, SeveralErrors)
"""What says that the request itself cannot be done. What the actor may not do is written down by `authorize`."""


class HasAccess(Protocol):
    """A service."""

    _access: Access


S = TypeVar("S", bound=HasAccess)
Verb = Callable[Concatenate[S, Actor, UUID, P], T]


def notes_refusals(verb: str) -> Callable[[Verb[S, P, T]], Verb[S, P, T]]:
    """Has a verb of a service, on the system that is its first argument, write down why it refused.

    Args:
        verb: Its name, as in `authorize`.
    """

    def decorate(method: Verb[S, P, T]) -> Verb[S, P, T]:
        @wraps(method)
        def refusing(self: S, actor: Actor, system_id: UUID, /, *args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return method(self, actor, system_id, *args, **kwargs)
            except REFUSALS as error:
                self._access.audit.failed(actor, verb, f"system:{system_id}", reason=_reason(error))
                raise

        return refusing

    return decorate


def _reason(error: HawkFishError) -> str:
    """Why, without what was sent: it may hold a secret."""
    if isinstance(error, SeveralErrors):
        return "; ".join(_reason(item) for item in error.errors)
    if isinstance(error, PropertyError):
        return f"{error.data['property']} cannot be that"
    return error.message
