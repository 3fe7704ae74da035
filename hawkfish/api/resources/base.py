"""What all resources share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, TypeVar

import falcon

from hawkfish.api.bodies import read_object
from hawkfish.api.documents import Document, send, send_rendered
from hawkfish.api.errors import shown
from hawkfish.api.filters import Fields, translate
from hawkfish.api.links import link
from hawkfish.api.offload import offload
from hawkfish.api.queries import Query, next_link
from hawkfish.api.shapes import is_joined, join_collection, shape_collection
from hawkfish.bootstrap import Application
from hawkfish.domain.accounts import Actor
from hawkfish.domain.pages import Key, Page, PageRequest
from hawkfish.errors import QueryInvalid

T = TypeVar("T")

MOST_SIFTED = 1000
"""Members that are read one by one for a `$filter` that the database cannot answer."""

Address = Mapping[str, str]
"""The parts of an address that differ from resource to resource, by the names that the route gives them."""

METHODS = ("GET", "HEAD", "POST", "PATCH", "PUT", "DELETE")


class Resource:
    """A resource at one or more addresses.

    Attributes:
        collection: Whether it has Members, and so takes $top, $skip, $filter and only.
        shapeable: Whether it shows a Redfish resource, of which $select and $expand can show more or less.
        reads_query: Whether it reads the query options itself.
        allow: The methods that it answers, for the header `Allow`.
    """

    collection: ClassVar[bool] = False
    shapeable: ClassVar[bool] = True
    reads_query: ClassVar[bool] = False
    allow: ClassVar[tuple[str, ...]] = ()

    def __init__(self, application: Application) -> None:
        self.application = application

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """HEAD is GET without its body, everywhere."""
        super().__init_subclass__(**kwargs)
        responder = getattr(cls, "on_get", None)
        if responder is not None:
            cls.on_head = responder  # type: ignore[attr-defined]  # falcon looks it up by name
        cls.allow = tuple(method for method in METHODS if hasattr(cls, f"on_{method.lower()}"))

    def read(
        self, req: falcon.Request, *, optional: bool = False, keep: frozenset[str] = frozenset()
    ) -> dict[str, Any]:
        """The JSON object in the body of the request; see `read_object`."""
        return read_object(req, self.application.settings.max_body_bytes, optional=optional, keep=keep)


class Singleton(Resource):
    """A resource that is there once and is only read."""

    @abstractmethod
    def document(self) -> Document:
        """What it shows now."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Shows the resource."""
        send(req, resp, self.document())


class Collection(Resource, Generic[T]):
    """A collection of resources, of which pages are shown.

    Attributes:
        path: Its address; `{system_id}` and the like stand for parts that the address gives.
        kind: Name of its type, such as `ComputerSystemCollection`.
        title: Its Name.
        fields: What the database can filter by; by anything else, members are read one by one.
        key_type: Whether places are strings or numbers.
        actions: What can be done with the collection, by names.
    """

    collection = True
    path: ClassVar[str]
    kind: ClassVar[str]
    title: ClassVar[str]
    fields: ClassVar[Fields] = {}
    key_type: ClassVar[type[Key]] = str
    actions: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def page(self, actor: Actor, wanted: PageRequest, address: Address) -> Page[T]:
        """Some members in their order; see `paged` for those that are all at hand."""

    @abstractmethod
    def document(self, item: T) -> Document:
        """What a member shows."""

    @abstractmethod
    def key(self, item: T) -> Key:
        """The place of a member in the order."""

    def identity(self, item: T) -> Any:
        """The last part of a member's address."""
        return item.id  # type: ignore[attr-defined]  # most have one

    def references(self, actor: Actor, wanted: PageRequest, address: Address) -> Page[Any]:
        """The identities of the same members, where they can be had for less than the members."""
        page = self.page(actor, wanted, address)
        return replace(page, items=[self.identity(item) for item in page.items])

    def on_get(self, req: falcon.Request, resp: falcon.Response, **address: str) -> None:
        """Shows a page of the collection, or with `only` its one member."""
        query: Query = req.context.query
        actor = req.context.actor
        path = self.path.format(**address)
        if query.only:
            first = offload(self.page, actor, PageRequest(top=1), address)
            if first.total == 1 and first.items:
                send(req, resp, self.document(first.items[0]))
                return
        check_place(query.after, self.key_type)
        head = Head(path, self.kind, self.title, self.actions)
        if is_joined(query):
            ready = offload(self.rendered, actor, query, address)
            send_rendered(req, resp, join_collection(collection_document(head, ready, [], query), ready.items))
        elif query.expand is not None and query.expand.others:
            send_members(req, resp, head, offload(self._whole, actor, query, address))
        else:
            page = offload(self._links, actor, query, address)
            send(req, resp, collection_document(head, page, [link(path, item) for item in page.items], query))

    def rendered(self, actor: Actor, query: Query, address: Address) -> Page[bytes]:
        """What a GET of each member of the page shows."""
        page = self._whole(actor, query, address)
        return Page(items=[item.render()[0] for item in page.items], total=page.total, next_after=page.next_after)

    def _whole(self, actor: Actor, query: Query, address: Address) -> Page[Document]:
        page = self.filtered(self.page, actor, query, address) or self._sifted(actor, query, address)
        documents = [self.document(item) for item in page.items]
        return Page(items=documents, total=page.total, next_after=page.next_after)

    def _links(self, actor: Actor, query: Query, address: Address) -> Page[Any]:
        page = self.filtered(self.references, actor, query, address)
        if page is None:
            sifted = self._sifted(actor, query, address)
            page = replace(sifted, items=[self.identity(item) for item in sifted.items])
        return page

    def filtered(
        self, read: Callable[..., Page[Any]], actor: Actor, query: Query, address: Address
    ) -> Page[Any] | None:
        """The page, where the database can tell which members meet the condition."""
        if query.condition is None:
            return read(actor, query.page, address)
        known = translate(query.condition, self.fields)
        return None if known is None else read(actor, replace(query.page, condition=known), address)

    def _sifted(self, actor: Actor, query: Query, address: Address) -> Page[T]:
        """The page, by a look at every member; refused where there are too many for that."""
        everything = self.page(actor, PageRequest(top=MOST_SIFTED), address)
        if everything.next_after is not None:
            names = ", ".join(sorted(self.fields)) or "none"
            raise QueryInvalid(
                f"$filter names a property that is not indexed, and {self.title} has more than {MOST_SIFTED} members to look at;"
                f" filter by these alone: {names}.",
                parameter="$filter",
                value=shown(query.filter_text),
            )
        found = [item for item in everything.items if query.accepts(self.document(item).body)]
        return paged(found, query.page, self.key)


