"""Bodies of resources: their bytes, their ETags, and how they are sent."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import falcon

from hawkfish.api.links import described_by
from hawkfish.errors import PreconditionFailed


@dataclass(frozen=True)
class Document:
    """What a GET of a resource shows.

    Attributes:
        body: The JSON object, without its ETag.
        version: Version of the record behind it; None where there is none.
    """

    body: dict[str, Any]
    version: int | None = None

    def render(self) -> tuple[bytes, str]:
        """The bytes, with `@odata.etag` in them, and the ETag.

        The version makes the ETag change with every write, also one that the body does not show (a password); the
        hash makes it change with what is shown and not kept in the record (the state of the host).
        """
        content = dump(self.body)
        etag = f'"{self.version or 0}-{blake2b(content, digest_size=6).hexdigest()}"'
        return b'{"@odata.etag":' + json.dumps(etag).encode() + b"," + content[1:], etag

    @property
    def etag(self) -> str:
        """The ETag alone."""
        return self.render()[1]


def dump(body: dict[str, Any]) -> bytes:
    """JSON as it is sent."""
    return json.dumps(body, separators=(",", ":")).encode()


def send(req: falcon.Request, resp: falcon.Response, document: Document, status: int = 200) -> None:
    """Sends a resource; 304 where the client has it already."""
    content, etag = document.render()
    resp.set_header("ETag", etag)
    schema = described_by(document.body["@odata.type"])
    if schema is not None:
        resp.set_header("Link", schema)
    if req.method in {"GET", "HEAD"} and _matches(req.get_header("If-None-Match"), etag):
        resp.status = 304
        return
    resp.status = status
    resp.data = content


def require_match(req: falcon.Request, document: Document) -> None:
    """Compares the request's If-Match with what the resource shows now.

    Raises:
        PreconditionFailed: The caller has read another state. The service compares the version once more when it writes,
            so nothing slips in between.
    """
    wanted = req.get_header("If-Match")
    if wanted is not None and not _matches(wanted, document.etag):
        raise PreconditionFailed(
            f"{document.body['@odata.id']} was changed since it was read; read it again, and repeat the request if it still applies."
        )


def expected_version(req: falcon.Request, document: Document) -> int | None:
    """The version that the write must find; None where the request does not care."""
    require_match(req, document)
    return document.version if req.get_header("If-Match") not in {None, "*"} else None


def _matches(header: str | None, etag: str) -> bool:
    if header is None:
        return False
    if header.strip() == "*":
        return True
    return etag in {candidate.strip().removeprefix("W/") for candidate in header.split(",")}
