"""What all resources share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

import falcon

from hawkfish.api.bodies import read_object
from hawkfish.api.documents import Document, send
from hawkfish.api.links import link
from hawkfish.api.offload import offload
from hawkfish.api.queries import LARGEST, Page, read_page
from hawkfish.bootstrap import Application
from hawkfish.domain.accounts import Actor

T = TypeVar("T")

METHODS = ("GET", "HEAD", "POST", "PATCH", "PUT", "DELETE")


class Resource:
    """A resource at one or more addresses.

    Attributes:
        collection: Whether it has Members, and so takes $top, $skip and only.
        allow: The methods that it answers, for the header `Allow`.
    """

    collection: ClassVar[bool] = False
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

    def read(self, req: falcon.Request, *, optional: bool = False) -> dict[str, Any]:
        """The JSON object in the body of the request."""
        return read_object(req, self.application.settings.max_body_bytes, optional=optional)


class Singleton(Resource):
    """A resource that is there once and is only read."""

    @abstractmethod
    def document(self) -> Document:
        """What it shows now."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Shows the resource."""
        send(req, resp, self.document())


class Collection(Resource):
    """A collection of resources.

    Attributes:
        path: Its address.
        kind: Name of its type, such as `ComputerSystemCollection`.
        title: Its Name.
    """

    collection = True
    path: ClassVar[str]
    kind: ClassVar[str]
    title: ClassVar[str]

    @abstractmethod
    def page(self, actor: Actor, skip: int, top: int) -> tuple[Sequence[Any], int]:
        """The ids of some members in their stable order, and how many there are."""

    @abstractmethod
    def member(self, actor: Actor, identity: Any) -> Document:
        """What one member shows, by its id as `page` gives it."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Shows a page of the collection, or with `only` its one member."""
        wanted = read_page(req)
        actor = req.context.actor
        identities, total = offload(self.page, actor, wanted.skip, wanted.top)
        if wanted.only and total == 1:
            send(req, resp, offload(self.member, actor, identities[0]))
            return
        members = [link(self.path, identity) for identity in identities]
        send(req, resp, collection_document(self.path, self.kind, self.title, members, total, wanted))


def collection_document(  # noqa: PLR0917  the parts of a collection
    path: str, kind: str, title: str, members: Sequence[dict[str, str]], total: int, wanted: Page
) -> Document:
    """A page of a collection.

    Args:
        path: Its address.
        kind: Name of its type.
        title: Its Name.
        members: References to the members of the page.
        total: How many there are in all.
        wanted: The page.
    """
    body: dict[str, Any] = {
        "@odata.id": path,
        "@odata.type": f"#{kind}.{kind}",
        "Name": title,
        "Members@odata.count": total,
        "Members": members,
    }
    end = wanted.skip + len(members)
    if members and end < min(total, LARGEST):
        body["Members@odata.nextLink"] = f"{path}?$skip={end}&$top={wanted.top}"
    return Document(body)


def sliced(items: Sequence[T], skip: int, top: int, key: Callable[[T], Any]) -> tuple[list[Any], int]:
    """A page of a list that the service gives whole."""
    return [key(item) for item in items[skip : skip + top]], len(items)


def not_none(**values: Any) -> dict[str, Any]:
    """The properties that have a value; an absent property says less than a null one, and never lies."""
    return {name: value for name, value in values.items() if value is not None}


def timestamp(moment: Any) -> str | None:
    """A time as Redfish writes it: UTC, to the second."""
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")
