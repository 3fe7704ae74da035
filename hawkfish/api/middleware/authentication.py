"""Who the caller is: a session's token, or Basic; judged before anything is looked up, so that 401 comes before 404."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from typing import Any

import falcon

from hawkfish.api import links
from hawkfish.api.offload import offload
from hawkfish.bootstrap import Application
from hawkfish.domain.accounts import Actor
from hawkfish.errors import NotAuthenticated, PasswordChangeRequired

PUBLIC = frozenset({"/redfish", "/redfish/v1", "/redfish/v1/odata", "/redfish/v1/$metadata", "/healthz", "/readyz"})
LOGIN = frozenset({links.SESSIONS, f"{links.SESSIONS}/Members"})


class Authentication:
    """Puts the actor into the request's context, or refuses the request."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        """Finds out who is calling."""
        path = req.path.rstrip("/")
        if path in PUBLIC or (req.method == "POST" and path in LOGIN):
            return
        token = req.get_header("X-Auth-Token")
        authorization = req.get_header("Authorization")
        if token is not None:
            req.context.actor = self._of_token(req, token)
        elif authorization is not None:
            req.context.actor = self._of_basic(req, authorization)
        else:
            self._note_refusal(req, "no credentials")
            raise NotAuthenticated(f"No credentials were sent; log in with a POST to {links.SESSIONS}, or use Basic.")

    def _note_refusal(self, req: falcon.Request, reason: str) -> None:
        """Leaves a record in the audit trail; a wrong name or password leaves its own, where it is checked."""
        offload(
            self._application.audit.refused_stranger,
            "authenticate",
            f"{req.method} {req.path}",
            reason=reason,
            address=req.remote_addr,
            request_id=req.context.request_id,
        )

    def process_resource(
        self, req: falcon.Request, _resp: falcon.Response, _resource: object, params: dict[str, Any]
    ) -> None:
        """Whoever must first change the password may do only that, and log out."""
        actor = req.context.actor
        if actor is None or not actor.password_change_required:
            return
        own_account = params.get("account_id") == str(actor.account_id) and req.method in {"GET", "HEAD", "PATCH"}
        own_session = params.get("session_id") == actor.session_id and req.method == "DELETE"
        if own_account or (own_session and actor.session_id is not None):
            return
        self._application.audit.refused(actor, f"{req.method} {req.path}", "", {"reason": "password change required"})
        raise PasswordChangeRequired(
            f"The password of {actor.user_name} must be changed before anything else: PATCH Password of the own account.",
            account_id=str(actor.account_id),
        )

    def _of_token(self, req: falcon.Request, token: str) -> Actor:
        sessions, address, request_id = self._application.sessions, req.remote_addr, req.context.request_id
        actor = sessions.recognise(token, address, request_id)
        if actor is not None:
            return actor
        try:
            return offload(sessions.resume, token, address, request_id)
        except NotAuthenticated:
            self._note_refusal(req, "no such session")
            raise

    def _of_basic(self, req: falcon.Request, authorization: str) -> Actor:
        try:
            user_name, password = self._read_basic(req, authorization)
        except NotAuthenticated as error:
            self._note_refusal(req, error.message)
            raise
        accounts, address, request_id = self._application.accounts, req.remote_addr, req.context.request_id
        actor = accounts.recognise(user_name, password, address, request_id)
        if actor is not None:
            return actor
        return offload(accounts.authenticate, user_name, password, address, request_id)

    def _read_basic(self, req: falcon.Request, authorization: str) -> tuple[str, str]:
        scheme, _, encoded = authorization.partition(" ")
        if scheme.lower() != "basic":
            raise NotAuthenticated(
                f"Only Basic is understood in Authorization; or log in with a POST to {links.SESSIONS}."
            )
        if not self._may_use_basic(req):
            raise NotAuthenticated(
                "Basic is refused over plain HTTP, where everybody could read the password; use HTTPS."
            )
        try:
            user_name, colon, password = base64.b64decode(encoded.strip(), validate=True).decode("utf-8").partition(":")
        except (binascii.Error, UnicodeDecodeError, ValueError):
            raise NotAuthenticated("The Basic credentials cannot be read.") from None
        if not colon:
            raise NotAuthenticated("The Basic credentials cannot be read.")
        return user_name, password

    def _may_use_basic(self, req: falcon.Request) -> bool:
        """Over TLS, on this machine, or where the administrator has chosen to do without TLS (`--no-tls`)."""
        return req.scheme == "https" or not self._application.settings.tls or _is_local(req.remote_addr)


def _is_local(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == ""  # a Unix socket
