"""The rules of DSP0266 that hold for every resource: versions, methods, query options, headers."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import falcon

from hawkfish.api.errors import ProtocolError, shown
from hawkfish.api.queries import PLAIN, read_query
from hawkfish.api.resources.base import Resource
from hawkfish.api.shapes import Reader, shape
from hawkfish.errors import NotFound

_IDENTITY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


class Protocol:
    """Checks what does not depend on the resource's type, and sets the headers that all answers bear.

    Args:
        reader: Gives what links lead to.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        """Refuses versions of OData other than the one that Redfish uses."""
        version = req.get_header("OData-Version")
        if version is not None and version.strip() != "4.0":
            text = f"OData-Version {shown(version)} is not supported; send 4.0 or leave the header out."
            raise ProtocolError(412, "HeaderInvalid", "OData-Version", text=text)

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: object, params: dict[str, Any]
    ) -> None:
        """Refuses methods, options and ids that the resource cannot have."""
        if not isinstance(resource, Resource):
            return
        allow = ", ".join(resource.allow)
        if req.method not in resource.allow:
            text = f"{shown(req.method)} is not allowed on {shown(req.path)}; it answers {allow}."
            raise ProtocolError(405, "OperationNotAllowed", text=text, headers={"Allow": allow})
        if req.method in {"GET", "HEAD"}:
            resp.set_header("Allow", allow)
        for value in params.values():
            if not _IDENTITY.fullmatch(value):
                raise NotFound(f"There is no {shown(req.path)}.", kind="Resource", id=shown(value))
        self._read_query(req, resource)

    def _read_query(self, req: falcon.Request, resource: Resource) -> None:
        """Leaves the query options in the request's context, and how they shape what is shown; None for not at all."""
        context = req.context
        context.query, context.shape = PLAIN, None
        if req.query_string and not resource.reads_query:
            context.query = query = read_query(req, collection=resource.collection, shapeable=resource.shapeable)
            context.read = self._reader.of(req)
            if query.shapes:
                context.shape = partial(shape, query=query, read=context.read)

    def process_response(self, req: falcon.Request, resp: falcon.Response, _resource: object, _succeeded: bool) -> None:
        """Sets the headers."""
        if _ends_without_a_word(req.env):
            resp.set_header("Connection", "close")
        resp.set_header("OData-Version", "4.0")
        resp.set_header("X-Content-Type-Options", "nosniff")
        if resp.get_header("Cache-Control") is None:
            resp.set_header("Cache-Control", "no-cache")


def _ends_without_a_word(environ: dict[str, Any]) -> bool:
    """Whether the server will close this connection after the answer, as the client asked, and does not tell the client so.

    That is what gevent's server does, where RFC 9112, section 9.6, wants it said. Clients on top of urllib3, such as sushy and so
    Ironic, go by the answer: their next request would meet the end of the connection. Other servers say it themselves, and do not
    take it from an application.
    """
    is_last: bool = environ.get("HTTP_CONNECTION", "").lower() == "close"
    return is_last and environ.get("SERVER_SOFTWARE", "").startswith("gevent/")
