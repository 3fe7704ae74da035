"""Resources shown otherwise than they are: links replaced by what they lead to ($expand), or parts only ($select)."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import falcon
from falcon.routing import CompiledRouter

from hawkfish.api.documents import Document, Rendered, digest, dump
from hawkfish.api.errors import ProtocolError, answer_of
from hawkfish.api.links import described_by
from hawkfish.api.queries import PLAIN, Expand, Query
from hawkfish.errors import HawkFishError, QueryInvalid

MOST_READS = 2000
"""Resources that one request may have read for its $expand."""

_ALWAYS_SHOWN = frozenset({"@odata.id", "@odata.type", "@odata.context", "@odata.etag"})

Read = Callable[[str], dict[str, Any] | None]
"""Gives what a GET of an address would show to this caller; None where it would show nothing."""


def shape(document: Document, query: Query, read: Read) -> Rendered:
    """The resource as a request wants to see it."""
    body = document.full()
    if query.expand is not None:
        body = Expansion(query.expand, read).expand(body)
    return _render(body, document, query)


def shape_collection(document: Document, members: Sequence[Document], query: Query, read: Read) -> Rendered:
    """A collection with its members in full."""
    assert query.expand is not None  # noqa: S101  else there are links in it, and `shape` does
    expansion = Expansion(query.expand, read)
    shown = [expansion.deeper(member.full()) for member in members]
    if query.select:
        # What is wanted of a collection of whole members is wanted of each.
        paths = [path[1:] if path[0] == "Members" and len(path) > 1 else path for path in query.select]
        shown = [select(member, paths) for member in shown]
    body = {**document.full(), "Members": shown}
    return _render(body, document, Query(expand=query.expand))


def is_joined(query: Query) -> bool:
    """Whether a collection is wanted with its members as they are, nothing left out and nothing more in them."""
    return query.expand is not None and query.expand.others and query.expand.levels == 1 and not query.select


def join_collection(document: Document, members: Iterable[bytes]) -> Rendered:
    """The same as `shape_collection` of members that are ready bytes.

    Args:
        document: The collection without members.
        members: What a GET of each shows.
    """
    before, brackets, after = dump(document.full()).partition(b'"Members":[')
    content = b"".join((before, brackets, b",".join(members), after))
    return Rendered(content, f'"{digest(content)}"', described_by(document.body["@odata.type"]))


def _render(body: dict[str, Any], document: Document, query: Query) -> Rendered:
    if query.select:
        body = select(body, query.select)
    content = dump(body)
    # A resource that is shown in part is still that resource; one with others in it changes with them.
    etag = f'"{digest(content)}"' if query.expand is not None else document.etag
    return Rendered(content, etag, described_by(document.body["@odata.type"]))


# --- $select ---------------------------------------------------------------------------------------------------------


def select(body: Mapping[str, Any], paths: Iterable[Sequence[str]]) -> dict[str, Any]:
    """The properties at those paths, with their annotations, and what identifies the resource."""
    wanted: dict[str, list[Sequence[str]]] = {}
    for path in paths:
        wanted.setdefault(path[0], []).append(path[1:])
    found: dict[str, Any] = {}
    for name, value in body.items():
        owner = name.partition("@")[0]
        if name in _ALWAYS_SHOWN or name in wanted or (owner in wanted and [] in map(list, wanted[owner])):
            part = value if name in _ALWAYS_SHOWN else _part(value, wanted.get(name, [()]))
            if part is not None or value is None:
                found[name] = part
    return found


def _part(value: Any, rests: Sequence[Sequence[str]]) -> Any:
    """What is wanted of one property; None for nothing."""
    if any(not rest for rest in rests):
        return value
    if isinstance(value, Mapping):
        return select(value, rests) or None
    if isinstance(value, list):
        parts = [select(item, rests) for item in value if isinstance(item, Mapping)]
        return [part for part in parts if part] or None
    return None


# --- $expand ---------------------------------------------------------------------------------------------------------


class Expansion:
    """The $expand of one request."""

    def __init__(self, wanted: Expand, read: Read) -> None:
        self._wanted = wanted
        self._read = read
        self._seen: dict[str, dict[str, Any] | None] = {}

    def expand(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A resource with its links replaced."""
        return self._object(body, self._wanted.levels, in_links=False)

    def deeper(self, body: dict[str, Any]) -> dict[str, Any]:
        """A resource that stands in place of a link already."""
        levels = self._wanted.levels - 1
        return self._object(body, levels, in_links=False) if levels else body

    def _object(self, body: Mapping[str, Any], levels: int, *, in_links: bool) -> dict[str, Any]:
        return {name: self._value(value, levels, in_links=in_links or name == "Links") for name, value in body.items()}

    def _value(self, value: Any, levels: int, *, in_links: bool) -> Any:
        if isinstance(value, list):
            return [self._value(item, levels, in_links=in_links) for item in value]
        if not isinstance(value, Mapping):
            return value
        if value.keys() != {"@odata.id"}:
            return self._object(value, levels, in_links=in_links)
        if not (self._wanted.links if in_links else self._wanted.others):
            return value
        found = self._fetch(value["@odata.id"])
        if found is None:
            return value
        return found if levels == 1 else self._object(found, levels - 1, in_links=False)

    def _fetch(self, address: str) -> dict[str, Any] | None:
        if address not in self._seen:
            if len(self._seen) >= MOST_READS:
                raise QueryInvalid(
                    f"This $expand asks for more than {MOST_READS} resources; take fewer members ($top) or fewer $levels.",
                    parameter="$expand",
                    value=str(self._wanted.levels),
                )
            self._seen[address] = self._read(address)
        return self._seen[address]


class Reader:
    """Answers a GET of one resource within a request for another, with the same caller's rights."""

    def __init__(self, app: falcon.App[Any, Any], router: CompiledRouter) -> None:
        self._app = app
        self._router = router

    def of(self, req: falcon.Request) -> Read:
        """What reads for that request."""
        return lambda address: self._read(req, address)

    def _read(self, req: falcon.Request, address: str) -> dict[str, Any] | None:
        found = self._router.find(address.rstrip("/"))
        responder = None if found is None else getattr(found[0], "on_get", None)
        if found is None or responder is None:
            return None
        environment = {
            **{name: value for name, value in req.env.items() if name not in {"HTTP_IF_NONE_MATCH", "HTTP_PREFER"}},
            "REQUEST_METHOD": "GET",
            "PATH_INFO": address,
            "QUERY_STRING": "",
            "wsgi.input": io.BytesIO(),
        }
        inner = falcon.Request(environment, options=self._app.req_options)
        for name in ("actor", "request_id", "read"):
            setattr(inner.context, name, getattr(req.context, name))
        inner.context.query, inner.context.shape = PLAIN, None
        answer = falcon.Response(options=self._app.resp_options)
        try:
            responder(inner, answer, **found[2])
        except falcon.HTTPStatus:
            return None  # it lives elsewhere
        except (HawkFishError, ProtocolError, falcon.HTTPError) as error:
            if answer_of(error).status >= 500:  # noqa: PLR2004  a failure of ours; a link in its place would hide it
                raise
            return None
        if answer.status_code != 200 or answer.data is None or answer.content_type not in {None, "application/json"}:  # noqa: PLR2004
            return None
        media = falcon.media.JSONHandler().deserialize(io.BytesIO(answer.data), None, None)
        return media if isinstance(media, dict) else None
