"""Bodies of resources: their bytes, their ETags, and how they are sent."""

from __future__ import annotations

import json
from collections.abc import Hashable
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
        essence: What the hash is made of, where that is not the body: a body may name its own ETag.
    """

    body: dict[str, Any]
    version: int | None = None
    essence: dict[str, Any] | None = None

    def render(self) -> tuple[bytes, str]:
        """The bytes, with `@odata.etag` in them, and the ETag.

        The version makes the ETag change with every write, also one that the body does not show (a password); the
        hash makes it change with what is shown and not kept in the record (the state of the host).
        """
        content = dump(self.body)
        lasting = content if self.essence is None else dump(self.essence)
        if "DateTime" in self.body:
            # A clock that goes on is no change of its resource.
            lasting = dump({**self.body, "DateTime": None})
        etag = f'"{self.version or 0}-{digest(lasting)}"'
        return b'{"@odata.etag":' + json.dumps(etag).encode() + b"," + content[1:], etag

    @property
    def etag(self) -> str:
        """The ETag alone."""
        return self.render()[1]

    def full(self) -> dict[str, Any]:
        """The JSON object with its ETag, as it stands within another."""
        return {"@odata.etag": self.etag, **self.body}


@dataclass(frozen=True, slots=True)
class Rendered:
    """A resource's bytes, its ETag, and its header `Link`."""

    content: bytes
    etag: str
    schema: str | None


class RenderedCache:
    """Ready bytes of what is read most, each under a stamp that changes with what it shows.

    A body may be newer than the stamp it is kept under, never older: the stamp is read first. It holds nothing that depends on
    the reader, whose right to read is judged for every request before this is asked.
    """

    def __init__(self, size: int = 4096) -> None:
        self._size = size
        self._kept: dict[str, tuple[Hashable, Rendered]] = {}

    def get(self, key: str, stamp: Hashable) -> Rendered | None:
        """What is kept under that stamp."""
        kept = self._kept.get(key)
        return kept[1] if kept is not None and kept[0] == stamp else None

    def put(self, key: str, stamp: Hashable, document: Document) -> Rendered:
        """Renders a document and keeps it."""
        content, etag = document.render()
        rendered = Rendered(content, etag, described_by(document.body["@odata.type"]))
        self._kept.pop(key, None)
        while len(self._kept) >= self._size:
            self._kept.pop(next(iter(self._kept)), None)
        self._kept[key] = (stamp, rendered)
        return rendered


def dump(body: dict[str, Any]) -> bytes:
    """JSON as it is sent."""
    return json.dumps(body, separators=(",", ":")).encode()


def digest(content: bytes) -> str:
    """Tells one content from another."""
    return blake2b(content, digest_size=6).hexdigest()


def send(req: falcon.Request, resp: falcon.Response, document: Document, status: int = 200) -> None:
    """Sends a resource, whole or as the query options want it; 304 where the client has it already."""
    shape = req.context.shape
    if shape is not None and status == 200:  # noqa: PLR2004  OK
        send_rendered(req, resp, shape(document))
        return
    content, etag = document.render()
    send_rendered(req, resp, Rendered(content, etag, described_by(document.body["@odata.type"])), status)


def send_rendered(req: falcon.Request, resp: falcon.Response, rendered: Rendered, status: int = 200) -> None:
    """As `send`, with bytes that are ready."""
    resp.set_header("ETag", rendered.etag)
    if rendered.schema is not None:
        resp.set_header("Link", rendered.schema)
    if req.method in {"GET", "HEAD"} and _matches(req.get_header("If-None-Match"), rendered.etag):
        resp.status = 304
        return
    resp.status = status
    resp.data = rendered.content


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
