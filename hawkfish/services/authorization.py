"""Who may do what: one table of verbs, and the one function that stands at the head of every service verb."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol
from uuid import UUID

from hawkfish.domain.accounts import Actor, Privilege
from hawkfish.errors import NotPermitted, PasswordChangeRequired


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What a verb asks of its actor.

    Attributes:
        privilege: Enough for any subject.
        own: Enough where the subject is the actor's own.
        before_password_change: Also open, for the actor's own, to whoever must first change the password.
    """

    privilege: Privilege
    own: Privilege | None = None
    before_password_change: bool = False


_LOGIN = Rule(privilege=Privilege.LOGIN)
_MANAGER = Rule(privilege=Privilege.CONFIGURE_MANAGER)
_USERS = Rule(privilege=Privilege.CONFIGURE_USERS)
_COMPONENTS = Rule(privilege=Privilege.CONFIGURE_COMPONENTS)

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "service.read": _LOGIN,
        "plugins.read": _LOGIN,
        "systems.read": _LOGIN,
        "systems.create": _COMPONENTS,
        "systems.update": _COMPONENTS,
        "systems.delete": _COMPONENTS,
        "systems.reset": _COMPONENTS,
        "systems.default_boot_order": _COMPONENTS,
        # What a guest shows may hold secrets of its users, so that looking is more than reading.
        "systems.screenshot": _COMPONENTS,
        "systems.serial_log": _COMPONENTS,
        "managers.read": _LOGIN,
        "managers.update": _MANAGER,
        "managers.reset": _MANAGER,
        "media.read": _LOGIN,
        "media.insert": _COMPONENTS,
        "media.eject": _COMPONENTS,
        "media.update": _COMPONENTS,
        "volumes.create": _COMPONENTS,
        "bios.update": _COMPONENTS,
        "bios.reset": _COMPONENTS,
        "secure_boot.update": _COMPONENTS,
        "secure_boot.reset_keys": _COMPONENTS,
        "logs.read": _LOGIN,
        "logs.clear": _MANAGER,
        "hosts.read": _LOGIN,
        "hosts.add": _MANAGER,
        "hosts.update": _MANAGER,
        "hosts.remove": _MANAGER,
        "hosts.forget": _MANAGER,
        "pools.read": _LOGIN,
        "pools.update": _MANAGER,
        "images.read": _LOGIN,
        "images.add": _COMPONENTS,
        "images.delete": _COMPONENTS,
        "images.prune": _COMPONENTS,
        "profiles.read": _LOGIN,
        "profiles.create": _COMPONENTS,
        "profiles.update": _COMPONENTS,
        "profiles.delete": _COMPONENTS,
        "tasks.read": _LOGIN,
        "tasks.cancel": _COMPONENTS,
        "events.read": _LOGIN,
        "events.listen": _LOGIN,
        "events.submit_test": _COMPONENTS,
        "subscriptions.list": _LOGIN,
        "subscriptions.create": _COMPONENTS,
        "subscriptions.read": Rule(privilege=Privilege.CONFIGURE_MANAGER, own=Privilege.LOGIN),
        "subscriptions.update": Rule(privilege=Privilege.CONFIGURE_MANAGER, own=Privilege.LOGIN),
        "subscriptions.delete": Rule(privilege=Privilege.CONFIGURE_MANAGER, own=Privilege.LOGIN),
        "roles.read": _LOGIN,
        "accounts.list": _LOGIN,
        "accounts.read": Rule(
            privilege=Privilege.CONFIGURE_USERS, own=Privilege.CONFIGURE_SELF, before_password_change=True
        ),
        "accounts.change_password": Rule(
            privilege=Privilege.CONFIGURE_USERS, own=Privilege.CONFIGURE_SELF, before_password_change=True
        ),
        "accounts.create": _USERS,
        "accounts.update": _USERS,
        "accounts.delete": _USERS,
        "sessions.list": _LOGIN,
        "sessions.read": Rule(privilege=Privilege.CONFIGURE_MANAGER, own=Privilege.LOGIN),
        # Whoever must change the password may also leave again.
        "sessions.delete": Rule(
            privilege=Privilege.CONFIGURE_MANAGER, own=Privilege.LOGIN, before_password_change=True
        ),
        "audit.read": _MANAGER,
        "metrics.read": _LOGIN,
    }
)


class RefusalLog(Protocol):
    """Writes down, in a transaction of its own, that something was refused."""

    def __call__(self, actor: Actor, verb: str, subject: str, details: Mapping[str, Any]) -> None:
        """Writes one record."""


def may(actor: Actor, verb: str, *, owner: UUID | None = None) -> bool:
    """Whether `authorize` would let this pass; for what is shown or offered. Nothing is written down.

    Args:
        actor: Who asks.
        verb: One of `RULES`.
        owner: The account that the subject belongs to, where it belongs to one.
    """
    rule = _rule(verb)
    own = owner is not None and owner == actor.account_id
    if actor.password_change_required and not (own and rule.before_password_change):
        return False
    return rule.privilege in actor.privileges or (own and rule.own in actor.privileges)


class Authorizer:
    """`authorize` as the services hold it.

    Call it before a writing transaction is begun: a refusal is written in one of its own, since the caller's rolls back.
    Projects (issue 4) and admission policies are asked here and nowhere else: every verb already names its subject and project.
    """

    def __init__(self, refused: RefusalLog) -> None:
        self._refused = refused

    def __call__(
        self, actor: Actor, verb: str, subject: str = "", *, owner: UUID | None = None, project: UUID | None = None
    ) -> None:
        """Lets the actor pass, or writes the refusal to the audit trail and raises.

        Args:
            actor: Who asks.
            verb: One of `RULES`; another one is a mistake of the program.
            subject: What it is done to, as `kind:id`.
            owner: The account that the subject belongs to, where it belongs to one.
            project: The project that the subject belongs to; recorded with a refusal.

        Raises:
            PasswordChangeRequired: The actor must first change the own password.
            NotPermitted: The actor's role is not enough.
        """
        if may(actor, verb, owner=owner):
            return
        details: dict[str, Any] = {"role": actor.role.value}
        if project is not None:
            details["project"] = str(project)
        if actor.password_change_required:
            self._refused(actor, verb, subject, {**details, "reason": "password change required"})
            raise PasswordChangeRequired(
                f"The password of {actor.user_name} must be changed before anything else: "
                "set a new one on the own account.",
                verb=verb,
                account_id=str(actor.account_id),
            )
        privilege = _rule(verb).privilege
        self._refused(actor, verb, subject, {**details, "privilege": privilege.value})
        raise NotPermitted(
            f"{actor.user_name} may not do {verb} on {subject or 'this'}: the role {actor.role} lacks the privilege "
            f"{privilege}. Ask an administrator.",
            verb=verb,
            privilege=privilege.value,
        )


def _rule(verb: str) -> Rule:
    try:
        return RULES[verb]
    except KeyError:
        raise LookupError(f"The verb {verb!r} is not in hawkfish.services.authorization.RULES; add it there.") from None
