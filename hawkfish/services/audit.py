"""The audit trail: who did what to what, and what was refused."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import structlog

from hawkfish.config import Settings
from hawkfish.db import Database, UnitOfWork
from hawkfish.domain.accounts import Actor, AuditOutcome, AuditRecord, Role, StrangerRefusals
from hawkfish.domain.pages import EVERYTHING, Page, PageRequest
from hawkfish.errors import DatabaseUnavailable
from hawkfish.services.authorization import Authorizer
from hawkfish.services.strangers import SPAN, TOLD, Later, Strangers, in_a_moment

log = structlog.get_logger(__name__)

LOCKOUT = "sessions.lockout"
"""Under which lockouts are counted: apart from the refusals before them, lest they be lost among those."""
NOBODY = "(unknown)"
"""Stands for a name that no account bears: people type passwords where the name belongs."""

DETAIL_KEYS = frozenset(
    {
        "began",
        "bytes",
        "changed",
        "count",
        "drive",
        "driver",
        "enabled",
        "ended",
        "host",
        "idempotent",
        "locked",
        "method",
        "name",
        "password_change_required",
        "pool",
        "privilege",
        "project",
        "reason",
        "reset_type",
        "role",
        "sessions_ended",
        "sha256",
        "source",  # without what is behind `?`
        "status",
        "target",
        "task",
        "user_name",
    }
)
"""All that details may speak of. A key is added only if its values can never be secret."""

TEXT_LIMIT = 255
PAGE_LIMIT = 1000


def utc_now() -> datetime:
    """The time, with its zone."""
    return datetime.now(UTC)


@lru_cache(maxsize=1024)  # every request with Basic asks
def source_of(address: str | None) -> str:
    """What counts as one source of requests: an address, or for IPv6 its /64, since a machine has all of one."""
    if address is None:
        return "-"
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return printable(address, 64)
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)


class AuditService:
    """Writes and reads the audit trail.

    Args:
        database: Where it is kept.
        settings: How long.
        clock: Tells the time.
        later: Runs what is to be done in a moment.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        *,
        clock: Callable[[], datetime] = utc_now,
        later: Later = in_a_moment,
    ) -> None:
        self._database = database
        self._retention = timedelta(days=settings.audit_retention_days)
        self._clock = clock
        self._strangers = Strangers(database, later)
        self.authorize = Authorizer(self.refused)

    def record(
        self,
        uow: UnitOfWork,
        actor: Actor,
        verb: str,
        subject: str,
        outcome: AuditOutcome = AuditOutcome.ALLOWED,
        **details: Any,
    ) -> None:
        """Writes a record in the caller's transaction, so that there is no change without it and no record without a change.

        Args:
            uow: The transaction of the change.
            actor: Who did it.
            verb: What was done, as in `authorize`.
            subject: What it was done to, as `kind:id`.
            outcome: How it ended.
            **details: Facts under the keys of `DETAIL_KEYS`, never a secret. Texts are shortened.

        Raises:
            LookupError: A key is not in `DETAIL_KEYS`; a mistake of the program.
        """
        uow.audit.add(**self._row(actor, verb, subject, outcome, details))

    def record_many(
        self, uow: UnitOfWork, actor: Actor, verb: str, details_by_subject: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Writes a record for each of many subjects to which the same was done; see `record`."""
        uow.audit.add_many(
            [
                self._row(actor, verb, subject, AuditOutcome.ALLOWED, details)
                for subject, details in details_by_subject.items()
            ]
        )

    def _row(
        self, actor: Actor, verb: str, subject: str, outcome: AuditOutcome, details: Mapping[str, Any]
    ) -> dict[str, Any]:
        facts = {key: _fact(key, value) for key, value in details.items()}
        return {
            "at": self._clock(),
            "user_name": printable(actor.user_name, 64),
            "verb": verb,
            "subject": printable(subject, TEXT_LIMIT),
            "outcome": outcome,
            "address": None if actor.address is None else printable(actor.address, 64),
            "session_id": actor.session_id,
            "request_id": None if actor.request_id is None else printable(actor.request_id, 128),
            "project": facts.pop("project", None),
            "details": facts,
        }

    def refused(self, actor: Actor, verb: str, subject: str, details: Mapping[str, Any]) -> None:
        """Writes that something was refused, in a transaction of its own; never call it inside another writing one.

        The refusal stands even where the database cannot be written.

        Args:
            actor: Who was refused.
            verb: What was asked for.
            subject: What it was asked for, as `kind:id`.
            details: As in `record`.
        """
        self._write(self._row(actor, verb, subject, AuditOutcome.DENIED, details))

    def refused_stranger(
        self,
        verb: str,
        subject: str,
        *,
        reason: str,
        address: str | None,
        request_id: str | None,
        account_id: UUID | None = None,
        locks: bool = False,
    ) -> None:
        """Writes that somebody was refused whom nobody knows; as `refused`.

        The first refusals of a source leave a record each, and those that follow within the hour one together (`tell_refusals`), lest
        a stranger fill the disk.

        Args:
            verb: What was asked for.
            subject: What it was asked for; of an account its id is told instead.
            reason: Why it was refused.
            address: Where the request came from.
            request_id: Id of the request.
            account_id: The account that was asked for, if there is such a one.
            locks: Whether that locks it out; lockouts are counted apart.
        """
        account = "" if account_id is None else f"account:{account_id}"
        nobody = unknown_actor(address, request_id)
        details = {"reason": reason, **({"locked": True} if locks else {})}
        row = self._row(nobody, verb, account or subject, AuditOutcome.DENIED, details)
        now, kind = row["at"], LOCKOUT if locks else verb
        self._strangers.refused(StrangerRefusals(source_of(address), kind, account, 1, now, now), row)

    def tell_refusals(self) -> int:
        """Writes a record for each source of strangers, of what followed the refusals that were told; tells how many records."""
        now = self._clock()

        def write(uow: UnitOfWork) -> int:
            found = [item for item in uow.audit.take_refusals(now, SPAN) if item.count > TOLD]
            for item in found:
                self.record(
                    uow,
                    unknown_actor(item.source, None),
                    item.verb,
                    item.subject,
                    AuditOutcome.DENIED,
                    reason=f"refused again, after the {TOLD} times that are told one by one",
                    count=item.count - TOLD,
                    began=item.began_at.isoformat(timespec="seconds"),
                    ended=item.ended_at.isoformat(timespec="seconds"),
                )
            return len(found)

        return self._database.run(write)

    def failed(self, actor: Actor, verb: str, subject: str, *, reason: str) -> None:
        """Writes that something was asked for by somebody who may, and could not be done; in a transaction of its own."""
        self._write(self._row(actor, verb, subject, AuditOutcome.FAILED, {"reason": reason}))

    def _write(self, row: Mapping[str, Any]) -> None:
        try:
            with self._database.write() as uow:
                uow.audit.add(**row)
        except DatabaseUnavailable as error:
            log.error("audit.refusal_not_written", verb=row["verb"], error=error.message)  # noqa: TRY400  no trace is needed

    def list(self, actor: Actor, limit: int = 100, before_id: int | None = None) -> list[AuditRecord]:
        """A page of records, newest first.

        Args:
            actor: Who asks.
            limit: Length of the page, at most 1000.
            before_id: Id of the last record of the page before.
        """
        self.authorize(actor, "audit.read")
        with self._database.read() as uow:
            return uow.audit.page(limit=max(1, min(limit, PAGE_LIMIT)), before_id=before_id)

    def page(self, actor: Actor, wanted: PageRequest = EVERYTHING) -> Page[AuditRecord]:
        """A page of the trail, newest first; `wanted` may hold a condition."""
        self.authorize(actor, "audit.read")
        with self._database.read() as uow:
            return uow.audit.records(wanted)

    def get(self, actor: Actor, record_id: int) -> AuditRecord:
        """One record.

        Raises:
            NotFound: There is none (any more).
        """
        self.authorize(actor, "audit.read")
        with self._database.read() as uow:
            return uow.audit.get(record_id)

    def purge(self) -> int:
        """Deletes what is older than the retention; tells how much."""
        before = self._clock() - self._retention
        return self._database.run(lambda uow: uow.audit.purge(before))

    def close(self) -> None:
        """Writes the refusals that were gathered and not written yet."""
        self._strangers.close()


def unknown_actor(address: str | None, request_id: str | None, user_name: str = NOBODY) -> Actor:
    """Stands in the audit trail for a caller who has not proved to be anybody."""
    # The role is not used: an actor made here is written down and then forgotten.
    return Actor(user_name=user_name, role=Role.READ_ONLY, address=address, request_id=request_id)


def _fact(key: str, value: Any) -> Any:
    if key not in DETAIL_KEYS:
        raise LookupError(f"The audit trail knows no detail {key!r}; see hawkfish.services.audit.DETAIL_KEYS.")
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return [
            printable(str(item), TEXT_LIMIT)
            for item in (sorted(value) if isinstance(value, set | frozenset) else value)
        ]
    return printable(str(value), TEXT_LIMIT)


def printable(text: str, limit: int) -> str:
    """The text without what would break a line or a database, and not too long."""
    return "".join(character if character.isprintable() else "?" for character in text[:limit])