@dataclass(frozen=True)
class Head:
    """What a collection says of itself.

    Attributes:
        path: Its address.
        kind: Name of its type.
        title: Its Name.
        actions: What can be done with it, by names.
        more: What else it says of itself.
    """

    path: str
    kind: str
    title: str
    actions: tuple[str, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)


def collection_document(head: Head, page: Page[Any], members: list[dict[str, Any]], query: Query) -> Document:
    """A page of a collection.

    Args:
        head: Its head.
        page: The page; its items are not looked at.
        members: The members of the page, or links to them.
        query: What was asked for.
    """
    body: dict[str, Any] = {
        "@odata.id": head.path,
        "@odata.type": f"#{head.kind}.{head.kind}",
        "Name": head.title,
        "Members@odata.count": page.total,
        "Members": members,
        **head.more,
    }
    if head.actions:
        named = {name: f"{head.kind}.{name}" for name in head.actions}
        body["Actions"] = {
            f"#{full}": {"target": f"{head.path}/Actions/{full}", "title": name} for name, full in named.items()
        }
    if page.next_after is not None:
        body["Members@odata.nextLink"] = next_link(head.path, query, page.next_after)
    return Document(body)


def send_members(req: falcon.Request, resp: falcon.Response, head: Head, page: Page[Document]) -> None:
    """Sends a page of a collection whose members are at hand: whole or as links, as the request wants it."""
    query: Query = req.context.query
    if query.expand is not None and query.expand.others:
        document = collection_document(head, page, [], query)
        send_rendered(req, resp, shape_collection(document, page.items, query, req.context.read))
    else:
        links = [{"@odata.id": item.body["@odata.id"]} for item in page.items]
        send(req, resp, collection_document(head, page, links, query))


def paged(items: Iterable[T], wanted: PageRequest, key: Callable[[T], Any]) -> Page[T]:
    """A page of members that are all at hand; they are put in order here."""
    ordered = sorted(items, key=key)
    rest = ordered
    if wanted.after is not None and ordered:
        check_place(wanted.after, type(key(ordered[0])))
        rest = [item for item in ordered if key(item) > wanted.after]
    end = None if wanted.top is None else wanted.skip + wanted.top
    found = rest[wanted.skip : end]
    more = end is not None and end < len(rest) and found
    return Page(items=found, total=len(ordered), next_after=key(found[-1]) if more else None)


def check_place(after: Key | None, key_type: type[Key]) -> None:
    """Refuses a $skiptoken of another collection."""
    if after is not None and not isinstance(after, key_type):
        text = "The $skiptoken is not one of this collection; follow a nextLink as it is, or begin without one."
        raise QueryInvalid(text, parameter="$skiptoken", value=shown(after))


def not_none(**values: Any) -> dict[str, Any]:
    """The properties that have a value; an absent property says less than a null one, and never lies."""
    return {name: value for name, value in values.items() if value is not None}


def timestamp(moment: Any) -> str | None:
    """A time as Redfish writes it: UTC, to the second."""
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")
