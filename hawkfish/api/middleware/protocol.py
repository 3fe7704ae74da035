"""The rules of DSP0266 that hold for every resource: versions, methods, query options, headers."""

from __future__ import annotations

import re
from typing import Any

import falcon

from hawkfish.api.errors import ProtocolError, shown
from hawkfish.api.queries import check_query
from hawkfish.api.resources.base import Resource
from hawkfish.errors import NotFound

_IDENTITY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


class Protocol:
    """Checks what does not depend on the resource's type, and sets the headers that all answers bear."""

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
        check_query(req, collection=resource.collection)

    def process_response(
        self, _req: falcon.Request, resp: falcon.Response, _resource: object, _succeeded: bool
    ) -> None:
        """Sets the headers."""
        resp.set_header("OData-Version", "4.0")
        resp.set_header("X-Content-Type-Options", "nosniff")
        if resp.get_header("Cache-Control") is None:
            resp.set_header("Cache-Control", "no-cache")
