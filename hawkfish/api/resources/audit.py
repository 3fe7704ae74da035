"""The audit trail, under Oem/HawkFish: who did what to what, from where, and what was refused. For administrators."""

from __future__ import annotations

import re

import falcon

from hawkfish.api import links
from hawkfish.api.documents import Document, send
from hawkfish.api.filters import Fields, Stored
from hawkfish.api.offload import offload
from hawkfish.api.resources.base import Address, Collection, Resource, not_none, timestamp
from hawkfish.domain.accounts import Actor, AuditRecord
from hawkfish.domain.pages import Page, PageRequest
from hawkfish.errors import NotFound

NUMBER = re.compile(r"[1-9][0-9]{0,17}")

AUDIT_FIELDS: Fields = {
    "UserName": Stored("user_name"),
    "Verb": Stored("verb"),
    "Subject": Stored("subject"),
    "Outcome": Stored("outcome"),
    "Address": Stored("address"),
    "RequestId": Stored("request_id"),
}


def audit_document(record: AuditRecord) -> Document:
    """A record of the trail."""
    body = not_none(
        **{
            "@odata.id": f"{links.AUDIT}/{record.id}",
            "@odata.type": "#HawkFishAuditRecord.v1_0_0.HawkFishAuditRecord",
        },
        Id=str(record.id),
        Name=f"Audit record {record.id}",
        At=timestamp(record.at),
        UserName=record.user_name,
        Verb=record.verb,
        Subject=record.subject,
        Outcome=record.outcome,
        Address=record.address,
        SessionId=record.session_id,
        RequestId=record.request_id,
        Details=[{"Name": name, "Value": _shown(value)} for name, value in sorted(record.details.items())],
    )
    return Document(body)


def _shown(value: object) -> str:
    return ", ".join(str(item) for item in value) if isinstance(value, list) else str(value)


class AuditCollectionResource(Collection[AuditRecord]):
    """/redfish/v1/Oem/HawkFish/Audit."""

    path = links.AUDIT
    kind = "HawkFishAuditRecordCollection"
    title = "Audit trail"
    fields = AUDIT_FIELDS
    key_type = int

    def page(self, actor: Actor, wanted: PageRequest, _address: Address) -> Page[AuditRecord]:
        """The records, newest first."""
        return self.application.audit.page(actor, wanted)

    def key(self, item: AuditRecord) -> int:
        """Its number, the highest first."""
        return -item.id

    def document(self, item: AuditRecord) -> Document:
        """One record."""
        return audit_document(item)


class AuditRecordResource(Resource):
    """One record of the audit trail."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, record_id: str) -> None:
        """Shows the record."""
        if not NUMBER.fullmatch(record_id):
            raise NotFound(f"There is no audit record {record_id}.", kind="HawkFishAuditRecord", id=record_id)
        send(req, resp, audit_document(offload(self.application.audit.get, req.context.actor, int(record_id))))
