"""SessionService and Sessions."""

from __future__ import annotations

import falcon

from hawkfish.api import links
from hawkfish.api.documents import Document, dump, send
from hawkfish.api.links import described_by
from hawkfish.api.messages import render
from hawkfish.api.offload import offload
from hawkfish.api.resources.base import Address, Collection, Resource, Singleton, not_none, paged, timestamp
from hawkfish.api.schemas.accounts import NewSessionSchema
from hawkfish.domain.accounts import Actor, Session
from hawkfish.domain.pages import Page, PageRequest


def session_document(session: Session) -> Document:
    """A Session, without its token."""
    body = not_none(
        **{"@odata.id": f"{links.SESSIONS}/{session.id}", "@odata.type": "#Session.v1_8_0.Session"},
        Id=session.id,
        Name=f"Session of {session.user_name}",
        UserName=session.user_name,
        SessionType="Redfish",
        CreatedTime=timestamp(session.created_at),
        ClientOriginIPAddress=session.address or None,
    )
    return Document({**body, "Password": None})


class SessionServiceResource(Singleton):
    """/redfish/v1/SessionService."""

    def document(self) -> Document:
        """The service."""
        body = {
            "@odata.id": links.SESSION_SERVICE,
            "@odata.type": "#SessionService.v1_2_0.SessionService",
            "Id": "SessionService",
            "Name": "Session service",
            "ServiceEnabled": True,
            "Status": {"State": "Enabled", "Health": "OK"},
            "SessionTimeout": self.application.settings.session_timeout,
            "Sessions": {"@odata.id": links.SESSIONS},
        }
        return Document(body)


class SessionsResource(Collection[Session]):
    """/redfish/v1/SessionService/Sessions; a POST is a login and needs no credentials but those in its body."""

    path = links.SESSIONS
    kind = "SessionCollection"
    title = "Sessions"

    def page(self, actor: Actor, wanted: PageRequest, _address: Address) -> Page[Session]:
        """The sessions that the actor may see, oldest first."""
        return paged(self.application.sessions.list(actor), wanted, self.key)

    def key(self, item: Session) -> str:
        """Its age, then its id."""
        return f"{item.created_at} {item.id}"

    def document(self, item: Session) -> Document:
        """One session."""
        return session_document(item)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Begins a session."""
        wanted = NewSessionSchema.read(self.read(req))
        session, token, actor = offload(
            self.application.sessions.login,
            wanted["user_name"],
            wanted["password"],
            req.remote_addr,
            req.context.request_id,
        )
        document = session_document(session)
        body = dict(document.body)
        if actor.password_change_required:
            account = f"{links.ACCOUNTS}/{actor.account_id}"
            body["@Message.ExtendedInfo"] = [render("PasswordChangeRequired", (account,))]
        resp.status = 201
        resp.set_header("X-Auth-Token", token)
        resp.set_header("Location", document.body["@odata.id"])
        resp.set_header("Link", described_by(document.body["@odata.type"]) or "")
        resp.set_header("Cache-Control", "no-store")
        resp.data = dump(body)


class SessionResource(Resource):
    """One session; its DELETE is the logout."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, session_id: str) -> None:
        """Shows the session."""
        send(req, resp, session_document(offload(self.application.sessions.get, req.context.actor, session_id)))

    def on_delete(self, req: falcon.Request, resp: falcon.Response, session_id: str) -> None:
        """Ends the session."""
        offload(self.application.sessions.end, req.context.actor, session_id)
        resp.status = 204
