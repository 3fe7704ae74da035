"""What the resources below a system share: they are made from its record, and known by their addresses."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import falcon

from hawkfish.api.documents import Document, send
from hawkfish.api.resources.base import Head, paged, send_members
from hawkfish.api.resources.systems import SystemPart
from hawkfish.domain.systems import System
from hawkfish.errors import NotFound


class PartCollection(SystemPart):
    """A collection below a system.

    Attributes:
        kind: Name of its type, such as `ProcessorCollection`.
        title: Its Name.
        more: What else it says of itself.
    """

    collection = True
    kind: ClassVar[str]
    title: ClassVar[str]
    more: ClassVar[Mapping[str, Any]] = MappingProxyType({})

    @staticmethod
    @abstractmethod
    def documents(system: System) -> list[Document]:
        """All resources of the members' type that a system has, wherever they stand below it."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, system_id: str, **_: Any) -> None:
        """Shows a page of the collection, or with `only` its one member."""
        system = self.find(req, system_id)
        self.check_parent(system, req.path)
        query = req.context.query
        members = [item for item in self.documents(system) if _address(item).rpartition("/")[0] == req.path]
        if query.only and len(members) == 1:
            send(req, resp, members[0])
            return
        # They are few, and are cut up by their positions: machines have no natural order of parts but the one that they have.
        places = {_address(item): position for position, item in enumerate(members)}
        found = [item for item in members if query.accepts(item.body)]
        send_members(
            req,
            resp,
            Head(req.path, self.kind, self.title, more=self.more),
            paged(found, query.page, lambda item: places[_address(item)]),
        )

    def check_parent(self, system: System, path: str) -> None:
        """Refuses a collection whose parent is not there; the system itself is known to be.

        Raises:
            NotFound: The parent is not there.
        """


class PartResource(SystemPart):
    """A resource below a system.

    Attributes:
        kind: Name of its type, such as `Processor`.
    """

    kind: ClassVar[str]

    @staticmethod
    @abstractmethod
    def documents(system: System) -> list[Document]:
        """All resources of this type that a system has."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, system_id: str, **_: Any) -> None:
        """Shows the resource."""
        system = self.find(req, system_id)
        send(req, resp, find_part(self.documents(system), system, self.kind, req.path))


def find_part(documents: Iterable[Document], system: System, kind: str, path: str) -> Document:
    """The resource at an address.

    Raises:
        NotFound: The system has none there.
    """
    found = next((item for item in documents if _address(item) == path), None)
    if found is None:
        name = path.rpartition("/")[2]
        raise NotFound(
            f"The system {system.name} has no {kind} {name}; see what it has at its collection.", kind=kind, id=name
        )
    return found


def references(documents: Iterable[Document]) -> list[dict[str, str]]:
    """References to resources, for links."""
    return [_reference(item) for item in documents]


def _address(document: Document) -> str:
    return str(document.body["@odata.id"])


def _reference(document: Document) -> dict[str, str]:
    return {"@odata.id": _address(document)}
