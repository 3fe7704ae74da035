"""Query options: what is supported is said in ProtocolFeaturesSupported, and nothing else is taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import falcon

from hawkfish.api.errors import ProtocolError, shown
from hawkfish.errors import QueryInvalid, QueryNotSupported

PAGE_LIMIT = 1000
"""Members shown at once where the caller does not ask for fewer; the rest is behind nextLink."""

LARGEST = 2**31 - 1

_PAGING = frozenset({"$top", "$skip"})


@dataclass(frozen=True)
class Page:
    """Which members of a collection are wanted.

    Attributes:
        only: The sole member itself is wanted where there is just one.
    """

    skip: int = 0
    top: int = PAGE_LIMIT
    only: bool = False


def check_query(req: falcon.Request, *, collection: bool) -> None:
    """Refuses the options that this resource does not know; parameters without `$` are ignored, as DSP0266 says."""
    for name in req.params:
        if name.startswith("$") and name not in _PAGING:
            raise QueryNotSupported(
                f"The query parameter {shown(name)} is not supported; collections take $top, $skip and only.",
                parameter=shown(name),
            )
        if name in _PAGING or name == "only":
            if req.method not in {"GET", "HEAD"}:
                raise ProtocolError(400, "QueryNotSupportedOnOperation", text=f"{name} goes with GET only.")
            if not collection:
                raise ProtocolError(400, "QueryNotSupportedOnResource", text=f"{name} goes with collections only.")


def read_page(req: falcon.Request) -> Page:
    """The page of a collection that a request asks for."""
    if "only" in req.params:
        if req.params["only"]:
            _refuse("only", req.params["only"], "takes no value")
        if _PAGING & req.params.keys():
            raise ProtocolError(400, "QueryCombinationInvalid", text="only cannot stand beside $top or $skip.")
        return Page(only=True)
    return Page(skip=_number(req, "$skip", 0, least=0), top=min(_number(req, "$top", PAGE_LIMIT, least=0), PAGE_LIMIT))


def read_number(req: falcon.Request, name: str, default: int) -> int:
    """A whole number in a query parameter of our own."""
    return _number(req, name, default, least=0)


def _number(req: falcon.Request, name: str, default: int, *, least: int) -> int:
    text = req.params.get(name)
    if text is None:
        return default
    if not isinstance(text, str) or not text.isascii() or not text.isdigit() or not least <= int(text[:20]) <= LARGEST:
        _refuse(name, text, f"takes a whole number from {least} to {LARGEST}")
    return int(text)


def _refuse(name: str, value: object, rule: str) -> NoReturn:
    raise QueryInvalid(f"{name}={shown(value)}: {name} {rule}.", parameter=name, value=shown(value))
