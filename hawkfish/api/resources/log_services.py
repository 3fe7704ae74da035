"""LogServices of systems (what happened) and of their managers (who did what, and what was refused)."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar

import falcon

from hawkfish.api import links
from hawkfish.api.documents import Document, send
from hawkfish.api.errors import shown
from hawkfish.api.links import link
from hawkfish.api.offload import offload
from hawkfish.api.queries import Query
from hawkfish.api.resources.base import (
    MOST_SIFTED,
    Head,
    check_place,
    collection_document,
    not_none,
    paged,
    send_members,
    timestamp,
)
from hawkfish.api.resources.systems import SystemPart
from hawkfish.api.schemas.actions import ClearLogSchema
from hawkfish.domain.accounts import Actor, AuditOutcome, AuditRecord
from hawkfish.domain.events import Event
from hawkfish.domain.logs import LogClearing, LogEntry, SystemLog
from hawkfish.domain.messages import REQUEST_ALLOWED, REQUEST_DENIED, REQUEST_FAILED
from hawkfish.domain.pages import Page
from hawkfish.domain.systems import System
from hawkfish.errors import NotFound, QueryInvalid
from hawkfish.events.texts import sentence

PURPOSES = {SystemLog.EVENTS: "Operations", SystemLog.AUDIT: "Security"}
REQUESTS = {
    AuditOutcome.ALLOWED: REQUEST_ALLOWED,
    AuditOutcome.DENIED: REQUEST_DENIED,
    AuditOutcome.FAILED: REQUEST_FAILED,
}
TITLES = {SystemLog.EVENTS: "Events of the system", SystemLog.AUDIT: "Audit trail of the system"}
ENTRIES_AT_ONCE = 200
NUMBER = re.compile(r"[1-9][0-9]{0,17}")


def log_service_document(address: str, log: SystemLog, clearing: LogClearing, max_records: int | None) -> Document:
    """A LogService.

    Args:
        address: Its address.
        log: Which log it is.
        clearing: From where on it is shown.
        max_records: How many entries there can be; None where only their age counts.
    """
    body = not_none(
        **{"@odata.id": address, "@odata.type": "#LogService.v1_9_0.LogService"},
        Id=log,
        Name=TITLES[log],
        LogEntryType="Event",
        LogPurposes=[PURPOSES[log]],
        OverWritePolicy="WrapsWhenFull",
        MaxNumberOfRecords=max_records,
        Persistency=True,
        ServiceEnabled=True,
        DateTime=timestamp(datetime.now(UTC)),
        DateTimeLocalOffset="+00:00",
        Status={"State": "Enabled", "Health": "OK"},
        Entries={"@odata.id": f"{address}/Entries"},
        Actions={"#LogService.ClearLog": {"target": f"{address}/Actions/LogService.ClearLog"}},
    )
    return Document(body, clearing.version)


def log_entry_document(entries: str, entry: LogEntry, system: System) -> Document:
    """A LogEntry.

    Args:
        entries: Address of the collection.
        entry: What is recorded.
        system: The system that it is about.
    """
    body = not_none(
        **{"@odata.id": f"{entries}/{entry.id}", "@odata.type": "#LogEntry.v1_21_0.LogEntry"},
        Id=str(entry.id),
        Name=f"Log entry {entry.id}",
        EntryType="Event",
        Created=timestamp(entry.at),
        Links={"OriginOfCondition": link(links.SYSTEMS, system.id)},
        **(_event_properties(entry) if isinstance(entry, Event) else _audit_properties(entry)),
    )
    return Document(body)


def _event_properties(event: Event) -> dict[str, Any]:
    return {
        "Severity": event.severity,
        "MessageId": event.message_id,
        "MessageArgs": list(event.arguments),
        "Message": sentence(event.message_id, event.arguments),
        "EventId": str(event.id),
        "EventTimestamp": timestamp(event.at),
        "Username": event.actor,
    }


def _audit_properties(record: AuditRecord) -> dict[str, Any]:
    message, arguments = REQUESTS[record.outcome], (record.user_name, record.verb)
    facts = [f"{name} {value}" for name, value in sorted(record.details.items())]
    if record.address is not None:
        # OriginAddress wants a URI, and the trail has the address alone.
        facts.append(f"from {record.address}")
    return {
        "Severity": message.severity,
        "MessageId": message.id,
        "MessageArgs": list(arguments),
        "Message": f"{sentence(message.id, arguments)} ({', '.join(facts)})"
        if facts
        else sentence(message.id, arguments),
        "Username": record.user_name,
    }


class LogPart(SystemPart):
    """Anything below the LogServices of a system.

    Attributes:
        logs: The logs that are found here.
    """

    logs: ClassVar[tuple[SystemLog, ...]] = (SystemLog.EVENTS,)

    def address(self, system: System, log: SystemLog) -> str:
        """Where a log is."""
        return f"{self.collection_path}/{system.id}/LogServices/{log}"

    def find_log(self, system: System, log_id: str) -> SystemLog:
        """The log of that id.

        Raises:
            NotFound: There is none here.
        """
        if log_id not in self.logs:
            known = ", ".join(self.logs)
            raise NotFound(f"{system.name} has no log {log_id} here; it has {known}.", kind="LogService", id=log_id)
        return SystemLog(log_id)

    def service(self, actor: Actor, system: System, log: SystemLog) -> Document:
        """What kind of log it is."""
        clearing = offload(self.application.logs.clearing, actor, system.id, log)
        # Events are counted over all systems; audit records go by their age alone.
        most = self.application.settings.events_kept if log is SystemLog.EVENTS else None
        return log_service_document(self.address(system, log), log, clearing, most)


class ManagerLogPart(LogPart):
    """Anything below the LogServices of a manager."""

    collection_path = links.MANAGERS
    logs = (SystemLog.AUDIT,)


class LogServiceCollectionResource(LogPart):
    """The logs that the reader may read."""

    collection = True

    def on_get(self, req: falcon.Request, resp: falcon.Response, system_id: str) -> None:
        """Shows a page of the collection, or with `only` its one member."""
        system = self.find(req, system_id)
        actor, query = req.context.actor, req.context.query
        readable = [log for log in self.logs if self.application.logs.may_read(actor, log)]
        services = [self.service(actor, system, log) for log in readable]
        if query.only and len(services) == 1:
            send(req, resp, services[0])
            return
        found = [item for item in services if query.accepts(item.body)]
        page = paged(found, query.page, lambda item: str(item.body["Id"]))
        send_members(req, resp, Head(req.path, "LogServiceCollection", "Logs"), page)


class ManagerLogServiceCollectionResource(ManagerLogPart, LogServiceCollectionResource):
    """The logs of a manager."""


class LogServiceResource(LogPart):
    """One log."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, system_id: str, log_id: str) -> None:
        """Shows what kind of log it is."""
        system = self.find(req, system_id)
        send(req, resp, self.service(req.context.actor, system, self.find_log(system, log_id)))


class ManagerLogServiceResource(ManagerLogPart, LogServiceResource):
    """One log of a manager."""


class ClearLogResource(LogPart):
    """The action LogService.ClearLog."""

    def on_post(self, req: falcon.Request, resp: falcon.Response, system_id: str, log_id: str) -> None:
        """Hides all that the log shows now."""
        ClearLogSchema.read(self.read(req, optional=True))
        system = self.find(req, system_id)
        offload(self.application.logs.clear, req.context.actor, system.id, self.find_log(system, log_id))
        resp.status = 204


class ManagerClearLogResource(ManagerLogPart, ClearLogResource):
    """The same of a manager's log."""


class LogEntryCollectionResource(LogPart):
    """The entries of a log, shown whole as the schema says, newest first."""

    collection = True

    def on_get(self, req: falcon.Request, resp: falcon.Response, system_id: str, log_id: str) -> None:
        """Shows a page of the entries, or with `only` the one there is."""
        system = self.find(req, system_id)
        log = self.find_log(system, log_id)
        query: Query = req.context.query
        page = offload(self._page, req.context.actor, system, log, query)
        documents = [log_entry_document(req.path, entry, system) for entry in page.items]
        if query.only and page.total == 1:
            send(req, resp, documents[0])
            return
        members = [document.full() for document in documents]
        send(req, resp, collection_document(Head(req.path, "LogEntryCollection", TITLES[log]), page, members, query))

    def _page(self, actor: Actor, system: System, log: SystemLog, query: Query) -> Page[LogEntry]:
        check_place(query.after, int)
        wanted = replace(query.page, top=min(query.page.top or 0, ENTRIES_AT_ONCE))
        if query.condition is not None:
            entries, total = self.application.logs.page(actor, system.id, log, limit=MOST_SIFTED)
            if total > len(entries):
                text = f"$filter looks at up to {MOST_SIFTED} entries, and there are {total}; clear the log, or page through it."
                raise QueryInvalid(text, parameter="$filter", value=shown(query.filter_text))
            accepted = [item for item in entries if query.accepts(log_entry_document("", item, system).body)]
            return paged(accepted, wanted, lambda entry: -entry.id)
        before = None if query.after is None else -int(query.after)
        # One more than is shown tells whether there are more.
        entries, total = self.application.logs.page(
            actor, system.id, log, limit=(wanted.top or 0) + 1, skip=query.skip, before_id=before
        )
        shown_entries = entries[: wanted.top]
        more = len(entries) > len(shown_entries) and shown_entries
        return Page(items=shown_entries, total=total, next_after=-shown_entries[-1].id if more else None)


class ManagerLogEntryCollectionResource(ManagerLogPart, LogEntryCollectionResource):
    """The entries of a manager's log."""


class LogEntryResource(LogPart):
    """One entry."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, system_id: str, log_id: str, entry_id: str) -> None:
        """Shows the entry."""
        system = self.find(req, system_id)
        log = self.find_log(system, log_id)
        if not NUMBER.fullmatch(entry_id):
            given = shown(entry_id)
            raise NotFound(f"Entries of a log have numbers; there is no {given}.", kind="LogEntry", id=given)
        entry = offload(self.application.logs.get, req.context.actor, system.id, log, int(entry_id))
        send(req, resp, log_entry_document(f"{self.address(system, log)}/Entries", entry, system))


class ManagerLogEntryResource(ManagerLogPart, LogEntryResource):
    """One entry of a manager's log."""
